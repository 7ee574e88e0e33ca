"""What the plan knows of inducing points: how many each function gets, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.curved import domain_factors
from mercer.compiler.inner import is_infinite
from mercer.compiler.potentials import is_field
from mercer.compiler.sizes import Sizes, count_of, functions_of, rows_of
from mercer.compiler.structure import Structure, moving_point
from mercer.dsl.spaces import Dim, Group, Product, Shape, coordinates_of

TOGETHER = 400
"""Inducing points of all functions together, where nobody says how many: most functions of a few
inputs are then explained to a hundredth or better, and what is of order m^3 takes no time."""

DEEP = 100
"""Inducing points of each function of a composition (Salimbeni & Deisenroth 2017)."""

FULL = 200
"""Rows up to which a layer to `Real^inf` has all of them as inducing points: nothing is then left
out of its Gram matrix."""

_EACH = 50  # at least, for each function
_COPY = 10  # at least, for each copy of a function (`f[g]`) and each of its outputs
_MOST = 1000  # however many copies there are


@dataclass(frozen=True)
class InducingUse:
    """The inducing points of one function: `count` of them, or those of a column `at`.

    `copies`: the dims of what the points are repeated for, or chosen among: the copies of an
    indexed function, and its outputs. `is_layer`: of a function inside another, whose outputs all
    have the same points. `images`: the layer to `Real^inf` whose own inducing points, mapped by it,
    are those of this function.
    """

    function: ir.Function
    count: int
    at: ir.Expr | None
    copies: tuple[Dim, ...]
    is_layer: bool = False
    images: str | None = None

    def size(self, sizes: Sizes) -> int:
        """The number of its inducing values."""
        if self.images is not None:
            return self.count * count_of(self.copies, sizes)
        if self.at is None:
            return self.count
        own = [d for d in self.at.type.dims if d not in self.at.type.coordinates]
        return count_of((*own, *self.copies), sizes)

    def words(self, sizes: Sizes | None) -> str:
        """As a plan tells it."""
        if self.at is not None:
            return f"{self.function.name} at the points given, held there"
        if self.images is not None:
            return f"{self.function.name} at what {self.images} makes of its own"
        most = "" if sizes else "up to "
        return f"{self.function.name} at {most}{self.size(sizes or {})} points"


def inducing_of(structure: Structure, sizes: Sizes | None) -> Mapping[str, InducingUse]:
    """The inducing points of each random function of the block, as asked or by default.

    By default all functions share `TOGETHER` points, a function has 10 for each of its copies, and
    none more than there are rows. Where functions are inside others each has `DEEP`, and a chain of
    layers to `Real^inf` those of its innermost one.
    """
    functions = functions_of(structure)
    found: dict[str, InducingUse] = {}
    layers = {layer.owner: layer for layer in structure.layers}
    inner = [structure.model.functions[name] for name in layers]
    for function in (*inner, *functions):
        directive = structure.asked.engines.get(function.name)
        settings = directive.settings if directive else {}
        asked, at = settings.get("count"), settings.get("at")
        is_layer = function.name in layers
        outputs = () if is_layer else coordinates_of(function.type.codomain)
        copies = (*function.type.dims, *outputs)
        images = _images(structure, function)
        if layers:
            count = DEEP * count_of(copies, sizes or {}) if images is None else DEEP
            if is_infinite(function.type.codomain) and sizes is not None:
                rows = count_of(layers[function.name].base, sizes)
                count = rows if rows <= FULL else count
        else:
            count = max(_EACH, TOGETHER // len(functions), _COPY * count_of(copies, sizes or {}))
        count = min(count, _MOST)
        if isinstance(asked, ir.Constant):
            count = int(asked.value)
        if images is not None:
            count = found[layers_owner(structure, images)].count
        elif sizes is not None and is_layer:
            count = min(count, count_of(layers[function.name].base, sizes))
        elif sizes is not None:
            count = min(count, max(1, rows_of(structure, sizes)))
        held = at if isinstance(at, ir.Expr) else None
        found[function.name] = InducingUse(function, count, held, copies, is_layer, images)
    return found


def layers_owner(structure: Structure, key: str) -> str:
    """The function of a layer."""
    layer = structure.layer(key)
    assert layer is not None
    return layer.owner


def _images(structure: Structure, function: ir.Function) -> str | None:
    """The layer to `Real^inf` that a function is applied to."""
    if not is_infinite(function.type.domain):
        return None
    uses = (site.apply for site in structure.sites.values() if site.owner == function.name)
    points = (use.point[0] for use in uses if use is not None)
    return next((p.text for p in points if isinstance(p, ir.Apply)), None)


def unfit_for_inducing(structure: Structure, *, may_move: bool = False) -> str | None:
    """Why the block cannot be seen through inducing points; None where it can. `may_move`: what is
    unknown about the points of functions is known by the time that inducing points are chosen."""
    uses = inducing_of(structure, None)
    if not uses:
        return "there is no random function in it"
    if structure.links:
        return f"`{next(iter(structure.links))}` is not Gaussian, so that there is no bound"
    key = moving_point(structure)
    if key and not may_move and any(use.at is None for use in uses.values()):
        return f"the points of `{key}` are unknown, so that none can be chosen among them"
    for use in uses.values():
        if is_field(use.function):
            return f"the coordinates of `{use.function.name}` have no inducing points of their own"
        factors = domain_factors(use.function.type.domain)
        if any(isinstance(f, Group | Shape) for f in factors):
            word = "rotations" if any(isinstance(f, Group) for f in factors) else "on their shape"
            return f"inducing points of `{use.function.name}` would not stay {word}"
        if use.at is not None and (why := _wrong_points(use.function, use.at)):
            return why
    return None


def _wrong_points(function: ir.Function, at: ir.Expr) -> str | None:
    domain, kind = function.type.domain, at.type
    rows = [d for d in kind.dims if d not in kind.coordinates]
    if isinstance(domain, Product) and len(domain.factors) > 1:
        return f"a column holds no points of `{domain}`, which `{function.name}` is a function of"
    is_vector = bool(coordinates_of(domain))
    if len(rows) != 1 or bool(kind.coordinates) != is_vector:
        return f"`at` holds `{kind}`, and `{function.name}` is a function of `{domain}`"
    return None
