"""Normal outcomes behind functions into regressions on whitened coordinates, and what these say.

With draws of the layers inside, each draw is but more rows of one regression, as long as inducing
points do not depend on draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.evidence import Arrays, Moments, expected_evidence
from mercer.runtime.engines.sites import rows, spread
from mercer.runtime.engines.terms import Gaussian
from mercer.runtime.engines.variational import Variational
from mercer.runtime.methods.natural import Normal


class Look(NamedTuple):
    """How one outcome looks at the whitened coordinates: R predictor cells, K of each row. An
    outcome that is Normal says all by its `Moments`.

    `curvature` [B, K, K] where draws give it; None: minus twice the derivative in the variance.
    """

    features: Array  # [R, p]
    linear: Array  # [R], features times mean
    variance: Array  # [R]
    curvature: Array | None


class Regressed(NamedTuple):
    """A Normal outcome in units of its noise: covariances with inducing values [n, m], features of
    finite unknowns [n, q], residuals [n]; and what does not depend on the law."""

    crosses: Arrays
    design: Array
    residual: Array
    constant: Array


def regressed(block: Variational, outcome: Gaussian, value: Any, weights: Array) -> Regressed:
    """An outcome at some rows; `weights` [n]: 0 where a row does not count."""
    noise, target = spread(outcome.noise, outcome.mean.shape), rows(outcome.mean, block.sites)
    value = jnp.reshape(value, -1)
    seen = jnp.isfinite(value)
    weights = jnp.where(seen, weights, 0.0)
    scale = jnp.sqrt(weights) / noise
    mean, variance = block.of_apart(target)
    residual = (jnp.where(seen, value, 0.0) - target.constant - mean) * scale
    crosses, design = block.columns(target)
    crosses = tuple(cross * scale[:, None] for cross in crosses)
    constant = jnp.log(noise) + 0.5 * math.log(2 * math.pi)
    constant += 0.5 * (block.prior_variance(target) + variance) / noise**2
    return Regressed(crosses, design * scale[:, None], residual, -(weights @ constant))


def as_one(each: Regressed) -> Regressed:
    """The mean over several, the leading axis, as one of all their rows."""
    draws, size = each.residual.shape
    crosses, design, residual = jax.tree.map(
        lambda leaf: leaf.reshape(draws * size, *leaf.shape[2:]) / math.sqrt(draws), each[:3]
    )
    return Regressed(crosses, design, residual, each.constant.mean())


def with_closed(
    total: Array,
    looks: dict[str, Look | Moments],
    grams: Arrays,
    closed: Mapping[str, Regressed],
    law: Normal,
) -> tuple[Array, dict[str, Look | Moments]]:
    """An expectation with that of Normal outcomes: the sum over rows, without their variances one
    by one (`mercer.runtime.engines.evidence`)."""
    for name, seen in closed.items():
        found, looks[name] = expected_evidence(grams, *seen[:3], law.mean, law.covariance)
        total += found + seen.constant
    return total, looks
