"""The exact engine in weight space, for a block of finite unknowns only: O(n p^2), not O(n^3).

With R the prior's root, u = R v, v ~ N(0, I), and rows scaled by their noise, A = D R / noise:

    posterior precision of v:  B = I + A'A,    mean B^-1 A' r,    r = (y - m) / noise.

Numerically what `Dense` gives (Rasmussen & Williams 2006, section 2.1); the noise may differ from
row to row, and is never 0: an exact observation is a case for `Dense`.
`mercer.runtime.engines.inducing` adds columns for random functions; what is left of their variance
is `rest`, 0 here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.scipy.linalg import block_diag

from mercer.runtime.engines.cholesky import EXACT, Factor, solve_triangular
from mercer.runtime.engines.dense import (
    LeaveOneOut,
    Observations,
    evaluate_at,
    identity,
    observed,
    split_rows,
    unique_sites,
)
from mercer.runtime.engines.evidence import (
    Arrays,
    Regression,
    Sums,
    log_evidence,
    log_evidence_of_sums,
    posterior,
    regression,
    whiten,
)
from mercer.runtime.engines.products import gram
from mercer.runtime.engines.sites import (
    Processes,
    Rows,
    Sites,
    plain_design,
    rows,
    site_values,
    weighted_design,
    weights_count,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, Site, Weights
from mercer.runtime.shared import shared_property

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
        self._sizes = {
            site.process: weights_count(process, site)
            for site in sites.values()
            if isinstance(process := processes[site.process], Weights)
        }

    def log_density(self) -> Array:
        """log density of all the observations together."""
        noise, residual = jnp.sum(jnp.log(self.data.noise)), self._residual
        if (sums := self._sums) is not None:
            square = residual @ residual
            return log_evidence_of_sums(*sums, square, residual, 1.0 / self.data.noise) - noise
        crosses, design = self._scaled
        return log_evidence(self.grams, crosses, design, residual, self.levels) - noise

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data."""
        target = rows(affine, self._everywhere(sites))
        features = self.features(target)
        mean = target.constant + features @ self.regression.mean
        half = solve_triangular(self.factor.lower, features.T)
        rest = self.rest(target, features, full=full)
        if full:
            return mean.reshape(affine.shape), half.T @ half + rest
        variance = jnp.sum(half**2, axis=0) + rest
        return mean.reshape(affine.shape), variance.reshape(affine.shape)

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others, from the hat matrix."""
        found, noise = self.regression, self.data.noise
        half = solve_triangular(self.factor.lower, found.features.T)
        left = 1.0 - jnp.sum(half**2, axis=0)  # diagonal of C^-1, in units of the noise
        residual = noise * (self._residual - found.features @ found.mean) / left
        sd = jnp.sqrt(noise**2 / left + self._observed_rest)
        values = self.data.deviation + jnp.concatenate([p.constant for p in self.data.parts])
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * _LOG_TWO_PI
        pieces = split_rows(self.observations, log_density, values - residual, sd)
        return {name: LeaveOneOut(*piece) for name, piece in pieces.items()}

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape."""
        everywhere = self._everywhere(sites or {})
        targets = {name: rows(affine, everywhere) for name, affine in affines.items()}
        key, rest_key = jax.random.split(key)
        mean = self.regression.mean
        normal = jax.random.normal(key, mean.shape)
        value = mean + solve_triangular(self.factor.lower, normal, transposed=True)
        values = {
            identity(site): self.at_site(jax.random.fold_in(rest_key, number), site, value)
            for number, site in enumerate(unique_sites([*targets.values()]))
        }
        return {
            name: evaluate_at(target, values).reshape(affines[name].shape)
            for name, target in targets.items()
        }

    @property
    def jitter(self) -> Array:
        """What was added to the precision's diagonal, relative to its mean."""
        return self.factor.jitter / (jnp.mean(jnp.sum(self.factor.lower**2, axis=1)))

    @property
    def factor(self) -> Factor:
        """The factor of the posterior precision [p, p] of the whitened weights."""
        return self.regression.factor

    @shared_property
    def regression(self) -> Regression:
        """The posterior of the whitened weights, shared by the verbs."""
        crosses, design = self._scaled
        if (sums := self._sums) is not None:
            return posterior(design, (), inner=sums.inner, shift=sums.shift)
        return regression(self.grams, crosses, design, self._residual, self.levels)

    @shared_property
    def _sums(self) -> Sums | None:
        """What finite unknowns are told by the rows, where each outcome has one noise: the products
        of the columns themselves depend on no unknown, and a loop over values of these makes them
        once.
        """
        laws = [law for law, _, _ in self.observations.values()]
        if self.grams or not laws or any(jnp.ndim(law.noise) for law in laws):
            return None
        designs = [jnp.concatenate(self._blocks(p, plain_design), axis=1) for p in self.data.parts]
        inner: Any = 0.0
        shift: Any = 0.0
        start = 0
        for law, design in zip(laws, designs, strict=True):
            stop = start + len(design)
            inner += gram(design) / jnp.square(law.noise)
            shift += design.T @ self.data.deviation[start:stop] / jnp.square(law.noise)
            start = stop
        root = self._root()
        if root.ndim == 1:
            return Sums(root[:, None] * inner * root, root * shift, root, _stacked(designs))
        return Sums(root.T @ inner @ root, root.T @ shift, root, _stacked(designs))

    def _root(self) -> Array:
        """The prior's root of all weights: [p], or [p, p] where any of them are correlated."""
        roots = []
        for name, size in self._sizes.items():
            process = self.processes[name]
            assert isinstance(process, Weights)
            roots.append(weights_root(process, size))
        if all(root.ndim == 1 for root in roots):
            return jnp.concatenate(roots)
        return block_diag(*(jnp.diag(root) if root.ndim == 1 else root for root in roots))

    # --- what random functions add to ---

    @shared_property
    def grams(self) -> Arrays:
        """Covariances of the inducing values of each random function."""
        return ()

    def columns(self, quantity: Rows) -> tuple[Arrays, Array]:
        """Covariances with inducing values [n, m], and coefficients [n, p] of the whitened
        weights, side by side."""
        blocks = self._blocks(quantity, weighted_design)
        return (), jnp.concatenate([jnp.zeros((len(quantity.constant), 0)), *blocks], axis=1)

    def _blocks(self, quantity: Rows, columns: Callable[..., Array]) -> list[Array]:
        """The `columns` of each finite unknown, 0 where the rows do not see it."""
        named = {part.site.process for part in quantity.parts}
        return [
            columns(self.processes, name, quantity)
            if name in named
            else jnp.zeros((len(quantity.constant), size))
            for name, size in self._sizes.items()
        ]

    def rest(self, target: Rows, features: Array, *, full: bool = False) -> Array:
        """The prior variance of rows that no feature explains."""
        return jnp.zeros(())

    def at_site(self, key: Array | None, site: Site, value: Array) -> Array:
        """The values of a site at one value of all whitened coordinates; without a key, their
        means."""
        start = len(value) - sum(self._sizes.values())
        for name, size in self._sizes.items():
            if name == site.process:
                break
            start += size
        process = self.processes[site.process]
        assert isinstance(process, Weights)
        size = self._sizes[site.process]
        own, root = value[start : start + size], weights_root(process, size)
        return site_values(site, root * own if root.ndim == 1 else root @ own)

    # --- shared by both ---

    def features(self, quantity: Rows) -> Array:
        """Coefficients [n, p] of all whitened coordinates."""
        crosses, design = self.columns(quantity)
        roots = self.regression.roots
        whitened = [whiten(root, cross) for root, cross in zip(roots, crosses, strict=True)]
        return jnp.concatenate([*whitened, design], axis=1)

    @shared_property
    def _scaled(self) -> tuple[Arrays, Array]:
        """The columns at all observed rows, in units of the noise."""
        parts = [self.columns(part) for part in self.data.parts]
        scale = (1.0 / self.data.noise)[:, None]
        if not parts:
            crosses = tuple(jnp.zeros((0, len(gram))) for gram in self.grams)
            return crosses, jnp.zeros((0, sum(self._sizes.values())))
        crosses = tuple(_stacked(list(each)) * scale for each in zip(*(c for c, _ in parts)))
        return crosses, _stacked([design for _, design in parts]) * scale

    @shared_property
    def _residual(self) -> Array:
        return self.data.deviation / self.data.noise

    @shared_property
    def _observed_rest(self) -> Array:
        """`rest` of all observed rows, [n] or 0."""
        found: list[Any] = []
        start = 0
        for part in self.data.parts:
            stop = start + len(part.constant)
            scale = self.data.noise[start:stop, None]
            features = self.regression.features[start:stop] * scale
            rest = self.rest(part, features, full=False)
            found.append(jnp.broadcast_to(rest, (stop - start,)))
            start = stop
        return jnp.concatenate([jnp.zeros(0), *found])

    def _everywhere(self, sites: Sites) -> Sites:
        known = {site.process for site in self.sites.values()}
        if new := {site.process for site in sites.values()} - known:
            raise ValueError(f"sites: {sorted(new)} are not unknowns of this block")
        return {**self.sites, **sites}


def _stacked(blocks: list[Array]) -> Array:
    return blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks)
