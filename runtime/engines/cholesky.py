"""A covariance matrix into its factor, and a Gaussian vector into its log density and gradient.

One Cholesky factorisation is shared by everything that needs it. The gradient of the log density

    log N(y; 0, K) = -(y' K^-1 y + log|K| + n log 2 pi) / 2,    alpha = K^-1 y,
    d log N = tr((alpha alpha' - K^-1) dK) / 2 - alpha' dy

comes from the inverse, n^3 flops, instead of 4.33 n^3 for a differentiated factorisation. The
pieces of that rule have derivative rules themselves, so that Hessians and `vmap` work.
(Written by hand: no library does it, and it is most of the time of every exact fit.)

Jitter belongs to the factorisation: `level` times the mean diagonal is added to the diagonal, with
the first of `levels` at which the factorisation succeeds; after the last the factor is NaN. A
pivot that rounding alone could have made counts as a failure.

Under `vmap` matrices are factorised and solved one after the other, each with all threads: jaxlib's
batched LAPACK calls wait for their parts on the threads that the parts need, so that two of them in
one program (chains side by side) stop for ever. An engine calls nothing of LAPACK but by this file.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_batching import custom_vmap, sequential_vmap
from jax.experimental.custom_partitioning import custom_partitioning

EXACT = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)
"""Levels for a covariance that has noise on its diagonal, or is wanted exactly."""

LATENT = (1e-9, 1e-8, 1e-6, 1e-4)
"""Levels for a noise-free covariance that is differentiated: smooth kernels are singular to
rounding, and the derivative of their factor divides by the smallest pivot."""

_LEAF = 128  # below this, LAPACK's triangular solve beats the recursion
_PIVOT = 4 * 2.220446049250313e-16  # relative to its diagonal entry: rounding, not information


class Factor(NamedTuple):
    """`lower @ lower.T` is the covariance plus `jitter` (absolute) on its diagonal."""

    lower: Array
    jitter: Array


class Solution(NamedTuple):
    """`alpha` = K^-1 y, `inverse` = K^-1, of a covariance K with `level` of relative jitter."""

    value: Array  # log N(y; 0, K)
    alpha: Array
    inverse: Array
    level: Array


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def factor(covariance: Array, levels: tuple[float, ...] = EXACT) -> Factor:
    """The lower Cholesky factor of a covariance [n, n], and the jitter that it took."""
    lower, level = _factorise(covariance, levels)
    return Factor(lower, level * jnp.mean(diagonal_of(covariance)))


@factor.defjvp
def _factor_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Factor, Factor]:
    (covariance,), (change,) = primals, tangents
    lower, jitter = factor(covariance, levels)
    level = lax.stop_gradient(jitter / jnp.mean(diagonal_of(covariance)))
    shift = level * jnp.mean(diagonal_of(change))
    change = 0.5 * (change + change.T) + shift * jnp.eye(len(change), dtype=change.dtype)
    # dL = L Phi(L^-1 dK L^-T), Phi the lower triangle with half its diagonal (Murray 2016).
    half = solve_triangular(lower, change)
    inner = solve_triangular(lower, half.T)
    inner = jnp.tril(inner) - 0.5 * jnp.diag(diagonal_of(inner))
    return Factor(lower, jitter), Factor(lower @ inner, shift)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def log_normal(
    covariance: Array, deviation: Array, levels: tuple[float, ...] = EXACT
) -> tuple[Array, Array]:
    """log N(deviation; 0, covariance) and the jitter used, relative to the mean diagonal."""
    lower, level = _factorise(covariance, levels)
    return _value(lower, solve_triangular(lower, deviation)), level


@log_normal.defjvp
def _log_normal_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Any, Any]:
    covariance, deviation = primals
    solution = solve(covariance, deviation, levels)
    tangent = _value_tangent(solution, *tangents)
    return (solution.value, solution.level), (tangent, jnp.zeros_like(solution.level))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def solve(covariance: Array, deviation: Array, levels: tuple[float, ...] = EXACT) -> Solution:
    """Log density, weights and inverse of a covariance [n, n] and a vector [n], one factor."""
    lower, level = _factorise(covariance, levels)
    white = solve_triangular(lower, deviation)
    alpha = solve_triangular(lower, white, transposed=True)
    return Solution(_value(lower, white), alpha, inverse_from_factor(lower), level)


@solve.defjvp
def _solve_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Solution, Solution]:
    solution = solve(*primals, levels)
    change, deviation_change = tangents
    inverse = solution.inverse
    shift = solution.level * jnp.mean(diagonal_of(change))
    change = change + shift * jnp.eye(len(change), dtype=change.dtype)
    return solution, Solution(
        _value_tangent(solution, *tangents),
        inverse @ (deviation_change - change @ solution.alpha),
        -inverse @ change @ inverse,
        jnp.zeros_like(solution.level),
    )


def solve_triangular(lower: Array, right: Array, *, transposed: bool = False) -> Array:
    """L^-1 right, or L'^-1 right, of a lower triangle (zeros above) and a vector or a matrix."""
    matrix = lower.T if transposed else lower

    def solved(back: bool) -> Any:
        def one(_: Any, right: Array) -> Array:
            columns = right if right.ndim == 2 else right[:, None]
            return _triangular[back](lower, columns).reshape(right.shape)

        return one

    return lax.custom_linear_solve(
        lambda x: matrix @ x,
        right,
        solve=solved(transposed),
        transpose_solve=solved(not transposed),
    )


def diagonal_of(matrix: Array) -> Array:
    """The diagonal [n] of a square matrix, cut out with strides: of `jnp.diagonal`, which gathers
    it, the derivative is a scatter, and both take XLA long to compile."""
    return matrix.reshape(-1)[:: len(matrix) + 1]


@sequential_vmap
def inverse_from_factor(lower: Array) -> Array:
    """K^-1 from the lower factor of K, by recursion on 2 x 2 blocks; symmetric.

    With L = [[A, 0], [B, C]], S = (C C')^-1, W = B A^-1:
    K^-1 = [[(A A')^-1 + W' S W, -W' S], [-S W, S]]. All but the leaves is matrix products.
    """
    return _inverse(lower)


@sequential_vmap
def eigen(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues [n], rising, and eigenvectors [n, n] (columns) of a symmetric matrix.

    Not to be differentiated: the derivative of a vector divides by the gaps between values.
    """
    vectors, values = lax.linalg.eigh(matrix, symmetrize_input=False)
    return values, vectors


def _inverse(lower: Array) -> Array:
    n = lower.shape[-1]
    if n <= _LEAF:
        eye = jnp.eye(n, dtype=lower.dtype)
        root = lax.linalg.triangular_solve(lower, eye, left_side=True, lower=True)
        return root.T @ root
    cut = _LEAF * max(1, round(n / 2 / _LEAF))
    a, b, c = lower[:cut, :cut], lower[cut:, :cut], lower[cut:, cut:]
    w = lax.linalg.triangular_solve(a, b, left_side=False, lower=True)
    s = _inverse(c)
    sw = s @ w
    corner = _inverse(a) + w.T @ sw
    return jnp.block([[corner, -sw.T], [-sw, s]])


def _factorise(covariance: Array, levels: tuple[float, ...]) -> tuple[Array, Array]:
    """The first factor that succeeds and its level; NaN after the last."""
    return sequential_vmap(partial(_first_factor, levels))(covariance)


def _first_factor(levels: tuple[float, ...], covariance: Array) -> tuple[Array, Array]:
    diagonal = diagonal_of(covariance)
    scale = jnp.mean(diagonal)
    steps = jnp.asarray(levels, covariance.dtype)
    index = jnp.arange(len(covariance))

    def attempt(step: Array) -> Array:
        # A mask, not a scatter, which takes XLA longer to compile than all else here.
        shift = jnp.where(index[:, None] == index, steps[step] * scale, 0.0)
        return _cholesky(covariance + shift)

    def failed(lower: Array) -> Array:
        pivots = diagonal_of(lower)
        return ~jnp.all(pivots**2 > _PIVOT * diagonal)  # also true of NaN

    def again(state: tuple[Array, Array]) -> Array:
        step, lower = state
        return failed(lower) & (step + 1 < len(levels)) & jnp.isfinite(scale)

    def escalate(state: tuple[Array, Array]) -> tuple[Array, Array]:
        return state[0] + 1, attempt(state[0] + 1)

    zero = jnp.asarray(0)
    first = _cholesky(covariance) if levels[0] == 0.0 else attempt(zero)
    if len(levels) == 1:
        return first, steps[0]
    step, lower = lax.while_loop(again, escalate, (zero, first))
    return lower, steps[step]


def _cholesky(covariance: Array) -> Array:
    # LAPACK reads columns: the transpose of a symmetric matrix in rows is one without a copy.
    return lax.linalg.cholesky(covariance.T, symmetrize_input=False)


def _triangular_solver(transposed: bool) -> Any:
    """LAPACK's solver for one triangle; many right sides of one triangle are one matrix, and each
    device solves for the columns that it has."""

    def solved(lower: Array, columns: Array) -> Array:
        return lax.linalg.triangular_solve(
            lower, columns, left_side=True, lower=True, transpose_a=transposed
        )

    def at_device(mesh: Any, arguments: Any, result: Any) -> Any:
        return mesh, solved, result.sharding, tuple(one.sharding for one in arguments)

    # XLA would gather all columns on every device: it does not look into LAPACK.
    at_devices = custom_partitioning(solved)
    at_devices.def_partition(
        partition=at_device,
        sharding_rule="i j, j k -> i k",
        need_replication_factors=("i", "j"),
    )

    @custom_vmap
    def solver(lower: Array, columns: Array) -> Array:
        return at_devices(lower, columns)

    @solver.def_vmap
    def _(size: int, batched: list[bool], lower: Array, columns: Array) -> tuple[Array, bool]:
        if batched[0] and batched[1]:
            return lax.map(lambda pair: solver(*pair), (lower, columns)), True
        if batched[0]:
            return lax.map(lambda one: solver(one, columns), lower), True
        together = jnp.moveaxis(columns, 0, 1)  # [n, size, k]
        flat = solver(lower, together.reshape(len(lower), -1))
        return jnp.moveaxis(flat.reshape(together.shape), 1, 0), True

    return solver


_triangular = {False: _triangular_solver(False), True: _triangular_solver(True)}


def _value(lower: Array, white: Array) -> Array:
    half_log_determinant = jnp.sum(jnp.log(diagonal_of(lower)))
    return -0.5 * white @ white - half_log_determinant - 0.5 * len(white) * math.log(2 * math.pi)


def _value_tangent(solution: Solution, change: Array, deviation_change: Array) -> Array:
    alpha, inverse = solution.alpha, solution.inverse
    # One matrix, formed once: under reverse mode it is the cotangent of the covariance.
    slope = 0.5 * (alpha[:, None] * alpha - inverse)
    shift = solution.level * jnp.mean(diagonal_of(change))  # jitter follows the mean diagonal
    return jnp.sum(slope * change) + shift * jnp.trace(slope) - alpha @ deviation_change
