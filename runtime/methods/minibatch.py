"""The rows of one index, a few at a time, as arguments of a program.

Every pass over the rows is a random permutation that needs no memory: a Feistel network on the
number of the row, walked until it falls below the count (Black & Rogaway 2002). Any stretch of the
stream follows from where it begins. Arrays may be memory maps: only chosen rows are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from mercer.runtime.data.labels import places_of
from mercer.runtime.methods.density import Arguments, identifiers

_ROUNDS = 4


def shuffled(count: int, start: int, stop: int, seed: int) -> np.ndarray:
    """Places `start` to `stop` of an endless stream: `count` rows in random order, then again in
    another, and so on."""
    position = np.arange(start, stop)
    epoch, place = np.divmod(position, count)
    result = np.empty(len(position), np.int64)
    for number in np.unique(epoch):
        own = epoch == number
        result[own] = _permuted(place[own].astype(np.uint64), count, (seed, int(number)))
    return result


def _permuted(place: np.ndarray, count: int, seed: tuple[int, int]) -> np.ndarray:
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    keys = np.random.default_rng(seed).integers(1, 2**62, _ROUNDS, dtype=np.uint64)
    result = _network(place, keys, half)
    while (outside := result >= count).any():
        result[outside] = _network(result[outside], keys, half)
    return result.astype(np.int64)


def _network(place: np.ndarray, keys: np.ndarray, half: int) -> np.ndarray:
    """A bijection of the numbers of 2 * half bits."""
    mask = np.uint64((1 << half) - 1)
    left, right = place >> np.uint64(half), place & mask
    for key in keys:
        left, right = right, left ^ (_hash(right + key) & mask)
    return (left << np.uint64(half)) | right


def _hash(value: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of the value."""
    value = value ^ (value >> np.uint64(30))
    value = value * np.uint64(0xBF58476D1CE4E5B9)
    value = value ^ (value >> np.uint64(27))
    value = value * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


class Minibatches:
    """The data of a program by rows of `index`, or of its `ROWS`. `count`: how many there are.

    `summaries`: what is taken once from all the data.
    """

    def __init__(
        self,
        program: ModuleType,
        bound: Any,
        summaries: Mapping[str, Any],
        *,
        index: str | None = None,
    ) -> None:
        self.program, self.bound, self.summaries = program, bound, summaries
        self.index: str = program.ROWS if index is None else index
        self.count = int(bound.sizes[self.index])
        self._word = identifiers(program)

    def axis(self, word: str) -> int | None:
        """The axis of the rows in an argument of the program; None where it has none."""
        dims = self.program.DIMS.get(self.program.NAMES.get(word, word), ())
        if self.index in dims:
            return dims.index(self.index)
        return 0 if word in self.program.INDICES and word == self._word.get(self.index) else None

    def arguments(self, rows: np.ndarray) -> Arguments:
        """The arguments of the program at some of the rows: no row of an outcome is left out, what
        is missing there is NaN (a label: -1)."""
        data: dict[str, Any] = {}
        for name, value in self.bound.arrays.items():
            word = str(self._word.get(name, name))
            axis = self.axis(word)
            data[word] = value if axis is None else np.take(value, rows, axis=axis)
        for index in self.program.INDICES:
            is_rows = index == self._word.get(self.index, self.index)
            size = len(rows) if is_rows else self.bound.sizes[self.program.NAMES.get(index, index)]
            data[index] = np.arange(size)
        data.update(places_of(getattr(self.program, "LABELS", {}), self.bound))
        prepared = self.program.prepare(**data)
        prepared = {k: None if k.endswith("_keep") else v for k, v in prepared.items()}
        everything = {**prepared, **self.summaries}
        arrays: dict[str, Any] = {
            k: np.asarray(v)
            for k, v in everything.items()
            if isinstance(v, np.ndarray | jnp.ndarray)
        }
        return Arguments(arrays, {k: v for k, v in everything.items() if k not in arrays})

    def stacked(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], Arguments]:
        """Arguments at several batches [step, row], apart: those that have rows, with the steps
        first; and the others."""
        steps, size = rows.shape
        found = self.arguments(rows.reshape(-1))
        moving: dict[str, Any] = {}
        still: dict[str, Any] = {}
        for word, value in found.arrays.items():
            axis = self.axis(word)
            if axis is None:
                still[word] = value
                continue
            value = np.asarray(value)
            shape = (*value.shape[:axis], steps, size, *value.shape[axis + 1 :])
            moving[word] = np.moveaxis(value.reshape(shape), axis, 0)
        return moving, Arguments(still, found.static)
