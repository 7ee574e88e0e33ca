"""Random functions as sums of random waves: an approximation whose cost grows with the rows alone.

Each function of the block is phi(x)'v, v ~ N(0, I), phi the random features of its kernel
(`engines.fourier`), so that all is conjugate linear regression (`WeightSpace`): O(n p^2) for p
features. The waves are drawn once, by a seed of their own, and are the same at all points: a draw
is a function. It is not the process itself but one whose covariance is phi(x)'phi(z); nothing
bounds how far the two posteriors differ, and away from the data it is too sure of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import EXACT
from mercer.runtime.engines.dense import Observations
from mercer.runtime.engines.fourier import Kind, features
from mercer.runtime.engines.sites import Processes, Sites
from mercer.runtime.engines.terms import Affine, Process, RandomFunction, Site, Weights
from mercer.runtime.engines.weights import WeightSpace


class Features(WeightSpace):
    """The engine of a block whose functions are sums of `waves` random waves each.

    ValueError: a kernel without a spectral density, or a function with labels or several outputs.
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        waves: int = 256,
        kind: Kind = "orthogonal",
        levels: tuple[float, ...] = EXACT,
    ) -> None:
        self.functions = {k: p for k, p in processes.items() if isinstance(p, RandomFunction)}
        self.waves, self.kind = waves, kind
        waved = self._waved(sites)
        sums = {s.process: s.features for s in waved.values() if s.features is not None}
        finite: dict[str, Process] = {
            name: Weights(sd=jnp.ones(jnp.shape(sums[name])[1])) if name in sums else process
            for name, process in processes.items()
            if name in sums or name not in self.functions
        }
        super().__init__(finite, waved, observations, levels=levels)

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        return super().condition(self._waved(sites), affine, full=full)

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        return super().draw(key, affines, self._waved(sites or {}))

    def _waved(self, sites: Sites) -> dict[str, Site]:
        """The sites of functions as sums of their waves."""
        return {key: self._sum(site) for key, site in sites.items()}

    def _sum(self, site: Site) -> Site:
        if site.process not in self.functions or site.points is None:
            return site
        points: Any = site.points
        if points.labels is not None or points.output is not None or points.operators:
            raise ValueError(
                f"sites: {site.process!r} is asked for by labels, outputs or operators"
            )
        kernel = self.functions[site.process].kernel
        found = features(kernel, points.factors, waves=self.waves, kind=cast("Kind", self.kind))
        return replace(site, points=None, features=found)


def waves_of(count: int, kind: Kind) -> Callable[..., Features]:
    """The engine of functions with `count` features each, two a wave."""
    return partial(Features, waves=max(1, count // 2), kind=kind)
