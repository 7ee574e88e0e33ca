"""Random functions by their values at a few points: a lower bound of the log density, O(n m^2).

Each function f has m inducing points Z (a site that `is_inducing`), u = f(Z) = L v, v ~ N(0, I).
Rows see f through k(x, Z) L^-T v, so that functions are weights of `WeightSpace`, beside the finite
ones. What that leaves of the prior variance, k(x, x) - q(x, x), is added to predictions, and makes
the log density a bound (Titsias 2009, eq. 9):

    log N(y; m, Q + noise^2) - sum_i (k(x_i, x_i) - q(x_i, x_i)) / (2 noise_i^2)  <=  log p(y).

It is exact where the points are those of the data. Between two points the rest of a function is
correlated; draws take it as independent from point to point, so that each value has its right law
and a joint draw is rougher than the function by what the inducing points leave unexplained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import diagonal_of
from mercer.runtime.engines.dense import Observations
from mercer.runtime.engines.evidence import SPARSE, Arrays, evidence_of, whiten
from mercer.runtime.engines.sites import (
    Processes,
    Rows,
    Sites,
    apply,
    rows_covariance,
    rows_variance,
    site_covariance,
    site_variance,
)
from mercer.runtime.engines.terms import RandomFunction, Site
from mercer.runtime.engines.weights import WeightSpace
from mercer.runtime.shared import shared_property
from mercer.stdlib.points import Points


class Inducing(WeightSpace):
    """The collapsed variational engine of a Gaussian block.

    Each random function of `sites` needs a site that `is_inducing` (ValueError otherwise, and
    where the noise of an outcome is 0).
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        levels: tuple[float, ...] = SPARSE,
    ) -> None:
        super().__init__(processes, sites, observations, levels=levels)
        self.inducing = inducing_sites(sites)
        functions = {s.process for s in sites.values() if s.process not in self._sizes}
        if missing := sorted(functions - set(self.inducing)):
            raise ValueError(f"sites: {missing} have no inducing points")

    def log_density(self) -> Array:
        """A lower bound of the log density of all the observations together."""
        noise = self.data.noise**2
        return super().log_density() - 0.5 * jnp.sum(self._prior_variance / noise)

    @property
    def bound(self) -> Array:
        """`log_density`, from what the verbs share: cheaper beside them, not for a gradient."""
        count = sum(site.size for site in self.inducing.values())
        value = evidence_of(self.regression, count, self._residual)
        noise = self.data.noise
        return value - jnp.sum(jnp.log(noise)) - 0.5 * jnp.sum(self._prior_variance / noise**2)

    @property
    def unexplained(self) -> Array:
        """The share of the functions' prior variance at the data that the points leave over."""
        return jnp.sum(self._observed_rest) / jnp.sum(self._prior_variance)

    @property
    def jitter(self) -> Array:
        """The most that was added to the diagonal of a covariance of inducing values, relative to
        its mean."""
        pairs = zip(self.regression.roots, self.grams, strict=True)
        levels = [root.jitter / jnp.mean(diagonal_of(gram)) for root, gram in pairs]
        return jnp.max(jnp.stack(levels))

    @shared_property
    def grams(self) -> Arrays:
        return tuple(_covariance(self.processes, site, site) for site in self.inducing.values())

    def columns(self, quantity: Rows) -> tuple[Arrays, Array]:
        crosses = []
        for name, site in self.inducing.items():
            blocks = [
                apply(part, _covariance(self.processes, part.site, site))
                for part in quantity.parts
                if part.site.process == name
            ]
            empty = jnp.zeros((len(quantity.constant), site.size))
            crosses.append(sum(blocks[1:], blocks[0]) if blocks else empty)
        return tuple(crosses), super().columns(quantity)[1]

    def rest(self, target: Rows, features: Array, *, full: bool = False) -> Array:
        own = features[:, : sum(site.size for site in self.inducing.values())]
        if full:
            return rows_covariance(self._functions, target, target) - own @ own.T
        # Rounding may leave -1e-17 where the points explain all.
        variance = self.prior_variance(target)
        return jnp.maximum(variance - jnp.sum(own**2, axis=1), 0.0)

    def at_site(self, key: Array | None, site: Site, value: Array) -> Array:
        if site.process not in self.inducing:
            return super().at_site(key, site, value)
        start = 0
        for name, root in zip(self.inducing, self.regression.roots, strict=True):
            if name == site.process:
                cross = _covariance(self.processes, site, self.inducing[name])
                features = whiten(root, cross)
                own = value[start : start + features.shape[1]]
                if key is None:
                    return features @ own
                rest = site_variance(self.processes, site) - jnp.sum(features**2, axis=1)
                normal = jax.random.normal(key, rest.shape)
                return features @ own + jnp.sqrt(jnp.maximum(rest, 0.0)) * normal
            start += len(root.lower)
        raise AssertionError(site.process)

    @property
    def size(self) -> int:
        """The number of whitened coordinates: inducing values, then finite unknowns."""
        points = sum(site.size for site in self.inducing.values())
        return points + sum(self._sizes.values())

    @property
    def finite(self) -> Mapping[str, int]:
        """How many entries each finite unknown has, in the order of the coordinates."""
        return self._sizes

    @property
    def _functions(self) -> Processes:
        return {name: self.processes[name] for name in self.inducing}

    def prior_variance(self, target: Rows) -> Array:
        """Of the functions' part of each row, [n]."""
        return rows_variance(self._functions, target)

    @shared_property
    def _prior_variance(self) -> Array:
        """That of all observed rows, [n]."""
        parts = [self.prior_variance(part) for part in self.data.parts]
        return jnp.concatenate([jnp.zeros(0), *parts])


def inducing_sites(sites: Sites) -> dict[str, Site]:
    """The inducing points of each random function, by its name."""
    return {site.process: site for site in sites.values() if site.is_inducing}


def held_points(
    process: str, factor: Any, *, copies: int | None = None, outputs: int | None = None
) -> Site:
    """Inducing points at given places [m] or [m, d], the same for each copy of a function and for
    each of its outputs."""
    factor = jnp.asarray(factor)
    times = (copies or 1) * (outputs or 1)
    places, of = jnp.divmod(jnp.arange(len(factor) * times), times)
    label, output = jnp.divmod(of, outputs or 1)
    points = Points(
        (factor[places],),
        labels=None if copies is None else label,
        output=None if outputs is None else output,
    )
    return Site(process, points, len(factor) * times, is_inducing=True)


def _covariance(processes: Processes, first: Site, second: Site) -> Array:
    """Covariance [n, m] between two sites of one random function."""
    assert isinstance(processes[first.process], RandomFunction)
    matrix = site_covariance(processes, first, second)
    assert matrix is not None
    return matrix
