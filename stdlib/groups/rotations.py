"""Rotation vectors into rotations of space, and back, through quaternions.

A rotation vector is the axis times the angle. The way back is smooth at the identity, and any
angle below pi; at pi the axis has two signs, and one of them is given.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from mercer.stdlib.groups.even import angle_per_half_sine, sinc_of_root, versine_of_root


def rotation_of(vector: Float[Array, "... 3"]) -> Float[Array, "... 3 3"]:
    """I + sin(t)/t K + (1 - cos(t))/t^2 K^2, K the cross product with the vector (Rodrigues)."""
    square = jnp.sum(vector**2, axis=-1)[..., None, None]
    cross = _cross(vector)
    one = jnp.eye(3, dtype=vector.dtype)
    return one + sinc_of_root(square) * cross + versine_of_root(square) * (cross @ cross)


def vector_of(matrix: Float[Array, "... 3 3"]) -> Float[Array, "... 3"]:
    """The rotation vector, of length at most pi."""
    quaternion = _quaternion(matrix)
    # q and -q are one rotation; that with w >= 0 has an angle of at most pi.
    quaternion = jnp.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    inside = quaternion[..., 1:]
    square = jnp.sum(inside**2, axis=-1)
    return angle_per_half_sine(square, quaternion[..., 0])[..., None] * inside


def _quaternion(m: Array) -> Array:
    """(w, x, y, z): of the four ways to it, the one that divides by the largest (Shepperd 1978)."""
    d = [m[..., i, i] for i in range(3)]
    squares = jnp.stack(
        [
            1.0 + d[0] + d[1] + d[2],
            1.0 + d[0] - d[1] - d[2],
            1.0 - d[0] + d[1] - d[2],
            1.0 - d[0] - d[1] + d[2],
        ],
        axis=-1,
    )
    x, y, z = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    # Row k is 4 q_k q.
    rows = jnp.stack(
        [
            jnp.stack([squares[..., 0], x, y, z], axis=-1),
            jnp.stack([x, squares[..., 1], xy, xz], axis=-1),
            jnp.stack([y, xy, squares[..., 2], yz], axis=-1),
            jnp.stack([z, xz, yz, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    largest = jnp.argmax(squares, axis=-1)[..., None]
    row = jnp.take_along_axis(rows, largest[..., None], axis=-2)[..., 0, :]
    return 0.5 * row / jnp.sqrt(jnp.take_along_axis(squares, largest, axis=-1))


def _cross(v: Array) -> Array:
    x, y, z = (v[..., i] for i in range(3))
    zero = jnp.zeros_like(x)
    return jnp.stack(
        [
            jnp.stack([zero, -z, y], axis=-1),
            jnp.stack([z, zero, -x], axis=-1),
            jnp.stack([-y, x, zero], axis=-1),
        ],
        axis=-2,
    )
