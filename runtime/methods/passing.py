"""A program whose outcome is a sum of products of Gaussian factors into the law of each of them.

Variational message passing (Winn & Bishop 2005): the law of each factor is the best Normal one
given those of the others, in turn. For a sweep with all else held the bound

    F = E log p(y | u, theta) - sum over factors of KL(q_k, p(u_k | theta)) + log p(theta)

cannot fall. With q_k that which its messages lead to, -KL(q_k, p_k) is log Z_k less the expected
log of the messages. What the prior of a factor is made of climbs log Z_k + log p(theta), where q_k
is integrated out, by signs of slopes (Riedmiller & Braun 1993); the rest, noise and offsets, takes
a step of Newton's method on the expected log density of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.compiling import normal_numbers
from mercer.runtime.engines.factors import Groups, Message, Moments, Shape, grouped
from mercer.runtime.engines.terms import Factor
from mercer.runtime.kept import Kept
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments, identifiers, keeps
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.map import inverse_root
from mercer.runtime.methods.stochastic import Fitted
from mercer.runtime.methods.sweeping import Data, Functions, Rows, filled_up
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.progress import Report, silent

SCOUTING = 30
"""Sweeps of each start before the best by the bound goes on alone."""

_WINDOW = 10  # sweeps over which the bound must still rise
_RISE = (0.02, 1e-7)  # nats, and a share of the bound: what counts as rising
_SHORT, _ALL_SHORT = -4.0, -2.0
"""Logarithms of what lengthscales are multiplied by at a start, in one factor or in all. Where one
is long that should be short, the bound rises too slowly to get anywhere; where all are short, each
factor explains what others should, and the fit stays there."""

_HELD, _FEWEST = 10, 500
"""Each of so many rows is held out while starts are compared, where there are at least so many. The
bounds of laws that are far apart say little of which predicts best."""

_COLLAPSED = 0.05  # share of the outcome's variance that a fit which found nothing explains
_DIFFERENCE = 1e-3  # of slopes, in unconstrained units


class State(NamedTuple):
    """All that the next sweep follows from. `slopes`, `steps`: of the unknowns; `rows`: what each
    row says, given the unknowns of the rows."""

    sweep: int
    flat: Array
    slopes: Array
    steps: Array
    laws: dict[str, Moments]
    messages: dict[str, Message]
    rows: Rows
    bounds: np.ndarray


def run_messages(
    program: ModuleType,
    arguments: Arguments,
    *,
    seed: int,
    chains: int,
    draws: int,
    restarts: int,
    steps: int,
    damping: float,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """The laws of the factors, and draws of the other unknowns about their most probable values."""
    passing = Passing(program, arguments, damping=damping)
    passing.compile(report)
    best = best_of(
        passing, seed=seed, restarts=restarts, steps=steps, report=report, checkpoint=checkpoint
    )
    found = passing.draws(best, seed, chains, draws, steps)
    return Fitted(found, replace(arguments, arrays={**arguments.arrays, **passing.kept(best)}))


def best_of(
    passing: Passing,
    *,
    seed: int,
    restarts: int,
    steps: int,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> State:
    """The state that the start which predicts best after some sweeps leads to.

    It predicts rows held out until then; where rows are few, the highest bound counts.
    """
    kept, count = checkpoint or Checkpoint(), max(1, restarts)
    begun = passing.begin(seed, 0)
    state = kept.load("best", like=begun)
    least = min(SCOUTING, steps) if count > 1 else 0
    if state is None:
        state, data, highest = begun, passing.scouting(seed), -math.inf
        for number in range(count if least else 0):
            one = passing.begin(seed, number)
            one = kept.load(f"start {number}", like=begun) or one
            while one.sweep < least:
                one = passing.sweep(one, data=data)
                kept.save(f"start {number}", one)
                report(_told(one, number, count), one.sweep / least)
            score = passing.score(one, data)
            state, highest = (one, score) if score > highest else (state, highest)
        # With all rows the bound is another.
        state = state._replace(bounds=np.zeros(0))
    while state.sweep < steps and passing.is_rising(state):
        state = passing.sweep(state)
        kept.save("best", state)
        report(_told(state, None, count), state.sweep / steps)
    return passing.settled(state)


class Passing:
    """The sweeps of one program on one set of data: `begin` gives a state, `sweep` the next."""

    def __init__(self, program: ModuleType, arguments: Arguments, *, damping: float = 0.0) -> None:
        self.program, self.arguments, self.damping = program, arguments, damping
        (self.outcome,) = keeps(program)
        word = identifiers(program)[self.outcome]
        given = arguments.all()
        if given.get(word) is None:
            problem = f"the values of {self.outcome} are not there"
            mend = "fit the model to data that hold it"
            raise MercerError([Diagnostic("M605", problem, mend=mend)])
        keep = given.get(keeps(program)[self.outcome])
        value = np.asarray(given[word]).reshape(-1)
        self.keep = np.arange(value.size) if keep is None else np.asarray(keep)
        self.value = jnp.asarray(value[self.keep])
        self.unknowns: Unknowns = _UNKNOWNS.get(
            (program, arguments.key), lambda: Unknowns(program, arguments)
        )
        own, self.groups = shapes_of(program, given)
        self.counts = {k: shape.count for k, shape in own.items()}
        self.shapes = filled_up(own, self._structures())
        self.spread = float(np.std(value[self.keep])) if self.keep.size else 1.0
        arrays = {k: jnp.asarray(v) for k, v in arguments.arrays.items()}
        codes = {
            k: jnp.asarray(g.code[self.keep] if self.shapes[k].is_by_row else g.code)
            for k, g in self.groups.items()
        }
        groups = {}
        for k, g in self.groups.items():
            reader = np.append(
                g.reader, np.repeat(g.reader[-1:], self.shapes[k].count - self.counts[k])
            )
            groups[k] = Groups(*map(jnp.asarray, (g.code, reader, g.chain)))
        share = jnp.ones(self.keep.size)
        self.data = Data(arrays, groups, codes, self.value, jnp.asarray(self.keep), share, {})
        key = (
            program,
            arguments.key,
            tuple(self.shapes.values()),
            tuple((k, v.shape) for k, v in arrays.items()),
            len(self.keep),
        )

        def made() -> Functions:
            return Functions(program, self.unknowns, self.shapes, len(self.keep))

        self.functions: Functions = _FUNCTIONS.get(key, made)
        self.data = self.data._replace(places=self.functions.places(self.data))

    def _structures(self) -> dict[str, Any]:
        """What the kernel of each process is made of, numbers apart."""

        def made() -> Any:
            given = self.arguments.arrays
            values, _ = self.unknowns.values(self.unknowns.zero, given)
            return self.program.processes(**self.unknowns.known(values, given))

        return {k: jax.tree.structure(p) for k, p in jax.eval_shape(made).items()}

    def compile(self, report: Report = silent) -> None:
        """All functions compiled, side by side."""
        report("compiling")
        state = self.begin(0, 0)
        given = (state.flat, state.laws, state.messages, state.rows)
        self.functions.compile(*given, self.data)

    def begin(self, seed: int, number: int) -> State:
        """Start `number`: positive levels, so that no factor is held at zero by the others; one
        function in turn has a short lengthscale, that with the most points first, and then all."""
        rng = np.random.default_rng((seed, number))
        flat = np.asarray(self.functions.start(self.data)).copy()
        short = [places for key in self.shapes if len(places := self.functions.short[key])]
        turn = number % (len(short) + 1)
        for place, places in enumerate(sorted(short, key=lambda own: -self._points(own))):
            flat[places] += _ALL_SHORT if turn == len(short) else _SHORT * (place == turn)
        if number:  # the first start has the most probable scales
            flat += np.where(self.functions.is_of_factors, 0.5 * rng.normal(size=flat.shape), 0.0)
        laws = {k: _first_law(rng, shape) for k, shape in self.shapes.items()}
        messages = {
            k: Message(jnp.zeros(law.covariance.shape), jnp.zeros(law.mean.shape))
            for k, law in laws.items()
        }
        at = jnp.asarray(flat)
        rows = self.functions.rows(at, laws, jnp.zeros(()), self.data)[2]
        rows = rows._replace(
            means=jnp.zeros_like(rows.means)
        )  # each product begins on what is left
        still, steps = jnp.zeros(at.shape), jnp.full(at.shape, 0.1)
        return State(0, at, still, steps, laws, messages, rows, np.zeros(0))

    def _points(self, places: np.ndarray) -> int:
        """How many the function has whose lengthscales stand there."""
        own = (k for k, short in self.functions.short.items() if np.array_equal(short, places))
        return max(self.counts[key] for key in own)

    def scouting(self, seed: int) -> Data:
        """The data with some rows held out, where there are enough."""
        rows = len(self.value)
        if rows < _FEWEST:
            return self.data
        held = np.random.default_rng(seed).choice(rows, rows // _HELD, replace=False)
        return self.data._replace(share=self.data.share.at[held].set(0.0))

    def score(self, state: State, data: Data) -> float:
        """The mean log density of the rows held out in `data`; the bound where there are none."""
        out = np.asarray(data.share) == 0
        if not np.any(out):
            return _bound(state)
        return float(np.mean(np.asarray(self.functions.told(state.flat, state.laws, data)[1])[out]))

    def sweep(self, state: State, *, is_learning: bool = True, data: Data | None = None) -> State:
        """The state after each factor got its law anew, from `data` or all the rows."""
        data = self.data if data is None else data
        laws, messages, slopes = dict(state.laws), dict(state.messages), {}
        flat, steps, rows = state.flat, state.steps, state.rows
        priors, total = self.functions.priors(flat, data)
        for key in self.shapes:
            rows = self.functions.left(key, laws, rows, data)
            message = self.functions.message(key, laws, rows, data)
            if self.damping and state.sweep:
                message = jax.tree.map(
                    lambda new, old: (1 - self.damping) * new + self.damping * old,
                    message,
                    messages[key],
                )
            own, slopes[key], laws[key] = self.functions.solve(key, priors[key], message, data)
            total, messages[key] = total + own, message
        rate = jnp.asarray(float(is_learning), self.value.dtype)
        seen, moved, rows, _ = self.functions.rows(flat, laws, rate, data)
        bound = float(total + seen)
        if not math.isfinite(bound):
            problem = "message passing ran into a bound that is not a number"
            mend = "check the data and the priors, or write infer Messages(damping = 0.5)"
            raise MercerError([Diagnostic("M604", problem, mend=mend)])
        slope = state.slopes
        if is_learning:
            slope = self.functions.pulled(flat, slopes, data)
            moved, slope, steps = self.functions.climbed(moved, slope, state.slopes, steps)
        return State(
            state.sweep + 1,
            moved,
            slope,
            steps,
            laws,
            messages,
            rows,
            np.append(state.bounds, bound),
        )

    def is_rising(self, state: State) -> bool:
        """Whether the bound still rose over the last sweeps."""
        if len(state.bounds) < 2 * _WINDOW:
            return True
        rise = state.bounds[-1] - state.bounds[-1 - _WINDOW]
        return bool(rise > max(_RISE[0], _RISE[1] * abs(state.bounds[-1])))

    def settled(self, state: State) -> State:
        """The laws at the last unknowns, which move no more."""
        for _ in range(3):
            state = self.sweep(state, is_learning=False)
        return state

    # --- the end ---

    def kept(self, state: State) -> dict[str, Array]:
        """The messages, by the arguments of the program that hold them."""
        found = {}
        for key, words in self.program.MESSAGES.items():
            precision, shift = (part[: self.counts[key]] for part in state.messages[key])
            groups = self.groups[key]
            parts = (precision, shift, groups.reader, groups.chain, groups.code)
            found |= {w: jnp.asarray(part) for w, part in zip(words, parts, strict=True)}
        return found

    def draws(self, state: State, seed: int, chains: int, draws: int, steps: int) -> Draws:
        """The unknowns about their most probable values: a Normal law for those of each factor,
        and one for the others."""
        size = len(state.flat)
        deviation = np.zeros((size, size))
        *_, curvature = self.functions.rows(state.flat, state.laws, jnp.zeros(()), self.data)
        rest = self.functions.rest
        if rest.size:
            deviation[np.ix_(rest, rest)] = inverse_root(np.asarray(curvature))[0]
        for key, own in self.functions.own.items():
            if own.size:
                hessian = self._curvature(key, state, own)
                deviation[np.ix_(own, own)] = inverse_root(hessian)[0]
        normal = normal_numbers((chains * draws, size))(np.asarray(seed))
        points = state.flat + normal @ jnp.asarray(deviation).T
        values = self.functions.constrained(points, self.data) if size else {}
        every = {
            k: np.asarray(v).reshape(chains, draws, *np.shape(v)[1:]) for k, v in values.items()
        }
        residual = np.asarray(self.functions.told(state.flat, state.laws, self.data)[0])
        share = 1.0 - float(np.var(residual)) / max(self.spread**2, 1e-300)
        stats = {"bound": np.full((chains, draws), state.bounds[-1])}
        return Draws(every, chains, draws, stats, _notes(state, share, steps, self))

    def _curvature(self, key: str, state: State, own: np.ndarray) -> np.ndarray:
        """Of -log Z - log prior, by differences of slopes."""

        def slope(flat: Array) -> np.ndarray:
            priors, _ = self.functions.priors(flat, self.data)
            slopes = jax.tree.map(jnp.zeros_like, priors)
            message = state.messages[key]
            slopes[key] = self.functions.solve(key, priors[key], message, self.data)[1]
            return np.asarray(self.functions.pulled(flat, slopes, self.data))[own]

        shifts = _DIFFERENCE * np.eye(len(state.flat))[own]
        rows = [slope(state.flat - s) - slope(state.flat + s) for s in jnp.asarray(shifts)]
        hessian = np.stack(rows) / (2 * _DIFFERENCE)
        return 0.5 * (hessian + hessian.T)


_FUNCTIONS: Kept[Any] = Kept(8)
_UNKNOWNS: Kept[Any] = Kept(8)


def shapes_of(
    program: ModuleType, given: Mapping[str, Any]
) -> tuple[dict[str, Shape], dict[str, Groups]]:
    """The factors of a program in the order of a sweep, product by product, functions first, and
    where they stand."""
    sites, found = program.sites(**given), program.factors(**given)
    factors = {k: f for k, f in found.items() if isinstance(f, Factor)}
    is_core = {k: sites[k].points is None for k in factors}
    backwards = list(factors)[::-1]
    order = sorted(backwards, key=lambda k: (factors[k].product, is_core[k]))
    shapes, groups = {}, {}
    for key in order:
        shapes[key], groups[key] = grouped(key, sites[key], factors[key])
    return shapes, groups


def _first_law(rng: np.random.Generator, shape: Shape) -> Moments:
    """Levels near 1; of a core near 1 where all positions are equal, and near 0 elsewhere."""
    mean = 0.3 * rng.normal(size=(1, shape.rank))
    if shape.is_by_row:
        mean = 1.0 + mean + 0.1 * rng.normal(size=(shape.count, shape.rank))
    else:
        positions = np.indices(shape.sizes).reshape(len(shape.sizes), shape.rank)
        mean = mean + np.all(positions == positions[:1], axis=0)
    covariance = np.tile(0.1 * np.eye(shape.rank), (shape.count, 1, 1))
    return Moments(jnp.asarray(mean), jnp.asarray(covariance))


def _bound(state: State) -> float:
    return float(state.bounds[-1]) if state.bounds.size else -math.inf


def _told(state: State, number: int | None, count: int) -> str:
    which = "" if number is None or count == 1 else f"start {number + 1} of {count}, "
    return f"{which}sweep {state.sweep}, bound {_bound(state):.6g}"


def _notes(state: State, share: float, steps: int, passing: Passing) -> tuple[str, ...]:
    notes = [
        "The posterior is approximate: the factors of products have Normal laws that are "
        "independent of one another, and the other unknowns Normal laws about their most probable "
        f"values. The lower bound of the log evidence is {state.bounds[-1]:.2f}, after "
        f"{state.sweep} sweeps."
    ]
    if share < _COLLAPSED:
        notes.append(
            f"The product explains {max(share, 0.0):.0%} of the outcome's variance: it may have "
            "collapsed to zero. Try another seed or more starts: infer Messages(restarts = 20)."
        )
    if state.sweep >= steps and passing.is_rising(state):
        notes.append("The bound may still rise: allow more sweeps, infer Messages(steps = ...).")
    return tuple(notes)
