"""A function of one posterior draw turned into one over all draws, in parts of bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.compiling import quick_jit
from mercer.runtime.kept import Kept
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.posterior.reduce import Reducer
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side

_COMPILED: Kept[Any] = Kept(32)

_PARTS = 50
"""Parts of the draws at least, on a CPU: enough for every thread, for the progress and for the
checkpoint. Not by the number of threads: sums over parts would then depend on the machine."""

_PART_BYTES = 2e8
"""What the values of all draws of one part take together, at most: large ones take long."""

_BYTES = 4e8
"""What the matrices of one batch may take together."""

Choose = Callable[[Any], Any]
"""For the tree of shapes that one draw gives: the same tree of reducers, None where all draws are
kept."""


def keep_all(shapes: Any) -> Any:
    """All draws of everything."""
    return jax.tree.map(lambda _: None, shapes)


def over_draws(
    compute: Callable[[Array, Mapping[str, Array], Any], Any],
    draws: Mapping[str, np.ndarray],
    arrays: Any,
    *,
    seed: int,
    count: int,
    size: int,
    known_by: Hashable = None,
    choose: Choose = keep_all,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Any:
    """`compute(key, draw, arrays)` for each of `count` draws, stacked; keys follow from `seed`.

    Where `choose` names a reducer, the statistics stand there instead, by name. `size` is the
    number of rows of the largest matrix that one draw needs. `known_by` tells functions apart,
    and choices: what was compiled for one serves again for arguments of the same shapes.
    """
    arrays = jax.tree.map(jnp.asarray, arrays)
    inputs = (np.asarray(seed), np.arange(count), dict(draws), arrays)
    tree = jax.tree.structure(inputs)
    shapes = tuple(str(jax.typeof(leaf)) for leaf in jax.tree.leaves(inputs))

    def made() -> _Run:
        return _compiled(compute, inputs, count, size, choose)

    run = made() if known_by is None else _COMPILED.get((known_by, tree, shapes), made)
    _, numbers, values, arrays = inputs
    per = count // run.parts
    fold = _Fold(run, count, checkpoint or Checkpoint(), report)

    def one_part(part: int) -> None:
        rows = slice(part * per, (part + 1) * per)
        given = (inputs[0], numbers[rows], {k: v[rows] for k, v in values.items()}, arrays)
        fold.add(part, jax.tree.map(np.asarray, run.part(given)))

    side_by_side(one_part, range(fold.done, run.parts))
    return fold.result()


class _Run(NamedTuple):
    """`part((seed, numbers, draws, arrays))` gives the values kept, [draw, ...] each, and the
    states of the reducers, as lists; `reducers` are in the order of the leaves of `tree`."""

    part: Callable[..., tuple[list[Any], list[Any]]]
    parts: int
    tree: Any
    shapes: list[Any]
    reducers: list[Reducer | None]


def _compiled(
    compute: Callable[..., Any], inputs: Any, count: int, size: int, choose: Choose
) -> _Run:
    seed, numbers, draws, arrays = inputs

    @jax.jit
    def single(root: Array, number: Array, draw: Mapping[str, Array], arrays: Any) -> Any:
        # What `split` gives a draw, without a program of its own that makes all keys.
        return compute(jax.random.fold_in(root, number), draw, arrays)

    first_draw = {k: v[0] for k, v in draws.items()}
    root_of = jax.eval_shape(jax.random.key, seed)
    one = single.eval_shape(root_of, numbers[0], first_draw, arrays)
    shapes, tree = jax.tree.flatten(one)
    reducers = tree.flatten_up_to(choose(one))
    parts = _parts(count, sum(map(_bytes, shapes)) * count)
    per = count // parts
    batch = _batch(per, size)

    def part(given: Any) -> tuple[list[Any], list[Any]]:
        seed, numbers, draws, arrays = given
        root = jax.random.key(seed)

        def step(states: list[Any], pair: Any) -> Any:
            if batch is None:
                values = jax.tree.map(lambda leaf: leaf[None], single(root, *pair, arrays))
            else:
                values = jax.vmap(lambda number, draw: single(root, number, draw, arrays))(*pair)
            leaves = tree.flatten_up_to(values)
            folded = [(r, v) for r, v in zip(reducers, leaves, strict=True) if r is not None]
            states = [r.add(s, v) for (r, v), s in zip(folded, states, strict=True)]
            return states, [v for r, v in zip(reducers, leaves, strict=True) if r is None]

        first = [r.start(s.shape) for s, r in zip(shapes, reducers, strict=True) if r is not None]
        pairs = (numbers, draws)
        if batch is not None:
            pairs = jax.tree.map(lambda v: v.reshape(-1, batch, *v.shape[1:]), pairs)
        states, kept = jax.lax.scan(step, first, pairs)
        return [v.reshape(per, *v.shape[2:]) for v in kept], states

    given = (seed, numbers[:per], {k: v[:per] for k, v in draws.items()}, arrays)
    compiled = quick_jit(part).lower(given).compile()
    return _Run(compiled, parts, tree, shapes, reducers)


class _Fold:
    """What is kept of the parts that are done, taken in one after another."""

    def __init__(self, run: _Run, count: int, checkpoint: Checkpoint, report: Report) -> None:
        self._run, self._checkpoint, self._report = run, checkpoint, report
        self._per = count // run.parts
        pairs = list(zip(run.shapes, run.reducers, strict=True))
        self._kept = [np.empty((count, *s.shape), s.dtype) for s, r in pairs if r is None]
        self._reducers = [r for _, r in pairs if r is not None]
        self._states: list[Any] = [
            jax.tree.map(np.asarray, r.start(s.shape)) for s, r in pairs if r is not None
        ]
        self.done = 0
        self._waiting: dict[int, Any] = {}
        self._lock = threading.Lock()
        found = checkpoint.load("draws of the rest", like=self._left())
        if found is not None:
            self.done, self._states = found["parts"], found["states"]
            for whole, begun in zip(self._kept, found["kept"], strict=True):
                whole[: len(begun)] = begun

    def add(self, part: int, found: tuple[list[Any], list[Any]]) -> None:
        with self._lock:
            self._waiting[part] = found
            while self.done in self._waiting:
                self._take(*self._waiting.pop(self.done))
                self.done += 1
            done = self.done
            left = self._left()
        self._report(share=done / self._run.parts, done=done * self._per, unit="draws")
        self._checkpoint.save("draws of the rest", left)

    def result(self) -> Any:
        kept, folded = iter(self._kept), zip(self._reducers, self._states, strict=True)
        leaves = []
        for reducer in self._run.reducers:
            if reducer is None:
                leaves.append(next(kept))
            else:
                own, state = next(folded)
                leaves.append(own.result(state))
        return jax.tree.unflatten(self._run.tree, leaves)

    def _take(self, kept: list[Any], states: list[Any]) -> None:
        rows = slice(self.done * self._per, (self.done + 1) * self._per)
        for whole, values in zip(self._kept, kept, strict=True):
            whole[rows] = values
        self._states = [
            jax.tree.map(np.asarray, r.merge(s, o))
            for r, s, o in zip(self._reducers, self._states, states, strict=True)
        ]

    def _left(self) -> dict[str, Any]:
        """The state for the checkpoint; rows of `kept` that are done never change."""
        kept = [whole[: self.done * self._per] for whole in self._kept]
        return {"parts": self.done, "kept": kept, "states": self._states}


def _bytes(shape: Any) -> float:
    return float(np.prod(shape.shape)) * shape.dtype.itemsize


def _parts(count: int, size: float) -> int:
    """A divisor of `count`, so that all parts have one shape; `size` of all values, in bytes."""
    least = max(int(np.ceil(size / _PART_BYTES)), 1)
    if jax.default_backend() == "cpu":
        least = max(least, _PARTS)
    return next(d for d in range(min(least, count), count + 1) if count % d == 0)


def _batch(count: int, size: int) -> int | None:
    """Draws at a time: None, one after another, on a CPU, where a batch would factorise at every
    jitter level; else what fits, a divisor of `count` so that no remainder is compiled too."""
    if jax.default_backend() == "cpu":
        return None
    most = int(np.clip(_BYTES / (8.0 * 6 * max(size, 1) ** 2), 1, 256))
    return max(d for d in range(1, min(most, count) + 1) if count % d == 0)
