"""The density turned into draws by the No-U-Turn sampler, NumPyro's `MCMC`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import MCMC, NUTS
from numpyro.infer.hmc import hmc

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.density import Density
from mercer.runtime.draws import Draws
from mercer.runtime.map import find_mode
from mercer.runtime.threads import threads

_STATS = {
    "diverging": "diverging",
    "accept_prob": "acceptance_rate",
    "num_steps": "n_steps",
    "potential_energy": "lp",
    "energy": "energy",
    "adapt_state.step_size": "step_size",
}


def run_nuts(
    density: Density,
    *,
    seed: int,
    chains: int,
    warmup: int,
    draws: int,
    target: float,
    depth: int,
    init: str = "warm",
    chain_method: str | None = None,
) -> Draws:
    """`chains` × `draws` draws after `warmup`.

    `init` "warm": each chain starts near the mode that a short optimisation finds, scattered
    about it; "uniform": at NumPyro's random points. `target`: the acceptance rate that warm-up
    aims for, higher than usual since the posteriors of lengthscales are curved. `chain_method`:
    "threads", "sequential", "vectorized" or "parallel"; all give the same kind of draws.
    """
    # NumPyro takes a function here too; its annotation knows strings only.
    chosen = chain_method or fitting_chain_method(chains)
    method: Any = threads if chosen == "threads" else chosen
    sampler = MCMC(
        _Started(density, target_accept_prob=target, max_tree_depth=depth),
        num_warmup=warmup,
        num_samples=draws,
        num_chains=chains,
        chain_method=method,
        progress_bar=False,  # a callback would keep the program out of the compilation cache
        jit_model_args=True,
    )
    start = (
        _warm_starts(density, chains, seed) if init == "warm" else _found_starts(density, chains)
    )
    sampler.run(
        jax.random.key(seed),
        init_params=start,
        extra_fields=tuple(_STATS),
        **density.arguments.arrays,
    )
    values = {k: np.asarray(v) for k, v in sampler.get_samples(group_by_chain=True).items()}
    fields = sampler.get_extra_fields(group_by_chain=True)
    stats = {_STATS[k]: np.asarray(v) for k, v in fields.items()}
    stats["lp"] = -stats["lp"]
    stats["tree_depth"] = np.ceil(np.log2(stats["n_steps"] + 1)).astype(int)
    return Draws(values, chains, draws, stats)


def fitting_chain_method(chains: int) -> str:
    """Parallel where each chain has a device, one batch on an accelerator, else threads.

    One batch waits at every step for its longest trajectory, and on a CPU its matrices are
    factorised one after the other all the same (see `runtime.cholesky`).
    """
    if chains > 1 and jax.local_device_count() >= chains:
        return "parallel"
    return "threads" if jax.default_backend() == "cpu" else "vectorized"


class _Started(NUTS):
    """NumPyro's sampler on a density that has its start and its functions already.

    `NUTS(model)` traces and evaluates the model anew for every chain, operation by operation;
    `NUTS(potential_fn=...)` would make the data constants of the compiled program.
    """

    def __init__(self, density: Density, **options: Any) -> None:
        super().__init__(density.model, **options)
        self._density = density

    def _init_state(self, rng_key: Any, model_args: Any, model_kwargs: Any, start: Any) -> Any:
        if self._init_fn is None:
            self._potential_fn_gen = lambda **arrays: lambda z: self._density.energy(z, arrays)
            self._postprocess_fn = lambda **arrays: lambda z: self._density.values(z, arrays)
            self._init_fn, self._sample_fn = hmc(
                potential_fn_gen=self._potential_fn_gen,
                kinetic_fn=self._kinetic_fn,
                algo=self._algo,
            )
        return start


def _found_starts(density: Density, chains: int) -> Any:
    """A start of its own for each chain, as NumPyro finds them."""
    key = jax.random.key(density.seed)
    return _stacked([density.found_start(jax.random.fold_in(key, c)) for c in range(chains)])


def _stacked(starts: list[Any]) -> Any:
    if len(starts) == 1:
        return starts[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)


def _warm_starts(density: Density, chains: int, seed: int) -> Any:
    """Unconstrained starts [chains, ...] near the mode; the found start where there is none."""
    try:
        centre = find_mode(density, restarts=1, steps=40).point
    except MercerError:
        centre = density.start
    # A mode of a hierarchical density may be a spike of no mass: not further than a few units.
    centre = density.start + jnp.clip(centre - density.start, -6.0, 6.0)
    key = jax.random.fold_in(jax.random.key(seed), 7)
    points = []
    for chain in range(chains):
        chain_key = jax.random.fold_in(key, chain)
        for width in (0.3, 0.03, 0.0):
            point = centre + width * jax.random.normal(chain_key, centre.shape)
            value, gradient = density.value_and_grad(point)
            if bool(jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))):
                break
        else:
            point = density.start
        points.append(point)
    return _stacked([density.as_parameters(point) for point in points])
