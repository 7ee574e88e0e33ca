"""Two sets of inputs into covariances that depend on their difference only.

Rasmussen & Williams (2006), chapter 4, unless said otherwise. `r` is the distance between x and z
after each coordinate is divided by its lengthscale.
"""

from __future__ import annotations

import math
from typing import Any

from mercer.stdlib.entry import Parameter
from mercer.stdlib.kernels.word import Spectrum, Wound, kernel, lengthscale
from mercer.stdlib.lazy import LazyModule, jnp

distance: Any = LazyModule("mercer.stdlib.distance")
bessel: Any = LazyModule("mercer.stdlib.bessel")
line: Any = LazyModule("mercer.stdlib.line")
homogeneous: Any = LazyModule("mercer.stdlib.homogeneous")
waves: Any = LazyModule("mercer.stdlib.waves")


def wound_matern(order: int) -> Wound:
    return lambda a, gap, period: homogeneous.wound_matern(
        gap, a.lengthscale, order=order, period=period
    )


def _matern(smoothness: float) -> Spectrum:
    return lambda a, frequencies, roughness: waves.log_matern(
        frequencies, roughness, a["lengthscale"], smoothness
    )


_PERIOD = Parameter(
    "period", "Positive", "period", False, per_coordinate=True, doc="in units of the input"
)

_WITHIN = Parameter(
    "lengthscale",
    "Positive",
    "dimensionless",
    False,
    per_coordinate=True,
    doc="how fast it changes within a period, without units: large is nearly a sine",
)


@kernel(
    lengthscale(),
    formula="scale^2 * exp(-r^2 / 2)",
    smoothness=math.inf,
    gram=True,
    separates=True,
    spectrum=lambda a, frequencies, roughness: waves.log_heat(
        frequencies, 0.5 * a["lengthscale"] ** 2
    ),
    wound=lambda a, gap, period: homogeneous.wound_gaussian(gap, a.lengthscale, period),
)
def RBF(a: Any, b: Any) -> Any:
    """Functions with derivatives of every order: the squared exponential covariance."""
    return jnp.exp(-0.5 * distance.squared(a.x / a.lengthscale, b.x / b.lengthscale))


@kernel(
    lengthscale(),
    formula="scale^2 * exp(-r)",
    smoothness=0,
    gram=True,
    line=lambda a: line.matern(a.lengthscale, 0),
    spectrum=_matern(0.5),
    wound=wound_matern(0),
    states=lambda constants: (1, False),
)
def Matern12(a: Any, b: Any) -> Any:
    """Continuous functions without derivatives: the Ornstein-Uhlenbeck process."""
    return distance.matern12(distance.squared(a.x / a.lengthscale, b.x / b.lengthscale))


@kernel(
    lengthscale(),
    formula="scale^2 * (1 + sqrt(3) r) * exp(-sqrt(3) r)",
    smoothness=1,
    gram=True,
    line=lambda a: line.matern(a.lengthscale, 1),
    spectrum=_matern(1.5),
    wound=wound_matern(1),
    states=lambda constants: (2, False),
)
def Matern32(a: Any, b: Any) -> Any:
    """Functions with one derivative."""
    return distance.matern32(3.0 * distance.squared(a.x / a.lengthscale, b.x / b.lengthscale))


@kernel(
    lengthscale(),
    formula="scale^2 * (1 + sqrt(5) r + 5 r^2 / 3) * exp(-sqrt(5) r)",
    smoothness=2,
    gram=True,
    line=lambda a: line.matern(a.lengthscale, 2),
    spectrum=_matern(2.5),
    wound=wound_matern(2),
    states=lambda constants: (3, False),
)
def Matern52(a: Any, b: Any) -> Any:
    """Functions with two derivatives."""
    return distance.matern52(5.0 * distance.squared(a.x / a.lengthscale, b.x / b.lengthscale))


_ORDERS = {0.5: 0, 1.5: 1, 2.5: 2}


def _matern_smoothness(constants: dict[str, float]) -> float:
    # Mean-square differentiable k times if and only if nu > k (Stein 1999, section 2.7).
    return float(max(math.ceil(constants["nu"]) - 1, 0))


def _wound_matern(a: Any, gap: Any, period: float) -> Any:
    order = _ORDERS.get(float(a.nu))
    return None if order is None else wound_matern(order)(a, gap, period)


def _matern_states(constants: dict[str, float]) -> tuple[int, bool] | None:
    order = _ORDERS.get(constants["nu"])
    return None if order is None else (order + 1, False)


@kernel(
    Parameter("nu", "Positive", None, True, structural=True, doc="smoothness"),
    lengthscale(),
    formula="scale^2 * 2^(1 - nu) / Gamma(nu) * (sqrt(2 nu) r)^nu * K_nu(sqrt(2 nu) r)",
    smoothness=0,
    gram=True,
    line=lambda a: line.matern(a.lengthscale, _ORDERS[float(a.nu)]),
    spectrum=lambda a, frequencies, roughness: waves.log_matern(
        frequencies, roughness, a["lengthscale"], a["nu"]
    ),
    wound=_wound_matern,
    states=_matern_states,
    smoothness_of=_matern_smoothness,
)
def Matern(a: Any, b: Any) -> Any:
    """Functions of any smoothness: nu = 1/2, 3/2, 5/2 are Matern12, Matern32, Matern52.

    On a graph, nu = 1 is the regularised Laplacian.
    """
    nu = float(a.nu)
    r2 = distance.squared(a.x / a.lengthscale, b.x / b.lengthscale)
    return bessel.matern(2.0 * nu * r2, nu)


@kernel(
    lengthscale(),
    Parameter("alpha", "Positive", "dimensionless", False, doc="large: one lengthscale, as RBF"),
    formula="scale^2 * (1 + r^2 / (2 alpha))^(-alpha)",
    smoothness=math.inf,
    gram=True,
)
def RationalQuadratic(a: Any, b: Any) -> Any:
    """Smooth functions with lengthscales of all sizes: a scale mixture of RBF."""
    r2 = distance.squared(a.x / a.lengthscale, b.x / b.lengthscale)
    return jnp.exp(-a.alpha * jnp.log1p(r2 / (2.0 * a.alpha)))


@kernel(
    _PERIOD,
    _WITHIN,
    formula="scale^2 * exp(-2 sum_j sin(pi (x_j - z_j) / period_j)^2 / lengthscale_j^2)",
    smoothness=math.inf,
    separates=True,
    line=lambda a: line.periodic(a.lengthscale, a.period, harmonics(a.lengthscale)),
    states=lambda constants: (2 * harmonics(constants.get("lengthscale")) + 1, True),
)
def Periodic(a: Any, b: Any) -> Any:
    """Smooth functions that repeat themselves (MacKay 1998).

    The covariance is RBF on the circle x -> (cos, sin)(2 pi x / period), since the squared chord
    between two of its points is 4 sin(pi (x - z) / period)^2.
    """
    return jnp.exp(-0.5 * distance.squared(_on_circle(a), _on_circle(b)))


@kernel(
    _PERIOD,
    formula="scale^2 * cos(2 pi sum_j (x_j - z_j) / period_j)",
    smoothness=math.inf,
    line=lambda a: line.waves(a.period, {1: 1.0}),
    states=lambda constants: (2, True),
)
def Cosine(a: Any, b: Any) -> Any:
    """One wave of fixed period, of random amplitude and phase."""
    left = jnp.sum(2.0 * math.pi * a.x / a.period, axis=-1, keepdims=True)
    right = jnp.sum(2.0 * math.pi * b.x / b.period, axis=-1, keepdims=True)
    return distance.inner(jnp.cos(left), jnp.cos(right)) + distance.inner(
        jnp.sin(left), jnp.sin(right)
    )


def _of_wave(name: str, default: str, doc: str) -> Parameter:
    return Parameter(name, "Positive", default, False, count="q", doc=f"{doc}; one for each wave")


@kernel(
    Parameter("q", "Count", None, True, structural=True, least=1, doc="number of waves"),
    _of_wave("weights", "scale", "standard deviation of the wave"),
    _of_wave("period", "period", "in units of the input"),
    _of_wave("lengthscale", "lengthscale", "distance over which the wave keeps its phase"),
    Parameter("scale", "Positive", 1.0, False, doc="1: the weights carry the magnitude"),
    formula="scale^2 * sum_k weights_k^2 exp(-(x - z)^2 / (2 lengthscale_k^2)) "
    "* cos(2 pi (x - z) / period_k)",
    smoothness=math.inf,
    input="number",
    scaled=False,
)
def SpectralMixture(a: Any, b: Any) -> Any:
    """A sum of q waves whose phases drift: any stationary covariance, as q grows.

    Its spectral density is a mixture of q Gaussians, of mean 1 / period and standard deviation
    1 / (2 pi lengthscale) (Wilson & Adams 2013). On several coordinates, multiply one for each.
    """
    gap = jnp.subtract(*distance.columns(a.x, b.x))[..., None]
    waves_of_gap = jnp.cos(2.0 * math.pi * gap / a.period)
    each = jnp.exp(-0.5 * (gap / a.lengthscale) ** 2) * waves_of_gap
    return a.scale**2 * jnp.sum(jnp.asarray(a.weights) ** 2 * each, axis=-1)


@kernel(formula="scale^2 where x = z, else 0", smoothness=0, curved=True, separates=True)
def White(a: Any, b: Any) -> Any:
    """Independent values at distinct inputs; the same value at the same input."""
    return distance.same(a.x, b.x)


def _on_circle(side: Any) -> Any:
    angle = 2.0 * math.pi * side.x / side.period
    parts = (jnp.cos(angle) / side.lengthscale, jnp.sin(angle) / side.lengthscale)
    return jnp.concatenate(parts, axis=-1)


SHORTEST = 0.5
"""As a sum of waves, `Periodic` with an unknown lengthscale is taken to have one above this."""

TRUNCATION = 1e-8
"""What the waves left out of `Periodic` may have of its variance."""


def harmonics(lengthscale: Any) -> int:
    """How many waves make up `Periodic` on the line but for `TRUNCATION` of its variance.

    `lengthscale`: a number of the model; anything else is unknown, and taken as `SHORTEST`.
    """
    known = lengthscale if isinstance(lengthscale, int | float) else SHORTEST
    order = 1
    while left_out(order, known) > TRUNCATION:
        order += 1
    return order


def left_out(order: int, lengthscale: float) -> float:
    """The share of the variance of `Periodic` beyond its first `order` waves."""
    z, ratio, sizes = lengthscale**-2, 0.0, []
    count = order + 30 + int(8 * math.sqrt(z))
    for k in range(count, 0, -1):
        ratio = z / (2.0 * k + z * ratio)  # Bessel functions: I_k / I_{k-1}
        sizes.append(ratio)
    term, total, beyond = 1.0, 1.0, 0.0
    for k, ratio in enumerate(reversed(sizes), start=1):
        term *= ratio
        total += 2.0 * term
        beyond += 2.0 * term if k > order else 0.0
    return beyond / total
