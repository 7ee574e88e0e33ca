"""Outcomes that are log-concave in a Gaussian predictor into Gaussian observations about the mode.

With g and W the slope and the negative curvature of a row's log density at its predictor eta, a
Newton step for the mode of all predictors is the posterior mean under the observations
z = eta + g / W with noise variances 1 / W (Rasmussen & Williams 2006, algorithm 3.1), so every
engine of a Gaussian block takes it. At the mode Laplace's approximation of the density is

    log q(y) = log N(z; m, K + 1/W) + sum over rows of (log p(y | eta) - log N(z; eta, 1/W)).

A Newton step from the mode, the mode held, stands still in value and moves with the other unknowns
as the mode does (implicit function theorem): gradients go through one more step, not through the
search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.missing import filled
from mercer.runtime.engines.sites import Sites
from mercer.runtime.engines.terms import Affine, Gaussian, Linked

LEAST = 1e-8
"""The least curvature of a row: what is flatter says nothing, and its z would lose all digits."""

_STEPS, _TOLERANCE = 60, 1e-10  # of Newton's method; relative change of what it climbs
_HALVINGS = 8

Predictors = Mapping[str, Array]
"""By outcome: the values of its predictor at all rows."""


class AboutMode:
    """A block with outcomes of any log-concave law. `steps`: of Newton's method, to the mode."""

    def __init__(
        self, build: Callable[[Mapping[str, Any]], Any], observations: Mapping[str, Any]
    ) -> None:
        self._build = build
        self._linked = {n: o for n, o in observations.items() if isinstance(o[0], Linked)}
        self._others = {n: o for n, o in observations.items() if n not in self._linked}
        self._settle()

    def _settle(self) -> None:
        held, self.steps = self._search()
        self._mode = self._step(lax.stop_gradient(held))[0]
        self.block = self._at(self._mode)

    def log_density(self) -> Array:
        """Laplace's approximation of the log density of all the observations together."""
        total = self.block.log_density()
        for name, predictor in self._mode.items():
            density, slope, curvature, seen = self._rows(name, predictor)
            pseudo = 0.5 * (slope**2 / curvature - jnp.log(curvature) + math.log(2 * math.pi))
            total += jnp.sum(jnp.where(seen, density + pseudo, 0.0))
        return total

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance of an affine vector, in the Normal law about the mode."""
        return self.block.condition(sites, affine, full=full)

    def leave_one_out(self) -> Any:
        """Of the outcomes that are Gaussian: each row predicted from all the others."""
        scores = self.block.leave_one_out() if self._others else {}
        return {name: scores[name] for name in self._others}

    def draw(self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None) -> Any:
        """One joint draw of affine vectors from the Normal law about the mode."""
        return self.block.draw(key, affines, sites)

    @property
    def jitter(self) -> Array:
        """What the factorisation at the mode added to its diagonal, relative to its mean."""
        return self.block.jitter

    # --- the mode ---

    def _rows(self, name: str, predictor: Array) -> tuple[Array, Array, Array, Array]:
        """Log density of each row, its slope and negative curvature, and whether it was seen."""
        law, value, keep = self._linked[name]
        value, seen = filled(value, keep)

        def density(at: Array) -> Array:
            return jnp.where(seen, law.law(at).log_prob(value), 0.0)

        def slope(at: Array) -> Array:
            return jax.grad(lambda a: jnp.sum(density(a)))(at)

        first, second = jax.jvp(slope, (predictor,), (jnp.ones_like(predictor),))
        return density(predictor), first, jnp.maximum(-second, LEAST), seen

    def _at(self, predictors: Predictors) -> Any:
        """The engine under the Gaussian observations that stand for the outcomes there."""
        observations = dict(self._others)
        for name, predictor in predictors.items():
            law, _, keep = self._linked[name]
            _, slope, curvature, _ = self._rows(name, predictor)
            gaussian = Gaussian(law.mean, curvature**-0.5, law.timeline)
            observations[name] = (gaussian, predictor + slope / curvature, keep)
        return self._build(observations)

    def _step(self, predictors: Predictors) -> tuple[dict[str, Array], dict[str, Array]]:
        """A Newton step, and K^-1 (eta - m) there, which the stationary point of a step gives."""
        block, found, pulls = self._at(predictors), {}, {}
        for name, predictor in predictors.items():
            mean = block.condition({}, self._linked[name][0].mean)[0]
            _, slope, curvature, seen = self._rows(name, predictor)
            found[name] = mean
            pulls[name] = jnp.where(seen, slope + curvature * (predictor - mean), 0.0)
        return found, pulls

    def _search(self) -> tuple[dict[str, Array], Array]:
        """The mode by damped Newton steps from the mean under the other outcomes, and their number.

        K^-1 (eta - m) moves linearly with eta along a step, so that the height at any part of the
        step takes no solve.
        """
        prior = self._build(self._others)
        means = {n: prior.condition({}, o[0].mean)[0] for n, o in self._linked.items()}
        means = lax.stop_gradient(means)
        parts = 0.5 ** jnp.arange(_HALVINGS)

        def height(predictors: Predictors, pulls: Predictors) -> Array:
            total = jnp.zeros(())
            for name, predictor in predictors.items():
                total += jnp.sum(self._rows(name, predictor)[0])
                total -= 0.5 * jnp.sum((predictor - means[name]) * pulls[name])
            return jnp.where(jnp.isfinite(total), total, -jnp.inf)

        def advance(state: Any) -> Any:
            predictors, pulls, best, _, count = state
            aims = self._step(predictors)

            def along(part: Array) -> Any:
                return jax.tree.map(lambda a, b: a + part * (b - a), (predictors, pulls), aims)

            heights = jax.vmap(lambda part: height(*along(part)))(parts)
            chosen = jnp.argmax(heights)
            is_higher = heights[chosen] > best
            moved = along(jnp.where(is_higher, parts[chosen], 0.0))
            top = jnp.where(is_higher, heights[chosen], best)
            moved = lax.stop_gradient((*moved, top, top - best, count + 1))
            return moved

        def goes_on(state: Any) -> Array:
            _, _, best, gain, count = state
            small = gain <= _TOLERANCE * (1.0 + jnp.abs(best))
            return (count < _STEPS) & ~(small & jnp.isfinite(best))

        zeros = jax.tree.map(jnp.zeros_like, means)
        first = height(means, zeros)
        start = (means, zeros, lax.stop_gradient(first), jnp.asarray(jnp.inf), jnp.asarray(0))
        predictors, _, _, _, count = lax.while_loop(goes_on, advance, start)
        return predictors, count
