"""One factor of a product, its prior and the messages to it, into its law and their evidence.

    log Z = log of the integral of  p(u) exp(shift' u - u' precision u / 2)

A message is as good as `rank` observations of each group with unit noise: with precision L L',
z = L^-1 shift is L' u + N(0, 1). So the engines of Gaussian blocks serve: along a line `Markov`,
elsewhere `Dense`; finite unknowns are solved group by group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.dense import Dense
from mercer.runtime.engines.factors import Groups, Message, Moments, Shape
from mercer.runtime.engines.markov import Markov
from mercer.runtime.engines.sites import rows as rows_of
from mercer.runtime.engines.sites import spread, weights_root
from mercer.runtime.engines.terms import (
    Affine,
    Gaussian,
    Process,
    RandomFunction,
    Site,
    Term,
    Timeline,
    Weights,
)

POINTS = "points of a mode"
"""The site of the distinct points of a function."""

_FLOOR = 1e-12
"""Relative to its mean diagonal, what is added to a precision that may be singular."""


class Placed(NamedTuple):
    """A factor at its groups: `site` of its own entries, `index` [count, rank] into the entries of
    the site of the fit, and the prior `mean` [count, rank]."""

    site: Site
    index: Array
    mean: Array


def placed(groups: Groups, site: Site, index: Array, quantity: Affine) -> Placed:
    """A factor at its groups, from what its program says of all rows."""
    index = jnp.asarray(index)
    index = index.reshape(len(index), -1)[jnp.asarray(groups.reader)]
    mean = spread(quantity.constant, quantity.shape)[index]
    if site.points is None:
        return Placed(site, index, mean)
    points = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index.reshape(-1)], site.points)
    return Placed(Site(site.process, points, index.size), index, mean)


def solved(
    shape: Shape, groups: Groups, at: Placed, process: Process, message: Message
) -> tuple[Array, Moments]:
    """log Z, and the law of each group."""
    mean, (precision, shift) = at.mean, message
    constant = jnp.sum(mean * shift) - 0.5 * jnp.einsum("gi,gij,gj->", mean, precision, mean)
    around = Message(precision, shift - jnp.einsum("gij,gj->gi", precision, mean))
    if isinstance(process, Weights):
        variance = weights_root(process, at.site.size)[at.index] ** 2
        log_z, found = _finite(variance, around)
    else:
        block, value = engine(shape, groups, at, process, around)
        log_z = block.log_density() + 0.5 * jnp.sum(value**2) + 0.5 * value.size * _LOG_TWO_PI
        affine = Affine(0.0, (Term(POINTS),), (at.index.size,))
        if isinstance(block, Markov):
            found = Moments(*block.condition_together(affine, shape.rank))
        else:
            own, covariance = block.condition({}, affine, full=True)
            covariance = covariance.reshape(*(shape.count, shape.rank) * 2)
            covariance = jnp.einsum("gigj->gij", covariance)
            found = Moments(own.reshape(shape.count, shape.rank), covariance)
    return log_z + constant, Moments(found.mean + mean, found.covariance)


def engine(
    shape: Shape, groups: Groups, at: Placed, process: RandomFunction, message: Message
) -> tuple[Dense | Markov, Array]:
    """The engine that knows the messages to a function as observations, and their values."""
    count, rank = shape.count, shape.rank
    root, value = observations_of(message)
    site, process = at.site, joined(shape, process)
    turned = jnp.swapaxes(root, 1, 2).reshape(count * rank, rank)  # row (g, i) is L'[g, i]
    first = jnp.repeat(jnp.arange(count) * rank, rank)
    terms = tuple(Term(POINTS, turned[:, j], first + j) for j in range(rank))
    chain = jnp.asarray(groups.chain) * rank
    every = jnp.arange(count * rank)
    timeline = Timeline(jnp.zeros(0, int), every, every, chain)
    law = Gaussian(Affine(0.0, terms, (count * rank,)), 1.0, timeline)
    observed: Any = {POINTS: (law, value.reshape(-1), None)}
    if shape.kind == "line":
        return Markov({shape.process: process}, {POINTS: site}, observed), value
    law = Gaussian(law.mean, 1.0)
    return Dense(
        {shape.process: process}, {POINTS: site}, {POINTS: (law, *observed[POINTS][1:])}
    ), value


def joined(shape: Shape, process: RandomFunction) -> RandomFunction:
    """A function whose outputs, independent a priori, are seen together."""
    if process.outputs is not None or shape.rank == 1:
        return process
    return RandomFunction(process.kernel, jnp.eye(shape.rank))


def observations_of(message: Message) -> tuple[Array, Array]:
    """L with L L' the precision, and z = L^-1 shift."""
    precision, shift = message
    rank = shift.shape[1]
    scale = jnp.trace(precision, axis1=1, axis2=2) / rank
    floor = (_FLOOR * scale + 1e-30)[:, None, None] * jnp.eye(rank)
    root = jnp.linalg.cholesky(precision + floor)
    return root, jax.scipy.linalg.solve_triangular(root, shift[..., None], lower=True)[..., 0]


def _finite(variance: Array, message: Message) -> tuple[Array, Moments]:
    """The same of independent entries with prior variances [count, rank], about mean 0."""
    sd = jnp.sqrt(variance)
    rank = sd.shape[1]
    inside = jnp.eye(rank) + sd[:, :, None] * message.precision * sd[:, None, :]
    root = jnp.linalg.cholesky(inside)
    half = jax.scipy.linalg.solve_triangular(root, (sd * message.shift)[..., None], lower=True)
    turned = jax.scipy.linalg.solve_triangular(
        root, jnp.broadcast_to(jnp.eye(rank), root.shape) * sd[:, None, :], lower=True
    )
    covariance = jnp.einsum("gki,gkj->gij", turned, turned)
    log_root = jnp.sum(jnp.log(jnp.diagonal(root, axis1=1, axis2=2)))
    log_z = 0.5 * jnp.sum(half**2) - log_root
    return log_z, Moments(jnp.einsum("gij,gj->gi", covariance, message.shift), covariance)


# --- the law anywhere -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Finite:
    """The law of a finite unknown: entries `index` [count, rank] of `size` have `law`, the others
    the prior standard deviations `sd` [size]. Of mean zero a priori."""

    key: str
    index: Array
    law: Moments
    sd: Array

    def _entries(self) -> tuple[Array, Array, Array]:
        """Mean, group (-1: none) and position of each entry."""
        size, (count, rank) = len(self.sd), self.index.shape
        flat = self.index.reshape(-1)
        mean = jnp.zeros(size).at[flat].set(self.law.mean.reshape(-1))
        group = jnp.full(size, -1).at[flat].set(jnp.repeat(jnp.arange(count), rank))
        return mean, group, jnp.zeros(size, int).at[flat].set(jnp.tile(jnp.arange(rank), count))

    def condition(self, sites: Mapping[str, Site], affine: Affine) -> tuple[Array, Array]:
        mean, group, place = self._entries()
        target = rows_of(affine, sites)
        total, variance = target.constant, jnp.zeros(len(target.constant))
        for part in target.parts:
            n = len(total)
            index = jnp.arange(n) if part.index is None else part.index
            index = index.reshape(n, -1)
            c = jnp.asarray(part.coefficient)
            c = jnp.broadcast_to(c[:, None] if c.ndim == 1 else c, index.shape)
            total = total + jnp.sum(c * mean[index], axis=1)
            a, b = index[:, :, None], index[:, None, :]
            both = self.law.covariance[group[a], place[a], place[b]]
            own = jnp.where(a == b, self.sd[a] ** 2, 0.0)
            covariance = jnp.where(group[a] != group[b], 0.0, jnp.where(group[a] < 0, own, both))
            variance = variance + jnp.einsum("ni,nij,nj->n", c, covariance, c)
        return total.reshape(affine.shape), variance.reshape(affine.shape)

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Mapping[str, Site]
    ) -> dict[str, Array]:
        first, second = jax.random.split(key)
        prior = self.sd * jax.random.normal(first, self.sd.shape)
        root = jnp.linalg.cholesky(self.law.covariance)
        normal = jax.random.normal(second, self.index.shape)
        drawn = self.law.mean + jnp.einsum("gij,gj->gi", root, normal)
        values = prior.at[self.index.reshape(-1)].set(drawn.reshape(-1))
        result = {}
        for name, affine in affines.items():
            target = rows_of(affine, sites)
            total = target.constant
            for part in target.parts:
                n = len(total)
                index = jnp.arange(n) if part.index is None else part.index
                index = index.reshape(n, -1)
                c = jnp.asarray(part.coefficient)
                c = jnp.broadcast_to(c[:, None] if c.ndim == 1 else c, index.shape)
                total = total + jnp.sum(c * values[index], axis=1)
            result[name] = total.reshape(affine.shape)
        return result


_LOG_TWO_PI = math.log(2 * math.pi)
