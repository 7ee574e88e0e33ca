"""A program and data of any size turned into a Normal law of its Gaussian unknowns, row by row.

A step takes some rows: the law q moves along the natural gradient; the unknowns that are not
Gaussian, each with a Normal law of its own in unconstrained space, and the inducing points move
along Adam's. The rates fall each time that the bound, averaged over a window of steps, stops to
rise; when it has stopped at the last of them, one pass over all rows gives q without the noise of
batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.devices import over_rows
from mercer.runtime.hosts import hosts
from mercer.runtime.inner import facts_of, has_laws, is_drawn, trace_names
from mercer.runtime.kept import Kept
from mercer.runtime.methods.bound import Free, Sample, moved
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.levels import multiplied_of
from mercer.runtime.methods.minibatch import Minibatches, shuffled
from mercer.runtime.methods.natural import (
    Natural,
    Normal,
    divergence,
    mixed,
    solved,
    standard_law,
)
from mercer.runtime.methods.placing import moving_of, place, placed_names
from mercer.runtime.methods.stepping import ADAM, Functions
from mercer.runtime.progress import Report, silent

LEVELS = 4
"""Rates, each a third of the one before."""

_FALL = 0.3
_LENGTH = 0.2  # of natural steps at the first rate, where the rows are many batches
_CHUNK = 10  # steps in a call
_LOG_SD = -3.0  # of unconstrained unknowns at the start: close to a point
_LEAST_DRAWS = 32  # of the unknowns, over all rows
_WINDOW = (50, 150)  # steps, at least and at most; about one pass over the rows in between
_DEEP = 300  # at least, where layers or points are learned, far slower than the outermost law
_PASS = 8  # batches at a time, where nothing is moved
_BOUND_ROWS = 2**18  # rows that the bound is taken from, where it has no closed form
_SETTLING = 3  # passes over all rows at the end, where entries stand apart from the joint law
_CANDIDATES = 10_000  # rows among whose points inducing points are chosen


class State(NamedTuple):
    """All that the next step follows from, with the seed and the data."""

    step: int
    level: int
    since: int  # the step at which q began anew
    has_rechosen: bool
    free: Free
    moments: Any  # Adam's
    q: Natural
    law: Normal  # q, solved
    points: dict[str, Array]  # inducing points, where they began
    window: np.ndarray  # the bounds of the steps since the last window ended
    before: np.ndarray  # mean and variance of the mean of the last window; empty: none
    trace: np.ndarray  # a row for each call, with layers: step, bound, log likelihood, divergences


@dataclass(frozen=True, eq=False)
class Fitted:
    """`arguments`: of a few rows, with the inducing points and q; `draws`: of the unknowns."""

    draws: Draws
    arguments: Arguments


def run_stochastic(
    program: ModuleType,
    bound: Any,
    *,
    seed: int,
    chains: int,
    draws: int,
    steps: int,
    rate: float,
    batch: int,
    samples: int = 1,
    summaries: Mapping[str, Any] | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """The law of the unknowns, inducing points and q, for the rows of `bound`."""
    kept = checkpoint or Checkpoint()
    fit = Stochastic(
        program, bound, seed=seed, batch=batch, rate=rate, samples=samples, summaries=summaries
    )
    state = fit.begin(report)
    state = kept.load("state", like=state) or state
    while state.step < steps and state.level < LEVELS:
        state = fit.advance(state, report, steps)
        kept.save("state", state)
    report("a pass over all rows")
    return fit.finished(state, chains, draws, steps)


class Stochastic:
    """The optimisation of one program on one set of data: `begin` gives a state, `advance` the
    next."""

    def __init__(
        self,
        program: ModuleType,
        bound: Any,
        *,
        seed: int,
        batch: int,
        rate: float,
        samples: int = 1,
        summaries: Mapping[str, Any] | None = None,
    ) -> None:
        self.program, self.seed, self.rate, self.samples = program, seed, rate, samples
        word = {name: w for w, name in program.NAMES.items()}
        data = {word.get(n, n): v for n, v in bound.arrays.items()}
        data |= {w: np.arange(bound.sizes[program.NAMES[w]]) for w in program.INDICES}
        taken = program.summaries(**data) if summaries is None else summaries
        self.batches = Minibatches(program, bound, taken)
        self.batch = min(batch, self.batches.count)
        self.spread = over_rows(self.batch)
        self.is_whole = self.batch == self.batches.count
        self.is_closed = not program.PREDICTORS
        self.is_product = bool(multiplied_of(program))
        count = self.batches.count
        is_deep = has_laws(program) or bool(moving_of(program))
        least = _DEEP if is_deep else _WINDOW[0]
        self.window = max(least, min(math.ceil(count / self.batch), _WINDOW[1]))
        some = shuffled(count, 0, min(count, _CANDIDATES), seed)
        self.candidates = self.batches.arguments(np.sort(some))

    # --- the loop ---

    def begin(self, report: Report = silent) -> State:
        """The prior of q, at inducing points chosen at the medians of the priors."""
        placed = place(
            self.program, self.candidates, seed=self.seed, is_learned=False, report=report
        )
        names = placed_names(self.program)
        points = {n: jnp.asarray(placed.arguments.arrays[n]) for n in names}
        self.widths = placed.widths
        self.functions = self._functions(points)
        flat = jnp.zeros(0) if placed.start is None else jnp.asarray(placed.start)
        return self._anew(flat, points)

    def _anew(self, flat: Array, points: dict[str, Array]) -> State:
        shifts = {k: jnp.zeros_like(points[k]) for k in self.widths}
        # Types as a step gives them back: others would compile it anew.
        free = Free(flat, jnp.full(flat.shape, _LOG_SD, flat.dtype), shifts)
        q, nothing = self.functions.prior, np.zeros(0)
        law = standard_law(len(q.shift), self.functions.apart)
        if self.is_product:
            q = self.functions.levels(flat, {**self.candidates.arrays, **points}, self.seed)
            law = _solved(q)
        # Behind layers the points are moved with them, and not chosen again.
        begun = (0, 0, 0, has_laws(self.program), free, ADAM.init(free), q, law, points)
        layers = len(facts_of(self.program))
        trace = np.zeros((0, 3 + layers if layers else 0))
        return State(*begun, nothing, nothing, trace)

    def advance(self, state: State, report: Report = silent, steps: int = 10**9) -> State:
        """The state some steps later."""
        count = min(_CHUNK, steps - state.step)
        start = state.step * self.batch
        rows = shuffled(self.batches.count, start, start + count * self.batch, self.seed)
        rows = self._padded(rows.reshape(count, self.batch))
        found, still = self.batches.stacked(rows)
        moving = {word: self._spread(word, value, steps=1) for word, value in found.items()}
        lengths = self._lengths(state, count)
        carry = (state.free, state.moments, state.q, state.law)
        others = (
            {**still.arrays, **state.points},
            self.widths,
            jnp.asarray(self.rate * _FALL**state.level),
            jnp.asarray(lengths),
            jax.random.fold_in(jax.random.key(self.seed), state.step),
        )
        everywhere = self.spread.everywhere
        found = self.functions.steps(everywhere(carry), moving, *everywhere(others))
        carry, bounds = self.spread.here(found)
        bounds, parts = np.asarray(bounds[:, 0]), np.asarray(bounds).mean(axis=0)
        if not np.all(np.isfinite(bounds)):
            problem = "variational inference ran into a density that is not a number"
            mend = "use a smaller rate: infer SVI(rate = 0.005), or check the data and the priors"
            raise MercerError([Diagnostic("M604", problem, mend=mend)])
        free, moments, q, law = carry
        state = state._replace(
            step=state.step + count,
            free=free,
            moments=moments,
            q=q,
            law=law,
            window=np.concatenate([state.window, bounds]),
            trace=self._traced(state, state.step + count, parts),
        )
        shown = f"bound {np.mean(bounds):.6g}"
        report(f"{shown}, rate {state.level + 1} of {LEVELS}", min(1.0, state.step / steps))
        length = self.window if state.has_rechosen else _WINDOW[0]
        # Rounding differs between machines, and what is decided by it must not.
        return self._judged(hosts().shared(state)) if len(state.window) >= length else state

    def _traced(self, state: State, step: int, parts: np.ndarray) -> np.ndarray:
        if not state.trace.shape[1]:
            return state.trace
        return np.concatenate([state.trace, np.concatenate([[step], parts])[None]])

    def _lengths(self, state: State, count: int) -> np.ndarray:
        """Of the natural steps. After a beginning a step averages over all batches since."""
        if self.is_whole and not is_drawn(self.program) and not self.is_product:
            return np.full(count, 1.0 if self.is_closed else 0.5)
        if self.is_product:  # it begins at a law that is not to be forgotten at once
            return np.full(count, _LENGTH * _FALL**state.level)
        since = state.step - state.since + np.arange(count)
        return np.maximum(_LENGTH * _FALL**state.level, 1.0 / (1.0 + since))

    def _judged(self, state: State) -> State:
        """At the end of a window: the next rate, where the bound no longer rises."""
        mean = float(state.window.mean())
        error = float(state.window.var()) / len(state.window)
        state = state._replace(window=np.zeros(0))
        if not state.has_rechosen:
            return self._rechosen(state)
        if len(state.before):
            rise, noise = mean - state.before[0], math.sqrt(error + state.before[1])
            if rise < 2.0 * noise or rise < 1e-7 * abs(mean):
                return state._replace(level=state.level + 1, before=np.zeros(0))
        return state._replace(before=np.array([mean, error]))

    def _rechosen(self, state: State) -> State:
        """Inducing points chosen again, at the unknowns that the first window led to."""
        arrays = {**self.candidates.arrays, **state.points}
        values = self.functions.values(state.free.centre, _as_arrays(arrays))
        placed = place(
            self.program, self.candidates, seed=self.seed, is_learned=False, unknowns=values
        )
        points = {n: jnp.asarray(placed.arguments.arrays[n]) for n in state.points}
        fresh = self._anew(state.free.centre, points)
        return fresh._replace(step=state.step, since=state.step, has_rechosen=True)

    # --- the end ---

    def finished(self, state: State, chains: int, draws: int, steps: int) -> Fitted:
        """The draws, and the arguments of a few rows with what was learned."""
        # The best q for these unknowns: all rows at once, without the noise of batches.
        if self.is_closed and not state.q.apart:
            q, bound = self.over_rows(state)
            law = _solved(q)
            bound += float(_gain(q, state.law, law))
            state = state._replace(q=q, law=law)
        else:
            for _ in range(_SETTLING if state.q.apart else 1):
                state = self._settled(state)
            _, bound = self.over_rows(state, most=_BOUND_ROWS)
        points = {**state.points, **moved(state.free.shifts, self._sample_of_points(state))}
        law = dict(zip(self.program.POSTERIOR, (state.law.mean, state.law.root), strict=True))
        for name, words in self.program.APART.items():
            law |= dict(zip(words, state.law.apart[name], strict=True))
        few = self.batches.arguments(np.arange(min(self.batches.count, self.batch)))
        arguments = replace(few, arrays=_as_arrays({**few.arrays, **points, **law}))
        white = np.random.default_rng(self.seed).normal(size=(chains * draws, self._unknown))
        flat = state.free.centre + jnp.exp(state.free.log_sd) * white
        values = self.functions.drawn(flat, arguments.arrays)
        every = {
            name: np.asarray(v).reshape(chains, draws, *v.shape[1:]) for name, v in values.items()
        }
        stats = {"bound": np.full((chains, draws), bound)}
        notes = _notes(state, bound, steps)
        return Fitted(Draws(every, chains, draws, stats, notes, self._traces(state)), arguments)

    def _sample_at(
        self, state: State, rows: np.ndarray, weights: np.ndarray, white: np.ndarray
    ) -> Sample:
        arrays = _as_arrays({**self.batches.arguments(rows).arrays, **state.points})
        everywhere = self.spread.everywhere((self.widths, jnp.asarray(white)))
        placed = {word: self._spread(word, value) for word, value in arrays.items()}
        return Sample(placed, everywhere[0], self.spread.along(weights, 0), everywhere[1])

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Rows of steps [step, row] that the devices divide: the last again, which do not count."""
        more = self.spread.padded(self.batch) - self.batch
        return np.pad(rows, ((0, 0), (0, more)), mode="edge")

    def _spread(self, word: str, value: Any, steps: int = 0) -> Any:
        """An argument where the devices have it; `steps`: the axes before its own."""
        axis = self.batches.axis(word)
        everywhere = self.spread.everywhere
        return everywhere(value) if axis is None else self.spread.along(value, axis + steps)

    def _traces(self, state: State) -> dict[str, np.ndarray]:
        """The bound and its parts over the steps, by name."""
        if not state.trace.shape[1]:
            return {}
        return dict(zip(trace_names(self.program), state.trace.T, strict=True))

    def _settled(self, state: State) -> State:
        """q where all rows lead it."""
        length = self.functions.apart_length * self.functions.scale
        q = mixed(state.q, self.over_rows(state)[0], 1.0, length)
        return state._replace(q=q, law=_solved(q))

    def over_rows(self, state: State, most: int | None = None) -> tuple[Natural, float]:
        """The natural parameters that all rows lead to, and the bound; estimated from `most` rows
        at random where there are more. At every batch the unknowns are drawn anew from their law;
        few batches are gone through several times."""
        total = jax.tree.map(jnp.zeros_like, state.q)
        values, priors = [], []
        free, law = self.spread.everywhere((state.free, state.law))
        batches = [*self._every_row(most)]
        times = math.ceil(_LEAST_DRAWS / len(batches)) if self._unknown else 1
        random = np.random.default_rng(self.seed)
        for number, (rows, weights) in enumerate(batches * times):
            white = random.normal(size=self._unknown)
            sample = self._sample_at(state, rows, weights, white)
            key = jax.random.fold_in(jax.random.key(self.seed + 1), number)
            found = self.functions.whole(free, law, sample, self.spread.everywhere(key))
            part, own, prior = self.spread.here(found)
            total = jax.tree.map(lambda a, b: a + b / times, total, part)
            values.append(float(own) / times)
            priors.append(float(prior))
        q = jax.tree.map(jnp.add, self.functions.prior, total)
        own = float(np.mean(priors)) + float(state.free.entropy)
        return q, sum(values) + own - float(_divergence(state.law))

    @property
    def _unknown(self) -> int:
        """How many unconstrained unknowns there are."""
        return int(self.functions.unknowns.zero.size)

    def _every_row(self, most: int | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows, and their weights: 0 where the last batch has fewer."""
        count = self.batches.count
        few = count if most is None else min(most, count)
        size = self.spread.padded(min(count, _PASS * self.batch))
        for start in range(0, few, size):
            places = np.arange(start, start + size)
            weights = np.where(places < few, count / few, 0.0)
            places = np.minimum(places, few - 1)
            if few < count:
                places = shuffled(count, 0, few, self.seed + 1)[places]
            yield places, weights

    # --- compiled ---

    def _functions(self, points: dict[str, Array]) -> Functions:
        rows = np.arange(self.batch) % self.batches.count
        found = self.batches.arguments(rows)
        arguments = replace(found, arrays=_as_arrays({**found.arrays, **points}))
        scale, own = self.batches.count / self.batch, (self.batch, self.samples, self.spread)
        shapes = tuple((k, v.shape, str(v.dtype)) for k, v in sorted(arguments.arrays.items()))
        key = (self.program, arguments.key, shapes, scale, *own)
        return _FUNCTIONS.get(key, lambda: Functions(self.program, arguments, *own, scale=scale))

    def _sample_of_points(self, state: State) -> Sample:
        return Sample(state.points, self.widths, jnp.zeros(0), jnp.zeros(0))


_FUNCTIONS: Kept[Any] = Kept(16)


_solved, _divergence = jax.jit(solved), jax.jit(divergence)


@jax.jit
def _gain(q: Natural, before: Normal, after: Normal) -> Array:
    """What the bound gains from one law to another, where rows are Normal: q is what they lead to,
    so that they say A'r = h and A'A = P - I of any law."""
    inner = q.precision - jnp.eye(len(q.shift))

    def value(law: Normal) -> Array:
        fit = law.mean @ q.shift - 0.5 * law.mean @ inner @ law.mean
        return fit - 0.5 * jnp.sum(law.covariance * inner) - divergence(law)

    return value(after) - value(before)


def _as_arrays(values: Mapping[str, Any]) -> dict[str, Array]:
    return {k: jnp.asarray(v) for k, v in values.items()}


def _notes(state: State, bound: float, steps: int) -> tuple[str, ...]:
    notes = [
        "The posterior of the Gaussian unknowns is the nearest Normal law, through inducing "
        "points, not the exact one; each of the other unknowns has a Normal law of its own in "
        "unconstrained space, which knows no correlation and is too narrow where there is one. "
        f"The lower bound of the log density is {bound:.2f}, after {state.step} steps."
    ]
    if state.step >= steps and state.level < LEVELS:
        notes.append("The bound may still rise: run more steps, infer SVI(steps = ...).")
    return tuple(notes)
