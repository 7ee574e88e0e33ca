"""Features of rows into the evidence of a linear regression on them, with its gradient.

    r = A v + e,   v ~ N(0, I),   e ~ N(0, I),   N = A'A [p, p]

Columns of A are the whitened weights (`design`), and of each random function its covariances with
its m inducing values, whitened: K L^-T, with `cross` K [n, m] and `gram` L L' [m, m]. Under a law
N(w, S) of v, with e = r - A w and E the identity on the columns of functions, the value

    -(|e|^2 + tr((S - E) N)) / 2

is the expected log density of the rows, less what does not depend on the features: E is the trace
term of functions seen through inducing points. With G = S - E its gradient is

    to K:        e (L^-T w)' - A G L^-1
    to L L':     L^-T (P + P') L^-1 / 2,    P the lower triangle of G N - w (A'e)' with half its
                 diagonal
    to the design: e w' - A G,      to r: -e,

one product [n, p] x [p, m] beyond the two that the value takes, where differentiating it piece by
piece takes four. At the posterior, S^-1 = I + N and w = S A'r, it is also the gradient of

    log N(r; 0, I + A A') + |A_functions|^2 / 2,

which is the collapsed bound (Titsias 2009, eq. 9) but for what does not depend on the features.
The pieces of the rule have derivative rules of their own, for Hessians.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import Factor, diagonal_of, factor, solve_triangular
from mercer.runtime.engines.products import gram, inverse_of_lower, is_large, times_lower_transposed

SPARSE = (1e-10, 1e-8, 1e-6, 1e-4)
"""Jitter of the covariance of inducing values: noise-free, and its inverse enters the gradient."""

PRECISE = (0.0,)
"""None, for I + A'A: no eigenvalue is below 1."""

Arrays = tuple[Array, ...]


class Root(NamedTuple):
    """The lower factor L of a covariance of inducing values, the jitter on its diagonal, L^-1."""

    lower: Array
    jitter: Array
    inverse: Array


class Regression(NamedTuple):
    """What all the verbs of an engine share."""

    features: Array  # A [n, p]
    roots: tuple[Root, ...]  # of the grams
    precision: Array  # I + N [p, p]
    factor: Factor  # of the precision
    mean: Array  # w [p]


class Moments(NamedTuple):
    """What the rows say of v: A'r [p], and N = A'A [p, p]."""

    shift: Array
    inner: Array


def regression(
    grams: Arrays, crosses: Arrays, design: Array, residual: Array, levels: tuple[float, ...]
) -> Regression:
    """The posterior N(w, S) of the whitened coordinates."""
    features, roots = whitened(grams, crosses, design, levels)
    return posterior(features, roots, inner=gram(features), shift=features.T @ residual)


def posterior(
    features: Array, roots: tuple[Root, ...], *, inner: Array, shift: Array
) -> Regression:
    """The same of features A, given `inner` A'A and `shift` A'r."""
    precision = jnp.eye(features.shape[1]) + inner
    root = factor(precision, PRECISE)
    half = solve_triangular(root.lower, shift)
    mean = solve_triangular(root.lower, half, transposed=True)
    return Regression(features, roots, precision, root, mean)


def whitened(
    grams: Arrays, crosses: Arrays, design: Array, levels: tuple[float, ...]
) -> tuple[Array, tuple[Root, ...]]:
    """The features A [n, p], and the roots of the grams."""
    roots = roots_of(grams, levels)
    blocks = [whiten(root, cross) for root, cross in zip(roots, crosses, strict=True)]
    return jnp.concatenate([*blocks, design], axis=1), roots


def roots_of(grams: Arrays, levels: tuple[float, ...]) -> tuple[Root, ...]:
    """The root of each covariance of inducing values."""
    factors = [factor(matrix, levels) for matrix in grams]
    return tuple(Root(f.lower, f.jitter, inverse_of_lower(f.lower)) for f in factors)


def whiten(root: Root, cross: Array) -> Array:
    """K L^-T of covariances [n, m] with inducing values: features [n, m] of unit weights."""
    if is_large(cross):
        return solve_triangular(root.lower, cross.T).T
    return times_lower_transposed(cross, root.inverse)


class Sums(NamedTuple):
    """What the rows say of finite unknowns with one noise for each outcome, A = D R / noise."""

    inner: Array  # A'A [p, p]
    shift: Array  # A'r [p]
    root: Array  # R [p], the diagonal, or [p, p]
    design: Array  # D [n, p]


@jax.custom_jvp
def log_evidence_of_sums(
    inner: Array,
    shift: Array,
    root: Array,
    design: Array,
    square: Array,
    residual: Array,
    scale: Array,
) -> Array:
    """log N(r; 0, I + A A') of finite unknowns, a function of the sums A'A [p, p], A'r and r'r.

    Its gradient is that in the sums, -(S + w w') / 2, w and -1/2: no product with A. A = D R
    `scale` and `residual` r themselves only make the value precise, |r - A w|^2 being no difference
    of large numbers; A is never formed.
    """
    return _of_sums(inner, shift, root, design, residual, scale)[1]


def _of_sums(
    inner: Array, shift: Array, root: Array, design: Array, residual: Array, scale: Array
) -> tuple[Regression, Array]:
    found = posterior(design, (), inner=inner, shift=shift)
    weights = root * found.mean if root.ndim == 1 else root @ found.mean
    return found, _evidence(found, 0, residual - scale * (design @ weights))


@log_evidence_of_sums.defjvp
def _of_sums_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    inner, shift, root, design, _, residual, scale = primals
    found, value = _of_sums(inner, shift, root, design, residual, scale)
    slope = _inverse(found.factor) + jnp.outer(found.mean, found.mean)
    tangent = found.mean @ tangents[1] - 0.5 * (jnp.sum(slope * tangents[0]) + tangents[4])
    return value, tangent


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def log_evidence(
    grams: Arrays,
    crosses: Arrays,
    design: Array,
    residual: Array,
    levels: tuple[float, ...] = SPARSE,
) -> Array:
    """log N(r; 0, I + A A') + |A_functions|^2 / 2."""
    found = regression(grams, crosses, design, residual, levels)
    return evidence_of(found, _count(crosses), residual)


@log_evidence.defjvp
def _log_evidence_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Any, Any]:
    grams, crosses, design, residual = primals
    found = regression(grams, crosses, design, residual, levels)
    count, size = _count(crosses), found.features.shape[1]
    eye = jnp.eye(size)
    covariance = _inverse(found.factor)
    error = residual - found.features @ found.mean
    tangent = _tangent(
        found.features,
        found.roots,
        grams,
        error=error,
        mean=found.mean,
        gap=_less(covariance, count),
        pull=found.mean,  # A'e = A'r - N w = w
        inner=found.precision - eye,
        tangents=tangents,
    )
    return evidence_of(found, count, residual), tangent


def evidence_of(found: Regression, count: int, residual: Array) -> Array:
    """The value of `log_evidence`; the first `count` features are those of functions."""
    return _evidence(found, count, residual - found.features @ found.mean)


def _evidence(found: Regression, count: int, error: Array) -> Array:
    # |r - A w|^2 + |w|^2: no difference of large numbers.
    square = error @ error + found.mean @ found.mean
    log_determinant = jnp.sum(jnp.log(diagonal_of(found.factor.lower)))
    explained = jnp.trace(found.precision[:count, :count]) - count
    constant = 0.5 * len(error) * math.log(2 * math.pi)
    return -0.5 * square - log_determinant - constant + 0.5 * explained


@partial(jax.custom_jvp, nondiff_argnums=(6,))
def expected_evidence(
    grams: Arrays,
    crosses: Arrays,
    design: Array,
    residual: Array,
    mean: Array,
    covariance: Array,
    levels: tuple[float, ...] = SPARSE,
) -> tuple[Array, Moments]:
    """-(|e|^2 + tr((S - E) N)) / 2 under N(mean, covariance), and the moments of the rows, which
    are constants to a derivative."""
    features, _ = whitened(grams, crosses, design, levels)
    return _expected(features, residual, mean, _less(covariance, _count(crosses)))


@expected_evidence.defjvp
def _expected_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Any, Any]:
    grams, crosses, design, residual, mean, covariance = primals
    features, roots = whitened(grams, crosses, design, levels)
    gap = _less(covariance, _count(crosses))
    value, moments = _expected(features, residual, mean, gap)
    pull = moments.shift - moments.inner @ mean
    tangent = _tangent(
        features,
        roots,
        grams,
        error=residual - features @ mean,
        mean=mean,
        gap=gap,
        pull=pull,
        inner=moments.inner,
        tangents=tangents[:4],
    )
    tangent += pull @ tangents[4] - 0.5 * jnp.sum(moments.inner * tangents[5])
    return (value, moments), (tangent, jax.tree.map(jnp.zeros_like, moments))


def _expected(features: Array, residual: Array, mean: Array, gap: Array) -> tuple[Array, Moments]:
    error = residual - features @ mean
    inner = gram(features)
    value = -0.5 * (error @ error + jnp.sum(gap * inner))
    return value, Moments(features.T @ residual, inner)


def _tangent(
    features: Array,
    roots: tuple[Root, ...],
    grams: Arrays,
    *,
    error: Array,
    mean: Array,
    gap: Array,
    pull: Array,
    inner: Array,
    tangents: Any,
) -> Array:
    """The gradient above, in a direction. `gap` is G, `pull` A'e, `inner` N."""
    total = -error @ tangents[3]
    start = 0
    for root, matrix, matrix_change, change in zip(
        roots, grams, tangents[0], tangents[1], strict=True
    ):
        inverse = root.inverse
        own = slice(start, start + len(inverse))
        start = own.stop
        bent = gap[:, own] @ inverse  # [p, m]
        back = mean[own] @ inverse
        # e back' - A bent, as one product.
        both = jnp.concatenate([features, error[:, None]], axis=1)
        slope = both @ jnp.concatenate([-bent, back[None]])
        total += jnp.sum(slope * change)
        # dL = L Phi(L^-1 dK L^-T), Phi the lower triangle with half its diagonal (Murray 2016).
        turned = gap[own] @ inner[:, own] - jnp.outer(mean[own], pull[own])
        turned = jnp.tril(turned) - 0.5 * jnp.diag(diagonal_of(turned))
        slope = inverse.T @ (turned + turned.T) @ inverse
        # The jitter follows the mean diagonal.
        level = jax.lax.stop_gradient(root.jitter / jnp.mean(diagonal_of(matrix)))
        shift = level * jnp.mean(diagonal_of(matrix_change))
        total += 0.5 * (jnp.sum(slope * matrix_change) + shift * jnp.trace(slope))
    if start < features.shape[1]:
        slope = jnp.outer(error, mean[start:]) - features @ gap[:, start:]
        total += jnp.sum(slope * tangents[2])
    return total


def _inverse(root: Factor) -> Array:
    half = solve_triangular(root.lower, jnp.eye(len(root.lower)))
    return solve_triangular(root.lower, half, transposed=True)


def _less(covariance: Array, count: int) -> Array:
    """S - E."""
    index = jnp.arange(len(covariance))
    return covariance - jnp.diag((index < count).astype(covariance.dtype))


def _count(crosses: Arrays) -> int:
    return sum(cross.shape[1] for cross in crosses)
