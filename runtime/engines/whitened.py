"""Values of random functions at their sites, sampled by way of standard normal vectors.

f = L z, z ~ N(0, I), L L' the covariance over all sites of one function: NUTS moves z, whose
prior does not narrow as the hyperparameters change (Murray & Adams 2010). Later the values are
data, observed without noise, and `Dense` conditions on them. Along a line z are the shocks of the
states and L is their recursion, in linear time; `Markov` conditions, with a trace of noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro.distributions import Normal

from mercer.runtime.engines.cholesky import LATENT, factor
from mercer.runtime.engines.dense import Dense, stacked_covariance
from mercer.runtime.engines.linemodel import LineModel
from mercer.runtime.engines.markov import Markov
from mercer.runtime.engines.sites import (
    Processes,
    Sites,
    rows,
    rows_variance,
    site_values,
    weights_count,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, Gaussian, Site, Term, Weights


def sample(processes: Processes, sites: Sites) -> dict[str, Array]:
    """Zero-mean values of each site, inside a NumPyro model: one `NAME.whitened` a process."""
    values: dict[str, Array] = {}
    for name, process in processes.items():
        own = {key: site for key, site in sites.items() if site.process == name}
        if not own:
            continue
        if isinstance(process, Weights):
            size = weights_count(process, next(iter(own.values())))
            white, root = _standard_normal(name, size), weights_root(process, size)
            weights = root * white if root.ndim == 1 else root @ white
            values.update({key: site_values(site, weights) for key, site in own.items()})
            continue
        if _is_along(own):
            ((key, site),) = own.items()
            values[key] = _along(processes, key, site)
            continue
        lower = factor(stacked_covariance(processes, list(own.values())), LATENT).lower
        stacked = lower @ _standard_normal(name, lower.shape[0])
        start = 0
        for key, site in own.items():
            values[key] = stacked[start : start + site.size]
            start += site.size
    return values


@dataclass(frozen=True, eq=False)
class Given:
    """Engines that know the values of their sites, each of some processes; those are independent,
    and an affine vector is of the processes of one."""

    blocks: tuple[Dense | Markov, ...]

    def condition(self, sites: Sites, affine: Affine) -> tuple[Array, Array]:
        """Mean and variance of an affine vector given the values."""
        return self._block(affine, sites).condition(sites, affine)

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint draw of affine vectors."""
        result: dict[str, Array] = {}
        for number, block in enumerate(self.blocks):
            own = {k: a for k, a in affines.items() if self._block(a, sites or {}) is block}
            if own:
                result |= block.draw(jax.random.fold_in(key, number), own, sites)
        return result

    @property
    def jitter(self) -> Array:
        """The largest that a factorisation added to its diagonal, relative to its mean."""
        return jnp.max(jnp.stack([block.jitter for block in self.blocks]))

    def _block(self, affine: Affine, sites: Sites) -> Dense | Markov:
        wanted: Any = None
        for block in self.blocks:
            known = {site.process for site in block.sites.values()}
            for term in affine.terms:
                if (sites.get(term.site) or block.sites.get(term.site, Site(""))).process in known:
                    wanted = block
        return self.blocks[0] if wanted is None else wanted


def given(
    processes: Processes,
    sites: Sites,
    values: Mapping[str, Array],
    places: Mapping[str, Array] | None = None,
) -> Given:
    """The engines that know the values of their sites: `condition` and `draw` anywhere.

    Of sums of weights nothing is taken: a site holds the weights themselves, of which `places` says
    by process which ones the values are, if not all.
    """
    along: list[Dense | Markov] = []
    rest: dict[str, Any] = {}
    seen: set[str] = set()
    for key, site in sites.items():
        if isinstance(processes[site.process], Weights):
            if site.process in seen or site.features is not None:
                continue  # the same unknowns: known once
            seen.add(site.process)
        index = None if site.points is not None else (places or {}).get(site.process)
        size = site.size if index is None else len(index)
        mean = Affine(0.0, (Term(key, index=index),), (size,))
        if _is_along({key: site}):
            # The share of the variance by which the factor of `Dense` moves its diagonal.
            variance = jnp.mean(rows_variance(processes, rows(mean, {key: site})))
            law = Gaussian(mean, jnp.sqrt(LATENT[0] * variance), site.order)
            along.append(Markov(processes, {key: site}, {key: (law, values[key], None)}))
        else:
            rest[key] = (Gaussian(mean, 0.0), values[key], None)
    if rest:
        own = {k: s for k, s in sites.items() if not _is_along({k: s})}
        along.append(Dense(processes, own, rest, levels=LATENT))
    return Given(tuple(along))


def _is_along(sites: Sites) -> bool:
    orders = [site.order for site in sites.values()]
    return len(orders) == 1 and orders[0] is not None and orders[0].row is not None


def _along(processes: Processes, key: str, site: Site) -> Array:
    """The values of a site, from the shocks of its states along the line."""
    name = site.process
    model = LineModel({name: processes[name]}, {key: site}, ())
    readout = model.readout(rows(Affine(0.0, (Term(key),), (site.size,)), {key: site}))
    assert site.order is not None
    return model.prior_values(readout, site.order, lambda size: _standard_normal(name, size))


def _standard_normal(name: str, size: int) -> Array:
    law = Normal(jnp.zeros(()), 1.0).expand([size]).to_event(1)
    return jnp.asarray(numpyro.sample(f"{name}.whitened", law))
