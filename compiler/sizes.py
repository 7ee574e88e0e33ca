"""Sizes of dims into those of a structure: its rows, its copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from mercer.compiler import typed as ir
from mercer.compiler.shapes import shape_of
from mercer.compiler.structure import Structure

Sizes = Mapping[str, int]

_NOMINAL = 100  # rows of a dim whose size nobody has said


def size_of(dim: str, sizes: Sizes) -> int:
    """The length of a dim: of its index (without prime), or the number that is its name."""
    name = dim.rstrip("'")
    return int(name) if name.isdigit() else sizes.get(name, _NOMINAL)


def count_of(dims: Iterable[str], sizes: Sizes) -> int:
    """How many cells a value of these dims has."""
    return prod(size_of(d, sizes) for d in dims)


def rows_of(structure: Structure, sizes: Sizes) -> int:
    """The rows of all the outcomes that the block reaches."""
    observations = structure.model.observations
    reached = (*structure.locations, *structure.predictors)
    return sum(count_of(observations[o].type.dims, sizes) for o in reached)


def functions_of(structure: Structure) -> list[ir.Function]:
    """The random functions of the block, but for those on shapes, which are finite."""
    functions = structure.model.functions.items()
    return [f for n, f in functions if n in structure.block and shape_of(f) is None]
