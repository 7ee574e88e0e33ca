"""One Normal law of all Gaussian unknowns turned into what they are anywhere, and into a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro import distributions as dist

from mercer.runtime.engines.cholesky import Factor
from mercer.runtime.engines.evidence import SPARSE, Regression, roots_of
from mercer.runtime.engines.inducing import Inducing
from mercer.runtime.engines.sites import (
    Processes,
    Rows,
    Sites,
    apply,
    rows,
    rows_covariance,
    spread,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, Gaussian, Site, Weights
from mercer.runtime.methods.natural import Normal
from mercer.runtime.shared import shared_property
from mercer.runtime.statements import observe_each, values_at

WHITENED = "inducing.whitened"
"""The whitened coordinates inside a NumPyro model; no unknown of the user's."""


class Variational(Inducing):
    """The engine that knows a law q of the whitened coordinates: inducing values of the functions,
    then the entries of the finite unknowns.

    `entries[name]`: where the entries that q knows are among those of a finite unknown; the others
    have their prior.
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        law: Normal,
        *,
        entries: Mapping[str, Any] | None = None,
        levels: tuple[float, ...] = SPARSE,
    ) -> None:
        super().__init__(processes, sites, {}, levels=levels)
        self.law = law
        self.entries = entries or {}
        self._sizes = {name: size for name, size in self._sizes.items() if name not in law.apart}

    @shared_property
    def regression(self) -> Regression:
        """q, in the place of the posterior that all rows would give."""
        roots = roots_of(self.grams, self.levels)
        mean, root, *_ = self._placed()
        nothing = jnp.zeros((0, len(mean)))
        return Regression(nothing, roots, root @ root.T, Factor(root, jnp.zeros(())), mean)

    def _placed(self) -> Normal:
        if not self.entries:
            return self.law
        start = self.size - sum(self._sizes.values())
        places = [jnp.arange(start)]
        for name, size in self._sizes.items():
            places.append(start + jnp.asarray(self.entries.get(name, jnp.arange(size))))
            start += size
        own = jnp.concatenate(places)
        # In increasing order, so that the root stays a lower triangle.
        mean = jnp.zeros(start).at[own].set(self.law.mean)
        root, covariance = (
            jnp.eye(start).at[own[:, None], own].set(known)
            for known in (self.law.root, self.law.covariance)
        )
        return Normal(mean, root, covariance, self.law.apart)

    # --- unknowns that stand apart ---

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector under q."""
        mean, spread_ = super().condition(sites, affine, full=full)
        if not self.law.apart:
            return mean, spread_
        target = rows(affine, self._everywhere(sites))
        own, variance = self.of_apart(target)
        if full:
            laws = {n: Weights(sd=jnp.sqrt(v)) for n, (_, v) in self._apart.items()}
            variance = rows_covariance(laws, target, target)
            return mean + own.reshape(mean.shape), spread_ + variance
        return mean + own.reshape(mean.shape), spread_ + variance.reshape(mean.shape)

    def at_mean(self, outcome: Gaussian) -> dist.Normal:
        """The law of an outcome, the unknowns at their means."""
        mean = self.condition({}, outcome.mean)[0]
        return dist.Normal(mean, spread(outcome.noise, mean.shape).reshape(mean.shape))

    def of_apart(self, target: Rows) -> tuple[Array, Array]:
        """The mean and the variance [N] of what rows read of unknowns that stand apart; a row reads
        an entry once."""
        mean = variance = jnp.zeros(len(target.constant))
        for part in target.parts:
            if part.site.process in self._apart:
                centre, own = self._apart[part.site.process]
                mean += apply(part, centre)
                square = part._replace(coefficient=jnp.square(jnp.asarray(part.coefficient)))
                variance += apply(square, own)
        return mean, variance

    def at_site(self, key: Array | None, site: Site, value: Array) -> Array:
        if site.process not in self._apart:
            return super().at_site(key, site, value)
        mean, variance = self._apart[site.process]
        if key is None:
            return mean
        return mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape)

    @shared_property
    def _apart(self) -> dict[str, tuple[Array, Array]]:
        """Mean and variance of every entry, in the units of the model; those that q does not know
        have their prior's."""
        found = {}
        for name, (mean, variance) in self.law.apart.items():
            size = next(s.size for s in self.sites.values() if s.process == name)
            process = self.processes[name]
            assert isinstance(process, Weights)
            root = weights_root(process, size)
            own = jnp.asarray(self.entries.get(name, jnp.arange(size)))
            mean = jnp.zeros(size).at[own].set(mean)
            variance = jnp.ones(size).at[own].set(variance)
            found[name] = (root * mean, root**2 * variance)
        return found


def observe_through_inducing(
    processes: Processes,
    sites: Sites,
    quantities: Mapping[str, Affine],
    outcomes: Callable[[Mapping[str, Array]], Mapping[str, Any]],
    data: Mapping[str, Any],
    *,
    keep: Mapping[str, Any],
) -> None:
    """Outcomes of functions seen through inducing points, inside a NumPyro model.

    Simulated, a function has its prior law at each point; in a density its values are their means
    given the inducing values.
    """
    block = Inducing(processes, sites, {})
    law = dist.Normal(jnp.zeros(()), 1.0).expand([block.size]).to_event(1)
    white = jnp.asarray(numpyro.sample(WHITENED, law))
    key = numpyro.prng_key()
    values = {}
    for number, (name, site) in enumerate(sites.items()):
        if not site.is_inducing:
            own = None if key is None else jax.random.fold_in(key, number)
            values[name] = block.at_site(own, site, white)
    at = values_at(values, sites, quantities)
    for name, value in at.items():
        numpyro.deterministic(name, value)
    for name, outcome in outcomes(at).items():
        if isinstance(outcome, Gaussian):
            mean = values_at(values, sites, {name: outcome.mean})[name]
            noise = spread(outcome.noise, outcome.mean.shape).reshape(mean.shape)
            outcome = dist.Normal(mean, noise)
        observe_each(name, outcome, data[name], keep[name])
