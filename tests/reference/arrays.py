"""Arrays whose axes have names, the slow way: every operation aligns its arguments by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

BASIS = "*"
"""The axis over basis vectors of what is integrated out; no model can write this name."""


@dataclass(frozen=True, eq=False)
class Named:
    """`labels` is the index whose labels the values are codes of; `coordinates` are dims that a
    function takes whole."""

    dims: tuple[str, ...]
    array: np.ndarray
    coordinates: tuple[str, ...] = ()
    labels: str | None = None

    def axis(self, dim: str) -> int:
        return self.dims.index(dim)

    def ordered(self, dims: Iterable[str], sizes: dict[str, int]) -> np.ndarray:
        """The array over exactly `dims`, broadcast where it does not vary."""
        dims = tuple(dims)
        extra = [d for d in self.dims if d not in dims]
        if extra:
            raise ValueError(f"unexpected dims {extra} beside {dims}")
        present = [d for d in dims if d in self.dims]
        array = np.transpose(self.array, [self.axis(d) for d in present])
        shape = [array.shape[present.index(d)] if d in present else 1 for d in dims]
        return np.broadcast_to(array.reshape(shape), [sizes[d] for d in dims])

    def renamed(self, old: str, new: str) -> Named:
        def swap(dims: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if d == old else d for d in dims)

        return Named(swap(self.dims), self.array, swap(self.coordinates), self.labels)

    def gathered(self, dim: str, at: Named) -> Named:
        """Dim `dim` looked up at the codes `at`; dims that both have stay together."""
        others = [d for d in self.dims if d != dim]
        dims = tuple(dict.fromkeys([*others, *at.dims]))
        sizes = sizes_of(self, at)
        pieces = []
        for own in self.dims:
            source = at if own == dim else Named((own,), np.arange(sizes[own]))
            pieces.append(source.ordered(dims, sizes).astype(int))
        coordinates = tuple(c for c in self.coordinates if c != dim)
        return Named(dims, self.array[tuple(pieces)], coordinates, self.labels)


def scalar(value: float) -> Named:
    return Named((), np.asarray(float(value)))


def sizes_of(*values: Named) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in values:
        for dim, size in zip(value.dims, value.array.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ValueError(f"dim {dim} has sizes {sizes[dim]} and {size}")
    return sizes


def elementwise(function: Callable[..., Any], *values: Named) -> Named:
    sizes = sizes_of(*values)
    dims = tuple(sizes)
    coordinates = tuple(dict.fromkeys(c for v in values for c in v.coordinates))
    array = np.asarray(function(*(v.ordered(dims, sizes) for v in values)), float)
    return Named(dims, array, coordinates)


def reduced(function: Callable[..., Any], value: Named, over: tuple[str, ...]) -> Named:
    dims = tuple(d for d in value.dims if d not in over)
    axes = tuple(value.axis(d) for d in over)
    array = np.asarray(function(value.array, axis=axes)) if axes else value.array
    return Named(dims, array, tuple(c for c in value.coordinates if c in dims))
