"""Products of matrices of which half is known: with their own transpose, with or of triangles.

XLA has only the whole product. In blocks of columns five eighths of its operations are enough,
which is faster where the copies of the blocks stay in the cache.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import solve_triangular

_BLOCKS = 4
_LEAST = 128
"""Columns below which one product is as fast."""

_MOST = 2**20
"""Entries of the larger matrix from which on its blocks are copied through memory."""


def gram(matrix: Array) -> Array:
    """A'A [p, p] of A [n, p]: each pair of blocks of columns once."""
    bounds = _bounds(matrix, matrix.shape[1])
    if len(bounds) == 1:
        return matrix.T @ matrix
    rows = []
    for start, stop in bounds:
        right = matrix[:, start:stop].T @ matrix[:, start:]
        rows.append(jnp.pad(right, ((0, 0), (start, 0))))
    upper = jnp.concatenate(rows)
    index = jnp.arange(matrix.shape[1])
    return jnp.where(index[:, None] <= index, upper, upper.T)


def times_lower_transposed(matrix: Array, lower: Array) -> Array:
    """A L' [n, m] of A [n, m] and a lower triangle L [m, m]: what is 0 in L is not multiplied."""
    bounds = _bounds(matrix, lower.shape[0])
    if len(bounds) == 1:
        return matrix @ lower.T
    parts = [matrix[:, :stop] @ lower[start:stop, :stop].T for start, stop in bounds]
    return jnp.concatenate(parts, axis=1)


def inverse_of_lower(lower: Array) -> Array:
    """L^-1 of a lower triangle, by recursion on its 2 x 2 blocks [[A, 0], [B, C]]."""
    size = len(lower)
    if size <= _LEAST:
        return solve_triangular(lower, jnp.eye(size, dtype=lower.dtype))
    cut = _LEAST * max(1, round(size / 2 / _LEAST))
    first, last = inverse_of_lower(lower[:cut, :cut]), inverse_of_lower(lower[cut:, cut:])
    corner = -last @ (lower[cut:, :cut] @ first)
    top = jnp.concatenate([first, jnp.zeros((cut, size - cut), lower.dtype)], axis=1)
    return jnp.concatenate([top, jnp.concatenate([corner, last], axis=1)])


def is_large(matrix: Array) -> bool:
    """Whether a copy of a matrix would go through memory, beyond the cache."""
    return matrix.size > _MOST


def _bounds(matrix: Array, size: int) -> list[tuple[int, int]]:
    if size < _LEAST or is_large(matrix):
        return [(0, size)]
    width = -(-size // _BLOCKS)
    return [(start, min(start + width, size)) for start in range(0, size, width)]
