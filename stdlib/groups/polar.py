"""2 x 2 matrices of positive determinant into a symmetric matrix and an angle, and back.

    g = exp(X) R,    X = [[a + b, c], [c, a - b]],    R the rotation by theta

The polar decomposition is a global parametrisation, which the exponential of the group is not: for
SL(2) that misses every matrix of trace <= -2 but -I. All is in closed form, and smooth also where
the eigenvalues a +- sqrt(b^2 + c^2) are equal.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from mercer.stdlib.groups.even import asinhc_of_root, cosh_of_root, sinhc_of_root


class Polar(NamedTuple):
    """`strain` (a, b, c) of X, [..., 3], and `angle` [...] of R, in (-pi, pi]."""

    strain: Array
    angle: Array


def polar(matrix: Float[Array, "... 2 2"]) -> Polar:
    """The decomposition of matrices of positive determinant."""
    (p, q), (r, s) = _entries(matrix)
    log_scale = 0.5 * jnp.log(p * s - q * r)
    # Of g g' / det(g) = exp(2 X - 2 a I) the part without trace is sinh(2 rho) (b, c) / rho.
    determinant = p * s - q * r
    first = (p * p + q * q - r * r - s * s) / (2.0 * determinant)
    second = (p * r + q * s) / determinant
    share = 0.5 * asinhc_of_root(first**2 + second**2)
    strain = jnp.stack([log_scale, share * first, share * second], axis=-1)
    return Polar(strain, jnp.arctan2(r - q, p + s))


def unpolar(parts: Polar) -> Float[Array, "... 2 2"]:
    """exp(X) R."""
    return stretch(parts.strain) @ rotation(parts.angle)


def stretch(strain: Float[Array, "... 3"]) -> Float[Array, "... 2 2"]:
    """exp(X), symmetric and positive definite."""
    a, b, c = (strain[..., i] for i in range(3))
    square = b**2 + c**2
    middle, along = cosh_of_root(square), sinhc_of_root(square)
    return jnp.exp(a)[..., None, None] * _matrix(
        middle + along * b, along * c, along * c, middle - along * b
    )


def rotation(angle: Float[Array, " ..."]) -> Float[Array, "... 2 2"]:
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _matrix(cosine, -sine, sine, cosine)


def log_haar(strain: Float[Array, "... 3"]) -> Float[Array, " ..."]:
    """log of the density of the Haar measure by da db dc dtheta, but for a constant.

    sinh |x1 - x2| / |x1 - x2| for the eigenvalues x of X.
    """
    return jnp.log(sinhc_of_root(4.0 * (strain[..., 1] ** 2 + strain[..., 2] ** 2)))


def _matrix(p: Array, q: Array, r: Array, s: Array) -> Array:
    return jnp.stack([jnp.stack([p, q], axis=-1), jnp.stack([r, s], axis=-1)], axis=-2)


def _entries(matrix: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (
        (matrix[..., 0, 0], matrix[..., 0, 1]),
        (matrix[..., 1, 0], matrix[..., 1, 1]),
    )
