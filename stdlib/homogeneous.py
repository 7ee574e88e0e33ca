"""Circles, spheres and rotations, with a spectrum, into covariances of closed form.

On a space where every point looks like every other, the waves of one frequency add up to a function
of the angle between two points alone (the addition theorem), so that

    k(x, z) = scale^2 * sum_l share_l R_l(cos angle),   share_l proportional to count_l variance_l,

`count_l` waves having the frequency lambda_l, each with weights of `variance_l` (see
`mercer.stdlib.waves`). The R_l are Gegenbauer polynomials with R_l(1) = 1, so that scale^2 is the
variance at every point (Azangulov et al. 2022, "Stationary kernels and Gaussian processes on Lie
groups and their homogeneous spaces").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from mercer.stdlib import distance
from mercer.stdlib.spaces import DEGREES

Spectrum = Callable[[Any, float], Any]
"""Frequencies and the roughness of a space into logarithms of the variances of its waves."""


@dataclass(frozen=True)
class Circle:
    """Numbers that return after a `period`; distances along it, in its own unit."""

    period: float

    def canonical(self, x: Array) -> Array:
        return jnp.mod(x, self.period)

    def gap(self, x: Array, z: Array) -> Array:
        """How far x lies ahead of z, in [-period / 2, period / 2]; its slope is 1 everywhere."""
        left, right = distance.columns(x, z)
        ahead = left - right
        return ahead - self.period * jnp.round(ahead / self.period)

    def correlation(self, x: Array, z: Array, spectrum: Spectrum) -> Array:
        cosine = jnp.cos(2.0 * math.pi / self.period * self.gap(x, z))
        degree = np.arange(DEGREES + 1)
        counts = np.where(degree == 0, 1.0, 2.0)
        logs = spectrum((2.0 * math.pi * degree / self.period) ** 2, 0.5)
        return zonal(_shares(logs, counts), cosine, 0.0)


@dataclass(frozen=True)
class Sphere:
    """Unit vectors of `dimension` + 1 coordinates; distances are angles in radians."""

    dimension: int

    def canonical(self, x: Array) -> Array:
        # What is asked for near the sphere, as an inducing point that moves, means the point below.
        return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True))

    def correlation(self, x: Array, z: Array, spectrum: Spectrum) -> Array:
        cosine = distance.inner(self.canonical(x), self.canonical(z))
        alpha, degree = (self.dimension - 1) / 2, np.arange(DEGREES + 1)
        counts = np.array([_harmonics(self.dimension, int(k)) for k in degree])
        logs = spectrum(degree * (degree + self.dimension - 1.0), self.dimension / 2)
        return zonal(_shares(logs, counts), cosine, alpha)


@dataclass(frozen=True)
class Rotations:
    """Rotations of the plane (`degree` 2) or of space (3) as matrices, row after row; the distance
    between two is the angle by which they differ, in radians."""

    degree: int

    def canonical(self, x: Array) -> Array:
        return x

    def correlation(self, x: Array, z: Array, spectrum: Spectrum) -> Array:
        trace = distance.inner(x, z)
        degree = np.arange(DEGREES + 1)
        if self.degree == 2:
            counts = np.where(degree == 0, 1.0, 2.0)
            return zonal(_shares(spectrum(degree**2.0, 0.5), counts), 0.5 * trace, 0.0)
        # Characters: chi_l(angle) = 1 + 2 sum_{k <= l} cos(k angle), 2 l + 1 at the identity, each
        # (2 l + 1)^2 times (Peter & Weyl).
        size = 2.0 * degree + 1.0
        shares = _shares(spectrum(degree * (degree + 1.0), 1.5), size**2)
        each = shares / size.reshape(-1, *[1] * (jnp.ndim(shares) - 1))
        above = jnp.cumsum(each[::-1], axis=0)[::-1]
        twice = np.where(degree == 0, 1.0, 2.0).reshape(-1, *[1] * (jnp.ndim(shares) - 1))
        return zonal(above * twice, 0.5 * (trace - 1.0), 0.0)


Homogeneous = Circle | Sphere | Rotations


# --- sums of Gegenbauer polynomials -----------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def zonal(
    coefficients: Float[Array, ...], cosine: Float[Array, ...], alpha: float
) -> Float[Array, ...]:
    """sum_l coefficients[l] R_l(cosine), R_l the Gegenbauer polynomial of order `alpha` over its
    value at 1: cos(l angle) where it is 0, a Legendre polynomial where it is 1/2.

    By the recurrence of Clenshaw (1955). The derivative in the cosine is another such sum,

        R_l' = l (l + 2 alpha) / (2 alpha + 1) R_{l-1} of order alpha + 1,

    so that derivatives of every order are exact, at coincident points too, and reverse mode keeps
    no degree of the recurrence.
    """
    return _clenshaw(coefficients, cosine, alpha)


@zonal.defjvp
def _(alpha: float, primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    (coefficients, cosine), (by_coefficients, by_cosine) = primals, tangents
    degree = np.arange(1, len(coefficients))
    factor = degree * (degree + 2.0 * alpha) / (2.0 * alpha + 1.0)
    below = coefficients[1:] * factor.reshape(-1, *[1] * (jnp.ndim(coefficients) - 1))
    slope = zonal(below, cosine, alpha + 1.0)
    moved = _clenshaw(by_coefficients, cosine, alpha)
    return zonal(coefficients, cosine, alpha), moved + slope * by_cosine


def _clenshaw(coefficients: Array, cosine: Array, alpha: float) -> Array:
    degree = np.arange(len(coefficients), dtype=float)
    # R_{l+1} = up_l cosine R_l - down_l R_{l-1}
    up = (2.0 * degree + 2.0 * alpha) / np.where(degree + alpha > 0, degree + 2.0 * alpha, 1.0)
    up[0] = 1.0
    down = (degree + 1.0) / (degree + 1.0 + 2.0 * alpha)

    def step(carry: tuple[Array, Array], row: tuple[Array, Array, Array]) -> Any:
        (first, second), (own, rise, fall) = carry, row
        return (own + rise * (cosine * first) - fall * second, first), None

    shape = jnp.broadcast_shapes(jnp.shape(cosine), jnp.shape(coefficients)[1:])
    zero = jnp.zeros(shape, jnp.result_type(coefficients, cosine))
    rows = (coefficients, jnp.asarray(up), jnp.asarray(down))
    return jax.lax.scan(step, (zero, zero), rows, reverse=True)[0][0]


def _shares(logs: Any, counts: np.ndarray) -> Array:
    """Shares [l] or, for arguments that differ from row to row, [l, n, 1]; they add up to 1."""
    shares = jax.nn.softmax(jnp.asarray(logs) + np.log(counts), axis=-1)
    return shares if shares.ndim == 1 else jnp.moveaxis(shares, -1, 0)[..., None]


def _harmonics(dimension: int, degree: int) -> float:
    """How many independent spherical harmonics of a degree there are."""
    below = math.comb(degree + dimension - 2, dimension) if degree > 1 else 0
    return float(math.comb(degree + dimension, dimension) - below)


# --- covariances of the line, wound around a circle ---------------------------------------------
# Their Fourier coefficients are values of the spectral density of the line (Poisson), so that
# these are the same kernels as the sums above, without an end to them.


def wound_gaussian(gap: Array, lengthscale: Any, period: float) -> Array:
    """RBF around a circle, over its value at 0: the series of Fourier where the lengthscale is a
    quarter of the period or more, the sum over windings elsewhere; seven terms are 1e-15 of it."""
    size = jnp.asarray(lengthscale) / period
    wide = jnp.where(size > 0.25, size, 0.25)
    narrow = jnp.where(size > 0.25, 0.25, size)
    turn = gap / period

    def by_fourier(at: Any) -> Any:
        waves = [
            2.0 * jnp.exp(-0.5 * (2.0 * math.pi * k * wide) ** 2) * jnp.cos(2.0 * math.pi * k * at)
            for k in range(1, 8)
        ]
        return 1.0 + sum(waves[1:], waves[0])

    def by_windings(at: Any) -> Any:
        images = [jnp.exp(-0.5 * ((at + k) / narrow) ** 2) for k in range(-4, 5)]
        return sum(images[1:], images[0])

    return jnp.where(
        size > 0.25, by_fourier(turn) / by_fourier(0.0), by_windings(turn) / by_windings(0.0)
    )


def wound_matern(gap: Array, lengthscale: Any, *, order: int, period: float) -> Array:
    """Matern of smoothness order + 1/2, order 0 to 2, around a circle, over its value at 0.

    The windings beyond the nearest are geometric series: with u = rate (gap + m period),

        sum_{m >= 1} (c0 + c1 u + c2 u^2) exp(-u), and the same of -gap.
    """
    nearest = (distance.matern12, distance.matern32, distance.matern52)[order]
    rate = math.sqrt(2.0 * order + 1.0) / jnp.asarray(lengthscale)
    c0, c1, c2 = ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0 / 3.0))[order]
    turn = rate * period
    rest = -jnp.expm1(-turn)
    left = jnp.exp(-turn)
    sums = (left / rest, left / rest**2, left * (1.0 + left) / rest**3)

    def beyond(at: Any) -> Any:
        u = rate * at
        first = (c0 + c1 * u + c2 * u**2) * sums[0]
        second = (c1 + 2.0 * c2 * u) * turn * sums[1]
        return jnp.exp(-u) * (first + second + c2 * turn**2 * sums[2])

    def total(at: Any) -> Any:
        return nearest((rate * at) ** 2) + beyond(at) + beyond(-at)

    return total(gap) / total(jnp.zeros(()))
