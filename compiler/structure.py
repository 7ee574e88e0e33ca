"""Typed model -> Structure: which unknowns are jointly Gaussian given all the others.

The Gaussian block is the largest set of Gaussian unknowns in which every outcome that they reach
is affine with Gaussian noise, no product joins two of them, and no scale, kernel or point depends
on them. It is found by starting with all candidates and taking out what some use forbids, until
nothing changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine, NotAffine, SiteUse, affine_in
from mercer.compiler.contraction import Contraction
from mercer.compiler.inner import Layer, applies_of, layers_of, owner_of
from mercer.compiler.links import Link, asked_in_vain, links_of
from mercer.compiler.overrides import Overrides, overrides
from mercer.compiler.predictors import predictor_key, predictors_of
from mercer.compiler.walk import imputed, in_order, names_below
from mercer.compiler.wide import without_wide_layers
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.spaces import Real, Tangent, Vector

__all__ = [
    "Structure",
    "analyse",
    "applies_of",
    "gaussian_candidates",
    "moving_point",
    "moving_unknowns",
    "owner_of",
]


@dataclass(frozen=True)
class Structure:
    """`block`: what can be integrated out. `locations`: the affine form of each outcome that it
    reaches. `quantities`: that of each unknown and function of the block itself. `sites`: by key,
    the sites of the block and of the functions outside it. `latent`: functions outside the block.
    `asked`: what the model's `infer` says. `predictors`: by name, the affine parts of the other
    outcomes, where the block is what variational inference sees at once. `links`: of each outcome
    that is not Gaussian given the block, how the block enters it, where it is integrated out by a
    Normal law: about its mode (Laplace) or, `is_nearest`, the nearest one. `contraction`: the
    product that the block is the factors of, where messages are passed between them. `layers`: the
    random functions inside others, which none of these has.
    """

    model: ir.TypedModel
    block: frozenset[str]
    locations: Mapping[str, Affine]
    quantities: Mapping[str, Affine]
    sites: Mapping[str, SiteUse]
    latent: tuple[str, ...]
    asked: Overrides
    predictors: Mapping[str, Mapping[str, ir.Expr]] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    is_nearest: bool = False
    contraction: Contraction | None = None
    layers: tuple[Layer, ...] = ()

    def layer(self, key: str) -> Layer | None:
        """The layer of a site, where it is one."""
        return next((layer for layer in self.layers if layer.key == key), None)


def analyse(
    model: ir.TypedModel, *, is_variational: bool = False, is_quick: bool = False
) -> Structure:
    """The structure of a typed model. Raises MercerError M32x where its `infer` cannot be had.

    `is_variational`: a Gaussian unknown is in the block also where an outcome is not Normal, or
    not affine in it, if its law is made of what is. `is_quick`: with all in the block that can be
    integrated out by a Normal law, and not only what the model's `infer` asks for.
    """
    model = without_wide_layers(model)
    asked = overrides(model)
    layers = layers_of(model)
    inner = frozenset(layer.owner for layer in layers)
    candidates = gaussian_candidates(model) - _apart(model, asked) - inner
    approximated = candidates if is_quick else frozenset(asked.approximated)
    block = candidates
    while True:
        taken = _forbidden(model, block, approximated, is_variational)
        if not taken:
            break
        block -= taken
    links = links_of(model, block, approximated)
    used = frozenset().union(*(names_below(model, o.law) for o in model.observations.values()))
    reached = block & _closure(model, block, used)
    reaching = {
        n: o.law for n, o in model.observations.items() if names_below(model, o.law) & reached
    }
    entering = {name: links[name].predictor for name in reaching if name in links} | {
        name: law.arguments["loc"]
        for name, law in reaching.items()
        if isinstance(law, ir.Distribution) and _is_gaussian(model, law, reached)
    }
    locations = {
        name: affine_in(model, entering[name], reached) for name in reaching if name in entering
    }
    latent = tuple(f for f in model.functions if f not in reached)
    applies = applies_of(model)
    quantities: dict[str, Affine] = {}
    sites: dict[str, SiteUse] = {}
    for name in (n for n in model.order if n in reached and n in model.unknowns):
        unknown = model.unknowns[name]
        quantities[name] = affine_in(model, ir.Ref(unknown.type, unknown.span, name), reached)
    for text, apply in applies.items():
        owner = owner_of(apply)
        dims = in_order(model, apply.type.dims)
        sites[text] = SiteUse(text, owner, dims, apply)
        if owner in reached:
            quantities[text] = affine_in(model, apply, reached)
        elif model.functions[owner].entry == "GP":
            # Latent: its own prior mean and its site, with the sites of functions in that mean;
            # other unknowns are values there, and so are the layers inside its point.
            with suppress(NotAffine):  # which the plan refuses by name
                known = (frozenset(latent) - inner) | {owner}
                quantities[text] = affine_in(model, apply, known)
    predictors: dict[str, dict[str, ir.Expr]] = {}
    for name in (n for n in reaching if n not in locations):
        parts = predictors_of(model, reaching[name], reached)[0]
        keys = {predictor_key(name, k): part for k, part in enumerate(parts)}
        predictors[name] = keys
        quantities |= {key: parts[part] for key, part in keys.items()}
    for form in (*locations.values(), *quantities.values()):
        for term in form.terms:
            sites[term.site.key] = term.site
    if asked.approximated and (problems := asked_in_vain(model, asked, reached, links)):
        raise MercerError(problems, model.sources)
    return Structure(
        model,
        reached,
        locations,
        quantities,
        sites,
        latent,
        asked,
        predictors,
        links,
        is_nearest=any(d.method == "CVI" for d in asked.approximated.values()),
        layers=layers,
    )


def moving_point(structure: Structure) -> str | None:
    """A site of the block whose points are not data, but unknown or made of what is unknown."""
    model = structure.model
    random = {*model.unknowns, *model.functions, *imputed(model)}
    for key, site in structure.sites.items():
        if site.apply is not None and site.owner in structure.block:
            names = names_below(model, (site.apply.point, site.apply.function))
            if (names - {site.owner}) & random:
                return key
    return None


def moving_unknowns(structure: Structure) -> tuple[str, ...]:
    """The unknowns that points of random functions are made of, in order."""
    model = structure.model
    applies = [site.apply for site in structure.sites.values()]
    applies += [layer.apply for layer in structure.layers]
    names = {n for a in applies if a is not None for n in names_below(model, a.point)}
    return tuple(name for name in model.order if name in names & set(model.unknowns))


def gaussian_candidates(model: ir.TypedModel) -> frozenset[str]:
    """The unknowns and functions whose prior is Gaussian given the others."""
    numbers = [
        u.name
        for u in model.unknowns.values()
        if isinstance(u.prior, ir.Distribution)
        and u.prior.entry == "Normal"
        and (isinstance(u.space, Real) or (isinstance(u.space, Vector) and u.space.base == Real()))
    ]
    functions = [
        f.name
        for f in model.functions.values()
        if f.entry == "GP" and isinstance(f.type.codomain, Vector | Real | Tangent)
    ]
    return frozenset(numbers + functions)


def _is_gaussian(model: ir.TypedModel, law: ir.Distribution, block: frozenset[str]) -> bool:
    """Whether a law is Normal about what is affine in the block, with a scale free of it."""
    if law.entry != "Normal" or "loc" not in law.arguments:
        return False
    if names_below(model, law.arguments.get("scale")) & block:
        return False
    return not predictors_of(model, law, block)[0].keys() - {law.arguments["loc"]}


def _apart(model: ir.TypedModel, asked: Overrides) -> set[str]:
    """What must not be integrated out: of a linear map, which is no random function of the typed
    model, its weights and its bias."""
    maps = tuple(f"{n}." for n in asked.apart if n not in {**model.functions, **model.unknowns})
    return set(asked.apart) | {n for n in model.unknowns if maps and n.startswith(maps)}


def _forbidden(
    model: ir.TypedModel, block: frozenset[str], approximated: frozenset[str], is_variational: bool
) -> frozenset[str]:
    """Members of `block` that some use does not allow there."""
    links = links_of(model, block, approximated)
    taken: set[str] = set()

    def free(*parts: object) -> None:
        for part in parts:
            taken.update(names_below(model, part) & block)

    def affine(expr: ir.Expr) -> None:
        try:
            affine_in(model, expr, block)
        except NotAffine as error:
            taken.update(error.names)

    columns = imputed(model)
    for name, observation in model.observations.items():
        law = observation.law
        if name in columns:
            free(law)  # other laws are made of the column: it is drawn before they are known
        elif name in links:
            affine(links[name].predictor)
            free(links[name].law)
        elif is_variational:
            taken |= predictors_of(model, law, block)[1]
        elif isinstance(law, ir.Distribution) and law.entry == "Normal" and "loc" in law.arguments:
            affine(law.arguments["loc"])
            free(law.arguments.get("scale"))
        else:
            free(law)
    for unknown in model.unknowns.values():
        if unknown.name in block and isinstance(unknown.prior, ir.Distribution):
            arguments = unknown.prior.arguments
            if "loc" in arguments:
                affine(arguments["loc"])
            free(arguments.get("scale"))
        else:
            free(unknown.prior)
        free(unknown.low, unknown.high)
    for function in model.functions.values():
        free(function.kernel, function.outputs, dict(function.settings))
        if function.mean is not None:
            if function.name in block:
                affine(function.mean)
            else:
                free(function.mean)
    for apply in applies_of(model).values():
        free(apply.point)
    return frozenset(taken)


def _closure(model: ir.TypedModel, block: frozenset[str], used: frozenset[str]) -> set[str]:
    """`used`, and what the means of its members lead to."""
    seen: set[str] = set()
    waiting = list(used)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        part: object = None
        if name in model.unknowns:
            part = model.unknowns[name].prior
        elif name in model.functions:
            part = model.functions[name].mean
        if part is not None:
            waiting += names_below(model, part)
    return seen
