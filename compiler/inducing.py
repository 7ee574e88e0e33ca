"""What the plan knows of inducing points: how many each function gets, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.curved import domain_factors
from mercer.compiler.potentials import is_field
from mercer.compiler.sizes import Sizes, count_of, functions_of, rows_of
from mercer.compiler.structure import Structure, moving_point
from mercer.dsl.spaces import Dim, Group, Product, Shape, coordinates_of

TOGETHER = 400
"""Inducing points of all functions together, where nobody says how many: most functions of a few
inputs are then explained to a hundredth or better, and what is of order m^3 takes no time."""

_EACH = 50  # at least, for each function
_COPY = 10  # at least, for each copy of a function (`f[g]`) and each of its outputs
_MOST = 1000  # however many copies there are


@dataclass(frozen=True)
class InducingUse:
    """The inducing points of one function: `count` of them, or those of a column `at`.

    `copies`: the dims of what the points are repeated for, or chosen among: the copies of an
    indexed function, and its outputs.
    """

    function: ir.Function
    count: int
    at: ir.Expr | None
    copies: tuple[Dim, ...]

    def size(self, sizes: Sizes) -> int:
        """The number of its inducing values."""
        if self.at is None:
            return self.count
        own = [d for d in self.at.type.dims if d not in self.at.type.coordinates]
        return count_of((*own, *self.copies), sizes)

    def words(self, sizes: Sizes | None) -> str:
        """As a plan tells it."""
        if self.at is not None:
            return f"{self.function.name} at the points given, held there"
        most = "" if sizes else "up to "
        return f"{self.function.name} at {most}{self.size(sizes or {})} points"


def inducing_of(structure: Structure, sizes: Sizes | None) -> Mapping[str, InducingUse]:
    """The inducing points of each random function of the block, as asked or by default.

    By default all functions share `TOGETHER` points, a function has 10 for each of its copies, and
    none more than there are rows.
    """
    functions = functions_of(structure)
    found = {}
    for function in functions:
        directive = structure.asked.engines.get(function.name)
        settings = directive.settings if directive else {}
        asked, at = settings.get("count"), settings.get("at")
        copies = (*function.type.dims, *coordinates_of(function.type.codomain))
        count = max(_EACH, TOGETHER // len(functions), _COPY * count_of(copies, sizes or {}))
        count = min(count, _MOST)
        if isinstance(asked, ir.Constant):
            count = int(asked.value)
        if sizes is not None:
            count = min(count, max(1, rows_of(structure, sizes)))
        held = at if isinstance(at, ir.Expr) else None
        found[function.name] = InducingUse(function, count, held, copies)
    return found


def unfit_for_inducing(structure: Structure) -> str | None:
    """Why the block cannot be seen through inducing points; None where it can."""
    uses = inducing_of(structure, None)
    if not uses:
        return "there is no random function in it"
    if structure.links:
        return f"`{next(iter(structure.links))}` is not Gaussian, so that there is no bound"
    key = moving_point(structure)
    if key and any(use.at is None for use in uses.values()):
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
