"""Two sets of inputs into covariances made of inner products, and the paths that start at a point.

Rasmussen & Williams (2006), section 4.2.2.
"""

from __future__ import annotations

import math
from typing import Any

from mercer.stdlib.entry import Parameter
from mercer.stdlib.kernels.word import kernel, lengthscale
from mercer.stdlib.lazy import LazyModule, jnp

distance: Any = LazyModule("mercer.stdlib.distance")
line: Any = LazyModule("mercer.stdlib.line")

_SLOPE = Parameter(
    "scale",
    "Positive",
    "slope",
    False,
    per_coordinate=True,
    doc="standard deviation of the slope along a coordinate",
)
_CENTRE = Parameter(
    "centre", "Real", 0.0, False, per_coordinate=True, doc="where the function is zero"
)
_OFFSET = Parameter("offset", "Positive", 1.0, False, doc="weighs the lower powers")
_DEGREE = Parameter("degree", "Count", None, True, structural=True, doc="the highest power")
_START = Parameter("start", "Real", 0.0, False, doc="where the path is zero")


@kernel(
    _SLOPE,
    _CENTRE,
    formula="sum_j scale_j^2 (x_j - centre_j) (z_j - centre_j)",
    smoothness=math.inf,
    gram=True,
    scaled=False,
    line=lambda a: line.straight(a.scale, a.centre),
    states=lambda constants: (1, True),
)
def Linear(a: Any, b: Any) -> Any:
    """Linear functions with independent Gaussian slopes, zero at `centre`."""
    return distance.inner((a.x - a.centre) * a.scale, (b.x - b.centre) * b.scale)


@kernel(
    _DEGREE,
    lengthscale("the unit in which each coordinate is measured"),
    _OFFSET,
    formula="scale^2 * (sum_j x_j z_j / lengthscale_j^2 + offset)^degree",
    smoothness=math.inf,
    gram=True,
    line=lambda a: line.polynomial(a.lengthscale, a.offset, int(a.degree)),
    states=lambda constants: (int(constants["degree"]) + 1, True),
)
def Polynomial(a: Any, b: Any) -> Any:
    """Polynomials of a degree, with all their cross terms."""
    product = distance.inner(a.x / a.lengthscale, b.x / b.lengthscale)
    return (product + a.offset) ** int(a.degree)


@kernel(
    formula="scale^2",
    smoothness=math.inf,
    gram=True,
    curved=True,
    line=lambda a: line.constant(),
    states=lambda constants: (1, True),
)
def Constant(a: Any, b: Any) -> Any:
    """One random number, the same at all inputs."""
    return distance.ones(a.x, b.x)


@kernel(
    _START,
    formula="scale^2 * (|x - start| + |z - start| - |x - z|) / 2",
    smoothness=0,
    input="number",
    line=lambda a: line.brownian(a.start),
    states=lambda constants: (1, False),
)
def Brownian(a: Any, b: Any) -> Any:
    """Brownian motion in both directions from `start`; `scale^2` is its variance after one unit."""
    x, z = a.x - a.start, b.x - b.start
    left, right = distance.columns(x, z)
    shortest = jnp.minimum(jnp.abs(left), jnp.abs(right))
    return jnp.where(left * right > 0, shortest, 0.0)
