"""One piece turned into one array: its cells are read, checked by the space, and put in place.

Cells are gone through by blocks, so that a column that lies on disk is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Bool, Dim, Label, cell_of
from mercer.runtime.data.columns import Column, Words, blocks, is_on_disk, on_disk
from mercer.runtime.data.labels import Axes, nearest
from mercer.runtime.data.locate import Piece
from mercer.runtime.data.needs import Needs, base_of
from mercer.runtime.data.times import is_date
from mercer.runtime.data.values import (
    Labels,
    codes,
    label_blocks,
    label_text,
    labels,
    number_blocks,
    outside,
)
from mercer.runtime.data.wrong_cells import Tally, mend_of_text, message, shown


@dataclass
class Cells:
    """The numbers of a piece, and what is wrong with its cells; labels wait till all are known.

    `are_dates`: the numbers are days (`times`).
    """

    values: np.ndarray | None = None
    are_dates: bool = False
    problems: list[Diagnostic] = field(default_factory=list)


def cells_of(piece: Piece) -> Cells:
    """The cells of `piece`, each checked by itself."""
    if not isinstance(piece.need.space, Label):
        return _Numbers(piece).cells()
    cells, missing = Cells(), Tally()
    if not piece.need.is_outcome:
        for start, found, absent in label_blocks(piece.values):
            missing.add(start, absent, found)
    if missing.count:
        cells.problems.append(message(piece, "M405", missing, "has no label"))
    return cells


class _Numbers:
    """The cells of a piece of numbers on their way through the checks."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.space = cell_of(piece.need.space)
        self.wanted = ""
        self.text, self.infinite = Tally(), Tally()
        self.missing, self.outside = Tally(), Tally()
        self.dates, self.plain = Tally(), Tally()  # blocks of dates, cells that are numbers

    def cells(self) -> Cells:
        raw, parts = self.piece.values, self._parts()
        values: np.ndarray
        if is_on_disk(raw) and raw.dtype == np.float64 and isinstance(raw, np.ndarray):
            for _ in parts:
                pass
            values = raw
        elif is_on_disk(raw):
            values = on_disk(parts, np.float64, (-1, *raw.shape[1:]))
        else:
            found = list(parts) or [np.zeros(raw.shape)]
            # The user may go on to change his own array.
            values = np.concatenate(found) if len(found) > 1 else np.array(found[0])
        problem = self._problem()
        return Cells(values, bool(self.dates.count), [problem] if problem else [])

    def _parts(self) -> Iterator[np.ndarray]:
        truth = isinstance(self.space, Bool)
        for start, block, (values, is_bad, are_dates) in number_blocks(self.piece.values, truth):
            absent = np.isnan(values)
            self.text.add(start, is_bad, block)
            (self.dates if are_dates else self.plain).add(start, ~absent, block)
            self.infinite.add(start, np.isinf(values), values)
            self.missing.add(start, absent & ~is_bad, values)
            wrong, wanted = outside(self.space, values)
            if wanted:
                self.wanted = wanted
                self.outside.add(start, wrong, values)
            yield values

    def _problem(self) -> Diagnostic | None:
        piece, need = self.piece, self.piece.need
        if self.text.count and is_date(self.text.cell) or self.dates.count and self.plain.count:
            return self._mixed()
        if self.text.count:
            said = f"is {shown(self.text.cell)}, where a number is wanted"
            mend = mend_of_text(self.text.cell, is_outcome=need.is_outcome)
            return message(piece, "M404", self.text, said, mend=mend)
        if self.infinite.count:
            mend = "leave the cell empty if nothing was measured" if need.is_outcome else None
            mend = mend or "give the number that is meant, or leave the row out"
            return message(piece, "M405", self.infinite, "is infinite", mend=mend)
        if not need.is_outcome and self.missing.count:
            mend = "leave the row out, or give the value; only an outcome may be missing"
            return message(piece, "M405", self.missing, "is missing", mend=mend)
        if self.outside.count:
            said = f"is {shown(self.outside.cell)}, but {need.space} wants {self.wanted}"
            mend = f"correct it, or declare `{need.name} : Real` if such values are meant"
            return message(piece, "M410", self.outside, said, mend=mend)
        return None

    def _mixed(self) -> Diagnostic:
        """Dates beside cells that are none."""
        tally = Tally()
        for start, block, (values, is_bad, _) in number_blocks(self.piece.values):
            present = ~np.isnan(values) | is_bad
            odd = [not is_date(cell) for cell in block[present]]
            wrong = np.zeros(block.shape, dtype=bool)
            wrong[present] = odd
            tally.add(start, wrong, block)
        said = f"is {shown(tally.cell)}, where other rows hold dates"
        mend = mend_of_text(tally.cell)
        mend = mend or "give dates throughout (2024-12-31), or numbers throughout"
        return message(self.piece, "M426", tally, said, mend=mend)


def fill(
    piece: Piece,
    cells: Cells,
    needs: Needs,
    axes: Axes,
    sizes: Mapping[Dim, int],
    start: np.ndarray | None,
) -> tuple[np.ndarray | None, list[Diagnostic]]:
    """The array of `piece` from its `cells`, each at the place of its labels, axes as declared.

    `start` holds the values that cells not given have (NaN and -1: none).
    """
    need = piece.need
    problems: list[Diagnostic] = []
    values = cells.values if cells.values is not None else _coded(piece, axes, problems)
    rows = [(dim, key, len(values)) for dim, key in zip(piece.row_dims, piece.keys, strict=True)]
    inner = values.shape[1 if piece.row_dims else 0 :]
    rest = list(zip(piece.rest, piece.rest_keys, inner, strict=True))
    shape = tuple(sizes[dim] for dim in need.dims)
    if values.shape == shape and all(_stands(a, needs, axes, len(rows) > 1) for a in rows + rest):
        return (None if problems else values), problems
    row_places = [_places(piece, axis, needs, axes, problems) for axis in rows]
    rest_places = [_places(piece, axis, needs, axes, problems) for axis in rest]
    if problems:
        return None, problems
    row_sizes = tuple(sizes[dim] for dim in piece.row_dims)
    rest_sizes = tuple(sizes[dim] for dim in piece.rest)
    flat = _flat(row_places, row_sizes)
    if flat is not None and _twice(piece, flat, row_sizes, axes, problems):
        return None, problems
    places = ([] if flat is None else [flat]) + rest_places
    if all(_is_whole(p, s) for p, s in zip(places, _block(row_sizes, rest_sizes), strict=True)):
        return values.reshape(shape), problems
    nothing = -1 if isinstance(need.space, Label) else np.nan
    block = _block(row_sizes, rest_sizes)
    target = np.full(block, nothing, values.dtype) if start is None else start.reshape(block)
    is_label = isinstance(need.space, Label)
    is_there = target >= 0 if is_label else ~np.isnan(target)
    target[np.ix_(*places)] = values
    is_there[np.ix_(*places)] = True
    if not need.is_outcome and not is_there.all():
        problems.append(_gap(piece, is_there.reshape(shape), axes))
        return None, problems
    return target.reshape(shape), problems


def _coded(piece: Piece, axes: Axes, problems: list[Diagnostic]) -> np.ndarray:
    """Labels as their codes; a missing one is -1."""
    space = piece.need.space
    assert isinstance(space, Label)
    among, unknown = axes.labels[space.index], Tally()

    def parts() -> Iterator[np.ndarray]:
        for start, place, absent, found in _code_blocks(piece.values, among):
            unknown.add(start, (place < 0) & ~absent, found)
            yield np.where(absent, -1, place).astype(np.int64, copy=False)

    values: np.ndarray
    if is_on_disk(piece.values):
        values = on_disk(parts(), np.int64, (-1, *piece.values.shape[1:]))
    else:
        coded = list(parts()) or [np.zeros(piece.values.shape, np.int64)]
        values = np.concatenate(coded) if len(coded) > 1 else coded[0]
    if unknown.count:
        mend = nearest(unknown.cell, among)
        if space.index in axes.numbered:
            mend = (
                f"the rows of {space.index} are numbered from 0 to {len(among) - 1}: "
                f"give them a column {space.index} of labels"
            )
        said = f"is {label_text(unknown.cell)}, which is no label of {space.index}"
        problems.append(message(piece, "M409", unknown, said, mend=mend))
    return values


def _code_blocks(
    raw: Column, among: Labels
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """First row, codes, where there is no label, and labels, of each block."""
    if isinstance(raw, Words):
        found, absent = labels(raw.words)
        place = codes(found, among)
        for start, (at,) in blocks(raw.codes):
            yield start, place[at], absent[at], found[at]
        return
    for start, found, absent in label_blocks(raw):
        yield start, codes(found, among), absent, found


_Axis = tuple[Dim, Column | None, int]
"""A dim, the labels beside the cells where there are some, and how many cells there are."""


def _stands(axis: _Axis, needs: Needs, axes: Axes, is_long: bool) -> bool:
    """Whether the cells along a dim belong where they stand, no labels having to meet."""
    dim, key, size = axis
    index = needs.index(dim)
    among = axes.labels.get(base_of(dim))
    if among is None or (not index.is_looked_up and index.labels is None and not is_long):
        return True
    if base_of(dim) in axes.positioned:
        return True
    is_numbered = base_of(dim) in axes.numbered and len(among) == size
    return key is None and (index.labels is not None or is_numbered)


def _places(
    piece: Piece, axis: _Axis, needs: Needs, axes: Axes, problems: list[Diagnostic]
) -> np.ndarray:
    """Where the cells along a dim belong."""
    dim, key, size = axis
    is_long = len(piece.row_dims) > 1 and dim in piece.row_dims
    if _stands(axis, needs, axes, is_long):
        return np.arange(size)
    among = axes.labels[base_of(dim)]
    wanted = np.arange(size) if key is None else labels(key)[0]
    place = codes(wanted, among)
    if (place < 0).any():
        at = int(np.argmax(place < 0))
        label = label_text(wanted[at])
        if key is None:
            problem = f"the rows of {piece.need.name} have no labels, but {base_of(dim)} has"
            mend = f"give them a column {base_of(dim)}: tables meet by label, never by row"
        else:
            problem = f"{dim} is {label} beside {piece.need.name}, which is no label of {dim}"
            mend = nearest(wanted[at], among)
        problems.append(Diagnostic("M409", problem, piece.need.span, mend=mend))
    return place


def _flat(places: list[np.ndarray], sizes: tuple[int, ...]) -> np.ndarray | None:
    if not places:
        return None
    if len(places) == 1 or any((p < 0).any() for p in places):
        return places[0]
    return np.asarray(np.ravel_multi_index(tuple(places), sizes))


def _block(rows: tuple[int, ...], rest: tuple[int, ...]) -> tuple[int, ...]:
    return ((int(np.prod(rows)),) if rows else ()) + rest


def _is_whole(places: np.ndarray, size: int) -> bool:
    return len(places) == size and bool(np.array_equal(places, np.arange(size)))


def _twice(
    piece: Piece,
    rows: np.ndarray,
    sizes: tuple[int, ...],
    axes: Axes,
    problems: list[Diagnostic],
) -> bool:
    """A cell given twice."""
    if len(rows) < 2 or bool(np.all(rows[1:] > rows[:-1])):
        return False
    order = np.argsort(rows, kind="stable")
    again = np.flatnonzero(rows[order][1:] == rows[order][:-1])
    if not again.size:
        return False
    second = int(order[again + 1].min())
    first = int(np.argmax(rows == rows[second]))
    where = np.unravel_index(int(rows[second]), sizes)
    names = _labels_at(piece.row_dims, where, axes)
    problems.append(
        Diagnostic(
            "M408",
            f"{piece.need.name} is given twice for {names}",
            piece.need.span,
            why=f"in rows {first + 1} and {second + 1} of {piece.table.name}",
            mend="keep one of them"
            if len(piece.row_dims) != 1
            else f"keep one row for each {piece.row_dims[0]}, in a table of its own",
        )
    )
    return True


def _gap(piece: Piece, is_there: np.ndarray, axes: Axes) -> Diagnostic:
    need = piece.need
    first = tuple(int(i) for i in np.argwhere(~is_there)[0])
    count = int(np.sum(~is_there))
    more = f" and {count - 1} more" if count > 1 else ""
    return Diagnostic(
        "M412",
        f"{need.name} has no value for {_labels_at(need.dims, first, axes)}{more}",
        need.span,
        why="only an outcome may be missing",
    )


def _labels_at(
    dims: tuple[Dim, ...], where: tuple[int, ...] | tuple[np.intp, ...], axes: Axes
) -> str:
    words = []
    for dim, place in zip(dims, where, strict=True):
        among = axes.labels.get(base_of(dim))
        words.append(f"{dim} {place + 1 if among is None else label_text(among[place])}")
    return ", ".join(words)
