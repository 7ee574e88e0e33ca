"""Many small matrices side by side: their algebra, written so that a CPU or a GPU works in lanes.

A matrix is an array [rows, columns, *lanes], a vector [rows, *lanes] where a formula says so. The
matrix axes come first and are walked by Python, so that every operation runs along the lanes,
which are contiguous: batches of LAPACK's calls would take some hundred times as long at such sizes.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

_ROUNDING = 16 * 2.220446049250313e-16
"""A pivot below this share of its diagonal is rounding: that direction has no variance."""


def times(a: Array, b: Array) -> Array:
    """a b, [i, e, *] by [e, j, *]."""
    total = a[:, 0, None] * b[0]
    for e in range(1, a.shape[1]):
        total = total + a[:, e, None] * b[e]
    return total


def transposed(a: Array) -> Array:
    return jnp.swapaxes(a, 0, 1)


def symmetric(a: Array) -> Array:
    return 0.5 * (a + transposed(a))


def eye(size: int, like: Array) -> Array:
    """The identity for the lanes of `like` [_, _, *lanes]."""
    one = jnp.eye(size, dtype=like.dtype).reshape(size, size, *(1,) * (like.ndim - 2))
    return jnp.broadcast_to(one, (size, size, *like.shape[2:]))


def root(a: Array) -> Array:
    """R, lower, with R R' = a, for a symmetric and positive semidefinite.

    A direction without variance gets a column of zeros, as constants without noise need.
    """
    size = a.shape[0]
    diagonal, columns = a, []
    first = jnp.stack([a[i, i] for i in range(size)])
    for j in range(size):
        pivot = diagonal[j, j]
        is_some = pivot > _ROUNDING * first[j]
        scale = jnp.where(is_some, 1.0 / jnp.sqrt(jnp.where(is_some, pivot, 1.0)), 0.0)
        below = jnp.arange(size).reshape(size, *(1,) * (a.ndim - 2)) >= j
        column = jnp.where(below, diagonal[:, j] * scale, 0.0)
        columns.append(column)
        diagonal = diagonal - column[:, None] * column
    return jnp.stack(columns, axis=1)


def solved(a: Array, b: Array) -> tuple[Array, Array]:
    """a^-1 b and log |a|, for a symmetric and positive definite: elimination without pivoting."""
    size = a.shape[0]
    wide = jnp.concatenate([a, b], axis=1)
    log_determinant = jnp.zeros(a.shape[2:], a.dtype)
    for j in range(size):
        pivot = wide[j, j]
        log_determinant = log_determinant + jnp.log(pivot)
        row = wide[j] / pivot
        own = jnp.arange(size).reshape(size, *(1,) * (a.ndim - 1)) == j
        wide = jnp.where(own, row, wide - wide[:, j, None] * row)
    return wide[:, size:], log_determinant


def forward(lower: Array, b: Array) -> Array:
    """z with lower z = b, of a `root`; 0 along the directions that it leaves out."""
    rows: list[Array] = []
    for i in range(lower.shape[0]):
        left = b[i]
        for j, row in enumerate(rows):
            left = left - lower[i, j] * row
        pivot = lower[i, i]
        rows.append(jnp.where(pivot > 0, left / jnp.where(pivot > 0, pivot, 1.0), 0.0))
    return jnp.stack(rows)
