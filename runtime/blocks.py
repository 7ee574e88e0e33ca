"""Rows to be predicted into blocks of bounded memory, and the predictions of blocks into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from mercer.runtime.predict import Prediction

ROWS = 10_000
"""Rows of a block: what it needs is some hundred numbers for each."""


def blocks_of(bound: Any, index: str) -> Iterator[Any]:
    """`bound` at some rows of an index at a time; always copies, so that none is taken for the data
    of a fit."""
    count = int(bound.sizes.get(index, 0))
    for start in range(0, max(count, 1), ROWS):
        rows = slice(start, min(start + ROWS, count))
        size = rows.stop - rows.start
        arrays = {
            name: np.asarray(value[(slice(None),) * bound.dims[name].index(index) + (rows,)])
            if index in bound.dims[name]
            else value
            for name, value in bound.arrays.items()
        }
        labels, codes = dict(bound.labels), dict(bound.codes)
        if index in labels:
            labels[index] = labels[index][rows]
        # No unknown has an entry for a row: all blocks may be taken for the same ones.
        codes[index] = np.arange(size)
        sizes = {**bound.sizes, index: size}
        yield replace(bound, arrays=arrays, labels=labels, codes=codes, sizes=sizes)


def together(found: list[Prediction], bound: Any, program: ModuleType) -> Prediction:
    """One prediction out of those of the blocks. Joint draws exist within one block only."""

    def joined(parts: list[Mapping[str, np.ndarray]], leading: int) -> dict[str, np.ndarray]:
        result = {}
        for name in parts[0]:
            dims = program.DIMS.get(name, ())
            if program.ROWS not in dims:
                result[name] = parts[0][name]
                continue
            axis = leading + dims.index(program.ROWS)
            result[name] = np.concatenate([part[name] for part in parts], axis=axis)
        return result

    def joint() -> Mapping[str, np.ndarray]:
        if len(found) > 1:
            raise ValueError(f"new: joint draws are of at most {ROWS} rows at once")
        return found[0].joint()

    normals = [joined([{k: v[i] for k, v in f.normals.items()} for f in found], 1) for i in (0, 1)]
    return replace(
        found[0],
        bound=bound,
        means=joined([f.means for f in found], 0),
        sds=joined([f.sds for f in found], 0),
        samples=joined([f.samples for f in found], 2),
        probabilities=joined([f.probabilities for f in found], 0),
        normals={k: (v, normals[1][k]) for k, v in normals[0].items()},
        joint=joint,
    )
