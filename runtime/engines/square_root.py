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
    most = min(_STEPS, size)
    length = jnp.linalg.norm(start)

    def combined(basis: Array, main: Array, beside: Array) -> Array:
        matrix = jnp.diag(main) + jnp.diag(beside[:-1], 1) + jnp.diag(beside[:-1], -1)
        values, vectors = eigen(matrix)
        roots = jnp.sqrt(jnp.maximum(values, 0.0))
        return length * ((vectors * roots) @ vectors[0]) @ basis[:-1]

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        count, basis, main, beside, value, change = state
        own = basis[count]
        image = times(own)
        center = own @ image
        image = image - basis.T @ (basis @ image)
        image = image - basis.T @ (basis @ image)  # twice is enough
        norm = jnp.linalg.norm(image)
        is_some = norm > 1e-12 * scale**2
        following = jnp.where(is_some, image / jnp.where(is_some, norm, 1.0), 0.0)
        basis = basis.at[count + 1].set(following)
        main = main.at[count].set(center)
        beside = beside.at[count].set(jnp.where(is_some, norm, 0.0))
        # What comes after is not yet coupled: the last of `beside` is left out until then.
        is_look = ((count + 1) % _EVERY == 0) | (count + 1 == most)
        found = lax.cond(
            is_look, lambda: combined(basis, main, beside.at[count].set(0.0)), lambda: value
        )
        change = jnp.where(is_look, jnp.linalg.norm(found - value), change)
        return count + 1, basis, main, beside, found, change

    def goes_on(state: tuple[Array, ...]) -> Array:
        count, change = state[0], state[5]
        return (count < most) & (change > SETTLED * scale * jnp.sqrt(1.0 * size))

    state = (
        jnp.asarray(0),
        jnp.zeros((most + 1, size)).at[0].set(start / length),
        jnp.zeros(most),
        jnp.zeros(most),
        jnp.zeros(size),
        jnp.asarray(jnp.inf),
    )
    *_, value, change = lax.while_loop(goes_on, step, state)
    return value, change / (scale * jnp.sqrt(1.0 * size))
