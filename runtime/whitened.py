"""Values of random functions at their sites, sampled by way of standard normal vectors.

f = L z, z ~ N(0, I), L L' the covariance over all sites of one function: NUTS moves z, whose
prior does not narrow as the hyperparameters change (Murray & Adams 2010). Later the values are
data, observed without noise, and `Dense` conditions on them.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro.distributions import Normal

from mercer.runtime.cholesky import LATENT, factor
from mercer.runtime.dense import Dense, stacked_covariance
from mercer.runtime.sites import Processes, Sites, site_values, weights_count, weights_root
from mercer.runtime.terms import Affine, Gaussian, Term, Weights


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
        lower = factor(stacked_covariance(processes, list(own.values())), LATENT).lower
        stacked = lower @ _standard_normal(name, lower.shape[0])
        start = 0
        for key, site in own.items():
            values[key] = stacked[start : start + site.size]
            start += site.size
    return values


def given(
    processes: Processes,
    sites: Sites,
    values: Mapping[str, Array],
    places: Mapping[str, Array] | None = None,
) -> Dense:
    """The engine that knows the values of its sites exactly: `condition` and `draw` anywhere.

    Of sums of weights nothing is taken: a site holds the weights themselves, of which `places` says
    by process which ones the values are, if not all.
    """
    observations = {}
    seen: set[str] = set()
    for key, site in sites.items():
        if isinstance(processes[site.process], Weights):
            if site.process in seen or site.features is not None:
                continue  # the same unknowns: known once
            seen.add(site.process)
        index = None if site.points is not None else (places or {}).get(site.process)
        size = site.size if index is None else len(index)
        mean = Affine(0.0, (Term(key, index=index),), (size,))
        observations[key] = (Gaussian(mean, 0.0), values[key], None)
    return Dense(processes, sites, observations, levels=LATENT)


def _standard_normal(name: str, size: int) -> Array:
    law = Normal(jnp.zeros(()), 1.0).expand([size]).to_event(1)
    return jnp.asarray(numpyro.sample(f"{name}.whitened", law))
