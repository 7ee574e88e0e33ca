"""Predictors with a Normal law into the expected log density of what is observed at them.

Gauss-Hermite quadrature where each cell of the outcome reads one number, else an average over
draws; what is Normal about a predictor has a closed form (`mercer.runtime.engines.evidence`).
Derivatives of quadrature in mean and variance are what a natural gradient needs; draws give the
mean curvature themselves (Price's theorem: the derivative in the covariance is half the mean
Hessian).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.engines.missing import seen_law

NODES = 20
"""Of the quadrature: exact for polynomials up to degree 39, and the tails of usual links."""

At = Mapping[str, Array]


def quadrature(log_density: Callable[[Array], Array], mean: Array, variance: Array) -> Array:
    """E log p(y | eta), eta ~ N(mean, variance), cell by cell, by Gauss-Hermite quadrature."""
    nodes, weights = _hermite()
    sd = jnp.sqrt(variance)
    values = jax.vmap(lambda node: log_density(mean + sd * node))(nodes)
    return jnp.tensordot(weights, values, axes=1)


def curvature(log_density: Callable[[At], Array], at: At, rows: Mapping[str, int]) -> Array:
    """Minus the Hessian [B, K, K] of each row's log density in its K predictor cells.

    `rows[key]`: the axis of the rows in a predictor. Rows do not meet, so that one derivative of
    the gradient gives a column of all the rows' Hessians at once.
    """
    cells, unravel = in_cells(at, rows)

    def slope(cells: Array) -> Array:
        return jax.grad(lambda c: jnp.sum(log_density(unravel(c))))(cells)

    def column(unit: Array) -> Array:
        return jax.jvp(slope, (cells,), (jnp.broadcast_to(unit, cells.shape),))[1]

    return -jax.vmap(column, out_axes=-1)(jnp.eye(cells.shape[1]))


def in_cells(at: At, rows: Mapping[str, int]) -> tuple[Array, Callable[[Array], dict[str, Array]]]:
    """Predictors as cells [B, K], and back."""
    moved = {key: jnp.moveaxis(value, rows[key], 0) for key, value in at.items()}
    shapes = {key: value.shape for key, value in moved.items()}
    flat = [value.reshape(value.shape[0], -1) for value in moved.values()]

    def back(cells: Array) -> dict[str, Array]:
        result, start = {}, 0
        for key, shape in shapes.items():
            count = math.prod(shape[1:])
            part = cells[:, start : start + count].reshape(shape)
            result[key] = jnp.moveaxis(part, 0, rows[key])
            start += count
        return result

    return jnp.concatenate(flat, axis=1), back


def positive_part(matrices: Array) -> Array:
    """Symmetric matrices [B, K, K] without their negative eigenvalues: a precision needs none."""
    if matrices.shape[-1] == 1:
        return jnp.maximum(matrices, 0.0)
    values, vectors = jnp.linalg.eigh(0.5 * (matrices + jnp.swapaxes(matrices, -1, -2)))
    return jnp.einsum("bij,bj,bkj->bik", vectors, jnp.maximum(values, 0.0), vectors)


def seen_density(law: Any, value: Any) -> Array:
    """log p(y) of each cell, or of each vector; 0 where it is missing."""
    value = jnp.asarray(value)
    seen = ~jnp.isnan(value) if jnp.issubdtype(value.dtype, jnp.floating) else value >= 0
    law, cells = seen_law(law, seen)
    # A value of the support, where nothing was seen.
    some = value.reshape(-1)[jnp.argmax(seen.reshape(-1))]
    return jnp.where(cells, law.log_prob(jnp.where(seen, value, some)), 0.0)


def _hermite() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / math.sqrt(2 * math.pi)
