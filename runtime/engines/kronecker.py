"""Products of small covariances into what their Kronecker product does, by their eigenvectors.

With K_k = Q_k diag(l_k) Q_k', (K_1 ⊗ ... ⊗ K_D + s I)^-1 = Q diag(1 / (l + s)) Q', Q the Kronecker
product of the Q_k and l that of the l_k (Saatci 2011, section 5.2). Tensors are [c, m_1, ..., m_D]:
c columns over all cells.

Derivatives go through no eigenvector: equal eigenvalues, which any symmetry brings, would make
those infinite. The vectors are held, K_k is turned by them to B_k = Q_k' K_k Q_k, diagonal by
value but not by derivative, and the log determinant is its perturbation series in the rest of B_k,
of which two orders give two derivatives. Its weights are divided differences of log(l + s) in
closed form, without a difference of eigenvalues.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.cholesky import eigen


class Basis(NamedTuple):
    """The covariances of all axes in the basis of their eigenvectors.

    `vectors[k]` [m, m] and `values[k]` [m] are held, `turned[k]` [m, m] is Q' K Q.
    """

    vectors: tuple[Array, ...]
    values: tuple[Array, ...]
    turned: tuple[Array, ...]

    @property
    def spectrum(self) -> Array:
        """All eigenvalues of the product, [m_1, ..., m_D]."""
        return outer(self.values)

    def into(self, tensor: Array) -> Array:
        """Q' x: from cells to the basis."""
        return along([q.T for q in self.vectors], tensor)

    def back(self, tensor: Array) -> Array:
        """Q x: from the basis to cells."""
        return along(self.vectors, tensor)

    def times(self, tensor: Array) -> Array:
        """The product of covariances, within the basis."""
        return along(self.turned, tensor)


def basis(covariances: Sequence[Array]) -> Basis:
    """Of symmetric matrices [m_k, m_k]."""
    vectors, values, turned = [], [], []
    for matrix in covariances:
        value, vector = eigen(lax.stop_gradient(matrix))
        vectors.append(vector)
        values.append(jnp.maximum(value, 0.0))  # below 0 is rounding
        turned.append(vector.T @ matrix @ vector)
    return Basis(tuple(vectors), tuple(values), tuple(turned))


def log_determinant(found: Basis, shift: Array) -> Array:
    """log|K_1 ⊗ ... ⊗ K_D + shift I|, with its first two derivatives."""
    moving = [
        value + jnp.diagonal(turned) - lax.stop_gradient(jnp.diagonal(turned))
        for value, turned in zip(found.values, found.turned, strict=True)
    ]
    total = jnp.sum(jnp.log(outer(moving) + shift))
    held = lax.stop_gradient(found.spectrum + shift)
    for k, turned in enumerate(found.turned):
        others = outer([v for j, v in enumerate(found.values) if j != k]).reshape(-1)
        share = others / jnp.moveaxis(held, k, 0).reshape(len(turned), -1)
        rest = turned - jnp.diag(jnp.diagonal(turned))
        total = total - 0.5 * jnp.sum(rest**2 * (share @ share.T))
    return total


def grams(found: Basis, shift: Array, columns: Array) -> tuple[Array, Array]:
    """Z' C^-1 Z [c, c] of columns in the basis, and C^-1 Z there (held), C = K + shift I.

    With X = C^-1 Z held and R = Z - C X, which is 0 but for its derivative,
    Z' C^-1 Z = X' Z + Z' X - X' C X + R' C^-1 R, to all orders.
    """
    held = lax.stop_gradient(found.spectrum + shift)
    solved = lax.stop_gradient(columns) / held
    images = found.times(solved) + shift * solved
    left = columns - images
    flat = [t.reshape(len(columns), -1) for t in (solved, columns, images, left, left / held)]
    x, z, cx, r, pr = flat
    cross = x @ z.T
    return cross + cross.T - x @ cx.T + r @ pr.T, solved


def along(matrices: Sequence[Array], tensor: Array) -> Array:
    """(A_1 ⊗ ... ⊗ A_D) x for each column x of a tensor [c, m_1, ..., m_D]."""
    shape = list(tensor.shape)
    for k, matrix in enumerate(matrices, start=1):
        before, after = _product(shape[:k]), _product(shape[k + 1 :])
        if after == 1:
            tensor = tensor.reshape(before, shape[k]) @ matrix.T
        elif before == 1:
            tensor = matrix @ tensor.reshape(shape[k], after)
        else:
            tensor = jnp.matmul(matrix, tensor.reshape(before, shape[k], after))
        shape[k] = len(matrix)
    return tensor.reshape(shape)


def outer(vectors: Sequence[Array]) -> Array:
    """The product of all entries, one of each vector, [m_1, ..., m_D]."""
    return reduce(lambda a, b: a[..., None] * b, vectors, jnp.ones(()))


def contracted(features: Sequence[Array], tensor: Array) -> Array:
    """sum over cells of features_1[n, i_1] ... features_D[n, i_D] x[c, i_1, ..., i_D], [n, c].

    Column by column: all at once they would be n times the product of all axes but one.
    """

    def one(column: Array) -> Array:
        first, *rest = features
        left = (first @ column.reshape(len(column), -1)).reshape(len(first), *column.shape[1:])
        for feature in rest:
            left = jnp.einsum("ni...,ni->n...", left, feature)
        return left

    if len(tensor) == 1:
        return one(tensor[0])[:, None]
    return lax.map(one, tensor).T


def side_by_side(features: Sequence[Array]) -> Array:
    """The products of the entries of each row, [n, m_1 ... m_D]."""
    found = features[0]
    for feature in features[1:]:
        found = (found[:, :, None] * feature[:, None, :]).reshape(len(found), -1)
    return found


def _product(sizes: Sequence[int]) -> int:
    return reduce(lambda a, b: a * b, sizes, 1)
