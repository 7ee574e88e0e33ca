"""A Gaussian vector whose structured part is solved into one with finite weights beside it.

    C = C_f + D D',    Z' C_f^-1 Z known for Z = [y, D],    D = [local, global]

The weights are standard normal. Local ones belong to one group of rows each, independent copies in
all groups: their precision is block-diagonal, and is eliminated group by group, then the global
ones (Woodbury's identity on an arrow).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines import lanes
from mercer.runtime.engines.cholesky import diagonal_of, factor, solve_triangular


class Border(NamedTuple):
    """Weights given the values, with c columns of values, k local and p global weights.

    `local` [k, c, groups + 1] and `everywhere` [p, c]: their means, given the global ones at 0 for
    the local. `inverse` [k, k, groups + 1]: covariance of the local given the global; `follows`
    [k, p, groups + 1]: how the local mean falls as the global ones grow; `root` [p, p]: R, with
    R'^-1 R^-1 the covariance of the global ones. The last group has no rows.
    """

    square: Array  # y' C^-1 y, of the first column
    log_determinant: Array  # of the weights' precision
    local: Array
    everywhere: Array
    inverse: Array
    follows: Array
    root: Array

    def means(self, group: Array) -> Array:
        """Means of local, then global weights [k + p, c, m] in the groups [m]."""
        own = self.local[..., group] - jnp.einsum(
            "kpm,pc->kcm", self.follows[..., group], self.everywhere
        )
        shape = (*self.everywhere.shape, len(group))
        return jnp.concatenate([own, jnp.broadcast_to(self.everywhere[..., None], shape)])

    def variances(self, group: Array, rows: Array) -> Array:
        """Variance [m] of the combinations `rows` [k + p, m] of the weights in the groups [m]."""
        half, total = self._halves(group, rows)
        return total + jnp.sum(half**2, axis=0)

    def _halves(self, group: Array, rows: Array) -> tuple[Array, Array]:
        k = self.inverse.shape[0]
        local, rest = rows[:k], rows[k:]
        total = jnp.zeros(rows.shape[1:])
        if k:
            total = jnp.einsum("km,kjm,jm->m", local, self.inverse[..., group], local)
            rest = rest - jnp.einsum("kpm,km->pm", self.follows[..., group], local)
        return solve_triangular(self.root, rest), total

    def covariance(self, left: tuple[Array, Array], right: tuple[Array, Array]) -> Array:
        """Covariance [m, o] between combinations, each (groups, rows)."""
        k = self.inverse.shape[0]
        same = (left[0][:, None] == right[0]).astype(left[1].dtype)
        total = jnp.einsum("km,kjm,jo->mo", left[1][:k], self.inverse[..., left[0]], right[1][:k])
        a, b = self._halves(*left)[0], self._halves(*right)[0]
        return total * same + a.T @ b


def eliminated(grams: Array, columns: int, local: int) -> Border:
    """The weights out of Z' C_f^-1 Z [groups, q, q]: `columns` of values, `local` weights, rest."""
    groups, q, _ = grams.shape
    c, k = columns, local
    p = q - c - k
    last = jnp.moveaxis(grams, 0, -1)
    last = jnp.concatenate([last, jnp.zeros((q, q, 1))], axis=-1)
    values, own, rest = slice(0, c), slice(c, c + k), slice(c + k, q)
    precision = last[own, own] + lanes.eye(k, last)
    right = jnp.concatenate([last[own, values], last[own, rest], lanes.eye(k, last)], axis=1)
    if k:
        found, log_determinants = lanes.solved(precision, right)
    else:
        found, log_determinants = right, jnp.zeros(groups + 1)
    means, follows, inverse = found[:, :c], found[:, c : c + p], found[:, c + p :]
    kept = jnp.sum(last, axis=-1)

    def reduced(a: slice, b: slice, solved: Array) -> Array:
        return kept[a, b] - jnp.einsum("kag,kbg->ab", last[own, a], solved)

    square = reduced(values, values, means)[0, 0]
    cross, everywhere = reduced(rest, values, means), jnp.eye(p) + reduced(rest, rest, follows)
    log_determinant = jnp.sum(log_determinants)
    root, beta = jnp.zeros((0, 0)), jnp.zeros((0, c))
    if p:
        root = factor(0.5 * (everywhere + everywhere.T)).lower
        half = solve_triangular(root, cross)
        beta = solve_triangular(root, half, transposed=True)
        square = square - jnp.sum(half[:, 0] ** 2)
        log_determinant = log_determinant + 2.0 * jnp.sum(jnp.log(diagonal_of(root)))
    return Border(square, log_determinant, means, beta, inverse, follows, root)
