"""A program at batches of one size into steps of its law: compiled once, called many times.

The Gaussian unknowns move along the natural gradient, all else along Adam's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from mercer.runtime.compiling import quick_jit
from mercer.runtime.devices import Spread
from mercer.runtime.engines.evidence import Moments
from mercer.runtime.engines.inducing import Inducing
from mercer.runtime.inner import divergences, facts_of
from mercer.runtime.methods.bound import Bound, Free, Probe, Sample
from mercer.runtime.methods.closed import Look
from mercer.runtime.methods.density import Arguments
from mercer.runtime.methods.levels import law_of_levels
from mercer.runtime.methods.natural import (
    Natural,
    Normal,
    Pairs,
    divergence,
    mixed,
    solved,
    standard,
)
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.through import at_means

ADAM = optax.scale_by_adam(b1=0.9, b2=0.99)

_REACH = (1.0, 2.0)  # how far a natural step may move a predictor: units, and its own sds


class Functions:
    """The compiled functions of a program at batches of one size."""

    def __init__(
        self,
        program: ModuleType,
        arguments: Arguments,
        batch: int,
        samples: int,
        spread: Spread,
        *,
        scale: float,
    ) -> None:
        self.unknowns = Unknowns(program, arguments)
        self.bound = Bound(program, self.unknowns, samples)
        self.scale, self.batch = scale, batch
        self.weights = np.where(np.arange(spread.padded(batch)) < batch, 1.0, 0.0)
        self.is_closed = not program.PREDICTORS
        self.size, self.apart, reads = self._sizes(program, arguments)
        # Of a batch an entry has few rows or none: its law averages over a pass.
        self.apart_length = 1.0 / (scale * max(1, reads))
        self.prior = standard(self.size, self.apart)
        self.steps = spread.compiled(self._steps)
        self.whole = spread.compiled(self._whole)
        self.values = quick_jit(lambda flat, arrays: self.unknowns.values(flat, arrays)[0])
        self.drawn = quick_jit(
            lambda flat, arrays: jax.lax.map(lambda one: self.unknowns.values(one, arrays)[0], flat)
        )

    def _sizes(self, program: ModuleType, arguments: Arguments) -> tuple[int, dict[str, int], int]:
        """The number of whitened coordinates in the joint law, that of entries of each unknown that
        stands apart, and how many of these entries a row reads at most."""

        def numbers(arrays: Mapping[str, Array]) -> Any:
            known = self.unknowns.known(self.unknowns.values(self.unknowns.zero, arrays)[0], arrays)
            known = at_means(program, known)
            sites = program.sites(**known)
            size = Inducing(program.processes(**known), sites, {}).size
            entries = {s.process: s.size for s in sites.values() if s.process in program.APART}
            reads = [
                sum(sites[term.site].process in entries for term in affine.terms)
                for affine in self.bound.predictors(known)
            ]
            # Numbers as lengths: nothing is computed.
            found = (size - sum(entries.values()), entries, max(reads, default=0))
            return jax.tree.map(jnp.zeros, found)

        found = jax.eval_shape(numbers, dict(arguments.arrays))
        return jax.tree.map(lambda shape: int(shape.shape[0]), found)

    def levels(self, flat: Array, arrays: Mapping[str, Any], seed: int) -> Natural:
        """The law that products begin with."""
        values, _ = self.unknowns.values(flat, arrays)
        known = at_means(self.unknowns.program, self.unknowns.known(values, arrays))
        return law_of_levels(self.unknowns.program, known, seed)

    def slopes(
        self, free: Free, law: Normal, sample: Sample, key: Array
    ) -> tuple[Array, dict[str, Look | Moments], Free, dict[str, Probe], Pairs]:
        """The objective at some rows, with its derivatives by what is free, by the probes, and by
        what stands apart."""
        probes = self.bound.probes(free, law, sample, key)
        (value, looks), slopes = jax.value_and_grad(
            self.bound.objective, argnums=(0, 1, 2), has_aux=True
        )(free, probes, law.apart, law, sample, key, self.scale)
        return value, looks, *slopes

    def _steps(
        self,
        carry: Any,
        moving: Mapping[str, Array],
        still: Mapping[str, Array],
        widths: Mapping[str, Array],
        rate: Array,
        lengths: Array,
        key: Array,
    ) -> tuple[Any, Array]:
        def one(carry: Any, inputs: Any) -> tuple[Any, Array]:
            free, moments, q, law = carry
            arrays, length, white, key = inputs
            sample = Sample({**still, **arrays}, widths, jnp.asarray(self.weights), white)
            value, looks, slope, *others = self.slopes(free, law, sample, key)
            probes, apart = jax.tree.map(lambda leaf: leaf / self.scale, others)
            target = self.bound.target(looks, probes, self.weights, self.scale, law, apart)
            q, after = self.stepped(q, law, target, length, looks)
            slope = jax.tree.map(lambda leaf: -leaf / (self.scale * self.batch), slope)
            change, moments = ADAM.update(slope, moments)
            bound = value - divergence(law)
            parts = jnp.stack([bound, *self.parts(free, sample, value)])
            free = jax.tree.map(lambda leaf, by: leaf - rate * by, free, change)
            return (free, moments, q, after), parts

        first, second = jax.random.split(key)
        keys = jax.random.split(first, len(lengths))
        whites = jax.random.normal(second, (len(lengths), self.unknowns.zero.size))
        return jax.lax.scan(one, carry, (moving, lengths, whites, keys))

    def parts(self, free: Free, sample: Sample, value: Array) -> list[Array]:
        """Of an objective behind layers: the log likelihood, and the divergence of each layer."""
        if not facts_of(self.unknowns.program):
            return []
        known, prior = self.bound.known(free, sample)
        each = divergences(self.unknowns.program, known)
        return [value - prior - free.entropy, *each.values()]

    def stepped(
        self,
        q: Natural,
        law: Normal,
        target: Natural,
        length: Array,
        looks: Mapping[str, Look | Moments],
    ) -> tuple[Natural, Normal]:
        """q after a natural step. Where a predictor goes through a link, no further at once than a
        link stays near to linear: the same fixed point, reached in more steps."""
        q = mixed(q, target, length, self.apart_length)
        after = solved(q)
        if self.is_closed:
            return q, after
        change, share = after.mean - law.mean, jnp.ones(())
        for look in looks.values():
            if isinstance(look, Moments):  # of a Normal outcome, which has no link
                continue
            reach = _REACH[0] + _REACH[1] * jnp.sqrt(look.variance)
            far = jnp.max(jnp.abs(look.features @ change) / reach)
            share = jnp.minimum(share, 1.0 / jnp.maximum(far, 1.0))
        mean = law.mean + share * change
        q, after = q._replace(shift=q.precision @ mean), after._replace(mean=mean)
        own = {}
        for name, (centre, variance) in law.apart.items():
            reach = _REACH[0] + _REACH[1] * jnp.sqrt(variance)
            to = centre + jnp.clip(after.apart[name][0] - centre, -reach, reach)
            own[name] = (to, after.apart[name][1])
        pulled = {name: (mean / width, 1.0 / width) for name, (mean, width) in own.items()}
        return q._replace(apart=pulled), after._replace(apart=own)

    def _whole(
        self, free: Free, law: Normal, sample: Sample, key: Array
    ) -> tuple[Natural, Array, Array]:
        """What some rows add to the natural parameters and to the expected log density; the log
        density of the priors."""
        probes = self.bound.probes(free, law, sample, key)
        (value, looks), (slope, apart) = jax.value_and_grad(
            self.bound.expected, argnums=(1, 2), has_aux=True
        )(free, probes, law.apart, law, sample, key)
        target = self.bound.target(looks, slope, sample.weights, 1.0, law, apart)
        prior = self.bound.known(free, sample)[1]
        return jax.tree.map(jnp.subtract, target, self.prior), value, prior
