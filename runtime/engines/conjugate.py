"""A positive definite operator and right sides into solutions: preconditioned conjugate gradients.

All right sides go together, each with its own coefficients and its own end, so that one product of
the operator serves them. From the coefficients follows the tridiagonal matrix of Lanczos's method
in the whitened operator M^-1/2 C M^-1/2, which gives log determinants (Gardner et al. 2018).
Vectors lie along the last axis, [s, n].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.cholesky import eigen

Operator = Callable[[Array], Array]
"""[s, n] -> [s, n]."""

_QUADRATURE = 100
"""Coefficients kept of each right side: nodes of the quadrature of its log determinant."""


class Solve(NamedTuple):
    """`solution` [s, n]; `residual` [s]: norms relative to those of the right sides; `iterations`
    [s] of each; `directions` and `images` [k, s, n]: the first directions of descent, and the
    operator times them; `steps`, `turns` [q, s]: the coefficients; `square` [s]: b'M^-1 b."""

    solution: Array
    residual: Array
    iterations: Array
    directions: Array
    images: Array
    steps: Array
    turns: Array
    square: Array


def solve(
    times: Operator,
    precondition: Operator,
    right: Array,
    *,
    tolerance: float,
    most: int,
    start: tuple[Array, Array] | None = None,
    kept: int = 0,
) -> Solve:
    """C^-1 `right`. `start`: a first solution, and C times it. At most `most` iterations, of whose
    first `kept` the directions are kept."""
    first = (jnp.zeros_like(right), jnp.zeros_like(right)) if start is None else start
    norm = jnp.sqrt(jnp.sum(right**2, axis=1))
    norm = jnp.where(norm > 0, norm, 1.0)
    residual = right - first[1]
    turned = precondition(residual)
    square = jnp.sum(residual * turned, axis=1)
    size = (len(right),)

    def share(residual: Array) -> Array:
        return jnp.sqrt(jnp.sum(residual**2, axis=1)) / norm

    def active(state: Any) -> Array:
        return share(state[1]) > tolerance

    def goes_on(state: Any) -> Array:
        return jnp.any(active(state)) & (state[4] < most)

    def step(state: Any) -> Any:
        solution, residual, direction, square, count, ended, steps, turns, dirs, images = state
        going = active(state)
        # What has ended moves no more.
        direction = jnp.where(going[:, None], direction, 0.0)
        image = times(direction)
        energy = jnp.sum(direction * image, axis=1)
        going = going & (energy > 0)
        length = jnp.where(going, square / jnp.where(energy > 0, energy, 1.0), 0.0)
        solution = solution + length[:, None] * direction
        residual = residual - length[:, None] * image
        turned = precondition(residual)
        next_square = jnp.sum(residual * turned, axis=1)
        turn = jnp.where(going, next_square / jnp.where(square > 0, square, 1.0), 0.0)
        at = jnp.minimum(count, _QUADRATURE)  # the last place is one too many, for the rest
        steps, turns = steps.at[at].set(length), turns.at[at].set(turn)
        place = jnp.minimum(count, kept)
        dirs = dirs.at[place].set(direction)
        images = images.at[place].set(image)
        following = turned + turn[:, None] * direction
        square = jnp.where(going, next_square, square)
        ended = jnp.where(going, count + 1, ended)
        return (
            solution, residual, following, square, count + 1, ended, steps, turns, dirs, images,
        )  # fmt: skip

    state = (
        first[0],
        residual,
        turned,
        square,
        jnp.asarray(0),
        jnp.zeros(size, int),
        jnp.zeros((_QUADRATURE + 1, *size)),
        jnp.zeros((_QUADRATURE + 1, *size)),
        jnp.zeros((kept + 1, *right.shape)),
        jnp.zeros((kept + 1, *right.shape)),
    )
    solution, residual, _, _, _, ended, steps, turns, dirs, images = lax.while_loop(
        goes_on, step, state
    )
    return Solve(
        solution, share(residual), ended, dirs[:kept], images[:kept], steps[:-1], turns[:-1], square
    )


def log_forms(found: Solve) -> Array:
    """b'M^-1/2 log(M^-1/2 C M^-1/2) M^-1/2 b of each right side [s] that was solved from 0, by
    Gauss quadrature at the eigenvalues of its tridiagonal matrix."""

    def one(steps: Array, turns: Array, count: Array, square: Array) -> Array:
        place = jnp.arange(len(steps))
        inside = place < jnp.minimum(count, len(steps))
        inverse = jnp.where(inside, 1.0 / jnp.where(inside, steps, 1.0), 0.0)
        before = jnp.concatenate([jnp.zeros(1), (turns * inverse)[:-1]])
        main = jnp.where(inside, inverse + before, 1.0)
        follows = (place + 1) < jnp.minimum(count, len(steps))
        beside = jnp.where(follows, jnp.sqrt(jnp.maximum(turns, 0.0)) * inverse, 0.0)[:-1]
        matrix = jnp.diag(main) + jnp.diag(beside, 1) + jnp.diag(beside, -1)
        values, vectors = eigen(matrix)
        return square * jnp.sum(vectors[0] ** 2 * jnp.log(jnp.maximum(values, 1e-300)))

    return jax.vmap(one, in_axes=(1, 1, 0, 0))(
        found.steps, found.turns, found.iterations, found.square
    )
