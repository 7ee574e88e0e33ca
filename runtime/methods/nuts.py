"""The density turned into draws by the No-U-Turn sampler: NumPyro's kernel, our loop over it.

The loop of NumPyro's `MCMC` traces and loads its program anew for every fit. Here the arrays are
arguments of two compiled functions, kept with those of the density: the start of a chain, and some
steps of it. Between two calls the progress is told and the state is left in a checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro.infer import hmc
from numpyro.infer.hmc import HMCState
from numpyro.infer.util import ParamInfo

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.compiling import quick_jit
from mercer.runtime.devices import over_chains
from mercer.runtime.hosts import hosts
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Density, Functions, is_finite
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.map import find_mode
from mercer.runtime.methods.pace import Pace
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side

_STEPS = 50
"""Steps of a chain in one call, at most."""

Arrays = Mapping[str, Array]


class Chain(NamedTuple):
    """`begin(key, flat, energy, gradient)` gives a state; `advance(state, arrays, count)` the state
    after `count` steps, at most `_STEPS`, and what each step gave, [_STEPS, ...]."""

    begin: Callable[..., HMCState]
    advance: Callable[..., tuple[HMCState, dict[str, Array]]]


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
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Draws:
    """`chains` × `draws` draws after `warmup`.

    `init` "warm": each chain starts near the mode that a short optimisation finds, scattered
    about it; "uniform": at a random point of its own. `target`: the acceptance rate that warm-up
    aims for, higher than usual since the posteriors of lengthscales are curved. `chain_method`:
    "threads", "sequential", "vectorized" or "parallel"; all give the same kind of draws.
    """
    checkpoint = checkpoint or Checkpoint()
    chain = chain_of(density.functions, warmup, target, depth)
    starts = checkpoint.load("starts", like=jnp.zeros(0))
    if starts is None:
        if init == "warm":
            starts = _warm_starts(density, chains, report, checkpoint)
        else:
            starts = _starts(density, chains)
        starts = hosts().shared(starts)  # rounding differs between machines
        checkpoint.save("starts", starts)
    keys = jax.random.split(jax.random.key(seed), chains)
    state = jax.vmap(chain.begin)(keys, starts, *_at_starts(density, starts))
    tally = _Tally(chains, warmup, draws, report)
    method = chain_method or fitting_chain_method(chains)
    arrays = dict(density.arguments.arrays)
    if method == "parallel":
        walk = _Walk(checkpoint, "all chains", tally, over=chains)
        collected = walk.along(_over_devices(density.functions, chain, arrays, chains), state)
    elif method == "vectorized":
        steps = density.functions.compiled.get(
            (chain, method),
            lambda: quick_jit(jax.vmap(chain.advance.__wrapped__, (0, None, None))),
        )
        walk = _Walk(checkpoint, "all chains", tally, over=chains)
        collected = walk.along(lambda s, count: steps(s, arrays, count), state)
    else:
        each = [jax.tree.map(lambda leaf, c=c: leaf[c], state) for c in range(chains)]
        chain.advance(each[0], arrays, 0)  # compiles, before several threads would

        def one(number: int) -> dict[str, np.ndarray]:
            walk = _Walk(checkpoint, f"chain {number}", tally)
            return walk.along(lambda s, count: chain.advance(s, arrays, count), each[number])

        runs = side_by_side(one, range(chains), threads=None if method == "threads" else 1)
        collected = {k: np.stack([run[k] for run in runs]) for k in runs[0]}
    points = collected.pop("flat")
    report("the values of the unknowns at the draws")
    values = density.constrain(jnp.asarray(points.reshape(-1, points.shape[-1])))
    shaped = {k: np.asarray(v).reshape(chains, draws, *v.shape[1:]) for k, v in values.items()}
    collected["tree_depth"] = np.ceil(np.log2(collected["n_steps"] + 1)).astype(int)
    return Draws(shaped, chains, draws, collected)


def chain_of(functions: Functions, warmup: int, target: float, depth: int) -> Chain:
    """The sampler on a density, made once for its settings."""
    return functions.compiled.get(
        (warmup, target, depth), lambda: _chain(functions, warmup, target, depth)
    )


def _chain(functions: Functions, warmup: int, target: float, depth: int) -> Chain:
    init, sample = hmc.hmc(
        potential_fn_gen=lambda **arrays: lambda flat: functions.potential(flat, arrays),
        algo="NUTS",
    )

    def begin(key: Array, flat: Array, energy: Array, gradient: Array) -> HMCState:
        return init(
            ParamInfo(flat, energy, gradient),
            warmup,
            target_accept_prob=target,
            max_tree_depth=depth,
            rng_key=key,
        )

    def advance(state: HMCState, arrays: Arrays, count: Array) -> tuple[HMCState, Any]:
        def step(i: Array, carry: Any) -> Any:
            state, kept = carry
            state = sample(state, (), arrays)
            kept = jax.tree.map(lambda all_, one: all_.at[i].set(one), kept, _kept_of(state))
            return state, kept

        empty = jax.tree.map(
            lambda leaf: jnp.zeros((_STEPS, *leaf.shape), leaf.dtype), _kept_of(state)
        )
        return jax.lax.fori_loop(0, count, step, (state, empty))

    # The kernel learns its settings when `begin` is traced: before `advance` is.
    return Chain(quick_jit(begin), quick_jit(advance))


def _kept_of(state: HMCState) -> dict[str, Array]:
    """What is kept of a step: the flat point, and statistics by ArviZ's names."""
    return {
        "flat": state.z,
        "diverging": state.diverging,
        "acceptance_rate": state.accept_prob,
        "n_steps": state.num_steps,
        "lp": -state.potential_energy,
        "energy": state.energy,
        "step_size": state.adapt_state.step_size,
    }


def _over_devices(
    functions: Functions, chain: Chain, arrays: Arrays, chains: int
) -> Callable[..., Any]:
    """Some steps of all chains, each on one of the devices, where `arrays` lie already."""
    spread = over_chains(chains)
    steps = functions.compiled.get(
        (chain, spread), lambda: spread.one_by_one(chain.advance.__wrapped__)
    )
    # Devices that would have one chain less go through the last once more.
    more = spread.padded(chains) - chains
    there = spread.everywhere(arrays)

    def advance(state: HMCState, count: int) -> Any:
        every = jax.tree.map(lambda leaf: _with_last(leaf, more), state)
        every = jax.tree.map(lambda leaf: spread.along(leaf, 0), every)
        found = spread.here(steps(every, there, spread.everywhere(jnp.asarray(count))))
        return jax.tree.map(lambda leaf: leaf[:chains], found)

    return advance


def _with_last(leaf: Array, more: int) -> Array:
    return jnp.concatenate([leaf, *[leaf[-1:]] * more]) if more else leaf


class _Tally:
    """Steps and divergences of all chains, told after every call."""

    def __init__(self, chains: int, warmup: int, draws: int, report: Report) -> None:
        self.chains, self.warmup, self.draws, self.report = chains, warmup, draws, report
        self.done = self.diverged = 0
        self._lock = threading.Lock()

    def add(self, steps: int, diverged: int) -> None:
        with self._lock:
            self.done += steps
            self.diverged += diverged
        share = self.done / (self.chains * (self.warmup + self.draws))
        self.report(_counted(self.diverged, "divergence"), share, done=self.done)


class _Walked(NamedTuple):
    """How far a chain, or all of them, went: what the checkpoint holds of it."""

    state: HMCState
    done: int
    kept: dict[str, np.ndarray]


class _Walk:
    """The steps of one chain, or of all `over` chains at once, as a part of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, name: str, tally: _Tally, over: int = 0) -> None:
        self._checkpoint, self._name, self._tally = checkpoint, name, tally
        self._chains, self._axis = max(1, over), 1 if over else 0
        self._rows = (slice(None),) * self._axis  # the axes before that of the steps

    def along(self, advance: Callable[..., Any], state: HMCState) -> dict[str, np.ndarray]:
        """What the steps after warm-up gave, [draw, ...], or [chain, draw, ...]."""
        none = {
            k: np.expand_dims(np.asarray(v), self._axis)[(*self._rows, slice(0))]
            for k, v in _kept_of(state).items()
        }
        begun = _Walked(state, 0, none)
        state, done, kept = self._checkpoint.load(self._name, like=begun) or begun
        self._tally.add(done * self._chains, int(kept["diverging"].sum()))
        blocks, pace = [kept], Pace(_STEPS, hosts().shared)
        warmup = self._tally.warmup
        total = warmup + self._tally.draws
        while done < total:

            def steps(count: int, state: HMCState = state) -> Any:
                return jax.block_until_ready(advance(state, count))

            left = warmup - done if done < warmup else total - done
            count, (state, given) = pace.call(steps, left)
            done += count
            if done <= warmup:
                self._tally.add(count * self._chains, 0)
            else:
                given = {k: np.asarray(v)[(*self._rows, slice(count))] for k, v in given.items()}
                blocks.append(given)
                self._tally.add(count * self._chains, int(given["diverging"].sum()))
            self._checkpoint.save(self._name, partial(self._walked, state, done, tuple(blocks)))
        return self._joined(blocks)

    def _walked(
        self, state: HMCState, done: int, blocks: Sequence[dict[str, np.ndarray]]
    ) -> _Walked:
        return _Walked(state, done, self._joined(blocks))

    def _joined(self, blocks: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        # By name: a dict that comes from a checkpoint, or from JAX, is sorted so.
        return {k: np.concatenate([b[k] for b in blocks], self._axis) for k in sorted(blocks[0])}


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count > 1)}" if count else ""


def fitting_chain_method(chains: int) -> str:
    """Parallel where there are several devices, one batch on an accelerator, else threads.

    One batch waits at every step for its longest trajectory, and on a CPU its matrices are
    factorised one after the other all the same (see `runtime.cholesky`).
    """
    if hosts().count > 1 or (chains > 1 and jax.local_device_count() > 1):
        return "parallel"
    return "threads" if jax.default_backend() == "cpu" else "vectorized"


def _at_starts(density: Density, starts: Array) -> tuple[Array, Array]:
    """-log density [chains] and its gradient [chains, p] at the starts."""
    found = [density.value_and_grad(start) for start in starts]
    return jnp.stack([energy for energy, _ in found]), jnp.stack([slope for _, slope in found])


def _starts(density: Density, chains: int) -> Array:
    """A random start of its own for each chain, [chains, p]."""
    return jnp.asarray([density.found_start(chain) for chain in range(chains)])


def _warm_starts(density: Density, chains: int, report: Report, checkpoint: Checkpoint) -> Array:
    """Starts [chains, p] near the mode; the found start where there is none."""

    def looking(*_: Any, **__: Any) -> None:
        report("looking for where to start")

    try:
        mode = find_mode(density, restarts=1, steps=40, report=looking, checkpoint=checkpoint)
        centre: Any = mode.point
    except MercerError:
        centre = density.start
    # A mode of a hierarchical density may be a spike of no mass: not further than a few units.
    centre = density.start + np.clip(np.asarray(centre) - density.start, -6.0, 6.0)
    points = []
    for chain in range(chains):
        for width in (0.3, 0.03, 0.0):
            point = centre + width * density.scattered(chain)
            if is_finite(density.value_and_grad(point)):
                break
        else:
            point = density.start
        points.append(point)
    return jnp.asarray(points)
