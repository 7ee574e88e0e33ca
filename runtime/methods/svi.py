"""The density turned into the nearest normal law in unconstrained space (variational inference)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.autoguide import (
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)
from numpyro.infer.initialization import init_to_median

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.compiling import quick_jit
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Density
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.pace import Pace
from mercer.runtime.progress import Report, silent

_FULL_UP_TO = 200
"""Unknowns up to which all correlations are kept: the factor has p (p + 1) / 2 numbers."""

_STEPS = 500
"""Steps in one call, at most."""


class _Descent(NamedTuple):
    """The steps so far: NumPyro's state (parameters, moments, key), their number and losses."""

    state: Any
    done: int
    losses: np.ndarray


def run_svi(
    density: Density,
    *,
    seed: int,
    chains: int,
    draws: int,
    steps: int,
    rate: float,
    guide: Literal["auto", "full", "independent"] = "auto",
    rank: int | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Draws:
    """Draws from the fitted guide, [chains, draws]; the lower bound (ELBO) is in the notes.

    `rank`: correlations in so many directions alone, whatever `guide` says.
    """
    model, size = density.functions.model, density.functions.zero.size
    is_full = guide == "full" or (guide == "auto" and size <= _FULL_UP_TO)
    begin: dict[str, Any] = {"init_loc_fn": init_to_median(num_samples=15), "init_scale": 0.05}
    if rank is not None:
        auto: Any = AutoLowRankMultivariateNormal(model, rank=min(rank, size), **begin)
    else:
        auto = (AutoMultivariateNormal if is_full else AutoNormal)(model, **begin)
    schedule = optax.cosine_decay_schedule(rate, steps, alpha=0.02)
    svi = SVI(model, auto, optax.adam(schedule), Trace_ELBO(num_particles=4))
    arrays = dict(density.arguments.arrays)
    key, draw_key = jax.random.split(jax.random.key(seed))
    checkpoint = checkpoint or Checkpoint()
    begun = _Descent(svi.init(key, **arrays), 0, np.zeros(0))
    state, done, losses = checkpoint.load("descent", like=begun) or begun

    @quick_jit
    def optimise(state: Any, arrays: Mapping[str, Any], count: Array) -> Any:
        def step(i: Array, carry: Any) -> Any:
            state, losses = carry
            state, loss = svi.update(state, **arrays)
            return state, losses.at[i].set(loss)

        return jax.lax.fori_loop(0, count, step, (state, jnp.zeros(_STEPS)))

    jax.block_until_ready(optimise(state, arrays, 0))  # compiles, so that it counts in no rate
    pace = Pace(_STEPS)
    while done < steps and (done == 0 or np.isfinite(losses[-1])):

        def some(count: int, state: Any = state) -> Any:
            return jax.block_until_ready(optimise(state, arrays, count))

        count, (state, given) = pace.call(some, steps - done)
        done, losses = done + count, np.concatenate([losses, np.asarray(given)[:count]])
        report(f"loss {np.mean(losses[-50:]):.5g}", done / steps, done=done)
        checkpoint.save("descent", _Descent(state, done, losses))
    if not np.isfinite(losses[-1]):
        problem = "variational inference ran into a density that is not a number"
        mend = "use nuts or map, or a smaller rate: infer SVI(rate = 0.005)"
        raise MercerError([Diagnostic("M604", problem, mend=mend)])
    shape = (chains * draws,)
    parameters = svi.get_params(state)
    found = auto.sample_posterior(draw_key, parameters, **arrays, sample_shape=shape)
    values = {
        name: np.asarray(v).reshape(chains, draws, *v.shape[1:])
        for name, v in cast(dict[str, Any], found).items()
        if not name.startswith("_auto")
    }
    return Draws(values, chains, draws, {}, _notes(losses, is_full, rank))


def _notes(losses: np.ndarray, is_full: bool, rank: int | None) -> tuple[str, ...]:
    tail = losses[-max(10, len(losses) // 20) :]
    before = losses[-2 * len(tail) : -len(tail)]
    law = "with all correlations" if is_full else "without correlations"
    law = law if rank is None else f"with correlations of rank {rank}"
    notes = [
        f"The posterior is the nearest normal law {law} in unconstrained space, not the exact one: "
        f"its lower bound of the log evidence is {-tail.mean():.2f}."
    ]
    if before.size and before.mean() - tail.mean() > max(1.0, 2 * tail.std()):
        notes.append(
            "The bound was still rising at the end: run more steps, infer SVI(steps = ...)."
        )
    return tuple(notes)
