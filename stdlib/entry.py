"""What the library says of a word, readable without JAX: signature, defaults, documentation.

Each word of the language is one entry in one place. Its implementation stands beside it and is
imported when it first runs: an entry is a decorated function whose body may use `jnp`, which is a
lazy module (`mercer.stdlib.lazy`), so that reading the entries costs milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Default = float | str | None
"""What an argument left out becomes: a number, the name of a default prior
(see `mercer.stdlib.defaults`: "lengthscale", "scale", ...), or None where it must be given."""

States = Callable[[dict[str, float]], tuple[int, bool] | None]
"""The arguments of a kernel that are constants into the size of its state on the line, and whether
that state never changes; None where it has no finite one."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a word.

    `space` is how a model would write its space (`Positive`, `Real`, `Unit`, `Simplex(k)`, ...).
    `structural` arguments are constants of the program (a degree, a rank), never unknown.
    `per_coordinate`: may carry the coordinate dim of the input (`lengthscale[d]`).
    `per_label`: has one value for each label of the kernel's input, always (`Coregion`).
    `count`: the structural argument that says how many values it has, in each of those places.
    `least`: the smallest value, where the space allows smaller ones.
    `choices`: all that it may be, as written, where those are few.
    """

    name: str
    space: str = "Real"
    default: Default = None
    required: bool = True
    structural: bool = False
    per_coordinate: bool = False
    per_label: bool = False
    count: str = ""
    least: float | None = None
    choices: tuple[str, ...] = ()
    doc: str = ""


@dataclass(frozen=True)
class Entry:
    """A word of the library. `doc` is its documentation, `formula` one line of mathematics."""

    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    implementation: Callable[..., Any] | None
    formula: str = ""

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


@dataclass(frozen=True)
class KernelEntry(Entry):
    """`smoothness`: how many mean-square derivatives a function with this kernel has.

    `input` is what it is a kernel on: "vector" (any Real^d), "number" (Real only), "label"
    (an index: Coregion), "shape" (a surface or graph), "field" (Real^d, of a function to Real^d).
    `gram` is true where a Gram matrix determines it (kernels of distances and inner products), as
    needed after `Real^inf`.
    `states(constants)`: how many numbers the state of the kernel on the line has, and whether they
    are constants in time; None where no finite linear system has this covariance.
    `on_shapes`: it runs on surfaces and graphs, where it says how the variances of their waves fall
    with frequency. `on_curved`: it runs on circles, spheres and rotations.
    `is_of_walks`: it is a kernel on graphs, by the waves of the adjacency matrix.
    `separates`: it is a product over the coordinates of its input, of the kernel on each.
    `smoothness_of(constants)` replaces `smoothness` where it depends on a structural argument.
    """

    smoothness: float = math.inf
    input: Literal["vector", "number", "label", "shape", "field"] = "vector"
    gram: bool = False
    runs: bool = True  # False: known to the language, no implementation yet but on shapes
    on_shapes: bool = False
    on_curved: bool = False
    is_of_walks: bool = False
    separates: bool = False
    smoothness_of: Callable[[dict[str, float]], float] | None = None
    states: States | None = None


@dataclass(frozen=True)
class DistributionEntry(Entry):
    """A distribution of NumPyro (its class has this entry's name and argument names).

    `support` is how a model writes the space of a draw. `family`: "location-scale" laws have
    `loc` and `scale`; they are shifted and stretched copies of one law. `alternatives`: groups of
    arguments of which exactly one is given, (("probs", "logits"),). `link`: what maps the
    location to the real line for default scales: identity, log, logit. `event`: number of
    coordinates dims of one draw (0 a number, 1 a vector, 2 a matrix). `concave`: arguments in whose
    predictor the log density is smooth and concave, and how the argument is made of it
    (identity, exp, logistic). `has_cdf`: its distribution function is known, so that it can be
    truncated, censored or conditioned on an interval.
    """

    support: str = "Real"
    family: Literal["location-scale", "other"] = "other"
    alternatives: tuple[tuple[str, ...], ...] = ()
    link: str = "identity"
    event: int = 0
    is_discrete: bool = False
    concave: Mapping[str, str] = field(default_factory=dict)
    has_cdf: bool = True


@dataclass(frozen=True)
class ElementwiseEntry(Entry):
    """An elementwise function. `space_of(spaces)` gives the space of the result by name.

    `latex` or `symbol` may be used by printers; `arity` is fixed (variadic: -1).
    `monotone`: +1, -1 or 0, for `D |> g`; `inverse` the name of the inverse entry, if any.
    """

    arity: int = 1
    space_of: Callable[[tuple[str, ...]], str] | None = None
    monotone: int = 0
    inverse: str | None = None
    source: str = ""  # how the emitter writes it: "jnp.exp({0})"


@dataclass(frozen=True)
class PriorEntry(Entry):
    """A function prior: GP, TP, Linear, Multilinear, Equivariant, Network, Flow, Flat, ..."""
