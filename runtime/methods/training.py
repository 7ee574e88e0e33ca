"""A program and its data turned into draws of its unknowns by stochastic gradients.

Adam on the log density of a few rows at a time, that of the outcomes multiplied by the share which
they are of all. Some rows are held out: after each pass over the others their density says whether
the last values are the best so far, and whether it is time to stop. By MAP the unknowns are
points, one for each member of an ensemble; by SVI they have a Normal law in unconstrained space,
with correlations in `rank` directions alone (`mercer.runtime.methods.lowrank`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.handlers import seed as seeded
from numpyro.handlers import substitute, trace
from numpyro.infer.util import constrain_fn, potential_energy
from numpyro.primitives import Messenger

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.devices import Spread, dividing
from mercer.runtime.hosts import hosts
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import (
    Arguments,
    Functions,
    arguments_of,
    functions_of,
    identifiers,
    summaries_of,
)
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.lowrank import LowRank
from mercer.runtime.methods.minibatch import Minibatches, shuffled
from mercer.runtime.posterior.conditional import known_of
from mercer.runtime.progress import Report, silent

PATIENCE = (6, 500)
"""Passes, and steps, without a better one after which training stops."""

_SCALE = 0.02
"""Standard deviations at which the law of SVI begins, in unconstrained units."""

_EVALUATED = 256
"""Rows at a time where the held out ones are looked at."""


class State(NamedTuple):
    """All that the next step follows from, with the seed and the data. `best`: the values at the
    best pass; `scores`: of each pass the loss and the density of a held-out row."""

    step: int
    values: Any
    moments: Any
    best: Any
    best_pass: int
    losses: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Settings:
    """`batch`: rows of a step; `epochs`: passes at most; `held`: share of the rows held out."""

    batch: int
    epochs: int
    rate: float
    held: float


def run_training(
    program: ModuleType,
    bound: Any,
    *,
    method: Literal["map", "svi"],
    seed: int,
    chains: int,
    draws: int,
    epochs: int,
    rate: float,
    batch: int | None = None,
    held: float | None = None,
    rank: int | None = None,
    summaries: Mapping[str, Any] | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> tuple[Draws, Arguments]:
    """Draws [chains, draws], and the arguments of all rows. MercerError M604: no finite density."""
    kept = checkpoint or Checkpoint()
    taken = summaries_of(program, bound) if summaries is None else summaries
    everything = arguments_of(program, bound, summaries=taken)
    if (left := kept.load("draws")) is not None:
        from mercer.runtime.methods.draws import draws_of

        return draws_of(left), everything
    rows = _Rows(program, bound, everything, taken, held=held or 0.0, seed=seed)
    settings = Settings(min(batch or rows.count, rows.count), epochs, rate, held or 0.0)
    objective = _Objective(program, rows, settings, is_law=method == "svi", rank=rank or 0)
    members = []
    for member in range(chains):
        told = _Told(report, member, chains, method)
        members.append(_train(objective, settings, seed, member, told, kept))
    found = _drawn(objective, members, seed=seed, chains=chains, draws=draws)
    kept.save("draws", found.state(), alone=True)
    return found, everything


class _Rows:
    """The rows that are trained on, and those held out, as arguments of the program."""

    def __init__(
        self,
        program: ModuleType,
        bound: Any,
        everything: Arguments,
        summaries: Mapping[str, Any],
        *,
        held: float,
        seed: int,
    ) -> None:
        self.program, self.everything, self.seed = program, everything, seed
        self.index: str | None = program.TRAINING.rows
        self.batches: Minibatches | None = None
        self.left_out = 0
        if self.index is None:
            self.trained, self.held = np.zeros(1, int), np.zeros(0, int)
            return
        self.batches = Minibatches(program, bound, summaries, index=self.index)
        whole = self._whole(bound)
        self.left_out = self.batches.count - len(whole)
        order = np.random.default_rng((seed, 11)).permutation(whole)
        kept = round(held * len(order))
        self.held, self.trained = np.sort(order[:kept]), np.sort(order[kept:])
        if not len(self.trained):
            problem = "no row has all the outcomes, so that there is nothing to train on"
            raise MercerError([Diagnostic("M604", problem)])

    @property
    def count(self) -> int:
        return len(self.trained)

    def at(self, step: int, size: int, member: int) -> Arguments:
        """The arguments of one step."""
        if self.batches is None:
            return self.everything
        places = shuffled(self.count, step * size, (step + 1) * size, self.seed + 7919 * member)
        return self.batches.arguments(self.trained[places])

    def parts_of_held(self) -> list[Arguments]:
        assert self.batches is not None
        blocks = range(0, len(self.held), _EVALUATED)
        return [self.batches.arguments(self.held[b : b + _EVALUATED]) for b in blocks]

    def _whole(self, bound: Any) -> np.ndarray:
        """The rows of which every outcome is there."""
        assert self.batches is not None
        is_whole = np.ones(self.batches.count, bool)
        word = {name: w for w, name in self.program.NAMES.items()}
        for name in self.program.TRAINING.outcomes:
            value = np.asarray(self.everything.all()[word.get(name, name)])
            axis = self.batches.axis(word.get(name, name))
            gone = np.isnan(value) if value.dtype.kind == "f" else value < 0
            others = tuple(a for a in range(value.ndim) if a != axis)
            is_whole &= ~gone.any(axis=others)
        return np.flatnonzero(is_whole)


class _Objective:
    """The loss of a few rows and its gradient, compiled once for rows of one number, which devices
    share."""

    def __init__(
        self, program: ModuleType, rows: _Rows, settings: Settings, *, is_law: bool, rank: int
    ) -> None:
        self.program, self.rows, self.is_law, self.rank = program, rows, is_law, rank
        first = rows.at(0, min(2, rows.count), 0)
        self.functions: Functions = functions_of(program, first)
        self.size = int(self.functions.zero.size)
        one = rows.batches is None
        self.spread: Spread = dividing(1 if one else settings.batch)

    def start(self, seed: int, member: int) -> Array:
        """Weights of layers like draws of their prior, all else close to 0, unconstrained."""
        random = np.random.default_rng((seed, 5, member))
        unknowns = self.functions.unravel(self.functions.zero)
        layers = tuple(f"{name}." for name in self.program.LAYERS)
        scale = {n: 1.0 if n.startswith(layers) else 0.1 for n in unknowns}
        drawn = {n: s * random.normal(size=unknowns[n].shape) for n, s in scale.items()}
        return ravel_pytree(drawn)[0]

    def first(self, seed: int, member: int) -> Any:
        start = self.start(seed, member)
        if not self.is_law:
            return (start,)
        random = np.random.default_rng((seed, 19, member))
        return LowRank.about(start, sd=_SCALE, rank=self.rank, random=random)

    @cached_property
    def gradient(self) -> Any:
        """(values, key, arrays, factor) -> the loss of one row, and its gradient."""
        count = self.rows.count if self.rows.index is not None else 1

        def loss(values: Any, key: Array, arrays: Any, factor: Array) -> Array:
            flat, minus_entropy = self.drawn(values, key)
            return (self.potential(flat, arrays, factor) + minus_entropy) / count

        compiled, spread = self.spread.compiled(jax.value_and_grad(loss)), self.spread

        def at(values: Any, key: Array, arrays: Mapping[str, Any], factor: float) -> Any:
            batches = self.rows.batches
            axes = {k: None if batches is None else batches.axis(k) for k in arrays}
            placed = {
                k: spread.everywhere(v) if axis is None else spread.along(v, axis)
                for (k, v), axis in zip(arrays.items(), axes.values(), strict=True)
            }
            return spread.here(compiled(*spread.everywhere((values, key)), placed, factor))

        return at

    def drawn(self, values: Any, key: Array) -> tuple[Array, Array | float]:
        """A point of the law, and the part of minus its entropy that moves."""
        if not self.is_law:
            return values[0], 0.0
        return values.draw(key), -values.entropy()

    def potential(self, flat: Array, arrays: Any, factor: Any) -> Array:
        """-log density, that of the outcomes times `factor`."""
        model = _Weighted(self.functions.model, self.program.TRAINING.outcomes, factor)
        found = potential_energy(model, (), dict(arrays), self.functions.unravel(flat))
        return jnp.asarray(found)

    @cached_property
    def score(self) -> Any:
        """(flat, arrays) -> log density of each outcome summed over rows, and how many labels are
        the most probable ones."""

        def one(flat: Array, arrays: Any) -> tuple[Array, Array]:
            model, unknowns = self.functions.model, self.functions.unravel(flat)
            values = constrain_fn(model, (), dict(arrays), unknowns)
            sites = trace(substitute(seeded(model, 0), values)).get_trace(**arrays)
            outcomes = self.program.TRAINING.outcomes
            density = sum(
                jnp.sum(sites[name]["fn"].log_prob(sites[name]["value"])) for name in outcomes
            )
            return jnp.asarray(density), self.right(values, arrays)

        return jax.jit(one)

    def right(self, draw: Mapping[str, Array], arrays: Mapping[str, Array]) -> Array:
        static = self.rows.everything.static
        known = known_of(self.program, {**static, **arrays}, draw)
        words = identifiers(self.program)
        total = jnp.zeros(())
        for name, law in self.program.outcomes({}, **known).items():
            chances, value = getattr(law, "probs", None), known[str(words.get(name, name))]
            if chances is not None and jnp.ndim(chances) == jnp.ndim(value) + 1:
                total = total + jnp.sum(jnp.argmax(chances, axis=-1) == value)
        return total


class _Weighted(Messenger):
    """The model with the densities of some sites multiplied."""

    def __init__(self, fn: Any, names: tuple[str, ...], factor: Any) -> None:
        self._names, self._factor = names, factor
        super().__init__(fn)

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "sample" and msg["name"] in self._names:
            msg["scale"] = self._factor if msg["scale"] is None else msg["scale"] * self._factor


class _Told:
    """What a report is given of one member."""

    def __init__(self, report: Report, member: int, members: int, method: str) -> None:
        self._report, self._member, self._members = report, member, members

    def __call__(self, share: float, step: int, text: str) -> None:
        whole = (self._member + share) / self._members
        which = f"member {self._member + 1} of {self._members}, " if self._members > 1 else ""
        self._report(which + text, whole, done=step, unit="steps")


def _train(
    objective: _Objective,
    settings: Settings,
    seed: int,
    member: int,
    told: _Told,
    checkpoint: Checkpoint,
) -> State:
    rows = objective.rows
    per_pass = max(1, rows.count // settings.batch)
    last = settings.epochs * per_pass
    name = f"member {member}"
    adam = optax.adam(optax.cosine_decay_schedule(settings.rate, last, alpha=0.01))
    values = objective.first(seed, member)
    empty = np.zeros(0)
    state = State(0, values, adam.init(values), values, 0, empty, np.zeros((0, 3)))
    state = checkpoint.load(name, like=state) or state
    factor = rows.count / settings.batch if rows.index is not None else 1.0
    key = jax.random.fold_in(jax.random.key(seed), member)

    @jax.jit
    def update(values: Any, moments: Any, gradient: Any) -> Any:
        change, moments = adam.update(gradient, moments, values)
        return optax.apply_updates(values, change), moments

    said = _said(state)
    while state.step < last and not _is_over(state, per_pass):
        arguments = rows.at(state.step, settings.batch, member)
        loss, gradient = objective.gradient(
            state.values, jax.random.fold_in(key, state.step), dict(arguments.arrays), factor
        )
        values, moments = update(state.values, state.moments, gradient)
        losses = np.append(state.losses, float(loss))
        if not np.isfinite(losses[-1]):
            problem = "training ran into a density that is not a number"
            mend = "use a smaller rate: infer MAP(rate = 0.003)"
            raise MercerError([Diagnostic("M604", problem, mend=mend)])
        state = state._replace(step=state.step + 1, values=values, moments=moments, losses=losses)
        if state.step % per_pass == 0:
            # Rounding differs between machines, and what is decided by it must not.
            state = hosts().shared(_passed(objective, state, per_pass))
            said = _said(state)
        recent = float(np.mean(state.losses[-per_pass:]))
        told(state.step / last, state.step, f"loss {recent:.3f}{said}")
        checkpoint.save(name, state)
    return state


def _passed(objective: _Objective, state: State, per_pass: int) -> State:
    """The state after a pass: the best values, as what is held out says; the last, without."""
    loss = float(np.mean(state.losses[-per_pass:]))
    if not len(objective.rows.held):
        scores = np.vstack([state.scores, [loss, np.nan, np.nan]])
        return state._replace(scores=scores, best=state.values, best_pass=len(scores))
    density, right = 0.0, 0.0
    for part in objective.rows.parts_of_held():
        found = objective.score(state.values[0], dict(part.arrays))
        density, right = density + float(found[0]), right + float(found[1])
    count = len(objective.rows.held)
    before = state.scores[:, 1].max(initial=-np.inf)
    scores = np.vstack([state.scores, [loss, density / count, right / count]])
    if density / count > before:
        return state._replace(scores=scores, best=state.values, best_pass=len(scores))
    return state._replace(scores=scores)


def _is_over(state: State, per_pass: int) -> bool:
    since = len(state.scores) - state.best_pass
    return since >= PATIENCE[0] and since * per_pass >= PATIENCE[1]


def _said(state: State) -> str:
    """What was held out, after the last pass."""
    if not len(state.scores) or np.isnan(state.scores[-1, 1]):
        return ""
    _, density, right = state.scores[-1]
    text = f", pass {len(state.scores)}: held-out log density {density:.3f}"
    return f"{text}, accuracy {right:.3f}" if right > 0 else text


def _drawn(
    objective: _Objective,
    members: list[State],
    *,
    seed: int,
    chains: int,
    draws: int,
) -> Draws:
    """Points of the best values of each member: themselves, or drawn from their law."""
    points = []
    for number, state in enumerate(members):
        if objective.is_law:
            points.append(state.best.points(draws, np.random.default_rng((seed, 13, number))))
        else:
            points.append(np.repeat(np.asarray(state.best[0])[None], draws, axis=0))
    flat = jnp.asarray(np.concatenate(points))
    first = objective.rows.at(0, min(2, objective.rows.count), 0)
    found = objective.functions.values(flat, dict(first.arrays))
    names = objective.functions.unravel(objective.functions.zero)
    values = {
        name: np.asarray(found[name]).reshape(chains, draws, *found[name].shape[1:])
        for name in names
        if name in found
    }
    return Draws(values, chains, draws, {}, tuple(_notes(objective, members)))


def _notes(objective: _Objective, members: list[State]) -> list[str]:
    rows, rank = objective.rows, objective.rank
    law = f"with correlations of rank {rank}" if rank else "without correlations"
    what = (
        f"The posterior is the nearest Normal law {law} in unconstrained space."
        if objective.is_law
        else "The unknowns are held at their most probable values (MAP): their own uncertainty is "
        "not in the posterior."
        if len(members) == 1
        else f"The unknowns are held at {len(members)} modes, one for each member of an ensemble."
    )
    notes = [what]
    if rows.left_out:
        notes.append(f"{rows.left_out} rows in which an outcome is missing were left out.")
    for number, state in enumerate(members):
        which = f"member {number + 1}: " if len(members) > 1 else ""
        if not len(rows.held):
            continue
        _, density, right = state.scores[state.best_pass - 1]
        text = (
            f"{which}trained for {len(state.scores)} passes over {rows.count:,} rows; at the best, "
            f"pass {state.best_pass}, the {len(rows.held):,} rows held out have a log density of "
            f"{density:.3f} each"
        )
        notes.append(f"{text}, and an accuracy of {right:.3f}." if right > 0 else f"{text}.")
        if state.best_pass == len(state.scores):
            notes.append("It was still getting better at the end: ask for more `epochs`.")
    return notes
