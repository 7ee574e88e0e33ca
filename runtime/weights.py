"""The exact engine in weight space, for a block of finite unknowns only: O(n p^2), not O(n^3).

With R the prior's root, u = R v, v ~ N(0, I), and rows scaled by their noise, A = D R / noise:

    posterior precision of v:  B = I + A'A,    mean B^-1 A' r,    r = (y - m) / noise.

Numerically what `Dense` gives (Rasmussen & Williams 2006, section 2.1); the noise may differ from
row to row, and is never 0: an exact observation is a case for `Dense`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from mercer.runtime.cholesky import EXACT, Factor, factor, solve_triangular
from mercer.runtime.dense import LeaveOneOut, Observations, observed, split_rows
from mercer.runtime.shared import shared_property
from mercer.runtime.sites import Processes, Rows, Sites, rows, weighted_design
from mercer.runtime.terms import Affine

_LOG_TWO_PI = math.log(2 * math.pi)


class WeightSpace:
    """Conjugate linear regression on all observed rows together.

    ValueError: an outcome whose noise is 0 (or negative).
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        levels: tuple[float, ...] = EXACT,
    ) -> None:
        for name, (law, _, _) in observations.items():
            # Only what is known when the program is traced: a sampled noise is positive anyway.
            if not isinstance(law.noise, Tracer) and np.any(np.asarray(law.noise) <= 0):
                raise ValueError(f"observations[{name!r}]: noise 0 divides by 0; use `Dense`")
        self.processes, self.sites, self.observations = processes, sites, observations
        self.levels = levels
        self.data = observed(sites, observations)
        self._sizes = {site.process: site.size for site in sites.values()}

    def log_density(self) -> Array:
        """log density of all the observations together."""
        # |r - A v|^2 + |v|^2 at the mean v: no difference of large numbers.
        residual = self._residual - self._scaled @ self._mean
        square = residual @ residual + self._mean @ self._mean
        log_determinant = jnp.sum(jnp.log(jnp.diagonal(self.factor.lower)))
        noise = jnp.sum(jnp.log(self.data.noise))
        n = len(self.data.deviation)
        return -0.5 * square - log_determinant - noise - 0.5 * n * _LOG_TWO_PI

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data."""
        target = rows(affine, self._everywhere(sites))
        matrix = self._design(target)
        mean = target.constant + matrix @ self._mean
        half = solve_triangular(self.factor.lower, matrix.T)
        if full:
            return mean.reshape(affine.shape), half.T @ half
        return mean.reshape(affine.shape), jnp.sum(half**2, axis=0).reshape(affine.shape)

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others, from the hat matrix."""
        half = solve_triangular(self.factor.lower, self._scaled.T)
        left = 1.0 - jnp.sum(half**2, axis=0)  # diagonal of C^-1, in units of the noise
        noise = self.data.noise
        residual = noise * (self._residual - self._scaled @ self._mean) / left
        sd = noise / jnp.sqrt(left)
        values = self.data.deviation + jnp.concatenate([p.constant for p in self.data.parts])
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * _LOG_TWO_PI
        pieces = split_rows(self.observations, log_density, values - residual, sd)
        return {name: LeaveOneOut(*piece) for name, piece in pieces.items()}

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape."""
        everywhere = self._everywhere(sites or {})
        normal = jax.random.normal(key, self._mean.shape)
        value = self._mean + solve_triangular(self.factor.lower, normal, transposed=True)
        result = {}
        for name, affine in affines.items():
            target = rows(affine, everywhere)
            result[name] = (target.constant + self._design(target) @ value).reshape(affine.shape)
        return result

    @property
    def jitter(self) -> Array:
        """What was added to the precision's diagonal, relative to its mean."""
        return self.factor.jitter / (jnp.mean(jnp.sum(self.factor.lower**2, axis=1)))

    @shared_property
    def factor(self) -> Factor:
        """The factor of the posterior precision [p, p] of the whitened weights."""
        scaled = self._scaled
        return factor(jnp.eye(scaled.shape[1]) + scaled.T @ scaled, self.levels)

    @shared_property
    def _scaled(self) -> Array:
        blocks = [self._design(part) for part in self.data.parts]
        empty = jnp.zeros((0, sum(self._sizes.values())))
        return jnp.concatenate([empty, *blocks]) / self.data.noise[:, None]

    @shared_property
    def _residual(self) -> Array:
        return self.data.deviation / self.data.noise

    @shared_property
    def _mean(self) -> Array:
        lower = self.factor.lower
        half = solve_triangular(lower, self._scaled.T @ self._residual)
        return solve_triangular(lower, half, transposed=True)

    def _everywhere(self, sites: Sites) -> Sites:
        new = {site.process for site in sites.values()} - set(self._sizes)
        if new:
            raise ValueError(f"sites: {sorted(new)} are not unknowns of this block")
        return {**self.sites, **sites}

    def _design(self, quantity: Rows) -> Array:
        """Coefficients [n, p] of all whitened weights, side by side."""
        named = {part.site.process for part in quantity.parts}
        n = len(quantity.constant)
        return jnp.concatenate(
            [
                weighted_design(self.processes, name, quantity)
                if name in named
                else jnp.zeros((n, size))
                for name, size in self._sizes.items()
            ],
            axis=1,
        )
