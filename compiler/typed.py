"""The typed model: what every later stage reads. Names are resolved, types known, sugar gone.

Gone by now: `def`s and `use`, priors in place (each is an `Unknown` of its own, named
`owner.argument`), pipes, positional arguments, functions lifted through arithmetic (`D(u) - 2 * v`
applied to x has become `D(u)(x) - 2 * v(x)`), `Linear(...)` as a function prior (it has become its
weights and bias and a `Reduce` over a product), default priors (their expressions are written out,
with reductions over data inside).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mercer.dsl.spaces import Dim, FunctionType, Space, ValueType
from mercer.dsl.span import Source, Span

# --- expressions: values ---------------------------------------------------------------------


@dataclass(frozen=True)
class Expr:
    """`text` is the canonical text of the expression, used as a name (`f(x)`) and in messages."""

    type: ValueType
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Constant(Expr):
    value: float


@dataclass(frozen=True)
class OneOf(Expr):
    """Numbers of a setting, of which a fit chooses one: `nu = [1, 10, inf]`."""

    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Text(Expr):
    """A string, as an argument of a method or a label."""

    value: str


@dataclass(frozen=True)
class Ref(Expr):
    """The value of a data name, an unknown or a definition, with its own dims."""

    name: str


@dataclass(frozen=True)
class Labels(Expr):
    """An index used as a value: the column of its own labels (numbers for a range)."""

    index: str


@dataclass(frozen=True)
class LabelConstant(Expr):
    """One label, as written in `b["Texas"]` or `m[2]`."""

    index: str
    label: str | float


@dataclass(frozen=True)
class Gather(Expr):
    """`base[at]`: dim `dim` of `base` is replaced by the dims of `at`, a `Label(dim)` value."""

    base: Expr
    dim: Dim
    at: Expr


@dataclass(frozen=True)
class Rename(Expr):
    """`tau[k']`: dim `old` of `base` is called `new`."""

    base: Expr
    old: Dim
    new: Dim


@dataclass(frozen=True)
class Lag(Expr):
    """`base[t - by]`: the row `by` before along `dim`; absent before the first row.

    `by` is a number of rows, or the name of an index of them (`t - lag`; the result has that dim).
    """

    base: Expr
    dim: Dim
    by: int | str


@dataclass(frozen=True)
class Else(Expr):
    """`first`, and `second` where `first` is absent."""

    first: Expr
    second: Expr


@dataclass(frozen=True)
class Elementwise(Expr):
    """An elementwise word of the library: arguments broadcast by dim name.

    `function` is an entry name of `stdlib.elementwise`; operators are the entries `add`,
    `subtract`, `multiply`, `divide`, `power`, `negative`, `less`, `less_equal`, `greater`,
    `greater_equal`, `equal`, `not_equal`.
    """

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True)
class Reduce(Expr):
    """`mean`, `sum`, `sd`, `max`, `min`, `size`, ... over the dims `over`.

    With `by` (a `Label(g)` value along the reduced dim) the result has dim g instead.
    """

    function: str
    argument: Expr
    over: tuple[Dim, ...]
    by: Expr | None = None


@dataclass(frozen=True)
class Spread(Expr):
    """A scale measured on data for a default prior: `kind` says which.

    "input": the root mean square over coordinates of the standard deviations of an input's
    rows (1 where it is constant); "outcome": the standard deviation of an outcome on the scale of
    its link (identity, log, logit: `link`). Taken once, at the fit, and kept.
    """

    kind: Literal["input", "outcome"]
    argument: Expr
    link: str = "identity"


@dataclass(frozen=True)
class Stack(Expr):
    """A list: one number for each label of the index, in its order (`m[k] = [3, 10]`)."""

    index: str
    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Point(Expr):
    """A point of a product: one expression for each factor, in the product's order."""

    fields: tuple[Expr, ...]


@dataclass(frozen=True)
class Coordinate(Expr):
    """`z.time`: factor `position` of a point of a product."""

    base: Expr
    position: int


@dataclass(frozen=True)
class OnSphere(Expr):
    """Latitude and longitude in degrees as a unit vector: a point of `Sphere(2)`."""

    latitude: Expr
    longitude: Expr


@dataclass(frozen=True)
class Apply(Expr):
    """`function(point)`: the value of an unknown function; this is a *site*.

    `text` is its canonical text and its name in the posterior: `trend(t)`, `swing[state](year)`.
    `point` holds one expression for each factor of the domain (one, if it is no product).
    """

    function: FunctionExpr
    point: tuple[Expr, ...]
    text: str


@dataclass(frozen=True)
class LayerSettings:
    """How an equivariant layer is sampled, and where its kernel reads; `mercer.runtime.layers`."""

    group: str
    samples: int
    seed: int
    radius: float
    stride: int
    spread: float
    angle: float

    @property
    def goes_around(self) -> bool:
        """Whether its samples are whole orbits of the quarter turns."""
        return self.angle >= math.pi


@dataclass(frozen=True)
class Convolved(Expr):
    """An equivariant layer at an image or a field: a field.

    `weights` of its coordinate network: of each layer the weights and the bias, of which the last
    has none, and between which dims they go. `grid`: the cells of the field, down and across.
    """

    function: str
    base: Expr
    weights: tuple[tuple[tuple[Expr, ...], tuple[Dim, ...], tuple[Dim, ...]], ...]
    layer: LayerSettings
    grid: tuple[int, int]


@dataclass(frozen=True)
class OverField(Expr):
    """A word of the library on a whole field: `pool`, `peak` give numbers, `normalize` a field."""

    word: str
    base: Expr


@dataclass(frozen=True)
class Centred(Expr):
    """`centre(image)`: the image with its centre of mass in the middle."""

    base: Expr


# --- expressions: functions --------------------------------------------------------------------


@dataclass(frozen=True)
class FunctionExpr:
    type: FunctionType
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class FunctionRef(FunctionExpr):
    """An unknown function; `at` looks up its indices (dim, `Label(dim)` value) where given."""

    name: str
    at: tuple[tuple[Dim, Expr], ...] = ()


@dataclass(frozen=True)
class Derivative(FunctionExpr):
    """`D(f)` (`factor` None: the gradient) or `D(f, lat)`.

    `factor` is the position of the factor in the domain (0 if it is no product) and
    `coordinate` the position inside that factor (None for a number).
    """

    of: FunctionExpr
    factor: int | None = None
    coordinate: int | None = None


@dataclass(frozen=True)
class Laplacian(FunctionExpr):
    of: FunctionExpr


@dataclass(frozen=True)
class Integral(FunctionExpr):
    """`Integral(f, low, high)`: of a function of one number; applied to no point (`point = ()`)."""

    of: FunctionExpr
    low: Expr
    high: Expr


@dataclass(frozen=True)
class Opaque(FunctionExpr):
    """A function that is not an unknown (a `def`, `pool`, `relu` between layers), by name."""

    name: str
    body: tuple[Expr | FunctionExpr, ...] = ()


# --- kernels -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class KernelCall(Kernel):
    """An entry of `stdlib.kernels` with its arguments by name (all of them, defaults filled in).

    `factor`: the factor of a product domain that it sees (None: the whole domain as one vector).
    `coordinates`: positions inside that vector, for `k[lat, lon]` (None: all).
    An argument may carry dims: an index of the function (one value a label) or the coordinate
    dim of the domain (one a coordinate), or both. Structural arguments (degree, rank, nu) are
    `Constant`s.
    """

    entry: str
    arguments: Mapping[str, Expr]
    factor: int | None = None
    coordinates: tuple[int, ...] | None = None
    inner: tuple[Kernel, ...] = ()  # Invariant(kernel, ...)


@dataclass(frozen=True)
class KernelSum(Kernel):
    parts: tuple[Kernel, ...]


@dataclass(frozen=True)
class KernelProduct(Kernel):
    parts: tuple[Kernel, ...]


@dataclass(frozen=True)
class KernelScaled(Kernel):
    """`factor * kernel`: multiplies the covariance."""

    factor: Expr
    kernel: Kernel


@dataclass(frozen=True)
class KernelPower(Kernel):
    kernel: Kernel
    exponent: int


@dataclass(frozen=True)
class KernelComposed(Kernel):
    """`outer` of the inner products that `inner` gives: a GP behind a layer whose `nu` is inf."""

    outer: Kernel
    inner: Kernel


# --- distributions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Law:
    """A distribution, possibly wrapped."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Distribution(Law):
    """An entry of `stdlib.distributions`, arguments by NumPyro's names; only those given."""

    entry: str
    arguments: Mapping[str, Expr]


@dataclass(frozen=True)
class Truncated(Law):
    base: Law
    low: Expr | None
    high: Expr | None


@dataclass(frozen=True)
class Censored(Law):
    base: Law
    below: Expr | None
    above: Expr | None


@dataclass(frozen=True)
class Weighted(Law):
    base: Law
    weight: Expr


@dataclass(frozen=True)
class Pushed(Law):
    """`base |> g`: `variable` is the Ref that stands for the draw inside `image`."""

    base: Law
    variable: str
    image: Expr


# --- declarations -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declared:
    name: str
    span: Span = field(compare=False, repr=False)
    doc: str | None


@dataclass(frozen=True)
class IndexDeclared(Declared):
    """`labels` is None where the data fix them."""

    labels: tuple[str, ...] | tuple[float, ...] | None


@dataclass(frozen=True)
class DataDeclared(Declared):
    """`space` as declared (bounds of an Interval in it are data-free numbers)."""

    type: ValueType
    space: Space


@dataclass(frozen=True)
class Unknown(Declared):
    """A number, vector or matrix with a prior; `space` conditions the prior, renormalised.

    `low`, `high`: the bounds where the space is an Interval (they may depend on unknowns).
    `owner` is the declaration that a prior in place belongs to. `is_default`: nobody wrote it.
    """

    type: ValueType
    space: Space
    prior: Law
    low: Expr | None = None
    high: Expr | None = None
    owner: str | None = None
    is_default: bool = False


@dataclass(frozen=True)
class Function(Declared):
    """An unknown function. `entry` is the function prior: GP, TP, Multilinear, Equivariant, ...

    `mean` is the prior mean applied to a formal point (`formal` names the Refs that stand for the
    factors of the point), None for zero. `outputs` is the covariance between the coordinates of
    the codomain: None (independent), a kernel on them (Coregion) or a matrix-valued expression.
    `settings`: the remaining arguments by name.
    """

    type: FunctionType
    entry: str
    kernel: Kernel | None = None
    mean: Expr | None = None
    formal: tuple[str, ...] = ()
    outputs: Kernel | Expr | None = None
    settings: Mapping[str, Expr | Text] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition(Declared):
    """`is_data`: computed from data, indices and constants alone."""

    type: ValueType
    value: Expr
    is_data: bool


@dataclass(frozen=True)
class ShapeDeclared(Declared):
    """`M = Manifold(cloud, dim = 2)`: a space made from data."""

    space: Space
    settings: Mapping[str, Expr | Text]


@dataclass(frozen=True)
class Observation(Declared):
    """`name ~ law` where `name` is data or a definition from data. `type` is that of the name."""

    type: ValueType
    law: Law


@dataclass(frozen=True)
class Directive(Declared):
    """`infer METHOD(...)` (`name` is "") or `infer NAME by METHOD(...)`."""

    method: str
    settings: Mapping[str, Expr | Text]


@dataclass(frozen=True)
class TypedModel:
    """Declarations by name, each in topological order (a name after all that it needs).

    `dims` is one order of all the model's dims; every array inside an emitted program has its
    axes in this order, coordinates of its own space last. `declared_dims[name]` is the order in
    which a user wrote them, for input and output.
    """

    doc: str | None
    source: Source
    sources: Mapping[str, Source]
    indices: Mapping[str, IndexDeclared]
    data: Mapping[str, DataDeclared]
    shapes: Mapping[str, ShapeDeclared]
    unknowns: Mapping[str, Unknown]
    functions: Mapping[str, Function]
    definitions: Mapping[str, Definition]
    observations: Mapping[str, Observation]
    directives: tuple[Directive, ...]
    order: tuple[str, ...]
    dims: tuple[Dim, ...]
