"""Tables turned into pieces: for each data name its raw cells, and the labels beside them.

Which table holds what is deduced from the declarations, by the names of the columns alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Dim, Product
from mercer.runtime.data.columns import Column, SideBySide, blocks
from mercer.runtime.data.frames import Table
from mercer.runtime.data.needs import DataNeed, Needs, base_of, size_of
from mercer.runtime.data.tables import Tables


@dataclass(frozen=True, eq=False)
class Piece:
    """Raw cells of one data name, axes in the order `row_dims` (together one axis) and `rest`.

    `keys[i]` are the raw labels of the rows along `row_dims[i]`, `rest_keys[i]` those of the axis
    `rest[i]`; None where the data name none. `columns` are the columns of the last axis, or one.
    """

    need: DataNeed
    table: Table
    values: Column
    row_dims: tuple[Dim, ...] = ()
    keys: tuple[Column | None, ...] = ()
    rest: tuple[Dim, ...] = ()
    rest_keys: tuple[Column | None, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass
class Located:
    """What was found: pieces by data name, names without data, labels of indices given alone."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    absent: list[DataNeed] = field(default_factory=list)
    alone: dict[Dim, Column] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


class _Wrong(Exception):
    """A diagnostic about one data name."""

    def __init__(self, code: str, problem: str, why: str | None = None, mend: str | None = None):
        super().__init__(problem)
        self.code, self.problem, self.why, self.mend = code, problem, why, mend


def locate(needs: Needs, tables: Tables) -> Located:
    """The piece of every data name that the tables hold."""
    found = Located()
    for need in needs.data:
        try:
            piece = _piece(need, needs, tables)
        except _Wrong as wrong:
            found.problems.append(
                Diagnostic(wrong.code, wrong.problem, need.span, why=wrong.why, mend=wrong.mend)
            )
            continue
        if piece is None:
            found.absent.append(need)
        else:
            found.pieces[need.name] = piece
    found.problems += _mixed_rows(needs, found.pieces)
    found.alone = _alone(needs, tables, found.pieces)
    return found


def told_columns(tables: Tables, located: Located) -> dict[str, tuple[str, ...]]:
    """The columns of every name that was told them; those that `*` came to."""
    found = {}
    for name, wanted in tables.columns.items():
        if not isinstance(wanted, str):
            found[name] = tuple(wanted)
        elif name in located.pieces:
            found[name] = located.pieces[name].columns
    return found


def as_at_the_fit(tables: Tables, told: Mapping[str, tuple[str, ...]]) -> Tables:
    """New tables, whose columns are called as at the fit where nothing else is said of them."""
    columns = dict(tables.columns)
    for name, wanted in told.items():
        every = [set(table.columns) for table in tables.tables]
        is_there = any(
            column == name or column.startswith(f"{name}.") for own in every for column in own
        )
        if name not in columns and not is_there and any(set(wanted) <= own for own in every):
            columns[name] = wanted
    return Tables(tables.tables, columns)


# --- one data name ------------------------------------------------------------------------------


def _piece(need: DataNeed, needs: Needs, tables: Tables) -> Piece | None:
    if isinstance(need.space, Product):
        raise _Wrong(
            "M416",
            f"{need.name} is a point of a product, which no column can hold",
            mend="declare each factor as data of its own, and make the point where it is used",
        )
    having = [t for t in tables.tables if _columns(need, needs, t, tables) is not None]
    if tables.columns.get(need.name) == "*" and len(having) > 1:
        having = _beside(need, needs, having, tables)
    named = [t for t in having if t.index in need.dims]
    having = named if len(named) == 1 else having
    if len(having) > 1:
        raise _Wrong(
            "M402",
            f"{len(having)} tables have a column {need.name}",
            why="they are " + listed([t.name for t in having]),
            mend="keep it in one of them, or rename it in the others",
        )
    columns = _columns(need, needs, having[0], tables) if having else None
    if not columns:
        return None
    table, first = having[0], columns[0]
    wanted = tables.columns.get(need.name)
    is_spread = len(columns) > 1 or wanted == "*" or (first != need.name and wanted is None)
    if not is_spread and table.columns[first].ndim != 1:
        return _whole(need, table, first, tables)
    if not is_spread:
        return _plain(need, table, first, tables)
    return _spread(need, table, columns, tables)


def _columns(need: DataNeed, needs: Needs, table: Table, tables: Tables) -> tuple[str, ...] | None:
    """The columns of `table` that hold `need`; None where it does not."""
    wanted = tables.columns.get(need.name)
    if wanted == "*":
        return _left(need, needs, table, tables) or None
    if wanted is not None:
        return tuple(wanted) if all(name in table.columns for name in wanted) else None
    if need.name in table.columns:
        return (need.name,)
    start = need.name + "."
    if not need.dims:
        return None
    found = [n for n in table.columns if n.startswith(start) and len(n) > len(start)]
    if all(n.removeprefix(start).isdigit() for n in found):
        found.sort(key=lambda n: int(n.removeprefix(start)))
    return tuple(found) or None


def _left(need: DataNeed, needs: Needs, table: Table, tables: Tables) -> tuple[str, ...]:
    """The columns of `table` that nothing else takes."""
    taken = set(needs.indices)
    for other in needs.data:
        if other.name != need.name and tables.columns.get(other.name) != "*":
            taken |= set(_columns(other, needs, table, tables) or ())
    for wanted in tables.columns.values():
        taken |= set(() if wanted == "*" else wanted)
    return tuple(n for n, v in table.columns.items() if n not in taken and v.ndim == 1)


def _beside(need: DataNeed, needs: Needs, having: list[Table], tables: Tables) -> list[Table]:
    """Of the tables with columns left, those that hold other data of the same index."""
    peers = [o for o in needs.data if o.name != need.name and set(o.indices) & set(need.indices)]
    found = [
        t
        for t in having
        if any(tables.columns.get(o.name) != "*" and _columns(o, needs, t, tables) for o in peers)
    ]
    return found or having


def _plain(need: DataNeed, table: Table, column: str, tables: Tables) -> Piece:
    """One column, a value a row."""
    values = table.columns[column]
    size = values.shape[0]
    if not need.dims:
        return Piece(need, table, _single(need, values, table), columns=(column,))
    keys = tuple(_key(dim, table, tables, size) for dim in need.dims)
    if len(need.dims) == 1 or all(key is not None for key in keys):
        return Piece(need, table, values, need.dims, keys, columns=(column,))
    if len(need.coordinates) == 1 and need.indices:
        # A vector of one coordinate.
        inner = keys[: len(need.indices)]
        _check_keys(need, inner, table)
        matrix = SideBySide([values])
        piece = Piece(
            need, table, matrix, need.indices, inner, need.coordinates, (None,), (column,)
        )
        return _sized(piece)
    _check_keys(need, keys, table)
    raise AssertionError("unreachable: a key is missing")


def _spread(need: DataNeed, table: Table, columns: tuple[str, ...], tables: Tables) -> Piece:
    """Several columns: the coordinates of a vector, or the labels of the last index."""
    wide = need.coordinates or need.indices[-1:]
    rows = need.dims[: len(need.dims) - len(wide)]
    lengths = {table.columns[name].shape for name in columns}
    if len(lengths) > 1 or len(next(iter(lengths))) != 1:
        raise _Wrong("M406", f"the columns of {need.name} have different lengths")
    values = SideBySide([table.columns[name] for name in columns])
    labels = _suffixes(need, columns)
    if not rows:
        if len(values) != 1:
            raise _Wrong(
                "M407",
                f"{need.name} is one {need.space}, but {table.name} has {len(values)} rows",
                mend=f"declare it {need.name}[n], or give a table of one row",
            )
        piece = Piece(need, table, values[:1][0], rest=wide, rest_keys=(labels,), columns=columns)
    else:
        keys = tuple(_key(dim, table, tables, len(values)) for dim in rows)
        _check_keys(need, keys, table)
        piece = Piece(need, table, values, rows, keys, wide, (labels,), columns)
    return _sized(piece)


def _whole(need: DataNeed, table: Table, column: str, tables: Tables) -> Piece:
    """An array of any shape, its axes the dims as declared."""
    values = table.columns[column]
    assert isinstance(values, np.ndarray)  # all else has one axis, or two by way of `_spread`
    named = table.dims.get(column)
    if named is not None and set(named) == set(need.dims):
        values = np.transpose(values, [named.index(dim) for dim in need.dims])
    inner = len(need.indices)
    if not need.dims and values.size == 1:
        values = values.reshape(())
    elif values.ndim == inner + 1 and len(need.coordinates) > 1:
        sizes = tuple(size_of(dim) or -1 for dim in need.coordinates)
        if -1 not in sizes and values.shape[-1] == int(np.prod(sizes)):
            values = values.reshape(*values.shape[:-1], *sizes)
    elif values.ndim == inner and len(need.coordinates) == 1 and inner:
        values = values[..., None]
    if values.ndim != len(need.dims):
        raise _Wrong(
            "M407",
            f"{column} in {table.name} has {_axes(values.ndim)}, but {need} has "
            + (f"{len(need.dims)}: {', '.join(need.dims)}" if need.dims else "none"),
            why=f"its shape is {_shape(values.shape)}",
            mend=f"declare {need.name} with the dims that it has, or give the array that is meant",
        )
    # The second copy of an index has the labels of the first.
    keys = tuple(
        key
        if (key := _key(dim, table, tables, size)) is not None
        else _key(base_of(dim), table, tables, size)
        for dim, size in zip(need.dims, values.shape, strict=True)
    )
    if not need.dims:
        return Piece(need, table, values, columns=(column,))
    split = 1 if need.indices else 0
    return _sized(
        Piece(
            need,
            table,
            values,
            need.dims[:split],
            keys[:split],
            need.dims[split:],
            keys[split:],
            (column,),
        )
    )


def _sized(piece: Piece) -> Piece:
    """The piece, its columns shaped where they are pixels; sizes that are numbers are checked."""
    need, rest, values = piece.need, piece.rest, piece.values
    wanted = tuple(size_of(dim) for dim in rest)
    given = values.shape[len(piece.row_dims[:1]) :]
    if len(given) == 1 and len(rest) > 1:
        sizes = tuple(size or 0 for size in wanted)
        if given[0] != int(np.prod(sizes)):
            raise _Wrong(
                "M407",
                f"{need.name} has {given[0]} columns, but {need.space} has {int(np.prod(sizes))}",
            )
        shaped = np.reshape(values[...], (*values.shape[: values.ndim - 1], *sizes))
        return Piece(
            need, piece.table, shaped, piece.row_dims, piece.keys, rest, (None,) * len(rest),
            (need.name,),
        )  # fmt: skip
    for dim, size, got in zip(rest, wanted, given, strict=True):
        if size is not None and got != size:
            raise _Wrong(
                "M407",
                f"{need.name} has {_plural(got, 'coordinate')}, but {need.space} has {size}",
                why=f"the columns found are {listed(piece.columns)}"
                if len(piece.columns) == got
                else f"its shape is {_shape(values.shape)}",
                mend=f"name its columns {need.name}.1 to {need.name}.{size}, "
                f"or say which they are: --columns {need.name}=..."
                if dim in need.coordinates
                else None,
            )
    return piece


def _suffixes(need: DataNeed, columns: tuple[str, ...]) -> np.ndarray:
    """The labels in the names of the columns: those behind `y.`, or the whole names."""
    start = need.name + "."
    if all(name.startswith(start) for name in columns):
        columns = tuple(name.removeprefix(start) for name in columns)
    if all(re.fullmatch(r"-?\d+", name) for name in columns):
        return np.array([int(name) for name in columns])
    return np.array(columns, dtype=object)


def _single(need: DataNeed, values: Column, table: Table) -> np.ndarray:
    first = values[:1]
    if values.shape[0] == 0 or not all(_are_one(first, b) for _, (b,) in blocks(values)):
        raise _Wrong(
            "M407",
            f"{need.name} is a single value, but its column in {table.name} has several",
            mend=f"declare it {need.name}[n], one value a row, or give it in a file of its own",
        )
    return np.asarray(first).reshape(())


def _are_one(first: np.ndarray, block: np.ndarray) -> bool:
    return len(pd.unique(np.concatenate([first.ravel(), block.ravel()]))) == 1


def _key(dim: Dim, table: Table, tables: Tables, size: int) -> Column | None:
    """The column of the labels of `dim`, if the table has one of that length."""
    wanted = tables.columns.get(dim)
    column = wanted[0] if isinstance(wanted, tuple) else dim
    values = table.columns.get(column)
    return values if values is not None and values.shape == (size,) else None


def _check_keys(need: DataNeed, keys: Sequence[Column | None], table: Table) -> None:
    missing = [d for d, key in zip(need.dims, keys, strict=False) if key is None]
    if len(keys) > 1 and missing:
        wide = need.dims[-1]
        raise _Wrong(
            "M401",
            f"{table.name} has {need.name} in one column, but no column {listed(missing)}",
            why=f"{need} given long has a row for each cell, with its labels beside it",
            mend=f"add {listed(missing)}, or give it wide: a column {need.name}.LABEL "
            f"for each label of {wide}",
        )


# --- several names together -----------------------------------------------------------------------


def _mixed_rows(needs: Needs, pieces: Mapping[str, Piece]) -> list[Diagnostic]:
    """A value for each label that stands, without its labels, among the rows of another index."""
    problems = []
    for piece in pieces.values():
        if not piece.table.is_frame or len(piece.row_dims) != 1 or piece.keys[0] is not None:
            continue
        dim = piece.row_dims[0]
        others = [
            o.row_dims[0]
            for o in pieces.values()
            if o.table is piece.table and o.row_dims and o.row_dims[0] != dim
        ]
        feeders = needs.index(dim).fed_by
        if feeders and others and piece.table.index != dim:
            problems.append(
                Diagnostic(
                    "M406",
                    f"{piece.need} has one value for each {dim}, "
                    f"but {piece.table.name} has one row for each {others[0]}",
                    piece.need.span,
                    mend=f"give {piece.need.name} in a table of its own, one row a label, "
                    f"with a column {dim} that holds the labels",
                )
            )
    return problems


def _alone(needs: Needs, tables: Tables, pieces: Mapping[str, Piece]) -> dict[Dim, Column]:
    """Labels given without data of their index: `c = ["A", "B"]`, or a table of one column."""
    used = {dim for p in pieces.values() for dim in (*p.row_dims, *p.rest)}
    found: dict[Dim, Column] = {}
    for dim in needs.indices:
        for table in tables.tables:
            values = _key_of_any_length(dim, table, tables)
            is_own = not any(p.table is table for p in pieces.values()) or not table.is_frame
            if values is not None and dim not in used and (is_own or table.index == dim):
                found[dim] = values
    return found


def _key_of_any_length(dim: Dim, table: Table, tables: Tables) -> Column | None:
    wanted = tables.columns.get(dim)
    values = table.columns.get(wanted[0] if isinstance(wanted, tuple) else dim)
    return values if values is not None and values.ndim == 1 else None


# --- words ----------------------------------------------------------------------------------------


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    names = list(names)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _axes(count: int) -> str:
    return "no dims" if count == 0 else _plural(count, "dim")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) if shape else "that of a single number"
