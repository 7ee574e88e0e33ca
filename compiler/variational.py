"""Structure -> how variational inference takes it, a few rows at a time, or why it cannot.

All Gaussian unknowns, functions by their inducing values, have one joint Normal law q; the law of
an outcome needs of them its predictors only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mercer.compiler import typed as ir
from mercer.compiler.contraction import products_in
from mercer.compiler.engines import ENGINES, Engine
from mercer.compiler.inducing import inducing_of, unfit_for_inducing
from mercer.compiler.inner import is_infinite
from mercer.compiler.minibatch import rows_index
from mercer.compiler.shapes import functions_on_shapes
from mercer.compiler.sizes import Sizes, count_of, size_of
from mercer.compiler.structure import (
    Structure,
    analyse,
    gaussian_candidates,
    moving_unknowns,
    owner_of,
)
from mercer.compiler.tangents import tangential
from mercer.compiler.walk import nodes
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Dim
from mercer.stdlib import catalog

Kind = Literal["closed form", "quadrature", "draws"]

BATCH = 1024
"""Rows of a step: the noise of the gradient is then small beside the step for most models, and the
matrix products are large enough to be efficient."""

STEPS = 20_000
"""Steps at most; it ends before where the bound no longer rises."""

DRAWS = 25
"""Draws of each chain: all that varies is drawn from q when it is asked for."""

JOINT = 1000
"""Entries of an unknown up to which they are in the joint law: it takes the cube of all of them."""

_NOMINAL_ROWS = 10_000


@dataclass(frozen=True)
class Batches:
    """`size` rows of the index `rows` at each of at most `steps` steps. `kinds`: how the expected
    log density of each outcome is taken. `apart`: unknowns of so many entries that each of them
    has a law of its own. `multiplied`: whether each unknown that an outcome has in a product with
    others is a core, with an entry for each position that is summed over."""

    rows: Dim
    size: int
    steps: int
    kinds: Mapping[str, Kind]
    apart: tuple[str, ...] = ()
    multiplied: Mapping[str, bool] = field(default_factory=dict)


def engine_of_batches() -> Engine:
    """The engine whose features variational inference shares."""
    return next(engine for engine in ENGINES if engine.name == "Inducing")


def asks_for_batches(structure: Structure, method: str) -> ir.Directive | None:
    """The line of the model that only variational inference can do."""
    for name, directive in structure.asked.engines.items():
        function = structure.model.functions.get(name)
        # A layer to `Real^inf` is known by inducing points whatever the method.
        if function is None or name in structure.block or is_infinite(function.type.codomain):
            continue
        if directive.method == "Inducing":
            return directive
    if method == "svi" and "batch" in structure.asked.settings.get("svi", {}):
        lines = structure.model.directives
        return next(d for d in lines if "batch" in d.settings)
    return None


def batches_of(structure: Structure, sizes: Sizes | None) -> tuple[Structure, Batches] | str:
    """The structure as variational inference sees it, and its batches; or why there are none."""
    model = structure.model
    found = analyse(model, is_variational=True)
    used = {owner_of(s.apply) for s in found.sites.values() if s.apply}
    layered = {layer.owner for layer in found.layers}
    for name in layered:
        if sum(layer.owner == name for layer in found.layers) > 1:
            return f"`{name}` is applied at several places inside another function"
    if left := [f for f in found.latent if f in used and f not in layered]:
        return f"`{left[0]}` enters an outcome in a way that it has no predictor for"
    if vectors := next(iter(tangential(model)), None):
        return f"`{vectors}` is taken in the frames of its points"
    if on_shape := next(iter(functions_on_shapes(found)), None):
        return f"the waves of `{on_shape}`, a function on a shape, are of all rows together"
    if why := unfit_for_inducing(found, may_move=True):
        return why
    if not found.locations and not found.predictors:
        return "no outcome depends on a random function"
    known = sizes or {}
    rows, why = rows_index(found, known)
    if rows is None:
        return why
    asked = structure.asked.settings.get("svi", {})
    if "rank" in asked:
        return "a law of low rank, `rank`, is found from all rows together"
    count = size_of(rows, {rows: _NOMINAL_ROWS, **known})
    size = min(int(asked.get("batch", BATCH)), count)
    steps = int(asked.get("steps", STEPS))
    kinds: dict[str, Kind] = dict.fromkeys(found.locations, "closed form")
    for name in found.predictors:
        kinds[name] = "quadrature" if _is_scalar(found, name, rows) else "draws"
    entries = {n: count_of(model.unknowns[n].type.dims, known) for n in _weights(found)}
    apart = tuple(name for name, number in entries.items() if number > JOINT)
    if apart and "draws" in kinds.values():
        return f"`{apart[0]}` has more than {JOINT:,} entries, under an outcome that takes draws"
    return found, Batches(rows, size, steps, kinds, apart, _multiplied(found))


def _multiplied(structure: Structure) -> dict[str, bool]:
    """The unknowns of the block that outcomes have in products; True: a core."""
    model, found = structure.model, dict[str, bool]()
    for product in products_in(model, gaussian_candidates(model)):
        own = [factor for factor in product if factor.owner in structure.block]
        if len({factor.owner for factor in own}) < 2:
            continue
        for factor in own:
            unknown = model.unknowns.get(factor.owner)
            is_core = unknown is not None and set(unknown.type.dims) <= set(factor.over)
            found[factor.owner] = is_core
    return found


def _weights(structure: Structure) -> list[str]:
    """The finite unknowns of the block."""
    return [n for n in structure.model.unknowns if n in structure.block]


def predictor_dims(structure: Structure, part: ir.Expr, rows: Dim) -> set[Dim]:
    """The dims of a predictor: its own, and always that of the rows."""
    return {*part.type.dims, rows}


def _is_scalar(structure: Structure, name: str, rows: Dim) -> bool:
    """Whether each cell of an outcome depends on one number of its one predictor."""
    observation = structure.model.observations[name]
    parts = list(structure.predictors[name].values())
    laws = [n for n in nodes(observation.law) if isinstance(n, ir.Distribution)]
    if len(parts) != 1 or any(catalog.distributions()[law.entry].event for law in laws):
        return False
    return predictor_dims(structure, parts[0], rows) == set(observation.type.dims)


def flops_of_step(structure: Structure, batches: Batches, sizes: Sizes) -> float:
    """Operations of one step."""
    columns = sum(use.size(sizes) for use in inducing_of(structure, sizes).values())
    sites = [s for s in structure.sites.values() if not s.apply and s.owner not in batches.apart]
    columns += sum(count_of(s.dims, sizes) for s in sites)
    parts = [count_of(structure.model.observations[n].type.dims, sizes) for n in batches.kinds]
    cells = sum(parts) / size_of(batches.rows, sizes) * batches.size
    return 10.0 * cells * columns**2 + 8.0 * columns**3


def batch_sentences(
    structure: Structure, batches: Batches, sampled: tuple[str, ...], sizes: Sizes | None
) -> Iterator[str]:
    """What a plan says of variational inference."""
    model = structure.model
    block = [n for n in model.order if n in structure.block]
    outcomes = ", ".join(batches.kinds)
    are, get, their = ("is", "it gets", "its") if len(block) == 1 else ("are", "they get", "their")
    yield (
        f"{', '.join(block)} {are} Gaussian under {outcomes}: {get} one joint Normal law, of the "
        "functions' whitened values at inducing points and of the other unknowns themselves, that "
        f"is nearest to {their} posterior (Hensman et al. 2015). It is an approximation, with a "
        "lower bound of the log evidence."
    )
    if batches.apart:
        yield (
            f"{', '.join(batches.apart)}: with more than {JOINT:,} entries it stands apart from "
            "that joint law, and each entry has a Normal law of its own (mean field), which is "
            "narrower than it should be."
        )
    for kind, how in _HOW.items():
        if own := [n for n, k in batches.kinds.items() if k == kind]:
            yield f"The expected log density of {', '.join(own)} is taken {how}."
    yield (
        f"Each step takes {batches.size:,} rows of `{batches.rows}` at random: a natural gradient "
        "for that law (Salimbeni et al. 2018), Adam for the rest. At most "
        f"{batches.steps:,} steps, fewer where the bound no longer rises."
    )
    if sizes is not None:
        yield f"A step takes about {flops_of_step(structure, batches, sizes):.1e} operations."
    if sampled:
        names = ", ".join(sampled)
        yield (
            f"Left to inference: {names}: each has a Normal law of its own in unconstrained "
            "space, which knows no correlation with the others."
        )
    if moving := moving_unknowns(structure):
        yield (
            f"Points of functions are made of {', '.join(moving)}: these start at a draw from "
            "their prior, and inducing points are chosen where that leads."
        )


_HOW: Mapping[Kind, str] = {
    "closed form": "in closed form",
    "quadrature": "by Gauss-Hermite quadrature with 20 nodes",
    "draws": "over draws of the predictors at each step",
}


def no_batches(directive: ir.Directive, why: str) -> Diagnostic:
    """The model asks for what only variational inference does, and it cannot."""
    what = f"`{directive.name}` by {directive.method}" if directive.name else directive.method
    return Diagnostic(
        "M321",
        f"{what} takes the rows a few at a time, which this model does not allow",
        directive.span,
        why=f"{why}.",
        mend="leave the line out: the plan then takes a method that serves.",
    )


def other_method(directive: ir.Directive, method: str) -> Diagnostic:
    """Inducing points under an outcome that is not Normal, with a sampler or a mode."""
    return Diagnostic(
        "M321",
        f"`{directive.name}` by {directive.method}, and the rest by {method.upper()}",
        directive.span,
        why="its outcome is not Normal, so that its inducing values are fitted by SVI, with all "
        "the rest.",
        mend=f"write `infer SVI()`, or leave `infer {directive.name} by {directive.method}` out.",
    )
