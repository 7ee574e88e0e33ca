"""The exact engine along a line: filtering and smoothing, O(n) time and memory.

For functions of one number whose kernels are those of finite linear systems (`stdlib.line`), with
any finite Gaussian unknowns beside them. All observed rows, sorted along the line, are one chain of
states with scalar observations (`runtime.kalman`); copies of indexed functions follow one another
in it, each begun anew, or stand beside one another in the state, where rows read several at once.
Unknowns and systems that never change are weights: the filter carries one
more column for each, and they are eliminated at the end (`runtime.border`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from mercer.runtime.engines import kalman
from mercer.runtime.engines.border import Border, eliminated
from mercer.runtime.engines.chain import Blocks, Chain, Layout, advanced, layout_of, predicted
from mercer.runtime.engines.cholesky import EXACT
from mercer.runtime.engines.dense import LeaveOneOut, Observations
from mercer.runtime.engines.linemodel import LineModel, Nodes, Readout, gathered, node_of_rows
from mercer.runtime.engines.sites import Processes, Sites, rows, rows_covariance, spread
from mercer.runtime.engines.terms import Affine
from mercer.runtime.engines.timeline import Reading, label_of_code, located, timeline
from mercer.runtime.shared import shared_property

_LOG_TWO_PI = math.log(2 * math.pi)


class Solution(NamedTuple):
    """All rows given all rows, for c columns of values. `pull` [c + k + p, n]: the inverse of the
    functions' covariance times values, then local and global weights; `push` [n]: its diagonal.
    """

    filtered: kalman.Filtered
    smoothed: kalman.Smoothed
    border: Border
    pull: Array
    push: Array


class Markov:
    """The engine of a block along one line.

    ValueError: an outcome whose noise is 0, or a block that is not one along a line.
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        levels: tuple[float, ...] = EXACT,
    ) -> None:
        del levels  # nothing is factorised that could need jitter
        for name, (law, _, _) in observations.items():
            if not isinstance(law.noise, Tracer) and np.any(np.asarray(law.noise) <= 0):
                raise ValueError(f"observations[{name!r}]: noise 0 divides by 0; use `Dense`")
        self.processes, self.sites, self.observations = processes, sites, observations
        self.model = LineModel(processes, sites, _local(observations))
        self.shapes = {name: law.mean.shape for name, (law, _, _) in observations.items()}
        self.count = sum(math.prod(shape) for shape in self.shapes.values())
        if self.count:
            self._read()

    def _read(self) -> None:
        """All rows of all outcomes, the missing ones with precision 0."""
        deviations, precisions, readouts, kept = [], [], [], 0
        for law, value, keep in self.observations.values():
            target = rows(law.mean, self.sites)
            n = len(target.constant)
            precision = spread(law.noise, law.mean.shape) ** -2.0
            value = spread(value, law.mean.shape)
            seen = jnp.ones(n, bool)
            if keep is not None:
                seen = jnp.zeros(n, bool).at[jnp.asarray(keep)].set(True)
            kept += n if keep is None else len(keep)
            deviations.append(jnp.where(seen, value - target.constant, 0.0))
            precisions.append(jnp.where(seen, precision, 0.0))
            readouts.append(self.model.readout(target))
        self.kept = kept
        self.deviation = jnp.concatenate(deviations)
        self.precision = jnp.concatenate(precisions)
        self.readout = self.model.stacked(readouts)
        given = next(law.timeline for law, _, _ in self.observations.values())
        self.timeline = self._own_timeline() if given is None or given.row is None else given
        if self.count != len(self.timeline.node) and self.count != len(self.timeline.row):
            raise ValueError(f"timeline: of other rows than the {self.count} observed")
        places = self.model.places()
        place = self.timeline.place
        self.times, self.codes = places.time[place], places.code[place]
        self.nodes = len(place)
        self.layout = layout_of(self.nodes)
        self.chains = len(self.timeline.first)
        starts = jnp.zeros(self.nodes, jnp.int32).at[self.timeline.first].set(1)
        self.is_start = starts > 0
        self.chain_of_node = jnp.cumsum(starts) - 1

    def _own_timeline(self) -> Any:
        """The order of the rows, where no program has prepared it: on the host."""
        readings = []
        for law, value, _ in self.observations.values():
            terms = [t for t in law.mean.terms if self.sites[t.site].points is not None]
            wide = [t for t in terms if self.sites[t.site].points.output is not None]
            is_own = any(jnp.ndim(t.coefficient) for t in terms) or len(wide) > 1
            is_own = is_own or self.model.is_joint
            terms = wide or terms
            readings.append((value, Reading(terms[0].site, terms[0].index, is_own)))
        chains = {"apart": self.model.apart, "is_joint": self.model.is_joint}
        return timeline(self.sites, readings, **chains)

    # --- the verbs ---

    def log_density(self) -> Array:
        """log density of all the observations together."""
        if not self.count:
            return jnp.zeros(())
        values, precision = self._columns(self.deviation[None])
        within, node_values, node_precision = self._merged(values, precision)
        chain = self._chain(node_precision)
        found: tuple[Array, Array] = kalman.grams(
            chain, self.layout.lay(node_values), self._groups, self.chains
        )
        grams, growth = found
        border = self._eliminated(grams + within, 1)
        noise = jnp.sum(jnp.log(jnp.where(precision > 0, precision, 1.0)))
        total = border.square + border.log_determinant + growth - noise
        return -0.5 * (total + self.kept * _LOG_TWO_PI)

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data.

        `full` is dense in the target: O(n N) memory.
        """
        target = rows(affine, {**self.sites, **sites})
        if full:
            return self._jointly(target, affine.shape)
        readout = self.model.readout(target)
        if not self.count:
            mean, variance = target.constant, self.model.prior_variance(readout)
        else:
            mean, variance = self._at(self._data, readout)
            mean = target.constant + mean[0]
        return mean.reshape(affine.shape), jnp.maximum(variance, 0.0).reshape(affine.shape)

    def condition_together(self, affine: Affine, size: int) -> tuple[Array, Array]:
        """Means [m, size] and covariances [m, size, size] given the data of an affine vector whose
        entries are m groups of `size`: group i is of the time and chain of node i * size.

        Where each row is a node and no weights stand beside the states. ValueError otherwise.
        """
        readout = self.model.readout(rows(affine, self.sites))
        if len(readout.local) + len(readout.everywhere) or self.nodes != self.count:
            raise ValueError("affine: weights beside the states, or rows that share a node")
        found, smoothed, flat = self._data.filtered, self._data.smoothed, self.layout.flat
        first = jnp.arange(self.nodes // size) * size

        def at(values: Array) -> Array:
            return gathered(flat(values), first)

        chain = self._chain(self.precision[jnp.asarray(self.timeline.row)])
        a = tuple(at(block) for block in chain.transitions)
        q = tuple(at(block) for block in chain.noises)
        mean = advanced(a, at(found.before_mean))  # predicted, [d, 1, m]
        p = predicted(a, q, at(found.before_covariance))
        r, n = at(smoothed.r), at(smoothed.n)
        mean = (mean + jnp.einsum("dem,ecm->dcm", p, r))[:, 0]
        covariance = p - jnp.einsum("dem,efm,fgm->dgm", p, n, p)
        h = jnp.broadcast_to(readout.loading, (len(readout.loading), self.count))
        h = h.reshape(len(h), -1, size)
        means = jnp.einsum("dmi,dm->mi", h, mean)
        found_covariance = jnp.einsum("dmi,dem,emj->mij", h, covariance, h)
        return readout.constant.reshape(-1, size) + means, found_covariance

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others, from the smoother: O(n)."""
        group = self._group_of_rows
        alpha = self._weighed(self._data, group)[0]
        push = self._data.push - self._data.border.variances(group, self._data.pull[1:])
        is_seen = self.precision > 0
        residual = alpha / jnp.where(is_seen, push, 1.0)
        sd = jnp.where(is_seen, push, 1.0) ** -0.5
        values = self.deviation + self.readout.constant
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * _LOG_TWO_PI
        found = [jnp.where(is_seen, x, jnp.nan) for x in (log_density, values - residual, sd)]
        result, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            result[name] = LeaveOneOut(*(x[start:stop].reshape(shape) for x in found))
            start = stop
        return result

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape.

        Matheron's rule: a draw from the prior, simulated along the line, and the conditional mean
        of what the data say otherwise (Wilson et al. 2020, eq. 9).
        """
        everywhere = {**self.sites, **(sites or {})}
        targets = {name: rows(affine, everywhere) for name, affine in affines.items()}
        readouts = {name: self.model.readout(target) for name, target in targets.items()}
        key, noise_key = jax.random.split(key)
        own = [self.readout] if self.count else []
        known = self.count and not sites  # then the nodes hold all times, and nothing is sorted
        nodes = Nodes(self.times, self.codes, self.is_start) if known else None
        prior = self.model.prior_draw(key, [*own, *readouts.values()], nodes)
        values = dict(zip(targets, prior[len(own) :], strict=True))
        if self.count:
            is_seen = self.precision > 0
            sd = jnp.where(is_seen, self.precision, 1.0) ** -0.5
            noise = sd * jax.random.normal(noise_key, sd.shape)
            surprise = jnp.where(is_seen, self.deviation - prior[0] - noise, 0.0)
            solution = self._solve(surprise[None])
            for name, readout in readouts.items():
                values[name] = values[name] + self._at(solution, readout)[0][0]
        return {
            name: (target.constant + values[name]).reshape(affines[name].shape)
            for name, target in targets.items()
        }

    @property
    def jitter(self) -> Array:
        """Nothing is ever added to a diagonal here."""
        return jnp.zeros(())

    # --- all rows given all rows ---

    def _columns(self, values: Array) -> tuple[Array, Array]:
        """Values [c, n], then the coefficients of local and global weights, [c + k + p, n]."""
        return jnp.concatenate([values, self.readout.local, self.readout.everywhere]), (
            self.precision
        )

    @property
    def _locals(self) -> int:
        # Where there is but one chain, local and global are the same.
        return 0 if self.model.is_single else self.readout.local.shape[0]

    def _eliminated(self, grams: Array, columns: int) -> Border:
        return eliminated(grams, columns, self._locals)

    def _merged(self, values: Array, precision: Array) -> tuple[Array, Array, Array]:
        """Rows into nodes: what their differences within nodes say, their means, precisions."""
        node, row = self.timeline.node, jnp.asarray(self.timeline.row)
        q = values.shape[0]
        if not len(node):
            return jnp.zeros((1, q, q)), values[:, row], precision[row]
        total = jax.ops.segment_sum(precision, node, self.nodes)
        sums = jax.ops.segment_sum((precision * values).T, node, self.nodes).T
        means = sums / jnp.where(total > 0, total, 1.0)
        rest = (values - means[:, node]) * jnp.sqrt(precision)
        if self.chains == 1:
            return (rest @ rest.T)[None], means, total
        square = jnp.moveaxis(rest[:, None] * rest, -1, 0)
        group = self.chain_of_node[node]
        return jax.ops.segment_sum(square, group, self.chains), means, total

    def _chain(self, precision: Array) -> Chain:
        """The states at the nodes, laid out."""
        lay = self.layout.lay
        before = jnp.concatenate([self.times[:1], self.times[:-1]])
        last = self.times[-1]
        times, before = lay(self.times, last), lay(before, last)
        labels = lay(label_of_code(self.codes), label_of_code(self.codes[-1]))
        blocks = self.model.transitions(before, times, labels, lay(self.is_start))
        loading = self.readout.loading
        if self.readout.is_fixed:
            loading = loading[:, :, None]
        else:
            loading = lay(loading[:, jnp.asarray(self.timeline.row)])
        return Chain(*blocks, loading, lay(precision))

    @property
    def _groups(self) -> Array:
        return self.layout.lay(self.chain_of_node, self.chains - 1)

    @property
    def _group_of_rows(self) -> Array:
        return self.chain_of_node[self._node_of_rows]

    @property
    def _node_of_rows(self) -> Array:
        return node_of_rows(self.timeline, self.count)

    @shared_property
    def _data(self) -> Solution:
        return self._solve(self.deviation[None])

    def _solve(self, deviations: Array) -> Solution:
        """The smoother on `deviations` [c, n], and the weights beside it."""
        values, precision = self._columns(deviations)
        within, node_values, node_precision = self._merged(values, precision)
        laid = self.layout.lay(node_values)
        found, smoothed = kalman.run_smoother(self._chain(node_precision), laid)
        grams = within + kalman.grams_of(found, self._groups, self.chains)
        border = self._eliminated(grams, len(deviations))
        # Of a row that shares its node: its own part of the node's precision, and its own value.
        node = self._node_of_rows
        total = node_precision[node]
        share = precision / jnp.where(total > 0, total, 1.0)
        flat = self.layout.flat
        pull = (values - node_values[:, node]) * precision
        pull = pull + share * (node_precision * flat(smoothed.pull))[:, node]
        push = precision * (1.0 - share) + share**2 * flat(smoothed.push)[node]
        return Solution(found, smoothed, border, pull, push)

    def _weighed(self, solution: Solution, group: Array) -> Array:
        """C^-1 times the values, [c, n]: weights included."""
        c = solution.border.everywhere.shape[1]
        means = solution.border.means(group)
        return solution.pull[:c] - jnp.einsum("kcm,km->cm", means, solution.pull[c:])

    # --- anywhere given all rows ---

    def _at(self, solution: Solution, readout: Readout) -> tuple[Array, Array]:
        """Means [c, m] and variances [m] of rows at any times of any chains."""
        group, projected, variance = self._projected(solution, readout)
        border = solution.border
        c = border.everywhere.shape[1]
        rest = jnp.concatenate([readout.local, readout.everywhere]) - projected[c:]
        mean = projected[:c] + jnp.einsum("kcm,km->cm", border.means(group), rest)
        return mean, variance + border.variances(group, rest)

    def _projected(self, solution: Solution, readout: Readout) -> tuple[Array, Array, Array]:
        """The chain of each row [m], what its states are by each column [q, m], their variance.

        Between two nodes a state is predicted from the one, and pulled by what the other's adjoint
        says; before the first and after the last, or in a chain without data, one is not there.
        """
        high = located(self.codes, self.times, readout.code, readout.time)
        low = high - 1
        is_after = (low >= 0) & (self.codes[low] == readout.code)
        next_ = jnp.minimum(high, self.nodes - 1)
        is_before = (high < self.nodes) & (self.codes[next_] == readout.code)
        own = jnp.where(is_after, self.chain_of_node[low], self.chain_of_node[next_])
        group = jnp.where(is_after | is_before, own, self.chains)
        q = solution.pull.shape[0]
        if readout.loading is None:
            return group, jnp.zeros((q, len(group))), jnp.zeros(len(group))
        h = jnp.broadcast_to(readout.loading, (readout.loading.shape[0], len(group)))
        found, smoothed, flat = solution.filtered, solution.smoothed, self.layout.flat
        labels = label_of_code(readout.code)
        start = jnp.where(is_after, self.times[low], readout.time)
        a, noise = self.model.transitions(start, readout.time, labels, ~is_after)
        h_before = advanced(_turned(a), h[:, None])[:, 0]
        covariance = gathered(flat(found.covariance), low)
        gain = jnp.sum(covariance * h_before, axis=1)
        gain = advanced(a, gain[:, None])[:, 0]
        gain = gain + advanced(noise, h[:, None])[:, 0]
        projected = jnp.sum(gathered(flat(found.mean), low) * h_before[:, None], axis=0)
        variance = jnp.sum(h * gain, axis=0)
        stop = jnp.where(is_before, self.times[next_], readout.time)
        a, _ = self.model.transitions(readout.time, stop, labels, ~is_before)
        ahead = advanced(a, gain[:, None])[:, 0]
        projected = projected + jnp.sum(gathered(flat(smoothed.r), next_) * ahead[:, None], axis=0)
        pulled = jnp.sum(gathered(flat(smoothed.n), next_) * ahead, axis=1)
        return group, projected, variance - jnp.sum(ahead * pulled, axis=0)

    def _jointly(self, target: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
        prior = rows_covariance(self.processes, target, target)
        if not self.count:
            return target.constant.reshape(shape), prior
        parts = [rows(law.mean, self.sites) for law, _, _ in self.observations.values()]
        cross = jnp.concatenate([rows_covariance(self.processes, p, target) for p in parts])
        solution = self._solve(jnp.concatenate([self.deviation[None], cross.T]))
        pulled = self._weighed(solution, self._group_of_rows)
        mean = target.constant + pulled[0] @ cross
        covariance = prior - pulled[1:] @ cross
        return mean.reshape(shape), 0.5 * (covariance + covariance.T)


def _turned(blocks: Blocks) -> Blocks:
    return tuple(jnp.swapaxes(block, 0, 1) for block in blocks)


def _local(observations: Observations) -> tuple[str, ...]:
    for law, _, _ in observations.values():
        if law.timeline is not None:
            return law.timeline.local
    return ()


__all__ = ["Layout", "Markov"]
