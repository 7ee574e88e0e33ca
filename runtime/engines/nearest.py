"""Outcomes that are log-concave in a Gaussian predictor into the Gaussian ones of the nearest law.

Of the Normal laws q of the unknowns the one nearest to their posterior, largest in the bound

    L = E_q log p(y | eta) - KL(q, p)  <=  log p(y),

is the posterior under Gaussian observations z with noise variances 1 / w, one for each row
(Opper & Archambeau 2009). Where a row's predictor is N(m, v) under q, they are

    w = -2 dE/dv,   w z = dE/dm + w m,   E = E_q log p(y | eta) of the row,

and putting that in their place, again and again, is a natural gradient step of length 1 (Khan & Lin
2017; Chang et al. 2020): inference as in a conjugate model, so that any engine of a Gaussian block
takes the steps, the smoother along a line among them, which gives m and v in linear time. With q
the posterior under z, KL(q, p) = sum E_q log N(z; eta, 1/w) - log N(z; mean, K + 1/w).

At the largest bound its gradient by other unknowns is that with z, w, m and v all held: the bound
is flat along z and w, and E - E_q log N(z; eta, 1/w) along m and v, which is what the two equations
say. So the gradient goes through one log density, and through no smoother; second derivatives are
differences of gradients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines.laplace import LEAST, AboutMode
from mercer.runtime.engines.missing import filled
from mercer.runtime.engines.terms import Gaussian
from mercer.runtime.methods.expectation import quadrature

_STEPS, _ROUNDING = 60, 1e-12  # steps at most; of the bound, relative
_CLOSE = 1e-7  # relative change of observations that stand for outcomes, beyond which there is more
_SHORTEST = 1e-3


class Pseudo(NamedTuple):
    """The Gaussian observations of one outcome: `shift` w z and `precision` w, for each row."""

    shift: Array
    precision: Array


Sites = Mapping[str, Pseudo]


class NearestNormal(AboutMode):
    """A block with outcomes of any log-concave law, under the Normal law nearest to its posterior.

    It begins at the law about the mode. `steps`: those to the nearest law. `bound`: L.
    """

    def log_density(self) -> Array:
        """A lower bound of the log density of all the observations together."""
        return self.bound

    def _settle(self) -> None:
        mode = lax.stop_gradient(self._search()[0])
        held, self.steps = self._climbed(self._about(mode))
        held = lax.stop_gradient(held)
        self.block = self._block(held)
        moments = lax.stop_gradient(self._moments(self.block, held))
        self.bound, _ = self._bound(self.block, held, moments)

    def _about(self, mode: Mapping[str, Array]) -> Sites:
        """The observations that stand for the outcomes about the mode."""
        found = {}
        for name, predictor in mode.items():
            _, slope, curvature, _ = self._rows(name, predictor)
            found[name] = Pseudo(slope + curvature * predictor, curvature)
        return found

    def _block(self, sites: Sites) -> Any:
        """The engine under Gaussian observations in the place of the linked outcomes."""
        observations = dict(self._others)
        for name, site in sites.items():
            law, _, keep = self._linked[name]
            gaussian = Gaussian(law.mean, site.precision**-0.5, law.timeline)
            observations[name] = (gaussian, site.shift / site.precision, keep)
        return self._build(observations)

    def _moments(self, block: Any, sites: Sites) -> dict[str, tuple[Array, Array]]:
        """m and v of each row, under the law that observations give."""
        found = {}
        for name in sites:
            mean, variance = block.condition({}, self._linked[name][0].mean)
            # Rounding may take all of a variance that is nothing beside the prior's.
            found[name] = mean, jnp.maximum(variance, jnp.finfo(variance.dtype).tiny)
        return found

    def _bound(
        self, block: Any, sites: Sites, moments: Mapping[str, tuple[Array, Array]]
    ) -> tuple[Array, Sites]:
        """The bound of the law that observations give, and those where a step leads."""
        total, after = block.log_density(), {}
        for name, site in sites.items():
            mean, variance = moments[name]
            expected = partial(self._expected, name)
            value, slopes = jax.value_and_grad(expected, argnums=(0, 1))(mean, variance)
            seen = filled(*self._linked[name][1:])[1]
            w, residual = site.precision, site.shift / site.precision - mean
            pseudo = 0.5 * (jnp.log(w / (2 * math.pi)) - w * (residual**2 + variance))
            total += value - jnp.sum(jnp.where(seen, pseudo, 0.0))
            precision = jnp.maximum(-2.0 * slopes[1], LEAST)
            after[name] = Pseudo(slopes[0] + precision * mean, precision)
        return jnp.where(jnp.isfinite(total), total, -jnp.inf), after

    def _expected(self, name: str, mean: Array, variance: Array) -> Array:
        """E log p(y | eta) of what was seen of an outcome, by quadrature."""
        law, value, keep = self._linked[name]
        value, seen = filled(value, keep)
        each = quadrature(lambda eta: law.law(eta).log_prob(value), mean, variance)
        return jnp.sum(jnp.where(seen, each, 0.0))

    def _climbed(self, start: Sites) -> tuple[Sites, Array]:
        """The observations of the largest bound, by steps that are shortened until it rises."""

        def advance(state: Any) -> Any:
            sites, aims, best, length, _, count = state
            trial = jax.tree.map(lambda a, b: a + length * (b - a), sites, aims)
            block = self._block(trial)
            bound, beyond = self._bound(block, trial, self._moments(block, trial))
            is_higher = bound >= best - _ROUNDING * (1.0 + jnp.abs(bound))
            chosen = jax.tree.map(
                lambda a, b: jnp.where(is_higher, a, b), (trial, beyond, bound), (sites, aims, best)
            )
            far = jnp.where(is_higher, _apart(trial, beyond), jnp.inf)
            length = jnp.where(is_higher, jnp.minimum(1.0, 2.0 * length), 0.5 * length)
            return lax.stop_gradient((*chosen, length, far, count + 1))

        def goes_on(state: Any) -> Array:
            *_, length, far, count = state
            return (count < _STEPS) & (length > _SHORTEST) & (far > _CLOSE)

        none = jnp.asarray(-jnp.inf)
        first = (start, start, none, jnp.ones(()), jnp.asarray(jnp.inf), jnp.asarray(0))
        found = lax.while_loop(goes_on, advance, lax.stop_gradient(first))
        sites, aims, _, _, far, count = found
        # The last step is the nearest to where all steps lead, unless they led nowhere.
        return jax.tree.map(lambda a, b: jnp.where(far <= _CLOSE, b, a), sites, aims), count


def _apart(a: Sites, b: Sites) -> Array:
    """The largest relative difference."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jnp.stack([jnp.max(jnp.abs(x - y) / (1.0 + jnp.abs(x))) for x, y in pairs]).max()
