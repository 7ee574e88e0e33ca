"""The covariance of all observed rows into its products with vectors, a tile at a time.

    C = A K A' + W W' + diag(noise^2) [n, n]

K are the functions' covariances, W [n, p] the whitened columns of finite unknowns. C is never
stored: tiles of `TILE` rows and columns are computed anew for each product, small enough for the
cache of one core, and each serves the rows above the diagonal and those below. Vectors lie along
the last axis, [s, n]: a product of few vectors with a tile is then as fast as one of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mercer.runtime.engines.sites import (
    Part,
    Processes,
    Rows,
    rows_covariance,
    rows_variance,
    weighted_design,
)
from mercer.runtime.engines.terms import RandomFunction, Weights

TILE = 256
"""Rows and columns: half a megabyte of float64, which a core keeps beside what it is made of."""


class Covariance(NamedTuple):
    """C as above: random functions, the rows that look at them (one group for each outcome or
    site), the columns W [n, p], and standard deviations of the noise [n]."""

    processes: Processes
    groups: tuple[Rows, ...]
    design: Array
    noise: Array

    @property
    def size(self) -> int:
        return len(self.noise)


def covariance_of(processes: Processes, groups: tuple[Rows, ...], noise: Array) -> Covariance:
    """C of groups of rows under processes of both kinds."""
    functions = {k: p for k, p in processes.items() if isinstance(p, RandomFunction)}
    return Covariance(
        functions,
        tuple(_of_functions(group, functions) for group in groups),
        designs(processes, groups),
        noise,
    )


def designs(processes: Processes, groups: tuple[Rows, ...]) -> Array:
    """W [n, p], no columns where there are no finite unknowns."""
    blocks = []
    for name, process in processes.items():
        if not isinstance(process, Weights):
            continue
        reads = [any(part.site.process == name for part in g.parts) for g in groups]
        if not any(reads):
            continue
        own = [
            weighted_design(processes, name, g) if has else None
            for g, has in zip(groups, reads, strict=True)
        ]
        width = next(block.shape[1] for block in own if block is not None)
        whole = [
            jnp.zeros((len(g.constant), width)) if block is None else block
            for g, block in zip(groups, own, strict=True)
        ]
        blocks.append(jnp.concatenate(whole))
    if not blocks:
        return jnp.zeros((sum(len(g.constant) for g in groups), 0))
    return jnp.concatenate(blocks, axis=1)


def product(matrix: Covariance, vectors: Array) -> Array:
    """C times each of `vectors` [s, n]."""
    laid = _Layout(matrix.groups)
    blocks = laid.blocks(vectors)
    out = jnp.zeros_like(blocks)
    for a, b, pairs in laid.pairs():

        def step(out: Array, pair: Any, a: int = a, b: int = b) -> tuple[Array, None]:
            i, j = pair
            first, second = laid.start[a] + i, laid.start[b] + j
            tile = laid.tile(matrix.processes, matrix.groups, (a, b), (i, j))
            out = out.at[second].add(blocks[first] @ tile)
            other = blocks[second] @ tile.T
            return out.at[first].add(jnp.where(first == second, 0.0, other)), None

        out, _ = lax.scan(step, out, pairs)
    own = vectors @ matrix.design
    return laid.vectors(out) + own @ matrix.design.T + matrix.noise**2 * vectors


def cross_product(
    processes: Processes, groups: tuple[Rows, ...], target: Rows, vectors: Array
) -> Array:
    """Prior covariances of a target's rows [N] with those of groups, times `vectors` [s, n]."""
    functions = {k: p for k, p in processes.items() if isinstance(p, RandomFunction)}
    seen, wanted = (tuple(_of_functions(g, functions) for g in gs) for gs in (groups, (target,)))
    laid, own = _Layout(seen), _Layout(wanted)
    blocks = laid.blocks(vectors)

    def rows_of(j: Array) -> Array:
        right = picked(wanted[0], own.places(0, j))
        total = jnp.zeros((len(vectors), own.width))
        for a, group in enumerate(seen):

            def step(total: Array, i: Array, a: int = a, group: Rows = group) -> tuple[Array, None]:
                tile = rows_covariance(functions, picked(group, laid.places(a, i)), right)
                return total + blocks[laid.start[a] + i] @ tile, None

            total, _ = lax.scan(step, total, jnp.arange(laid.counts[a]))
        return total

    found = own.vectors(lax.map(rows_of, jnp.arange(own.counts[0])))
    both = designs(processes, (*groups, target))
    count = len(both) - len(target.constant)
    return found + (vectors @ both[:count]) @ both[count:].T


def columns(matrix: Covariance, places: Array) -> Array:
    """Columns [n, m] of A K A' + W W', without the noise."""
    laid = _Layout(matrix.groups)
    found = []
    for group in matrix.groups:
        total = jnp.zeros((len(group.constant), len(places)))
        for a, other in enumerate(matrix.groups):
            own = places - laid.offset[a]
            size = len(other.constant)
            inside = (own >= 0) & (own < size)
            few = picked(other, jnp.clip(own, 0, size - 1))
            total += jnp.where(inside, rows_covariance(matrix.processes, group, few), 0.0)
        found.append(total)
    return jnp.concatenate(found) + matrix.design @ matrix.design[places].T


def diagonal(matrix: Covariance) -> Array:
    """The diagonal [n] of A K A' + W W'."""
    own = [rows_variance(matrix.processes, group) for group in matrix.groups]
    return jnp.concatenate(own) + jnp.sum(matrix.design**2, axis=1)


def slope_of_forms(
    rebuild: Callable[[Any], Covariance], given: Any, left: Array, right: Array
) -> Any:
    """The derivative of sum_s left_s' C right_s in `given`, of which `rebuild` makes C: one pass
    over the tiles, each differentiated by itself."""
    matrix = rebuild(given)
    laid = _Layout(matrix.groups)
    lefts, rights = laid.blocks(left), laid.blocks(right)

    def rest(given: Any) -> Array:
        own = rebuild(given)
        inner = jnp.sum((left @ own.design) * (right @ own.design))
        return inner + jnp.sum(jnp.sum(left * right, axis=0) * own.noise**2)

    total = jax.grad(rest)(given)
    for a, b, pairs in laid.pairs():

        def step(total: Any, pair: Any, a: int = a, b: int = b) -> tuple[Any, None]:
            i, j = pair
            first, second = laid.start[a] + i, laid.start[b] + j
            weight = lefts[first].T @ rights[second]
            other = rights[first].T @ lefts[second]
            weight += jnp.where(first == second, 0.0, other)

            def value(given: Any) -> Array:
                own = rebuild(given)
                return jnp.sum(weight * laid.tile(own.processes, own.groups, (a, b), (i, j)))

            return jax.tree.map(jnp.add, total, jax.grad(value)(given)), None

        total, _ = lax.scan(step, total, pairs)
    return total


def picked(quantity: Rows, places: Array) -> Rows:
    """Some rows, with the points that they read and no others."""
    parts = []
    for part in quantity.parts:
        site, coefficient = part.site, part.coefficient
        if jnp.ndim(coefficient):
            coefficient = jnp.asarray(coefficient)[places]
        if site.points is None:
            parts.append(_picked_weights(part._replace(coefficient=coefficient), places))
            continue
        reads = places if part.index is None else jnp.asarray(part.index)[places]
        flat = reads.reshape(-1)
        points = jax.tree.map(lambda leaf, at=flat: jnp.asarray(leaf)[at], site.points)
        site = replace(site, points=points, size=len(flat))
        if reads.ndim == 1:
            coefficient = coefficient[:, 0] if jnp.ndim(coefficient) == 2 else coefficient
            parts.append(Part(site, coefficient, None))
        else:
            parts.append(Part(site, coefficient, jnp.arange(len(flat)).reshape(reads.shape)))
    return Rows(quantity.constant[places], tuple(parts))


class _Layout:
    """Groups of rows cut into tiles of one width, the last of each group filled up with zeros."""

    def __init__(self, groups: tuple[Rows, ...]) -> None:
        sizes = [len(group.constant) for group in groups]
        self.groups, self.sizes = groups, sizes
        self.width = min(TILE, max(sizes))
        self.counts = [-(-size // self.width) for size in sizes]
        self.start = np.concatenate([[0], np.cumsum(self.counts)]).astype(int)
        self.offset = np.concatenate([[0], np.cumsum(sizes)]).astype(int)

    def places(self, a: int, i: Any) -> Array:
        """The rows of a tile; those that fill it up are the last one again."""
        return jnp.minimum(i * self.width + jnp.arange(self.width), self.sizes[a] - 1)

    def tile(
        self,
        processes: Processes,
        groups: tuple[Rows, ...],
        which: tuple[int, int],
        place: tuple[Any, Any],
    ) -> Array:
        left, right = (
            picked(groups[a], self.places(a, i)) for a, i in zip(which, place, strict=True)
        )
        return rows_covariance(processes, left, right)

    def pairs(self) -> Iterator[tuple[int, int, tuple[Array, Array]]]:
        """Pairs of groups, and of the tiles of each that lie on or above the diagonal."""
        for a, count in enumerate(self.counts):
            for b in range(a, len(self.counts)):
                if a == b:
                    first, second = np.triu_indices(count)
                else:
                    first, second = np.indices((count, self.counts[b])).reshape(2, -1)
                yield a, b, (jnp.asarray(first), jnp.asarray(second))

    def blocks(self, vectors: Array) -> Array:
        """[s, n] as [tiles, s, width], zeros where a tile is filled up."""
        found = []
        for a, size in enumerate(self.sizes):
            own = vectors[:, self.offset[a] : self.offset[a] + size]
            own = jnp.pad(own, ((0, 0), (0, self.counts[a] * self.width - size)))
            found.append(own.reshape(len(vectors), self.counts[a], self.width))
        return jnp.swapaxes(jnp.concatenate(found, axis=1), 0, 1)

    def vectors(self, blocks: Array) -> Array:
        """The way back."""
        found = []
        for a, size in enumerate(self.sizes):
            own = jnp.swapaxes(blocks[self.start[a] : self.start[a + 1]], 0, 1)
            found.append(own.reshape(blocks.shape[1], -1)[:, :size])
        return jnp.concatenate(found, axis=1)


def _of_functions(group: Rows, functions: Processes) -> Rows:
    return group._replace(parts=tuple(p for p in group.parts if p.site.process in functions))


def _picked_weights(part: Part, places: Array) -> Part:
    """Rows of finite unknowns, which read as many of them as before."""
    site, index = part.site, part.index
    if index is not None:
        return part._replace(index=jnp.asarray(index)[places])
    if site.features is None:
        return part._replace(index=places)
    labels = None if site.labels is None else jnp.asarray(site.labels)[places]
    features = jnp.asarray(site.features)[places]
    return part._replace(site=replace(site, features=features, labels=labels, size=len(places)))
