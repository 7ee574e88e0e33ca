"""Affine terms over sites into the covariances between their rows.

An `Affine` and its sites become `Rows`: parts, each a process, its site, and a coefficient matrix
that is never formed where it is diagonal or a gather. Sites of different processes are independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import diagonal_of, factor
from mercer.runtime.engines.terms import Affine, Process, RandomFunction, Site, Weights
from mercer.stdlib.points import covariance, variance

_DESIGN = 1 << 24
"""Entries of a matrix of coefficients that may be formed."""

Processes = Mapping[str, Process]
Sites = Mapping[str, Site]


class Part(NamedTuple):
    """Row i reads sum_r coefficient[i, r] * value[index[i, r]] of one site."""

    site: Site
    coefficient: Any
    index: Array | None  # None: row i reads value i


class Rows(NamedTuple):
    """n quantities affine in sites."""

    constant: Array  # [n]
    parts: tuple[Part, ...]


def rows(affine: Affine, sites: Sites, keep: Array | None = None) -> Rows:
    """The rows of an affine vector, or those at the integer indices `keep`."""
    n = math.prod(affine.shape)
    constant = spread(affine.constant, affine.shape)
    parts = []
    for term in affine.terms:
        site, coefficient, index = sites[term.site], term.coefficient, term.index
        coefficient = _by_row(coefficient, n)
        if index is not None:
            index = jnp.asarray(index)
            index = index.reshape(n) if index.size == n else index.reshape(n, -1)
        elif jnp.ndim(coefficient) == 2:
            coefficient = coefficient[:, 0]
        if index is None and site.points is not None and keep is not None:
            # Fewer points, rather than rows of a larger matrix.
            # As arrays of JAX: those of NumPy cannot be indexed by what is traced.
            points = jax.tree.map(lambda leaf: jnp.asarray(leaf)[keep], site.points)
            site = replace(site, points=points, size=len(keep))
        elif index is None and site.features is not None and keep is not None:
            labels = None if site.labels is None else jnp.asarray(site.labels)[keep]
            features = jnp.asarray(site.features)[keep]
            site = replace(site, features=features, labels=labels, size=len(keep))
        elif keep is not None:
            index = keep if index is None else index[keep]
        if keep is not None and jnp.ndim(coefficient) > 0:
            coefficient = coefficient[keep]
        parts.append(Part(site, coefficient, index))
    return Rows(constant if keep is None else constant[keep], tuple(parts))


def spread(value: Any, shape: tuple[int, ...]) -> Array:
    """A scalar, an array of `shape` or a flat one, as a flat array of floats."""
    value = jnp.asarray(value, float)
    n = math.prod(shape)
    return value.reshape(n) if value.size == n else jnp.broadcast_to(value, shape).reshape(n)


def site_covariance(processes: Processes, a: Site, b: Site) -> Array | None:
    """Covariance [N, M] between the values of two sites of functions; None: independent."""
    if a.process != b.process:
        return None
    process = processes[a.process]
    assert isinstance(process, RandomFunction)
    matrix = covariance(process.kernel, a.points, b.points)
    left, right = a.points.output, b.points.output
    if left is None or right is None:
        return matrix
    if process.outputs is None:
        return jnp.where(left[:, None] == right, matrix, 0.0)
    return matrix * process.outputs[left][:, right]


def weights_count(process: Weights, site: Site) -> int:
    """How many weights there are behind a site of them."""
    return site.size if site.features is None else jnp.shape(process.sd)[0]


def site_values(site: Site, weights: Array) -> Array:
    """The values [N] of a site of weights [p], given these."""
    if site.features is None:
        return weights
    copies = weights.reshape(-1, site.features.shape[1])
    if site.labels is None:
        return site.features @ copies[0]
    return jnp.sum(site.features * copies[site.labels], axis=1)


def weights_root(process: Weights, size: int) -> Array:
    """A square root of the prior covariance: [p], its diagonal, or the factor [p, p]."""
    if process.covariance is not None:
        return factor(process.covariance).lower
    return jnp.broadcast_to(jnp.asarray(process.sd, float), (size,))


def apply(part: Part, matrix: Array) -> Array:
    """The coefficient matrix of a part times a matrix (or vector) over its site's values."""
    scale, index = part.coefficient, part.index
    wide = matrix.ndim == 2
    if index is None and isinstance(scale, int | float) and scale == 1:
        return matrix
    c = jnp.asarray(scale)
    if index is None:
        return (c[:, None] if wide and jnp.ndim(c) else c) * matrix
    if index.ndim == 1:
        c = c[:, 0] if c.ndim == 2 else c
        return (c[:, None] if wide and jnp.ndim(c) else c) * matrix[index]
    # One matrix product is then cheaper than the gathers.
    if index.shape[1] > 4 and index.shape[0] * part.site.size <= _DESIGN:
        return design(part, index.shape[0]) @ matrix
    c = jnp.broadcast_to(c[:, None] if jnp.ndim(c) == 1 else c, index.shape)
    columns = [
        (c[:, r, None] if wide else c[:, r]) * matrix[index[:, r]] for r in range(index.shape[1])
    ]
    return sum(columns[1:], columns[0])


def design(part: Part, n: int) -> Array:
    """The coefficient matrix [n, size] of a part, dense."""
    index = jnp.arange(n) if part.index is None else part.index
    c = part.coefficient
    if jnp.ndim(c) == 1 and index.ndim == 2:
        c = c[:, None]
    if jnp.ndim(c) == 2 and index.ndim == 1:
        index = index[:, None]
    c = jnp.broadcast_to(c, index.shape)
    row = jnp.arange(n) if index.ndim == 1 else jnp.arange(n)[:, None]
    return jnp.zeros((n, part.site.size)).at[row, index].add(c)


def weighted_design(processes: Processes, name: str, quantity: Rows) -> Array:
    """Coefficients [n, p] of the whitened weights `name`: design times the prior's root."""
    total = plain_design(processes, name, quantity)
    process = processes[name]
    assert isinstance(process, Weights)
    root = weights_root(process, total.shape[1])
    return total * root if root.ndim == 1 else total @ root


def plain_design(processes: Processes, name: str, quantity: Rows) -> Array:
    """Coefficients [n, p] of the weights `name` themselves."""
    n = len(quantity.constant)
    process = processes[name]
    assert isinstance(process, Weights)
    parts = [p for p in quantity.parts if p.site.process == name]
    count = weights_count(process, parts[0].site)
    blocks = [
        design(p, n) if p.site.features is None else apply(p, _feature_design(p.site, count))
        for p in parts
    ]
    return sum(blocks[1:], blocks[0])


def _feature_design(site: Site, count: int) -> Array:
    """The values of a site as a matrix [N, p] times all p weights."""
    assert site.features is not None
    n, k = site.features.shape
    if site.labels is None or k == count:
        return site.features
    empty = jnp.zeros((n, count // k, k))
    return empty.at[jnp.arange(n), site.labels].set(site.features).reshape(n, count)


def rows_covariance(processes: Processes, a: Rows, b: Rows) -> Array:
    """Prior covariance [n, m] between two vectors of rows."""
    blocks = []
    for name, process in processes.items():
        left = [p for p in a.parts if p.site.process == name]
        right = [p for p in b.parts if p.site.process == name]
        if not (left and right):
            continue
        if isinstance(process, Weights):
            root = weighted_design(processes, name, a)
            blocks.append(root @ (root if a is b else weighted_design(processes, name, b)).T)
            continue
        for p in left:
            for q in right:
                matrix = site_covariance(processes, p.site, q.site)
                assert matrix is not None
                blocks.append(apply(q, apply(p, matrix).T).T if _scales(q) else apply(p, matrix))
    if not blocks:
        return jnp.zeros((len(a.constant), len(b.constant)))
    return sum(blocks[1:], blocks[0])


def rows_variance(processes: Processes, a: Rows) -> Array:
    """Prior variance [n] of each row: O(n) evaluations of the kernels."""
    total = jnp.zeros(len(a.constant))
    for name, process in processes.items():
        parts = [p for p in a.parts if p.site.process == name]
        if not parts:
            continue
        if isinstance(process, Weights):
            total += jnp.sum(weighted_design(processes, name, a) ** 2, axis=1)
        elif len(parts) == 1 and (parts[0].index is None or parts[0].index.ndim == 1):
            part, points = parts[0], parts[0].site.points
            own = variance(process.kernel, points)
            if points.output is not None and process.outputs is not None:
                own = own * diagonal_of(process.outputs)[points.output]
            total += apply(part._replace(coefficient=part.coefficient**2), own)
        else:
            total += jax.vmap(lambda i, parts=parts: _one_variance(processes, parts, i))(
                jnp.arange(len(total))
            )
    return total


def site_variance(processes: Processes, site: Site) -> Array:
    """Prior variance [N] of the values of a site."""
    return rows_variance(processes, Rows(jnp.zeros(site.size), (Part(site, 1.0, None),)))


def evaluate(quantity: Rows, values: Mapping[int, Array]) -> Array:
    """The rows [n] at given values of their parts (keyed by position)."""
    total = quantity.constant
    for k, part in enumerate(quantity.parts):
        total = total + apply(part, values[k])
    return total


def _by_row(coefficient: Any, n: int) -> Any:
    if isinstance(coefficient, int | float) or jnp.ndim(coefficient) == 0:
        return coefficient
    coefficient = jnp.asarray(coefficient)
    return coefficient.reshape(n) if coefficient.size == n else coefficient.reshape(n, -1)


def _scales(part: Part) -> bool:
    return not (
        part.index is None and isinstance(part.coefficient, int | float) and part.coefficient == 1
    )


def _one_variance(processes: Processes, parts: list[Part], i: Array) -> Array:
    """Variance of row i, over all the points that it reads."""
    picked, coefficients = [], []
    for part in parts:
        index = (i if part.index is None else part.index[i]).reshape(-1)
        c = part.coefficient[i] if jnp.ndim(part.coefficient) else part.coefficient
        picked.append(jax.tree.map(lambda leaf, k=index: leaf[k], part.site.points))
        coefficients.append(jnp.broadcast_to(jnp.asarray(c, float), index.shape))
    total = jnp.zeros(())
    name = parts[0].site.process
    for p, c in zip(picked, coefficients, strict=True):
        for q, e in zip(picked, coefficients, strict=True):
            # Operators may differ from part to part, so the points are not stacked.
            block = site_covariance(processes, Site(name, p, len(c)), Site(name, q, len(e)))
            assert block is not None
            total += c @ block @ e
    return total
