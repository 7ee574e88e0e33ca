"""A covariance into one like it that is quickly inverted: a few columns, its noise, and directions.

The few columns are those of greatest conditional variance, a pivoted Cholesky factorisation
(Harbrecht, Peters & Schneider 2012), and with the noise D they give P = L L' + D. Directions w [k]
that the solves before this one found, with their images C w under the covariance of now, make it
exact along them:

    M = P - P w F^-1 w'P + C w E^-1 w'C,    F = w'P w,  E = w'C w,
    M^-1 = (I - w E^-1 w'C) P^-1 (I - C w E^-1 w') + w E^-1 w',    |M| = |P| |E| / |F|

(Gratton, Sartenaer & Tshimanga 2011). Conjugate gradients under M^-1 are those deflated by w (Saad,
Yeung, Erhel & Guyomarc'h 2000), and unlike a deflated operator M has a determinant and draws. Any w
will do: what they are of is the speed alone. Vectors lie along the last axis.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.cholesky import diagonal_of, eigen, factor, solve_triangular
from mercer.runtime.engines.evidence import PRECISE, SPARSE
from mercer.runtime.engines.tiles import Covariance, columns, diagonal

_NOTHING = 1e-10
"""Conditional variance, relative to the largest prior variance, that is no reason for a column."""


def greedy_columns(matrix: Covariance, count: int) -> Array:
    """The places [count] of the columns of greatest variance given those before, without noise."""
    variance = diagonal(matrix)
    least = _NOTHING * jnp.max(variance)

    def step(number: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        variance, root, places = state
        place = jnp.argmax(variance)
        column = columns(matrix, place[None])[:, 0] - root[:, place] @ root
        pivot = variance[place]
        is_some = pivot > least
        column = jnp.where(is_some, column / jnp.sqrt(jnp.where(is_some, pivot, 1.0)), 0.0)
        variance = jnp.maximum(variance - column**2, 0.0).at[place].set(0.0)
        return variance, root.at[number].set(column), places.at[number].set(place)

    start = (variance, jnp.zeros((count, matrix.size)), jnp.zeros(count, int))
    return lax.fori_loop(0, count, step, start)[2]


def low_root(matrix: Covariance, places: Array) -> Array:
    """L' [m, n] of the covariance as its columns at some places have it, L L' = C_m' G^-1 C_m."""
    some = columns(matrix, places)
    root = factor(some[places], SPARSE)
    return solve_triangular(root.lower, some.T)


class Preconditioner(NamedTuple):
    """M as above. `low` L' [m, n], `variance` D [n], `inner` the factor of I + L'D^-1 L [m, m];
    `basis` w [k, n], `image` C w, `plain` P w; the factors of `energy` E and of `gram` F [k, k]."""

    low: Array
    variance: Array
    inner: Array
    basis: Array
    image: Array
    plain: Array
    energy: Array
    gram: Array

    def solve(self, vectors: Array) -> Array:
        """M^-1 times each of `vectors` [s, n]."""
        along = _inverse_times(self.energy, vectors @ self.basis.T)
        turned = self.plain_solve(vectors - along @ self.image)
        back = _inverse_times(self.energy, turned @ self.image.T)
        return turned + (along - back) @ self.basis

    def plain_solve(self, vectors: Array) -> Array:
        """P^-1 times each."""
        scaled = vectors / self.variance
        return scaled - _inverse_times(self.inner, scaled @ self.low.T) @ self.low / self.variance

    def plain_times(self, vectors: Array) -> Array:
        """P times each."""
        return (vectors @ self.low.T) @ self.low + vectors * self.variance

    @property
    def log_determinant(self) -> Array:
        """log |M|."""
        own = jnp.sum(jnp.log(self.variance)) + _log_determinant(self.inner)
        return own + _log_determinant(self.energy) - _log_determinant(self.gram)

    @property
    def inverse_diagonal(self) -> Array:
        """The diagonal [n] of M^-1."""
        half = solve_triangular(self.inner, self.low)
        own = (1.0 - jnp.sum(half**2, axis=0) / self.variance) / self.variance
        along = _inverse_times(self.energy, self.basis.T).T
        turned = self.plain_solve(self.image)
        inner = turned @ self.image.T + self.energy @ self.energy.T
        own -= 2.0 * jnp.sum(along * turned, axis=0)
        return own + jnp.sum(along * (inner @ along), axis=0)

    def draw(self, key: Array, count: int) -> Array:
        """`count` draws [s, n] of Normal(0, M)."""
        size, few, known = len(self.variance), len(self.low), len(self.basis)
        normal = jax.random.normal(key, (count, size + few + known))
        own = normal[:, :size] * jnp.sqrt(self.variance) + normal[:, size : size + few] @ self.low
        along = _inverse_times(self.gram, own @ self.basis.T)
        inside = solve_triangular(self.energy, normal[:, size + few :].T, transposed=True).T
        return own - along @ self.plain + inside @ self.image


def preconditioner(low: Array, variance: Array, basis: Array, image: Array) -> Preconditioner:
    """M of L' [m, n], the noise's variance [n], and directions [k, n] with their images."""
    inner = factor(jnp.eye(len(low)) + (low / variance) @ low.T, PRECISE).lower
    plain = (basis @ low.T) @ low + basis * variance
    energy, gram = (factor(_symmetric(basis @ v.T), SPARSE).lower for v in (image, plain))
    return Preconditioner(low, variance, inner, basis, image, plain, energy, gram)


def ritz(by: Preconditioner, basis: Array, image: Array, count: int) -> Array:
    """The directions [count, n] in the span of `basis` [q, n] along which C, of which their `image`
    is known, differs most from P: Ritz vectors of P^-1 C to its largest values, as P-orthonormal
    ones."""
    length = jnp.sqrt(jnp.maximum(jnp.sum(basis * by.plain_times(basis), axis=1), 0.0))
    scale = jnp.where(length > 0, 1.0 / jnp.where(length > 0, length, 1.0), 0.0)[:, None]
    basis, image = basis * scale, image * scale
    values, vectors = eigen(_symmetric(basis @ by.plain_times(basis).T))
    is_new = values > 1e-8 * jnp.max(values)
    whitened = vectors * jnp.where(is_new, 1.0 / jnp.sqrt(jnp.where(is_new, values, 1.0)), 0.0)
    inner = whitened.T @ _symmetric(basis @ image.T) @ whitened
    # Directions that are none have the value 0, and C is never below P.
    _, turned = eigen(_symmetric(inner))
    chosen = (whitened @ turned)[:, ::-1][:, :count]
    return chosen.T @ basis


def _inverse_times(lower: Array, vectors: Array) -> Array:
    """(L L')^-1 times each of `vectors` [s, m]."""
    half = solve_triangular(lower, vectors.T)
    return solve_triangular(lower, half, transposed=True).T


def _log_determinant(lower: Array) -> Array:
    return 2.0 * jnp.sum(jnp.log(diagonal_of(lower)))


def _symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)
