"""The statements of an emitted `model` that are more than one line of NumPyro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jax import Array
from numpyro import distributions as dist

from mercer.runtime.terms import Affine, Gaussian, Process, Site
from mercer.runtime.whitened import Whitened


def sample_whitened(
    processes: Mapping[str, Process],
    sites: Mapping[str, Site],
    quantities: Mapping[str, Affine],
) -> dict[str, Array]:
    """Values of random functions at their points, as a standard normal times a factor.

    Adds a sample `NAME.white` for each site and keeps the value itself under the site's name.
    """
    white = {
        name: numpyro.sample(f"{name}.white", dist.Normal(jnp.zeros(site.size), 1.0).to_event(1))
        for name, site in sites.items()
    }
    used = {site.process for site in sites.values()}
    engine = Whitened({k: v for k, v in processes.items() if k in used}, sites)
    values = engine.values(white)
    return {name: numpyro.deterministic(name, q(values)) for name, q in quantities.items()}


def observe_jointly(
    engine: Any,
    processes: Mapping[str, Process],
    sites: Mapping[str, Site],
    outcomes: Mapping[str, tuple[Gaussian, Any, Any]],
) -> None:
    """The density of all Gaussian outcomes of a block at once, or a draw of those left out.

    `outcomes`: law, values or None, and the positions of the observed rows or None (all).
    """
    given = {k: v for k, v in outcomes.items() if v[1] is not None}
    block = engine(processes, sites, given)
    if given:
        numpyro.factor("+".join(given), block.log_density())
    left = {k: law for k, (law, value, _) in outcomes.items() if value is None}
    if left:
        at = block.draw(numpyro.prng_key(), {k: law.mean for k, law in left.items()})
        for name, law in left.items():
            noise = jnp.broadcast_to(jnp.asarray(law.noise), (at[name].size,))
            numpyro.sample(name, dist.Normal(at[name], noise.reshape(at[name].shape)))


def observe(name: str, law: Any, value: Any, keep: Any = None) -> None:
    """One outcome given everything else; rows that are missing do not count."""
    if value is None or keep is None:
        numpyro.sample(name, law, obs=value)
        return
    seen = jnp.zeros(value.size, bool).at[keep].set(True).reshape(value.shape)
    some = value.reshape(-1)[keep[0]]
    numpyro.sample(name, law.mask(seen), obs=jnp.where(seen, value, some))


def observed_rows(value: Any) -> Any:
    """The positions of the rows that are not missing, in flat order; None: all, or no outcome."""
    if value is None:
        return None
    seen = np.isfinite(np.asarray(value, float).reshape(-1))
    return None if seen.all() else np.flatnonzero(seen)
