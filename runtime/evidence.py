"""Features of rows into the log evidence of a linear regression on them, with its gradient.

    r = A v + e,   v ~ N(0, I),   e ~ N(0, I),   B = I + A'A [p, p],   w = B^-1 A'r

Columns of A are the whitened weights (`design`), and of each random function its covariances with
its m inducing values, whitened: K L^-T, with `cross` K [n, m] and `gram` L L' [m, m]. The value is

    log N(r; 0, I + A A') + |A_functions|^2 / 2,

whose second part is what of the trace term of the collapsed bound (Titsias 2009, eq. 9) depends on
the features. Its gradient is written out (E: the columns of functions, e = r - A w):

    to K:    e (L^-T w)' + A (E - B^-1) L^-1
    to L L': -L^-T (w w' + B + B^-1 - 2 E) L^-1 / 2
    to the design: e w' - A B^-1,      to r: -e

That is one product [n, p] x [p, m] beyond the two that the value takes, where differentiating the
value piece by piece takes five. The pieces have derivative rules of their own, for Hessians.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.cholesky import Factor, factor, solve_triangular

SPARSE = (1e-10, 1e-8, 1e-6, 1e-4)
"""Jitter of the covariance of inducing values: noise-free, and its inverse enters the gradient."""

_PRECISE = (0.0,)  # I + A'A has no eigenvalue below 1

Arrays = tuple[Array, ...]


class Regression(NamedTuple):
    """What all the verbs of an engine share."""

    features: Array  # A [n, p]
    roots: tuple[Factor, ...]  # of the grams
    precision: Array  # B [p, p]
    factor: Factor  # of B
    mean: Array  # w [p]


def regression(
    grams: Arrays, crosses: Arrays, design: Array, residual: Array, levels: tuple[float, ...]
) -> Regression:
    """The posterior N(w, B^-1) of the whitened coordinates."""
    roots = tuple(factor(gram, levels) for gram in grams)
    whitened = [whiten(root, cross) for root, cross in zip(roots, crosses, strict=True)]
    features = jnp.concatenate([*whitened, design], axis=1)
    precision = jnp.eye(features.shape[1]) + features.T @ features
    root = factor(precision, _PRECISE)
    half = solve_triangular(root.lower, features.T @ residual)
    mean = solve_triangular(root.lower, half, transposed=True)
    return Regression(features, roots, precision, root, mean)


def whiten(root: Factor, cross: Array) -> Array:
    """K L^-T of covariances [n, m] with inducing values: features [n, m] of unit weights."""
    return solve_triangular(root.lower, cross.T).T


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def log_evidence(
    grams: Arrays,
    crosses: Arrays,
    design: Array,
    residual: Array,
    levels: tuple[float, ...] = SPARSE,
) -> Array:
    """log N(r; 0, I + A A') + |A_functions|^2 / 2, as above."""
    found = regression(grams, crosses, design, residual, levels)
    return evidence_of(found, _count(crosses), residual)


@log_evidence.defjvp
def _log_evidence_jvp(levels: tuple[float, ...], primals: Any, tangents: Any) -> tuple[Any, Any]:
    grams, crosses, design, residual = primals
    found = regression(grams, crosses, design, residual, levels)
    total, count = found.features.shape[1], _count(crosses)
    error = residual - found.features @ found.mean
    eye = jnp.eye(total)
    inverse = _inverse(found.factor.lower, eye)
    of_functions = eye.at[count:, count:].set(0.0)
    tangent = -error @ tangents[3]
    slope = jnp.outer(error, found.mean[count:]) - found.features @ inverse[:, count:]
    tangent += jnp.sum(slope * tangents[2])
    start = 0
    for k, root in enumerate(found.roots):
        own = slice(start, start + len(root.lower))
        start = own.stop
        weights = found.mean[own]
        lower = root.lower

        def right(matrix: Array, lower: Array = lower) -> Array:
            """matrix L^-1"""
            return solve_triangular(lower, matrix.T, transposed=True).T

        back = solve_triangular(lower, weights, transposed=True)
        slope = error[:, None] * back + found.features @ right((of_functions - inverse)[:, own])
        tangent += jnp.sum(slope * tangents[1][k])
        inner = jnp.outer(weights, weights) + (found.precision + inverse)[own, own]
        inner = right(right(inner - 2 * jnp.eye(len(lower))).T)
        change = tangents[0][k]
        # The jitter follows the mean diagonal.
        level = root.jitter / jnp.mean(jnp.diagonal(grams[k]))
        shift = jax.lax.stop_gradient(level) * jnp.mean(jnp.diagonal(change))
        tangent += -0.5 * (jnp.sum(inner * change) + shift * jnp.trace(inner))
    return evidence_of(found, count, residual), tangent


def evidence_of(found: Regression, count: int, residual: Array) -> Array:
    """The value of `log_evidence`; the first `count` features are those of functions."""
    # |r - A w|^2 + |w|^2: no difference of large numbers.
    error = residual - found.features @ found.mean
    square = error @ error + found.mean @ found.mean
    log_determinant = jnp.sum(jnp.log(jnp.diagonal(found.factor.lower)))
    explained = jnp.trace(found.precision[:count, :count]) - count
    constant = 0.5 * len(residual) * math.log(2 * math.pi)
    return -0.5 * square - log_determinant - constant + 0.5 * explained


def _inverse(lower: Array, eye: Array) -> Array:
    return solve_triangular(lower, solve_triangular(lower, eye), transposed=True)


def _count(crosses: Arrays) -> int:
    return sum(cross.shape[1] for cross in crosses)
