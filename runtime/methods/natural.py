"""A Normal law in its natural parameters, and the natural gradient step, which mixes them.

    q(v) = N(m, S),   precision P = S^-1,   shift h = P m,   prior N(0, I)

With a_i and w_i the derivative of the expected log density of row i in its predictor and minus its
mean curvature, the natural gradient of the bound leads to

    P* = I + sum_i w_i phi_i phi_i',     h* = sum_i (a_i + w_i phi_i' m) phi_i,

and a step of length t to (1 - t) P + t P*, (1 - t) h + t h* (Khan & Lin 2017; Salimbeni et al.
2018). With a Normal outcome and all rows a step of length 1 is the exact posterior. Unknowns of
very many entries stand apart: each entry has a law of its own, independent of all else. All laws
move at once, those of entries 1/k of the way where a row reads k of them: with the other half of
2 (a^2 + k sum b^2) >= (a + sum b)^2 that is never too far, so that they settle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import factor, inverse_from_factor, solve_triangular

Pairs = Mapping[str, tuple[Array, Array]]


class Natural(NamedTuple):
    """q by its shift h [p] and its precision P [p, p]; `apart`: shifts and precisions of entries,
    by the name of the unknown."""

    shift: Array
    precision: Array
    apart: Pairs


class Normal(NamedTuple):
    """q by its mean m [p], the lower factor of its precision, and its covariance S [p, p]; `apart`:
    means and variances of entries, by the name of the unknown."""

    mean: Array
    root: Array
    covariance: Array
    apart: Pairs


def standard(size: int, apart: Mapping[str, int] | None = None) -> Natural:
    """The prior, N(0, I); `apart`: the numbers of entries."""
    entries = {name: (jnp.zeros(n), jnp.ones(n)) for name, n in (apart or {}).items()}
    return Natural(jnp.zeros(size), jnp.eye(size), entries)


def standard_law(size: int, apart: Mapping[str, int] | None = None) -> Normal:
    """The same by its moments: no factorisation."""
    q = standard(size, apart)
    return Normal(q.shift, q.precision, q.precision, q.apart)


def solved(q: Natural) -> Normal:
    """Mean, root and covariance: one factorisation. No eigenvalue of the precision is below 1."""
    root = factor(q.precision, (0.0,)).lower
    half = solve_triangular(root, q.shift)
    mean = solve_triangular(root, half, transposed=True)
    apart = {name: (shift / own, 1.0 / own) for name, (shift, own) in q.apart.items()}
    return Normal(mean, root, inverse_from_factor(root), apart)


def mixed(
    q: Natural, target: Natural, length: Array | float, apart: Array | float | None = None
) -> Natural:
    """The natural parameters a part of the way to others; `apart`: the part of the way of entries
    that stand apart."""

    def between(a: Any, b: Any, part: Array | float) -> Any:
        return jax.tree.map(lambda a, b: (1.0 - part) * a + part * b, a, b)

    entries = between(q.apart, target.apart, length if apart is None else apart)
    shift, precision = between(q[:2], target[:2], length)
    return Natural(shift, precision, entries)


def divergence(q: Normal) -> Array:
    """KL(q, N(0, I)) = (tr S + |m|^2 - p - log|S|) / 2."""
    log_determinant = 2.0 * jnp.sum(jnp.log(jnp.diagonal(q.root)))
    total = jnp.trace(q.covariance) + q.mean @ q.mean - len(q.mean) + log_determinant
    for mean, own in q.apart.values():
        total += jnp.sum(own + mean**2 - 1.0 - jnp.log(own))
    return 0.5 * total


def variance(q: Normal, features: Array) -> Array:
    """phi' S phi of each of the features [n, p]."""
    return jnp.sum((features @ q.covariance) * features, axis=1)
