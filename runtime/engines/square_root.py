"""A covariance without noise into joint draws of its law: pivoted columns, and Lanczos's method.

A few columns give most of the covariance, C = L L' + R. A draw is L g + R^1/2 h, and the second
term follows from products with R alone: after j steps of Lanczos's method from h, with basis Q and
tridiagonal T, it is |h| Q T^1/2 e_1 (Chow & Saad 2014). All vectors of the basis are kept and each
is orthogonal to all others.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.cholesky import eigen
from mercer.runtime.engines.preconditioner import greedy_columns, low_root
from mercer.runtime.engines.tiles import Covariance, diagonal, product

_STEPS = 64
"""Steps of Lanczos's method at most: the largest basis [64, n] that is kept."""

SETTLED = 1e-3
"""Change of a draw over some steps, relative to the prior's deviation, at which it ends."""

_EVERY = 8


def draw(key: Array, matrix: Covariance, *, rank: int) -> tuple[Array, Array]:
    """A draw [n] of Normal(0, A K A' + W W'), and its last change, root mean square relative to the
    standard deviations. The noise of `matrix` has no part in it."""
    silent = matrix._replace(noise=jnp.zeros(matrix.size))
    low = low_root(silent, greedy_columns(silent, min(rank, matrix.size)))
    few, rest = jax.random.split(key)
    start = jax.random.normal(rest, (matrix.size,))
    scale = jnp.sqrt(jnp.mean(diagonal(matrix)))

    def times(vector: Array) -> Array:
        return product(silent, vector[None])[0] - (low @ vector) @ low

    value, change = _root_times(times, start, scale)
    return jax.random.normal(few, (len(low),)) @ low + value, change


def _root_times(times: Callable[[Array], Array], start: Array, scale: Array) -> tuple[Array, Array]:
    """R^1/2 of a vector [n], and by how much it still changed, relative to `scale`."""
    size = len(start)
    most = _EVERY * -(-min(_STEPS, size) // _EVERY)
    length, total = jnp.linalg.norm(start), scale * jnp.sqrt(1.0 * size)

    def step(count: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, main, beside = state
        image = times(basis[count])
        main = main.at[count].set(basis[count] @ image)
        image = image - basis.T @ (basis @ image)
        image = image - basis.T @ (basis @ image)  # twice is enough
        norm = jnp.linalg.norm(image)
        is_some = norm > 1e-12 * scale**2  # else the basis holds all that there is
        following = jnp.where(is_some, image / jnp.where(is_some, norm, 1.0), 0.0)
        beside = beside.at[count].set(jnp.where(is_some, norm, 0.0))
        return basis.at[count + 1].set(following), main, beside

    def some(state: tuple[Array, ...]) -> tuple[Array, ...]:
        count, basis, main, beside, value, _ = state
        ended = count + _EVERY
        basis, main, beside = lax.fori_loop(count, ended, step, (basis, main, beside))
        # The last of `beside` couples with what comes next, and is left out until then.
        coupled = jnp.where(jnp.arange(most) + 1 < ended, beside, 0.0)[:-1]
        values, vectors = eigen(jnp.diag(main) + jnp.diag(coupled, 1) + jnp.diag(coupled, -1))
        roots = jnp.sqrt(jnp.maximum(values, 0.0))
        found = length * ((vectors * roots) @ vectors[0]) @ basis[:-1]
        return ended, basis, main, beside, found, jnp.linalg.norm(found - value) / total

    def goes_on(state: tuple[Array, ...]) -> Array:
        return (state[0] < most) & (state[5] > SETTLED)

    begun = (
        jnp.asarray(0),
        jnp.zeros((most + 1, size)).at[0].set(start / length),
        jnp.zeros(most),
        jnp.zeros(most),
        jnp.zeros(size),
        jnp.asarray(jnp.inf),
    )
    *_, value, change = lax.while_loop(goes_on, some, begun)
    # All of the space: what is left is rounding.
    return value, change if most < size else jnp.zeros(())
