"""Bound data of many rows turned into the same data a few rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mercer.dsl.spaces import Dim


@dataclass(frozen=True, eq=False)
class Block:
    """Data at some of the rows: `rows[dim]` are the places of its rows in the whole."""

    number: int
    bound: Any
    rows: Mapping[Dim, np.ndarray]


def blocks_of(bound: Any, dims: Collection[Dim], size: int) -> Iterator[Block]:
    """Blocks of at most `size` entries of each of `dims`; a dim that has no more stays at its last.

    All but the last have the same sizes: what was compiled for one serves them all.
    """
    lengths = {dim: int(bound.sizes[dim]) for dim in dims}
    for number in range(max((-(-length // size) for length in lengths.values()), default=1)):
        rows = {}
        for dim, length in lengths.items():
            start = min(number, max(-(-length // size) - 1, 0)) * size
            rows[dim] = np.arange(start, min(start + size, length))
        yield Block(number, cut(bound, rows), rows)


def apart(bound: Any, dim: Dim, rows: np.ndarray, *, after: int | None = None) -> Any:
    """The data at some rows as if no others were there; `after`: as new ones, to a fit that has so
    many."""
    part = cut(bound, {dim: rows})
    codes = {**part.codes, dim: np.arange(len(rows)) + (after or 0)}
    new = {} if after is None else {dim: part.labels[dim]}
    return replace(part, codes=codes, new_labels={**part.new_labels, **new})


def cut(bound: Any, rows: Mapping[Dim, np.ndarray]) -> Any:
    """The data at `rows[dim]` of each dim.

    New entries take the first places behind those of the fit, as if they had come alone.
    """

    def part(values: Any, dims: tuple[Dim, ...]) -> np.ndarray:
        for axis, dim in enumerate(dims):
            if dim in rows:
                values = np.take(values, rows[dim], axis=axis)
        return np.asarray(values)

    codes, new_labels = dict(bound.codes), dict(bound.new_labels)
    for dim in rows:
        codes[dim] = part(bound.codes[dim], (dim,))
        if dim in new_labels:
            first = int(np.max(bound.codes[dim])) + 1 - len(new_labels[dim])
            is_new = codes[dim] >= first
            codes[dim] = np.where(is_new, first - 1 + np.cumsum(is_new), codes[dim])
            new_labels[dim] = part(bound.labels[dim], (dim,))[is_new]
    return replace(
        bound,
        arrays={name: part(v, bound.dims[name]) for name, v in bound.arrays.items()},
        labels={d: part(v, (d,)) if d in rows else v for d, v in bound.labels.items()},
        sizes={d: len(rows[d]) if d in rows else size for d, size in bound.sizes.items()},
        codes=codes,
        new_labels=new_labels,
    )
