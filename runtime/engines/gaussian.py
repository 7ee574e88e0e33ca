"""The Gaussian block as an emitted program sees it: its vocabulary, its engines, and `observe`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpyro
from jax import Array

from mercer.runtime.engines.dense import Dense, LeaveOneOut, Observations
from mercer.runtime.engines.features import Features, waves_of
from mercer.runtime.engines.grid import Grid
from mercer.runtime.engines.inducing import Inducing, held_points
from mercer.runtime.engines.iterative import Iterations, Iterative
from mercer.runtime.engines.linked import block_of
from mercer.runtime.engines.markov import Markov
from mercer.runtime.engines.sites import Processes, Sites
from mercer.runtime.engines.terms import (
    Affine,
    Factor,
    Gaussian,
    Linked,
    Process,
    RandomFunction,
    Site,
    Term,
    Timeline,
    Weights,
)
from mercer.runtime.engines.weights import WeightSpace

Engine = Dense | WeightSpace | Grid | Markov | Inducing | Iterative

__all__ = [
    "Affine",
    "Dense",
    "Engine",
    "Factor",
    "Features",
    "Gaussian",
    "Grid",
    "Inducing",
    "Iterations",
    "Iterative",
    "LeaveOneOut",
    "Linked",
    "Markov",
    "Observations",
    "Process",
    "RandomFunction",
    "Site",
    "Term",
    "Timeline",
    "WeightSpace",
    "Weights",
    "held_points",
    "observe",
    "waves_of",
]


def observe(
    processes: Processes,
    sites: Sites,
    outcomes: Mapping[str, Gaussian | Linked],
    data: Mapping[str, Any],
    *,
    keep: Mapping[str, Any] | None = None,
    engine: Callable[..., Engine] = Dense,
    quantities: Mapping[str, Affine] | None = None,
    name: str = "block",
) -> dict[str, Any]:
    """The outcomes of a block inside a NumPyro model, its Gaussian unknowns integrated out.

    Outcomes with data enter the joint density as the factor `name`. An outcome that is None is
    simulated from the joint law, given the others, and recorded as a deterministic site; so are
    then the `quantities` that it is made of.
    """
    keep = keep or {}
    known = {
        outcome: (law, data[outcome], keep.get(outcome))
        for outcome, law in outcomes.items()
        if data.get(outcome) is not None
    }
    block = block_of(engine, processes, sites, known)
    if known:
        numpyro.factor(name, block.log_density())
    unknown = {outcome: law for outcome, law in outcomes.items() if outcome not in known}
    values = {outcome: value for outcome, (_, value, _) in known.items()}
    if unknown:
        key = numpyro.prng_key()
        if key is None:
            raise ValueError(f"observe: simulating {', '.join(unknown)} needs a seeded model")
        drawn = simulate(key, block, unknown, quantities or {})
        recorded = {site: numpyro.deterministic(site, value) for site, value in drawn.items()}
        values |= {outcome: recorded[outcome] for outcome in unknown}
    return values


def simulate(
    key: Array,
    block: Engine,
    outcomes: Mapping[str, Gaussian | Linked],
    quantities: Mapping[str, Affine],
) -> dict[str, Array]:
    """Quantities, and outcomes made of them and noise: one joint draw given what is observed."""
    draw_key, noise_key = jax.random.split(key)
    means = {name: law.mean for name, law in outcomes.items()}
    latent = block.draw(draw_key, {**quantities, **means})
    result = {name: latent[name] for name in quantities}
    for number, (name, law) in enumerate(outcomes.items()):
        if isinstance(law, Linked):
            own_key = jax.random.fold_in(noise_key, number)
            result[name] = law.law(latent[name]).sample(own_key)
            continue
        result[name] = latent[name] + law.draw_noise(jax.random.fold_in(noise_key, number))
    return result
