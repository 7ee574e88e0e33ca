"""A program at some of its rows into the variational bound, and what a natural gradient needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import solve_triangular
from mercer.runtime.engines.evidence import Arrays, Moments
from mercer.runtime.engines.sites import Rows, rows
from mercer.runtime.engines.terms import Affine, Gaussian
from mercer.runtime.engines.variational import Variational
from mercer.runtime.inner import divergences, has_drawn_grams, is_drawn, passed
from mercer.runtime.methods.closed import Look, Regressed, as_one, regressed, with_closed
from mercer.runtime.methods.expectation import (
    curvature,
    in_cells,
    positive_part,
    quadrature,
    seen_density,
)
from mercer.runtime.methods.natural import Natural, Normal, Pairs, standard, variance
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.posterior.conditional import observed_value
from mercer.runtime.through import Drawn

PAIRS = 4
"""Pairs of opposite draws, where draws stand for an integral."""


class Free(NamedTuple):
    """What is moved by ordinary gradients: the law of the unconstrained unknowns, Normal and
    independent of one another, and inducing points by argument, in units of `widths` from where
    they began."""

    centre: Array
    log_sd: Array
    shifts: dict[str, Array]

    @property
    def entropy(self) -> Array:
        """That of the law of the unknowns."""
        return jnp.sum(self.log_sd) + 0.5 * math.log(2 * math.pi * math.e) * self.log_sd.size


class Sample(NamedTuple):
    """Some rows. `arrays`: the arguments there, inducing points where they began included;
    `widths`: of the inducing points that are moved; `weights` [B]: 0 where a row does not count;
    `white`: where the unknowns are drawn, in units of their sds from their centre."""

    arrays: Mapping[str, Array]
    widths: Mapping[str, Array]
    weights: Array
    white: Array


class Probe(NamedTuple):
    """Zeros that are added to means and variances of predictors, to differentiate by."""

    mean: Array
    variance: Array


class Bound:
    """The expected log density of rows under q, of a program whose lane is "variational"."""

    def __init__(self, program: ModuleType, unknowns: Unknowns, samples: int = 1) -> None:
        self.program, self.unknowns = program, unknowns
        self.samples = samples if is_drawn(program) else 0

    def expected(
        self,
        free: Free,
        probes: Mapping[str, Probe],
        apart: Pairs,
        law: Normal,
        sample: Sample,
        key: Array,
    ) -> tuple[Array, dict[str, Look | Moments]]:
        """E log p(y | v) of the rows of a sample, and how their outcomes look at v. `apart` stands
        for that of the law, to differentiate by."""
        known, _ = self.known(free, sample)
        return self._expected(known, probes, law._replace(apart=apart), sample.weights, key)

    def known(self, free: Free, sample: Sample) -> tuple[dict[str, Any], Array]:
        """The arguments of a program's functions, layers apart; and the log density of the priors,
        less the divergences of layers from theirs."""
        arrays = {**sample.arrays, **moved(free.shifts, sample)}
        flat = free.centre + jnp.exp(free.log_sd) * sample.white
        values, prior = self.unknowns.values(flat, arrays)
        known = self.unknowns.known(values, arrays)
        return known, prior - sum(divergences(self.program, known).values())

    def objective(
        self,
        free: Free,
        probes: Mapping[str, Probe],
        apart: Pairs,
        law: Normal,
        sample: Sample,
        key: Array,
        scale: Array | float,
    ) -> tuple[Array, dict[str, Look | Moments]]:
        """`scale` times the expectation, plus the log density of the priors and the entropy of the
        unknowns: what free is moved by; the divergence of q does not depend on it."""
        known, prior = self.known(free, sample)
        law = law._replace(apart=apart)
        value, looks = self._expected(known, probes, law, sample.weights, key, is_learning=True)
        return scale * value + prior + free.entropy, looks

    def predictors(self, known: Mapping[str, Any]) -> list[Affine]:
        """What outcomes see of the Gaussian unknowns."""
        keys = [k for _, keys in self.program.PREDICTORS.values() for k in keys]
        quantities = self.program.quantities(**known)
        means = {k: jnp.zeros(quantities[k].shape) for k in keys}
        laws = self.program.outcomes(means, **known).values()
        closed = [law.mean for law in laws if isinstance(law, Gaussian)]
        return [*(quantities[k] for k in keys), *closed]

    def probes(self, free: Free, law: Normal, sample: Sample, key: Array) -> dict[str, Probe]:
        """Zeros of the right shapes."""
        shapes = jax.eval_shape(
            lambda f, q, s, k: self.expected(f, {}, q.apart, q, s, k)[1], free, law, sample, key
        )
        return {
            name: Probe(*(jnp.zeros(look.linear.shape),) * 2)
            for name, look in shapes.items()
            if isinstance(look, Look)
        }

    def _density_at(
        self,
        known: Mapping[str, Any],
        means: Mapping[str, Array],
        name: str,
        value: Any,
        at: Mapping[str, Array],
    ) -> Array:
        """Log density of each row of an outcome, some predictors at given values."""
        return seen_density(self.program.outcomes({**means, **at}, **known)[name], value)

    def target(
        self,
        looks: Mapping[str, Look | Moments],
        slopes: Mapping[str, Probe],
        weights: Array,
        scale: Array | float,
        law: Normal,
        apart: Pairs,
    ) -> Natural:
        """`natural_target`, on average over the draws of the layers."""
        closed = {name: look for name, look in looks.items() if isinstance(look, Moments)}
        opened = {name: look for name, look in looks.items() if name not in closed}

        def of(looks: Any, slopes: Any) -> Natural:
            return natural_target({**looks, **closed}, slopes, weights, scale, law, apart)

        if not (self.samples and opened):
            return of(opened, slopes)
        # The expectation is a mean over draws, so that its slopes are shares of theirs.
        each = jax.tree.map(lambda leaf: leaf * self.samples, dict(slopes))
        found = jax.vmap(of)(opened, each)
        return jax.tree.map(lambda leaf: leaf.mean(axis=0), found)

    def _expected(
        self,
        known: Mapping[str, Any],
        probes: Mapping[str, Probe],
        law: Normal,
        weights: Array,
        key: Array,
        *,
        is_learning: bool = False,
    ) -> tuple[Array, dict[str, Look | Moments]]:
        """The same given the layers, on average over draws of them: moments over all of these,
        other looks of each. `is_learning`: Gram matrices that are drawn about themselves are."""
        if not self.samples:
            through = Drawn(self.program, known)
            every = passed(self.program, known, through)
            total, looks, grams, closed = self._given_layers(every, probes, law, weights, key)
            return with_closed(total, looks, grams, closed, law)

        def at_draw(key: Array, probes: Mapping[str, Probe]) -> Any:
            first, second = jax.random.split(key)
            through = Drawn(self.program, known, first, is_learning=is_learning)
            every = passed(self.program, known, through)
            return self._given_layers(every, probes, law, weights, second)

        if is_learning and has_drawn_grams(self.program):
            return self._by_draws_of_grams(at_draw, probes, law, key)

        # Inducing points do not depend on draws, so that of Normal outcomes each draw is but more
        # rows of one regression.
        keys = jax.random.split(key, self.samples)
        over = jax.vmap(at_draw, out_axes=(0, 0, None, 0))
        total, looks, grams, closed = over(keys, dict(probes))
        closed = {name: as_one(seen) for name, seen in closed.items()}
        return with_closed(total.mean(), looks, grams, closed, law)

    def _by_draws_of_grams(
        self, at_draw: Any, probes: Mapping[str, Probe], law: Normal, key: Array
    ) -> tuple[Array, dict[str, Look | Moments]]:
        """The mean over draws of which each has inducing points of its own."""

        def one(key: Array, probes: Mapping[str, Probe]) -> Any:
            total, looks, grams, closed = at_draw(key, probes)
            return with_closed(total, looks, grams, closed, law)

        total, looks = jax.vmap(one)(jax.random.split(key, self.samples), dict(probes))
        means = {
            name: jax.tree.map(lambda leaf: leaf.mean(axis=0), look)
            for name, look in looks.items()
            if isinstance(look, Moments)
        }
        return total.mean(), {**looks, **means}

    def _given_layers(
        self,
        known: Mapping[str, Any],
        probes: Mapping[str, Probe],
        law: Normal,
        weights: Array,
        key: Array,
    ) -> tuple[Array, dict[str, Look | Moments], Arrays, dict[str, Regressed]]:
        """The expectation of the outcomes that are not Normal, and their looks; of the others the
        regressions that they are, with the covariances of inducing values."""
        program = self.program
        block = Variational(program.processes(**known), program.sites(**known), law)
        quantities = program.quantities(**known)
        views = {
            k: _viewed(block, quantities[k])
            for _, keys in program.PREDICTORS.values()
            for k in keys
        }
        means = {k: view.mean.reshape(quantities[k].shape) for k, view in views.items()}
        total, looks, closed = jnp.zeros(()), {}, {}
        for number, (name, outcome) in enumerate(program.outcomes(means, **known).items()):
            value, _ = observed_value(program, known, name)
            axis = program.DIMS[name].index(program.ROWS)
            nothing = Probe(jnp.zeros(()), jnp.zeros(()))
            probe = probes.get(name, nothing)
            if isinstance(outcome, Gaussian):
                each = jnp.broadcast_to(
                    _along(weights, axis, outcome.mean.shape), outcome.mean.shape
                )
                closed[name] = regressed(block, outcome, value, each.reshape(-1))
                continue
            if name not in program.PREDICTORS:
                each, look = _by_row(seen_density(outcome, value), axis), None
            else:
                kind, keys = program.PREDICTORS[name]
                density_at = partial(self._density_at, known, means, name, value)
                own = {k: views[k] for k in keys}
                if kind == "quadrature":
                    density, look = _by_quadrature(density_at, own, means, probe)
                    each = _by_row(density, axis)
                else:
                    places = {k: program.DIMS[k].index(program.ROWS) for k in keys}
                    draw_key = jax.random.fold_in(key, number)
                    each, look = _by_draws(
                        density_at, own, means, places, block.law, probe, draw_key, axis
                    )
            total += jnp.sum(each * weights)
            if look is not None:
                looks[name] = look
        return total, looks, block.grams if closed else (), closed


def moved(shifts: Mapping[str, Array], sample: Sample) -> dict[str, Array]:
    """Inducing points by argument."""
    return {k: sample.arrays[k] + sample.widths[k] * shift for k, shift in shifts.items()}


def natural_target(
    looks: Mapping[str, Look | Moments],
    slopes: Mapping[str, Probe],
    weights: Array,
    scale: Array | float,
    law: Normal,
    apart: Pairs,
) -> Natural:
    """Where the natural gradient of the rows leads, `scale` times. `slopes`, `apart`: derivatives
    of their expected log density by the probes, and by the means and variances that stand apart.
    """
    size = len(law.mean)
    target = standard(size)._replace(apart=_entries_target(law.apart, apart, scale))
    for name, look in looks.items():
        if isinstance(look, Moments):
            target = target._replace(
                shift=target.shift + scale * look.shift,
                precision=target.precision + scale * look.inner,
            )
            continue
        slope, features = slopes[name].mean, look.features
        if look.curvature is None:
            # A negative curvature would cost the precision its sign.
            bend = jnp.maximum(-2.0 * slopes[name].variance, 0.0)
            weighted = features * bend[:, None]
            pull = bend * look.linear
        else:
            rows, cells, _ = look.curvature.shape
            bend = look.curvature * weights[:, None, None]
            inner = features.reshape(rows, cells, size)
            weighted = jnp.einsum("bkl,blp->bkp", bend, inner).reshape(features.shape)
            pull = jnp.einsum("bkl,bl->bk", bend, look.linear.reshape(rows, cells)).reshape(-1)
        target = target._replace(
            shift=target.shift + scale * features.T @ (slope + pull),
            precision=target.precision + scale * features.T @ weighted,
        )
    return target


def _entries_target(law: Pairs, slopes: Pairs, scale: Array | float) -> Pairs:
    """The same for entries that stand apart: a variance tells their curvature."""
    found = {}
    for name, (mean, _) in law.items():
        slope, by_variance = slopes[name]
        bend = scale * jnp.maximum(-2.0 * by_variance, 0.0)
        found[name] = (scale * slope + bend * mean, 1.0 + bend)
    return found


# --- one outcome ------------------------------------------------------------------------------


class _View(NamedTuple):
    """A vector of predictors: its features, mean and variance under q."""

    features: Array
    linear: Array
    mean: Array
    variance: Array
    rest: Array


def _viewed(block: Variational, affine: Affine) -> _View:
    target: Rows = rows(affine, block.sites)
    features = block.features(target)
    rest = jnp.broadcast_to(block.rest(target, features), target.constant.shape)
    linear = features @ block.law.mean
    mean, apart = block.of_apart(target)
    rest += apart
    return _View(
        features,
        linear,
        target.constant + linear + mean,
        variance(block.law, features) + rest,
        rest,
    )


def _along(weights: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """The weight of the row of each cell of an outcome, flat."""
    aligned = weights.reshape(tuple(-1 if k == axis else 1 for k in range(len(shape))))
    return jnp.broadcast_to(aligned, shape).reshape(-1)


def _by_quadrature(
    density_at: Any, views: Mapping[str, _View], means: Mapping[str, Array], probe: Probe
) -> tuple[Array, Look]:
    ((key, view),) = views.items()
    shape = means[key].shape
    density = quadrature(
        lambda eta: density_at({key: eta}),
        (view.mean + probe.mean).reshape(shape),
        (view.variance + probe.variance).reshape(shape),
    )
    return density, Look(view.features, view.linear, view.variance, None)


def _by_draws(
    density_at: Any,
    views: Mapping[str, _View],
    means: Mapping[str, Array],
    places: Mapping[str, int],
    law: Normal,
    probe: Probe,
    key: Array,
    axis: int,
) -> tuple[Array, Look]:
    """Draws of v, the same for all rows, and of what inducing points leave over of each cell.
    `axis`: that of the rows."""

    def cells(pick: Any) -> tuple[Array, Any]:
        return in_cells({k: pick(v).reshape(means[k].shape) for k, v in views.items()}, places)

    mean, back = cells(lambda view: view.mean)
    rest, _ = cells(lambda view: view.rest)
    linear, _ = cells(lambda view: view.linear)
    spread_, _ = cells(lambda view: view.variance)
    size = len(law.mean)
    parts = [
        jnp.moveaxis(v.features.reshape(*means[k].shape, size), places[k], 0).reshape(
            len(mean), -1, size
        )
        for k, v in views.items()
    ]
    features = jnp.concatenate(parts, axis=1)
    mean = mean + probe.mean.reshape(mean.shape if probe.mean.ndim else ())

    def at_draw(key: Array, sign: Array) -> tuple[Array, Array]:
        first, second = jax.random.split(key)
        white = solve_triangular(law.root, jax.random.normal(first, (size,)), transposed=True)
        # Of the standard deviation there is no slope where inducing points explain all.
        own = jnp.sqrt(jax.lax.stop_gradient(rest)) * jax.random.normal(second, rest.shape)
        eta = mean + sign * (features @ white + own)
        bend = curvature(density_at, jax.lax.stop_gradient(back(eta)), places)
        return density_at(back(eta)), bend

    keys = jnp.repeat(jax.random.split(key, PAIRS), 2, axis=0)
    density, bends = jax.vmap(at_draw)(keys, jnp.tile(jnp.array([1.0, -1.0]), PAIRS))
    bend = jax.lax.stop_gradient(bends.mean(0))
    # Price's theorem: the slope by a variance is half the mean second derivative.
    own = jnp.diagonal(bend, axis1=1, axis2=2)
    by_rest = -0.5 * jnp.sum(own * (rest - jax.lax.stop_gradient(rest)), axis=1)
    bend = positive_part(bend)
    look = Look(features.reshape(-1, size), linear.reshape(-1), spread_.reshape(-1), bend)
    return _by_row(density.mean(0), axis) + by_rest, look


def _by_row(density: Array, axis: int) -> Array:
    """That of all cells of each row, [B]."""
    return jnp.moveaxis(density, axis, 0).reshape(density.shape[axis], -1).sum(axis=1)
