"""Structure -> how message passing takes it: a Normal law for each factor of products, or why not.

Each factor gets its law given the laws of the others, in turn: a random function by filtering and
smoothing along its line, a finite unknown entry by entry of its index.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse, affine_in
from mercer.compiler.contraction import Contraction, Factor, NoContraction, contraction_of
from mercer.compiler.line import LARGEST, has_constants, states_of_kernel, why_no_state
from mercer.compiler.overrides import Overrides
from mercer.compiler.shapes import shape_of
from mercer.compiler.sizes import Sizes, count_of
from mercer.compiler.structure import Structure, applies_of, gaussian_candidates, owner_of
from mercer.compiler.tangents import tangential
from mercer.compiler.walk import imputed, in_order, names_below, nodes
from mercer.dsl.diagnostic import Diagnostic

DENSE = 2000
"""Values of a mode that is on no line, at most: its law is one dense matrix."""

DRAWS = 100
"""Draws of each chain: they are independent, and each goes once through all rows."""


def messages_structure(model: ir.TypedModel, asked: Overrides, sizes: Sizes | None) -> Structure:
    """The structure as message passing sees it; NoContraction, with the reason, where it has none.

    Its block are the factors of the products that its outcome is the sum of.
    """
    if len(model.observations) != 1:
        raise NoContraction("it has more than one outcome")
    ((name, observation),) = model.observations.items()
    law = observation.law
    if not isinstance(law, ir.Distribution) or law.entry != "Normal":
        raise NoContraction(f"`{name}` is not Normal")
    if name in imputed(model):
        raise NoContraction(f"`{name}` is imputed")
    if name in tangential(model):
        raise NoContraction(f"`{name}` is taken in the frames of its points")
    if asked.engines or asked.apart or asked.approximated:
        directives = (*asked.engines.values(), *asked.apart.values(), *asked.approximated.values())
        raise NoContraction(f"`{directives[0].name}` is asked for by {directives[0].method}")
    candidates = gaussian_candidates(model)
    location = law.arguments.get("loc")
    if location is None:
        raise NoContraction("it has no product of Gaussian unknowns")
    found = contraction_of(model, location, candidates)
    rows = set(observation.type.dims)
    for factor in found.factors:
        _check_factor(model, factor, rows, sizes)
    owners = {factor.owner for factor in found.factors}
    _check_apart(model, found, owners, law)
    return _structure(model, asked, found, frozenset(owners))


def _structure(
    model: ir.TypedModel, asked: Overrides, found: Contraction, block: frozenset[str]
) -> Structure:
    quantities, sites = {}, {}
    for unknown in (model.unknowns[n] for n in model.order if n in block & set(model.unknowns)):
        own = ir.Ref(unknown.type, unknown.span, unknown.name)
        quantities[unknown.name] = affine_in(model, own, block)
    for text, apply in applies_of(model).items():
        sites[text] = SiteUse(text, owner_of(apply), in_order(model, apply.type.dims), apply)
        quantities[text] = affine_in(model, apply, block)
    for form in quantities.values():
        sites |= {term.site.key: term.site for term in form.terms}
    return Structure(model, block, {}, quantities, sites, (), asked, contraction=found)


def _check_factor(
    model: ir.TypedModel, factor: Factor, rows: set[str], sizes: Sizes | None
) -> None:
    site, name = factor.term.site, factor.owner
    dims = {d for a in factor.term.access for d in ([a] if isinstance(a, str) else a.type.dims)}
    if extra := dims - set(factor.over) - rows:
        raise NoContraction(f"`{name}` brings the index `{min(extra)}`")
    if site.apply is None:
        return
    function = model.functions[name]
    if shape_of(function) is not None:
        raise NoContraction(f"`{name}` is a function on a shape")
    if summed := set(function.type.dims) & set(factor.over):
        each = f"`{name}` is one function for each label of `{min(summed)}`, which is summed over"
        raise NoContraction(f"{each}: a function to `Real^{min(summed)}` would do")
    if not isinstance(site.apply.function, ir.FunctionRef):
        raise NoContraction(f"`{site.key}` is an operator of `{name}`")
    random = {*model.unknowns, *model.functions}
    if moving := names_below(model, (site.apply.point, site.apply.function.at)) & random:
        raise NoContraction(f"the points of `{name}` are unknown (`{min(moving)}`)")
    if sum(use.owner == name for use in _uses(model)) > 1:
        raise NoContraction(f"`{name}` is used at two places")
    rank = count_of(factor.over, sizes or {})
    why = _why_no_line(function)
    if why is None and states_of_kernel(function) * rank > LARGEST:
        why = f"the state of `{name}` has {states_of_kernel(function) * rank} numbers"
    if why is None:
        return
    cells = count_of(site.dims, sizes) if sizes is not None else 0
    if cells > DENSE:
        raise NoContraction(f"{why}, and {cells:,} values are too many for one matrix")


def _why_no_line(function: ir.Function) -> str | None:
    """Why a mode is not filtered along a line; a series of waves would be no exact prior."""
    calls = (node for node in nodes(function.kernel) if isinstance(node, ir.KernelCall))
    if any(call.entry == "Periodic" for call in calls):
        return f"`{function.name}` has a `Periodic` kernel, whose state is only a series of waves"
    why = why_no_state(function)
    if why is None and has_constants(function):
        why = f"a part of the kernel of `{function.name}` never changes along the line"
    return why


def short_of(model: ir.TypedModel, found: Contraction) -> tuple[str, ...]:
    """The unknowns that are lengthscales of a mode: a start has them short."""
    calls = (
        node
        for factor in found.factors
        if factor.owner in model.functions
        for node in nodes(model.functions[factor.owner].kernel)
        if isinstance(node, ir.KernelCall) and "lengthscale" in node.arguments
    )
    refs = (call.arguments["lengthscale"] for call in calls)
    return tuple(
        dict.fromkeys(r.name for r in refs if isinstance(r, ir.Ref) and r.name in model.unknowns)
    )


def along_line(model: ir.TypedModel, factor: Factor) -> bool:
    """Whether a factor is filtered along a line."""
    return factor.owner in model.functions and _why_no_line(model.functions[factor.owner]) is None


def _uses(model: ir.TypedModel) -> list[SiteUse]:
    return [SiteUse(text, owner_of(apply), ()) for text, apply in applies_of(model).items()]


def _check_apart(
    model: ir.TypedModel, found: Contraction, owners: set[str], law: ir.Distribution
) -> None:
    """Nothing but its product sees a factor, and no two of them share an unknown."""
    weights = tuple(weight for own in found.weights for weight in own)
    others: list[object] = [law.arguments.get("scale"), *found.offsets, *weights]
    others += [u for n, u in model.unknowns.items() if n not in owners]
    others += [f for n, f in model.functions.items() if n not in owners]
    if seen := names_below(model, tuple(others)) & owners:
        raise NoContraction(f"`{min(seen)}` is needed at another place too")
    if idle := set(model.functions) - owners:
        raise NoContraction(f"`{min(idle)}` is a random function outside the products")
    known: set[str] = names_below(model, (others[0], *found.offsets)) & set(model.unknowns)
    if moved := names_below(model, weights) & set(model.unknowns):
        raise NoContraction(f"`{min(moved)}` multiplies it and is not Gaussian")
    for factor in found.factors:
        own = set(hyperparameters(model, factor))
        if own & owners:
            raise NoContraction(f"the prior of `{factor.owner}` needs `{min(own & owners)}`")
        if shared := own & known:
            raise NoContraction(f"`{min(shared)}` is shared by `{factor.owner}` and another part")
        known |= own


def hyperparameters(model: ir.TypedModel, factor: Factor) -> tuple[str, ...]:
    """The unknowns that the prior of a factor is made of."""
    if factor.owner in model.functions:
        prior: object = model.functions[factor.owner]
    else:
        prior = model.unknowns[factor.owner].prior
    below = names_below(model, prior)
    return tuple(n for n in model.order if n in below and n in model.unknowns)


def is_by_row(factor: Factor) -> bool:
    """Whether rows read different entries of a factor; those of a core are the same for all."""
    return any(not isinstance(a, str) or a not in factor.over for a in factor.term.access)


def message_names(factor: Factor) -> tuple[str, ...]:
    """The names of the arguments that hold the messages to a factor: their precisions and shifts, a
    row that reads each of its points, the first point of each chain, the point of each row."""
    words = ("precision", "shift", "reader", "chain", "code")
    return tuple(f"{factor.owner} {word}" for word in words)


def is_for_messages(structure: Structure) -> bool:
    """Whether `auto` passes messages: where several functions, or three factors, are multiplied, so
    that no engine integrates all but one number out."""

    def is_wide(product: tuple[Factor, ...]) -> bool:
        functions = sum(factor.owner in structure.model.functions for factor in product)
        return functions > 1 or len(product) > 2

    products = structure.contraction.products if structure.contraction else ()
    return any(is_wide(product) for product in products)


def sentences_of_messages(
    structure: Structure, sampled: tuple[str, ...], sizes: Sizes | None
) -> Iterator[str]:
    """What a plan says of message passing."""
    model, found = structure.model, structure.contraction
    assert found is not None
    (outcome,) = model.observations
    every = [[factor.owner for factor in product] for product in found.products]
    several = "; ".join(f"{_listed(own)} are multiplied" for own in every if len(own) > 1)
    alone = [own[0] for own in every if len(own) == 1]
    added = f" and {_listed(alone)} added" if alone else ""
    yield (
        f"{several}{added} in {outcome}, and each is Gaussian: each gets a Normal "
        "law of its own, the best one given those of the others, in turn until the lower bound of "
        "the log evidence no longer rises (message passing; variational message passing, Winn & "
        "Bishop 2005). It is an approximation: between the factors the posterior is taken as "
        "independent."
    )
    for factor in found.factors:
        yield _of_factor(model, factor, sizes)
    if sampled:
        yield (
            f"Left to inference: {_listed(sampled)}, at the highest bound, with a Normal law about "
            "it in unconstrained space."
        )
    yield (
        "Several starts are compared by how they predict rows that are held out until then, or by "
        "the bound where rows are few; the draws are of the best one."
    )


def _of_factor(model: ir.TypedModel, factor: Factor, sizes: Sizes | None) -> str:
    rank = count_of(factor.over, sizes or {})
    if factor.owner not in model.functions:
        if not is_by_row(factor):
            return f"{factor.owner}: {rank} numbers with one covariance."
        return f"{factor.owner}: {rank} numbers with one covariance for each label."
    function = model.functions[factor.owner]
    if _why_no_line(function) is None:
        numbers = states_of_kernel(function) * rank
        return (
            f"{factor.key}: {rank} functions together, by filtering and smoothing along the line "
            f"over the distinct points, with a state of {numbers} numbers, in linear time."
        )
    return f"{factor.key}: {rank} functions together, with one dense covariance at all its points."


def no_messages(directive: ir.Directive | None, why: str) -> Diagnostic:
    """The model, or whoever runs it, asks for messages, and it has no such structure."""
    return Diagnostic(
        "M321",
        "messages cannot be passed in this model",
        directive.span if directive else None,
        why=f"{why}. Message passing is for one Normal outcome whose location is a sum of products "
        "of Gaussian unknowns, each in it once.",
        mend="write `NUTS()`, or leave it to the plan.",
    )


def _listed(names: list[str] | tuple[str, ...]) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
