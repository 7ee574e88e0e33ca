"""Even functions of a radius, as functions of its square: their slopes at 0 are numbers.

exp and log of symmetric matrices and of rotations are made of these. Written with the radius, they
need a root, whose derivative at 0 is infinite; and `where` alone does not help, as the derivative
of the branch not taken, times 0, is NaN. So each branch gets an argument that it can stand.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

_NEAR = 1e-2
"""Squares below it go by the series: its first term left out is below 1e-16 there."""


def cosh_of_root(square: Array) -> Array:
    """cosh(sqrt(s)) = 1 + s/2 + s^2/24 + ..."""
    terms = (1.0, 1 / 2, 1 / 24, 1 / 720, 1 / 40320, 1 / 3628800)
    return _even(square, jnp.cosh, terms)


def sinhc_of_root(square: Array) -> Array:
    """sinh(r) / r at r = sqrt(s): 1 + s/6 + s^2/120 + ..."""
    terms = (1.0, 1 / 6, 1 / 120, 1 / 5040, 1 / 362880, 1 / 39916800)
    return _even(square, lambda r: jnp.sinh(r) / r, terms)


def asinhc_of_root(square: Array) -> Array:
    """asinh(r) / r at r = sqrt(s): 1 - s/6 + 3 s^2/40 - ..."""
    terms = (1.0, -1 / 6, 3 / 40, -15 / 336, 105 / 3456, -945 / 42240, 10395 / 599040)
    terms = (*terms, -135135 / 9676800)
    return _even(square, lambda r: jnp.arcsinh(r) / r, terms)


def sinc_of_root(square: Array) -> Array:
    """sin(r) / r at r = sqrt(s): 1 - s/6 + s^2/120 - ..."""
    terms = (1.0, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800)
    return _even(square, lambda r: jnp.sin(r) / r, terms)


def versine_of_root(square: Array) -> Array:
    """(1 - cos(r)) / r^2 at r = sqrt(s): 1/2 - s/24 + ..."""
    terms = (1 / 2, -1 / 24, 1 / 720, -1 / 40320, 1 / 3628800, -1 / 479001600)
    return _even(square, lambda r: (1.0 - jnp.cos(r)) / r**2, terms)


def angle_per_half_sine(square: Array, cosine: Array) -> Array:
    """2 atan2(r, w) / r at r = sqrt(s), for r^2 + w^2 = 1 and w >= 0: the angle of a rotation over
    the length of the vector part of its quaternion."""
    is_near = square < _NEAR
    root = jnp.sqrt(jnp.where(is_near, 1.0, square))
    far = 2.0 * jnp.arctan2(root, jnp.where(is_near, 1.0, cosine)) / root
    # asin(r) / r
    terms = (1.0, 1 / 6, 3 / 40, 15 / 336, 105 / 3456, 945 / 42240, 10395 / 599040)
    return jnp.where(is_near, 2.0 * _series(jnp.where(is_near, square, 0.0), terms), far)


def _even(square: Array, exact: Callable[[Array], Array], terms: tuple[float, ...]) -> Array:
    is_near = square < _NEAR
    root = jnp.sqrt(jnp.where(is_near, 1.0, square))
    return jnp.where(is_near, _series(jnp.where(is_near, square, 0.0), terms), exact(root))


def _series(square: Array, terms: tuple[float, ...]) -> Array:
    total = jnp.full_like(square, terms[-1])
    for term in terms[-2::-1]:
        total = total * square + term
    return total
