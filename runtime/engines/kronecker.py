"""Products of small covariances into what their Kronecker product does, by their eigenvectors.

With K_k = Q_k diag(l_k) Q_k', (K_1 ⊗ ... ⊗ K_D + s I)^-1 = Q diag(1 / (l + s)) Q', Q the Kronecker
product of the Q_k and l that of the l_k (Saatci 2011, section 5.2). Tensors are [c, m_1, ..., m_D]:
c columns over all cells.

Derivatives go through no eigenvector: equal eigenvalues, which any symmetry brings, would make
those infinite. The vectors are held, and K_k is turned by them to B_k = Q_k' K_k Q_k: diagonal by
value, which is all that a value needs, but not by derivative. What follows has its rules in B_k,
good for two derivatives; that of the log determinant is its perturbation series in the rest of
B_k, of which two orders give two derivatives. Its weights are divided differences of log(l + s) in
closed form, without a difference of eigenvalues.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.cholesky import diagonal_of, eigen


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

    def picked(self, cells: Array) -> Array:
        """The columns that pick some cells [c], in the basis: rows of the vectors."""
        shape = tuple(len(value) for value in self.values)
        places = jnp.unravel_index(cells, shape)
        each = [q[place] for q, place in zip(self.vectors, places, strict=True)]
        return side_by_side(each).reshape(len(cells), *shape)


def basis(covariances: Sequence[Array]) -> Basis:
    """Of symmetric matrices [m_k, m_k]."""
    vectors, values, turned = [], [], []
    for matrix in covariances:
        value, vector = eigen(lax.stop_gradient(matrix))
        value = jnp.maximum(value, 0.0)  # below 0 is rounding
        vectors.append(vector)
        values.append(value)
        turned.append(_turned(matrix, vector, value))
    return Basis(tuple(vectors), tuple(values), tuple(turned))


@jax.custom_jvp
def _turned(matrix: Array, vectors: Array, values: Array) -> Array:
    """Q' K Q."""
    return jnp.diag(values)


@_turned.defjvp
def _turned_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    _, vectors, _ = primals
    return _turned(*primals), vectors.T @ tangents[0] @ vectors


def log_determinant(found: Basis, shift: Array) -> Array:
    """log|K_1 ⊗ ... ⊗ K_D + shift I|, with its first two derivatives."""
    moving = [diagonal_of(turned) for turned in found.turned]
    total = jnp.sum(jnp.log(outer(moving) + shift))
    held = lax.stop_gradient(found.spectrum + shift)
    for k, turned in enumerate(found.turned):
        others = outer([v for j, v in enumerate(found.values) if j != k]).reshape(-1)
        share = others / jnp.moveaxis(held, k, 0).reshape(len(turned), -1)
        rest = turned - jnp.diag(diagonal_of(turned))
        total = total - 0.5 * jnp.sum(rest**2 * (share @ share.T))
    return total


def grams(found: Basis, shift: Array, columns: Array) -> tuple[Array, Array]:
    """Z' C^-1 Z [c, c] of columns in the basis, and C^-1 Z there (held), C = K + shift I."""
    duals = lax.stop_gradient(columns) / lax.stop_gradient(found.spectrum + shift)
    return _gram(found.turned, shift, columns), duals


@jax.custom_jvp
def _gram(turned: tuple[Array, ...], shift: Array, columns: Array) -> Array:
    """Z' C^-1 Z, with d(Z' C^-1 Z) = dZ' X + X' dZ - X' dC X."""
    return _inner(columns, solve(turned, shift, columns))


@_gram.defjvp
def _gram_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    turned, shift, columns = primals
    changes, shift_change, columns_change = tangents
    solved = solve(turned, shift, columns)
    cross = _inner(columns_change, solved)
    total = cross + cross.T - shift_change * _inner(solved, solved)
    for k, own in enumerate(changes):
        total = total - _inner(solved, _along_one(own, k, times(_others(turned, k), solved)))
    return _inner(columns, solved), total


@jax.custom_jvp
def solve(turned: tuple[Array, ...], shift: Array, columns: Array) -> Array:
    """C^-1 Z of columns in the basis, where C is diagonal by value: dX = C^-1 (dZ - dC X)."""
    return columns / (outer([diagonal_of(b) for b in turned]) + shift)


@solve.defjvp
def _solve_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    turned, shift, columns = primals
    changes, shift_change, columns_change = tangents
    solved = solve(turned, shift, columns)
    change = columns_change - shift_change * solved
    for k, own in enumerate(changes):
        change = change - _along_one(own, k, times(_others(turned, k), solved))
    return solved, solve(turned, shift, change)


@jax.custom_jvp
def times(turned: tuple[Array, ...], columns: Array) -> Array:
    """(B_1 ⊗ ... ⊗ B_D) x of columns, the B_k diagonal by value."""
    return columns * outer([diagonal_of(b) for b in turned])


@times.defjvp
def _times_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    turned, columns = primals
    changes, columns_change = tangents
    total = times(turned, columns_change)
    for k, own in enumerate(changes):
        total = total + _along_one(own, k, times(_others(turned, k), columns))
    return times(turned, columns), total


def _others(turned: tuple[Array, ...], number: int) -> tuple[Array, ...]:
    """All but one of the matrices, with the identity in its place."""
    return (*turned[:number], jnp.eye(len(turned[number])), *turned[number + 1 :])


def _inner(a: Array, b: Array) -> Array:
    return a.reshape(len(a), -1) @ b.reshape(len(b), -1).T


def _along_one(matrix: Array, number: int, tensor: Array) -> Array:
    """A matrix along one axis of the cells of columns."""
    shape = list(tensor.shape)
    k = number + 1
    before, after = _product(shape[:k]), _product(shape[k + 1 :])
    if after == 1:
        found = tensor.reshape(before, shape[k]) @ matrix.T
    elif before == 1:
        found = matrix @ tensor.reshape(shape[k], after)
    else:
        found = jnp.matmul(matrix, tensor.reshape(before, shape[k], after))
    shape[k] = len(matrix)
    return found.reshape(shape)


def along(matrices: Sequence[Array], tensor: Array) -> Array:
    """(A_1 ⊗ ... ⊗ A_D) x for each column x of a tensor [c, m_1, ..., m_D]."""
    for k, matrix in enumerate(matrices):
        tensor = _along_one(matrix, k, tensor)
    return tensor


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
