"""The vocabulary of types: spaces, dims by name, values, points and functions between them.

An array is never known by the position of its axes, only by the names of its dims. `Real^k`
gives a value the dim `k`, as writing the index `k` in brackets does; the type remembers which of
the dims are coordinates, because a function takes coordinates whole and lifts over the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Dim = str
"""The name of a dim: an index (`n`), its second copy (`k'`), or a size without a name (`3`).

A size without a name is its decimal digits, so it can clash with no name of a model. `inf` is the
width of `Real^inf`.
"""

INFINITE: Dim = "inf"


@dataclass(frozen=True)
class Space:
    """A set of points. `str()` is how a model would write it."""

    def __str__(self) -> str:
        return type(self).__name__


# --- numbers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scalar(Space):
    """A space of single numbers."""


@dataclass(frozen=True)
class Real(Scalar):
    pass


@dataclass(frozen=True)
class Positive(Scalar):
    """Numbers > 0."""


@dataclass(frozen=True)
class Unit(Scalar):
    """[0, 1]."""


@dataclass(frozen=True)
class Interval(Scalar):
    """[low, high]; a bound is a number or the text of an expression (kept in the declaration)."""

    low: float | str
    high: float | str

    def __str__(self) -> str:
        return f"Interval({self.low}, {self.high})"


@dataclass(frozen=True)
class Count(Scalar):
    """0, 1, 2, ..."""


@dataclass(frozen=True)
class Bool(Scalar):
    pass


@dataclass(frozen=True)
class Label(Scalar):
    """One of the labels of an index."""

    index: str

    def __str__(self) -> str:
        return f"Label({self.index})"


@dataclass(frozen=True)
class Circle(Scalar):
    """A number that returns after its period; without one written it is an angle in radians."""

    period: float = 2.0 * math.pi

    def __str__(self) -> str:
        return "Circle" if self.period == 2.0 * math.pi else f"Circle({self.period:g})"


# --- vectors: each adds coordinates --------------------------------------------------------


@dataclass(frozen=True)
class Vector(Space):
    """Base^size, e.g. Real^d; `size` is the name of its dim."""

    base: Scalar
    size: Dim

    def __str__(self) -> str:
        return f"{self.base}^{self.size}"


@dataclass(frozen=True)
class Constrained(Space):
    """`Simplex(k)`, `Ordered(k)`, `ZeroSum(k)`: dim k; `Correlation(k)`, `Covariance(k)`: k, k'."""

    kind: str
    size: Dim

    def __str__(self) -> str:
        return f"{self.kind}({self.size})"


@dataclass(frozen=True)
class Image(Space):
    """`Image(h, w)` or `Image(h, w, channels)`."""

    height: int
    width: int
    channels: int | None = None

    def __str__(self) -> str:
        tail = "" if self.channels is None else f", {self.channels}"
        return f"Image({self.height}, {self.width}{tail})"


# --- shapes: groups, surfaces, fields -------------------------------------------------------


@dataclass(frozen=True)
class Group(Space):
    """`SO(2)`, `SO(3)`, `SL(2)`, `GL(2)`."""

    kind: str
    degree: int

    def __str__(self) -> str:
        return f"{self.kind}({self.degree})"


@dataclass(frozen=True)
class Sphere(Space):
    dimension: int

    def __str__(self) -> str:
        return f"Sphere({self.dimension})"


@dataclass(frozen=True)
class Shape(Space):
    """A space made from data and given a name: `M = Manifold(cloud)`, `G = Graph(a, b)`, a Mesh.

    `ambient` is the surrounding vector space of its points (None for a graph: its points are
    labels of `index`).
    """

    name: str
    kind: str
    ambient: Vector | None = None
    index: str | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Tangent(Space):
    shape: Shape

    def __str__(self) -> str:
        return f"Tangent({self.shape})"


@dataclass(frozen=True)
class Field(Space):
    """`Field(G, channels)`: functions on the affine group over G."""

    group: Group
    channels: int

    def __str__(self) -> str:
        return f"Field({self.group}, {self.channels})"


@dataclass(frozen=True)
class Product(Space):
    """`A * B`, `(place: Real^2, time: Real)`. `names` is empty where none were given."""

    factors: tuple[Space, ...]
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.names:
            inside = (f"{n}: {s}" for n, s in zip(self.names, self.factors, strict=True))
            return "(" + ", ".join(inside) + ")"
        return " * ".join(str(s) for s in self.factors)


# --- types of expressions ---------------------------------------------------------------------


@dataclass(frozen=True)
class ValueType:
    """An array of points of `space`, one for each cell of `dims`.

    `space` is the space of one cell after its coordinates became dims: the cells of `Real^d` are
    `Real` with `coordinates = ("d",)`; the cells of `Simplex(k)` are `Constrained` cells whose
    `dims` end in `k`. `coordinates` is the subset of `dims` that the space brought, in order.
    A point of a product is `Product`, each factor of which varies over `dims`.
    """

    space: Space
    dims: tuple[Dim, ...] = ()
    coordinates: tuple[Dim, ...] = ()

    @property
    def indices(self) -> tuple[Dim, ...]:
        """The dims written in brackets: all but the coordinates."""
        return tuple(d for d in self.dims if d not in self.coordinates)

    def __str__(self) -> str:
        return f"{self.space}[{', '.join(self.dims)}]" if self.dims else str(self.space)


@dataclass(frozen=True)
class FunctionType:
    """`domain -> codomain`, one function for each cell of `dims` (the indices in brackets)."""

    domain: Space
    codomain: Space
    dims: tuple[Dim, ...] = ()

    def __str__(self) -> str:
        head = f"[{', '.join(self.dims)}] : " if self.dims else ""
        return f"{head}{self.domain} -> {self.codomain}"


Type = ValueType | FunctionType


def is_homogeneous(space: Space) -> bool:
    """Whether it is a circle, a sphere or a group of rotations: covariances there are functions of
    an angle."""
    return isinstance(space, Circle | Sphere) or (isinstance(space, Group) and space.kind == "SO")


def coordinates_of(space: Space) -> tuple[Dim, ...]:
    """The dims that one point of `space` has, in order."""
    match space:
        case Vector(_, size):
            return (size,)
        case Constrained(kind, size):
            matrix = kind in ("Correlation", "Covariance")
            return (size, size + "'") if matrix else (size,)
        case Sphere(dimension):
            return (str(dimension + 1),)
        case Shape(_, _, ambient, _):
            return () if ambient is None else (ambient.size,)
        case Tangent(shape):
            return coordinates_of(shape)
        case Group(_, degree):
            return (str(degree), f"{degree}'")
        case Image(height, width, channels):
            last = () if channels is None else (f"{channels}''",)
            return (str(height), f"{width}'", *last)
        case _:
            return ()


def cell_of(space: Space) -> Space:
    """The space of one number of a point of `space`, after its coordinates became dims."""
    match space:
        case Vector(base, _):
            return base
        case Sphere() | Shape() | Tangent() | Group() | Image():
            return Real() if coordinates_of(space) else space
        case _:
            return space


def value_type(space: Space, indices: tuple[Dim, ...] = ()) -> ValueType:
    """The type of a value declared as `name[indices] : space`."""
    coordinates = coordinates_of(space)
    return ValueType(cell_of(space), (*indices, *coordinates), coordinates)
