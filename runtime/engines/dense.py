"""One joint Gaussian over all observed rows: density, conditionals, leave-one-out, draws.

    y = m + A u + e,   u ~ N(0, K_u),   e ~ N(0, diag(noise^2)),   C = A K_u A' + diag(noise^2)

for any number of processes, sites and observation statements at once. One Cholesky factorisation
of C [n, n] serves every verb. Rasmussen & Williams (2006), sections 2.2 and 5.4.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import (
    EXACT,
    Factor,
    diagonal_of,
    factor,
    inverse_from_factor,
    log_normal,
    solve_triangular,
)
from mercer.runtime.engines.frames import law_rows, law_values, placed
from mercer.runtime.engines.sites import (
    Processes,
    Rows,
    Sites,
    evaluate,
    rows,
    rows_covariance,
    rows_variance,
    site_covariance,
    site_values,
    weights_count,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, Gaussian, RandomFunction, Site, Weights
from mercer.runtime.shared import shared_property

Observations = Mapping[str, tuple[Gaussian, Any, Any]]
"""For each outcome: its law, its values, and the indices of the rows to keep (None: all)."""


class LeaveOneOut(NamedTuple):
    """Each row of an outcome predicted from all the others; NaN where it is missing."""

    log_density: Array
    mean: Array
    sd: Array  # of the outcome, noise included


class Observed(NamedTuple):
    """All observed rows as one vector of n."""

    parts: tuple[Rows, ...]  # one an outcome
    deviation: Array  # [n], values less their prior constant
    noise: Array  # [n], standard deviations


def observed(sites: Sites, observations: Observations) -> Observed:
    """The kept rows of every outcome, in the order given."""
    parts, deviations, noises = [], [], []
    for law, value, keep in observations.values():
        keep = None if keep is None else jnp.asarray(keep)
        part = law_rows(law, sites, keep)
        value, noise = law_values(law, value, keep)
        parts.append(part)
        deviations.append(value - part.constant)
        noises.append(noise)
    empty = jnp.zeros(0)
    return Observed(
        tuple(parts),
        jnp.concatenate(deviations) if deviations else empty,
        jnp.concatenate(noises) if noises else empty,
    )


def split_rows(observations: Observations, *vectors: Array) -> dict[str, tuple[Array, ...]]:
    """Vectors over all observed rows, cut back into outcomes of their shapes; NaN where missing."""
    result, start = {}, 0
    for name, (law, _, keep) in observations.items():
        n = math.prod(law.mean.shape) if keep is None else len(keep)
        if law.frames is not None:
            _, space, dim = jnp.shape(law.frames)
            n = n // space * dim
        pieces = [placed(law, vector[start : start + n], keep) for vector in vectors]
        result[name] = tuple(pieces)
        start += n
    return result


class Dense:
    """The exact engine for any block: O(n^3) once, O(n^2) memory."""

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        levels: tuple[float, ...] = EXACT,
    ) -> None:
        self.processes, self.sites, self.observations = processes, sites, observations
        self.levels = levels
        self.data = observed(sites, observations)

    def log_density(self) -> Array:
        """log density of all the observations together."""
        if not len(self.data.deviation):
            return jnp.zeros(())
        return log_normal(self.covariance, self.data.deviation, self.levels)[0]

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data.

        `sites` are further sites, beside those of the block. Mean and variance have the shape
        of `affine`.
        """
        target = rows(affine, {**self.sites, **sites})
        if full:
            spread_ = rows_covariance(self.processes, target, target)
        else:
            spread_ = rows_variance(self.processes, target)
        mean = target.constant
        if len(self.data.deviation):
            cross = self._cross(target)
            mean = mean + cross.T @ self.alpha
            half = solve_triangular(self.factor.lower, cross)
            spread_ -= half.T @ half if full else jnp.sum(half**2, axis=0)
        if not full:  # rounding may leave a variance of -1e-17 where the data fix the value
            spread_ = jnp.maximum(spread_, 0.0).reshape(affine.shape)
        return mean.reshape(affine.shape), spread_

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others: from the inverse, no refitting."""
        precision = diagonal_of(inverse_from_factor(self.factor.lower))
        residual, sd = self.alpha / precision, precision**-0.5
        values = self.data.deviation + jnp.concatenate([p.constant for p in self.data.parts])
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * math.log(2 * math.pi)
        pieces = split_rows(self.observations, log_density, values - residual, sd)
        return {name: LeaveOneOut(*piece) for name, piece in pieces.items()}

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape.

        Matheron's rule: a prior draw, each process factorised once over its sites, plus the
        conditional mean of what the data say otherwise (Wilson et al. 2020, eq. 9).
        """
        everywhere = {**self.sites, **(sites or {})}
        targets = {name: rows(affine, everywhere) for name, affine in affines.items()}
        # All rows of an outcome, the missing ones too: its sites are then those of the targets.
        whole = {name: rows(law.mean, self.sites) for name, (law, *_) in self.observations.items()}
        unique = unique_sites([*whole.values(), *targets.values()])
        key, noise_key = jax.random.split(key)
        values = _prior_draw(key, self.processes, unique, self.levels)
        if len(self.data.deviation):
            fitted = []
            for name, (law, _, keep) in self.observations.items():
                value = evaluate_at(whole[name], values) - whole[name].constant
                fitted.append(law_values(law, value, keep)[0])
            jitter = self.factor.jitter + self.data.noise**2
            noise = jnp.sqrt(jitter) * jax.random.normal(noise_key, self.data.noise.shape)
            surprise = self.data.deviation - jnp.concatenate(fitted) - noise
            lower = self.factor.lower
            half = solve_triangular(lower, surprise)
            pull = solve_triangular(lower, half, transposed=True)
        result = {}
        for name, target in targets.items():
            value = evaluate_at(target, values)
            if len(self.data.deviation):
                value = value + self._cross(target).T @ pull
            result[name] = value.reshape(affines[name].shape)
        return result

    @property
    def jitter(self) -> Array:
        """What was added to the diagonal, relative to its mean; 0 where none was needed."""
        return self.factor.jitter / jnp.mean(diagonal_of(self.covariance))

    @shared_property
    def covariance(self) -> Array:
        """Covariance [n, n] of all observed rows, noise included."""
        parts, noise = self.data.parts, self.data.noise
        blocks: list[list[Any]] = [[None] * len(parts) for _ in parts]
        for i, a in enumerate(parts):
            for j, b in enumerate(parts[: i + 1]):
                blocks[i][j] = rows_covariance(self.processes, a, b)
                blocks[j][i] = blocks[i][j].T if i != j else blocks[i][j]
        prior = blocks[0][0] if len(parts) == 1 else jnp.block(blocks)
        index = jnp.arange(len(noise))
        return prior + jnp.where(index[:, None] == index, noise**2, 0.0)

    @shared_property
    def factor(self) -> Factor:
        """The factor of `covariance`, shared by the verbs."""
        return factor(self.covariance, self.levels)

    @shared_property
    def alpha(self) -> Array:
        """C^-1 (y - m), [n]."""
        white = solve_triangular(self.factor.lower, self.data.deviation)
        return solve_triangular(self.factor.lower, white, transposed=True)

    def _cross(self, target: Rows) -> Array:
        """Prior covariance [n, N] of the observed rows with those of a target."""
        blocks = [rows_covariance(self.processes, part, target) for part in self.data.parts]
        return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks)


def unique_sites(quantities: list[Rows]) -> list[Site]:
    """Each site once, all `Weights` of one name being one site."""
    found: dict[Any, Site] = {}
    for quantity in quantities:
        for part in quantity.parts:
            found[identity(part.site)] = part.site
    return list(found.values())


def identity(site: Site) -> Any:
    """What tells sites apart: all `Weights` of one name are one site, but for sums of them."""
    if site.points is None and site.features is None:
        return site.process
    return id(site.features if site.points is None else site.points)


def _prior_draw(
    key: Array, processes: Processes, sites: list[Site], levels: tuple[float, ...]
) -> dict[Any, Array]:
    """Joint prior values of sites, each process factorised once over all of its own."""
    values: dict[Any, Array] = {}
    for number, (name, process) in enumerate(processes.items()):
        own = [site for site in sites if site.process == name]
        if not own:
            continue
        is_finite = isinstance(process, Weights)
        n = weights_count(process, own[0]) if is_finite else sum(site.size for site in own)
        normal = jax.random.normal(jax.random.fold_in(key, number), (n,))
        if is_finite:
            root = weights_root(process, n)
            weights = root * normal if root.ndim == 1 else root @ normal
            values |= {identity(site): site_values(site, weights) for site in own}
            continue
        stacked = factor(stacked_covariance(processes, own), levels).lower @ normal
        start = 0
        for site in own:
            values[identity(site)] = stacked[start : start + site.size]
            start += site.size
    return values


def stacked_covariance(processes: Processes, sites: list[Site]) -> Array:
    """Prior covariance of several sites of one random function, stacked."""
    assert all(isinstance(processes[site.process], RandomFunction) for site in sites)
    if len(sites) == 1:
        return _own_covariance(processes, sites[0], sites[0])
    return jnp.block([[_own_covariance(processes, a, b) for b in sites] for a in sites])


def _own_covariance(processes: Processes, first: Site, second: Site) -> Array:
    """The covariance between two sites of one random function, which are never independent."""
    matrix = site_covariance(processes, first, second)
    assert matrix is not None
    return matrix


def evaluate_at(quantity: Rows, values: Mapping[Any, Array]) -> Array:
    """The rows [n] at given values of their sites, by `identity`."""
    return evaluate(
        quantity, {k: values[identity(part.site)] for k, part in enumerate(quantity.parts)}
    )
