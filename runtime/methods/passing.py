"""A program whose outcome is one product of Gaussian factors into the law of each of them.

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
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.engines.factors import Groups, Message, Moments, Product, Shape, grouped
from mercer.runtime.engines.mode import Placed, placed, solved
from mercer.runtime.engines.sites import spread
from mercer.runtime.engines.terms import Factor, Process
from mercer.runtime.kept import Kept
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments, identifiers, keeps
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.map import inverse_root
from mercer.runtime.methods.stochastic import Fitted
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side

SCOUTING = 30
"""Sweeps of each start before the best by the bound goes on alone."""

_WINDOW = 10  # sweeps over which the bound must still rise
_RISE = (0.02, 1e-7)  # nats, and a share of the bound: what counts as rising
_GROW, _FALL, _STEPS = 1.3, 0.5, (1e-6, 0.7)  # of steps by signs of slopes
_SHORT = (-4.0, -2.0)
"""Logarithms of what lengthscales are multiplied by at a start. From short ones the bound rises as
they grow; from long ones, which see no detail, it rises too slowly to get anywhere."""

_MODE = "mode"
"""The name of every factor's process, so that factors of one kind share what is compiled."""

_ALIKE = 4096
"""Points of a mode, at most, that others are filled up to."""

_COLLAPSED = 0.05  # share of the outcome's variance that a fit which found nothing explains
_DIFFERENCE = 1e-3  # of slopes, in unconstrained units


class State(NamedTuple):
    """All that the next sweep follows from. `slopes`, `steps`: of the unknowns; `weight`, `target`
    [N]: what each row says, given the unknowns of the rows."""

    sweep: int
    flat: Array
    slopes: Array
    steps: Array
    laws: dict[str, Moments]
    messages: dict[str, Message]
    weight: Array
    target: Array
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
    """The state that the start with the highest bound after some sweeps leads to."""
    kept, count = checkpoint or Checkpoint(), max(1, restarts)
    begun = passing.begin(seed, 0)
    best = kept.load("best", like=begun)
    least = min(SCOUTING, steps) if count > 1 else 0
    for number in range(count if best is None or best.sweep <= least else 0):
        state = passing.begin(seed, number)
        state = kept.load(f"start {number}", like=begun) or state
        while state.sweep < least:
            state = passing.sweep(state)
            kept.save(f"start {number}", state)
            report(_told(state, number, count), state.sweep / least)
        best = state if best is None or _bound(state) > _bound(best) else best
    assert best is not None
    while best.sweep < steps and passing.is_rising(best):
        best = passing.sweep(best)
        kept.save("best", best)
        report(_told(best, None, count), best.sweep / steps)
    return passing.settled(best)


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
        self.data = Data(arrays, groups, codes, self.value, jnp.asarray(self.keep), {})
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
        self.functions.compile(state, self.data)

    def begin(self, seed: int, number: int) -> State:
        """Start `number`: positive levels, so that no factor is held at zero by the others."""
        rng = np.random.default_rng((seed, number))
        flat = np.asarray(self.functions.start(self.data)).copy()
        for places in self.functions.short:
            flat[places] += _SHORT[number % len(_SHORT)]
        if number:  # the first start has the most probable scales
            flat += np.where(self.functions.is_of_factors, 0.5 * rng.normal(size=flat.shape), 0.0)
        laws = {k: _first_law(rng, shape) for k, shape in self.shapes.items()}
        messages = {
            k: Message(jnp.zeros(law.covariance.shape), jnp.zeros(law.mean.shape))
            for k, law in laws.items()
        }
        at = jnp.asarray(flat)
        _, _, weight, target, _ = self.functions.rows(at, laws, jnp.zeros(()), self.data)
        still, steps = jnp.zeros(at.shape), jnp.full(at.shape, 0.1)
        return State(0, at, still, steps, laws, messages, weight, target, np.zeros(0))

    def sweep(self, state: State, *, is_learning: bool = True) -> State:
        """The state after each factor got its law anew."""
        laws, messages, slopes = dict(state.laws), dict(state.messages), {}
        flat, steps = state.flat, state.steps
        priors, total = self.functions.priors(flat, self.data)
        for key in self.shapes:
            message = self.functions.message(key, laws, state.weight, state.target, self.data)
            if self.damping and state.sweep:
                message = jax.tree.map(
                    lambda new, old: (1 - self.damping) * new + self.damping * old,
                    message,
                    messages[key],
                )
            own, slopes[key], laws[key] = self.functions.solve(key, priors[key], message, self.data)
            total, messages[key] = total + own, message
        rate = jnp.asarray(float(is_learning), self.value.dtype)
        seen, moved, weight, target, _ = self.functions.rows(flat, laws, rate, self.data)
        bound = float(total + seen)
        if not math.isfinite(bound):
            problem = "message passing ran into a bound that is not a number"
            mend = "check the data and the priors, or write infer Messages(damping = 0.5)"
            raise MercerError([Diagnostic("M604", problem, mend=mend)])
        slope = state.slopes
        if is_learning:
            slope = self.functions.pulled(flat, slopes, self.data)
            moved, slope, steps = self.functions.climbed(moved, slope, state.slopes, steps)
        return State(
            state.sweep + 1,
            moved,
            slope,
            steps,
            laws,
            messages,
            weight,
            target,
            np.append(state.bounds, bound),
        )

    def is_rising(self, state: State) -> bool:
        """Whether the bound still rose over the last sweeps."""
        if state.sweep < 2 * _WINDOW:
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
        normal = jax.random.normal(jax.random.key(seed), (chains * draws, size))
        points = state.flat + normal @ jnp.asarray(deviation).T
        values = self.functions.constrained(points, self.data) if size else {}
        every = {
            k: np.asarray(v).reshape(chains, draws, *np.shape(v)[1:]) for k, v in values.items()
        }
        residual = np.asarray(self.functions.residual(state.flat, state.laws, self.data))
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


class Data(NamedTuple):
    """The arguments of every compiled function."""

    arrays: dict[str, Array]
    groups: dict[str, Groups]
    codes: dict[str, Array]
    value: Array
    keep: Array
    places: dict[str, Placed]


class Prior(NamedTuple):
    """A factor before any row is seen: its process, and its mean [count, rank] at its groups."""

    process: Process
    mean: Array


class Functions:
    """The compiled functions of a program for data of one shape."""

    def __init__(
        self, program: ModuleType, unknowns: Unknowns, shapes: Mapping[str, Shape], rows: int
    ) -> None:
        self.program, self.unknowns, self.shapes = program, unknowns, shapes
        self.product = Product(shapes, rows)
        positions = self.unknowns.positions()
        self.own = {key: _places(positions, names) for key, names in program.PRIORS.items()}
        every = np.arange(len(self.unknowns.zero))
        taken = np.concatenate([np.zeros(0, int), *self.own.values()])
        self.rest = np.setdiff1d(every, taken)
        self.is_of_factors = jnp.asarray(np.isin(every, taken))
        self.short = [_places(positions, (name,)) for name in program.SHORT]
        self._message: dict[str, Any] = {}
        self._solve: dict[str, Any] = {}
        self.rows = jax.jit(self._rows)
        self.residual = jax.jit(self._residual)
        self.places = jax.jit(self._places)
        self.priors = jax.jit(self._priors)
        self.pulled = jax.jit(self._pulled)
        self.climbed = jax.jit(climbed)
        self.constrained = jax.jit(
            jax.vmap(lambda flat, data: self.unknowns.values(flat, data.arrays)[0], (0, None))
        )

    def compile(self, state: State, data: Data) -> None:
        """What each factor needs, traced one after the other, and compiled side by side; once for
        all factors of the same kind and size."""
        if self._solve:
            return
        lowered: dict[Any, Any] = {}
        priors, _ = self.priors(state.flat, data)
        kinds = {}
        for key, shape in self.shapes.items():
            others = _without(state.laws, key)
            message = jax.jit(partial(self._message_of, key))
            lowered["message", key] = message.lower(others, state.weight, state.target, data.codes)
            given = (data.groups[key].chain, data.places[key], priors[key], state.messages[key])
            kind = _kind(shape)
            kinds[key] = (kind, jax.tree.structure(given), str(jax.tree.map(jnp.shape, given)))
            if kinds[key] not in lowered:
                lowered[kinds[key]] = jax.jit(partial(_solved, kind)).lower(*given)
        made = side_by_side(lambda each: each.compile(), list(lowered.values()))
        compiled = dict(zip(lowered, made, strict=True))
        self._message = {key: compiled["message", key] for key in self.shapes}
        self._solve = {key: compiled[kind] for key, kind in kinds.items()}

    def start(self, data: Data) -> Array:
        """The unknowns at the medians of their priors."""
        if not len(self.unknowns.zero):
            return jnp.zeros(0, data.value.dtype)
        return self.unknowns.medians(data.arrays)

    def message(self, key: str, laws: Any, weight: Array, target: Array, data: Data) -> Message:
        found: Message = self._message[key](_without(laws, key), weight, target, data.codes)
        return found

    def _message_of(self, key: str, laws: Any, weight: Array, target: Array, codes: Any) -> Message:
        return self.product.message(key, laws, codes, weight, target)

    def solve(
        self, key: str, prior: Prior, message: Message, data: Data
    ) -> tuple[Array, Prior, Moments]:
        """log Z of a factor less the expected log of its messages, the slope of log Z by its prior,
        and the law of its groups."""
        found: tuple[Array, Prior, Moments] = self._solve[key](
            data.groups[key].chain, data.places[key], prior, message
        )
        return found

    # --- priors ---

    def _known(self, flat: Array, data: Data) -> tuple[dict[str, Any], Array]:
        values, density = self.unknowns.values(flat, data.arrays)
        return self.unknowns.known(values, data.arrays), density

    def _places(self, data: Data) -> dict[str, Placed]:
        """Where the groups of each factor are, which no unknown moves."""
        known, _ = self._known(self.unknowns.zero, data)
        return {key: self._placed(key, known, data) for key in self.shapes}

    def _placed(self, key: str, known: Mapping[str, Any], data: Data) -> Placed:
        factor, site = self.program.factors(**known)[key], self.program.sites(**known)[key]
        quantity = self.program.quantities(**known)[key]
        at = placed(data.groups[key], site, factor.index, quantity)
        return at._replace(site=replace(at.site, process=_MODE))

    def _priors(self, flat: Array, data: Data) -> tuple[dict[str, Prior], Array]:
        """The law of each factor before any row, and the log density of the unknowns."""
        known, density = self._known(flat, data)
        processes = self.program.processes(**known)
        found = {
            key: Prior(
                jax.tree.map(_as_number, processes[shape.process]),
                self._placed(key, known, data).mean,
            )
            for key, shape in self.shapes.items()
        }
        return found, density

    def _pulled(self, flat: Array, slopes: dict[str, Prior], data: Data) -> Array:
        """Slopes by the priors of factors, and that of the density, by the unknowns of factors."""
        (_, density), pull = jax.vjp(partial(self._priors, data=data), flat)
        return jnp.where(self.is_of_factors, pull((slopes, jnp.ones_like(density)))[0], 0.0)

    # --- rows ---

    def _law(self, flat: Array, data: Data) -> tuple[Array, Array, Array]:
        """Offset, scale and weight c of each row that was seen."""
        known, _ = self._known(flat, data)
        quantities = self.program.quantities(**known)
        nothing = {k: jnp.zeros(q.shape) for k, q in quantities.items()}
        (law,) = self.program.outcomes(nothing, **known).values()
        shape = jnp.broadcast_shapes(jnp.shape(law.loc), jnp.shape(law.scale))
        weight = self.program.factors(**known).get("weight", 1.0)
        every = [spread(x, shape) for x in (law.loc, law.scale)]
        size = every[0].size
        every.append(jnp.broadcast_to(jnp.asarray(weight, float), (size,)))
        offset, scale, weight = (x[data.keep] for x in every)
        return offset, scale, weight

    def _rows(self, flat: Array, laws: Any, rate: Array, data: Data) -> Any:
        """E log p(y | u, theta); the unknowns after a step; what each row says at these; and the
        curvature of minus the first, with the prior, by the unknowns of rows."""
        mean, variance = self.product.values(laws, data.codes)

        def expected_density(flat: Array) -> Array:
            offset, scale, weight = self._law(flat, data)
            square = (data.value - offset - weight * mean) ** 2 + weight**2 * variance
            return -jnp.sum(jnp.log(scale) + 0.5 * square / scale**2 + 0.5 * _LOG_TWO_PI)

        def climb(part: Array) -> Array:
            whole = flat.at[self.rest].set(part)
            return expected_density(whole) + self.unknowns.values(whole, data.arrays)[1]

        seen = expected_density(flat)
        hessian = jnp.zeros((0, 0))
        if self.rest.size:
            part = flat[self.rest]
            slope, hessian = jax.grad(climb)(part), -jax.hessian(climb)(part)
            flat = flat.at[self.rest].set(part + rate * _newton(slope, hessian))
        offset, scale, weight = self._law(flat, data)
        precision = weight / scale**2
        return seen, flat, precision * weight, precision * (data.value - offset), hessian

    def _residual(self, flat: Array, laws: Any, data: Data) -> Array:
        mean, _ = self.product.values(laws, data.codes)
        offset, _, weight = self._law(flat, data)
        return data.value - offset - weight * mean


_FUNCTIONS: Kept[Any] = Kept(8)
_UNKNOWNS: Kept[Any] = Kept(8)
_LOG_TWO_PI = math.log(2 * math.pi)


def _kind(shape: Shape) -> Shape:
    """A shape without its names."""
    return replace(shape, key="", process=_MODE, letters="")


def _solved(
    shape: Shape, chain: Array, at: Placed, prior: Prior, message: Message
) -> tuple[Array, Prior, Moments]:
    groups = Groups(jnp.zeros(0, int), jnp.zeros(0, int), chain)

    def climb(prior: Prior) -> Any:
        return solved(shape, groups, at._replace(mean=prior.mean), prior.process, message)

    (log_z, law), slope = jax.value_and_grad(climb, has_aux=True)(prior)
    return log_z - expected(message, law), slope, law


def _as_number(leaf: Any) -> Any:
    return jnp.asarray(leaf, float) if isinstance(leaf, int | float) else leaf


def _without(laws: Mapping[str, Moments], key: str) -> dict[str, Moments]:
    return {k: law for k, law in laws.items() if k != key}


def expected(message: Message, law: Moments) -> Array:
    """The expected log of a message under a law."""
    square = law.covariance + law.mean[:, :, None] * law.mean[:, None, :]
    return jnp.sum(message.shift * law.mean) - 0.5 * jnp.sum(message.precision * square)


def climbed(flat: Array, slopes: Array, before: Array, steps: Array) -> tuple[Array, Array, Array]:
    """A step of each unknown by the sign of its slope: longer while it stays, shorter where it
    turns, and none at a turn."""
    turn = slopes * before
    grown = jnp.where(turn > 0, _GROW, jnp.where(turn < 0, _FALL, 1.0))
    steps = jnp.clip(steps * grown, *_STEPS)
    slopes = jnp.where(turn < 0, 0.0, slopes)
    return flat + jnp.sign(slopes) * steps, slopes, steps


def shapes_of(
    program: ModuleType, given: Mapping[str, Any]
) -> tuple[dict[str, Shape], dict[str, Groups]]:
    """The factors of a program in the order of a sweep, functions first, and where they stand."""
    sites, found = program.sites(**given), program.factors(**given)
    factors = {k: f for k, f in found.items() if isinstance(f, Factor)}
    functions = [k for k in reversed(factors) if sites[k].points is not None]
    order = [*functions, *(k for k in reversed(factors) if k not in functions)]
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


def filled_up(shapes: Mapping[str, Shape], structures: Mapping[str, Any]) -> dict[str, Shape]:
    """Shapes with as many groups as the longest of those that differ in nothing else, so that they
    share what is compiled: a point that no row reads costs microseconds, a compilation seconds."""

    def kind(shape: Shape) -> Any:
        return replace(_kind(shape), count=0), structures[shape.process]

    longest: dict[Any, int] = {}
    for shape in shapes.values():
        longest[kind(shape)] = max(shape.count, longest.get(kind(shape), 0))
    found = {}
    for key, shape in shapes.items():
        count = longest[kind(shape)]
        is_filled = shape.kind == "line" and count <= _ALIKE
        found[key] = replace(shape, count=count) if is_filled else shape
    return found


def _newton(slope: Array, hessian: Array) -> Array:
    """A step up, by a curvature that is made positive, no further than one unit."""
    values, vectors = jnp.linalg.eigh(0.5 * (hessian + hessian.T))
    values = jnp.maximum(jnp.abs(values), 1e-6)
    step = vectors @ ((vectors.T @ slope) / values)
    return step / jnp.maximum(1.0, jnp.max(jnp.abs(step)))


def _places(positions: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """Where unknowns stand, which may be drawn by way of others: `b.standard`."""
    found = [
        place
        for site, place in positions.items()
        if any(site == name or site.startswith(f"{name}.") for name in names)
    ]
    return np.sort(np.concatenate([np.zeros(0, int), *found]))


def _bound(state: State) -> float:
    return float(state.bounds[-1]) if state.bounds.size else -math.inf


def _told(state: State, number: int | None, count: int) -> str:
    which = "" if number is None or count == 1 else f"start {number + 1} of {count}, "
    return f"{which}sweep {state.sweep}, bound {_bound(state):.6g}"


def _notes(state: State, share: float, steps: int, passing: Passing) -> tuple[str, ...]:
    notes = [
        "The posterior is approximate: the factors of the product have Normal laws that are "
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
