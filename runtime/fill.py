"""One piece turned into one array: its cells are read, checked by the space, and put in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Bool, Dim, Label, cell_of
from mercer.runtime.labels import Axes, nearest
from mercer.runtime.locate import Piece
from mercer.runtime.needs import Needs, base_of
from mercer.runtime.values import codes, label_text, labels, numbers, outside


@dataclass
class Cells:
    """The values of a piece as numbers or labels, and what is wrong with them."""

    values: np.ndarray
    is_missing: np.ndarray
    problems: list[Diagnostic] = field(default_factory=list)


def cells_of(piece: Piece) -> Cells:
    """The cells of `piece`, each checked by itself."""
    need = piece.need
    if isinstance(need.space, Label):
        values, is_missing = labels(piece.values)
        cells = Cells(values, is_missing)
        if is_missing.any() and not need.is_outcome:
            _report(cells, piece, "M405", is_missing, "has no label", None)
        return cells
    space = cell_of(need.space)
    values, is_text = numbers(piece.values, truth=isinstance(space, Bool))
    cells = Cells(values, np.isnan(values))
    if is_text.any():
        shown = _shown(piece.values, is_text)
        comma = shown.strip('"').replace(",", ".", 1)
        mend = "write decimals with a point" if "," in shown and _is_number(comma) else None
        _report(cells, piece, "M404", is_text, f"is {shown}, where a number is wanted", mend)
        return cells
    infinite = np.isinf(values)
    if infinite.any():
        _report(cells, piece, "M405", infinite, "is infinite", None)
        return cells
    if not need.is_outcome and cells.is_missing.any():
        mend = "leave the row out, or give the value; only an outcome may be missing"
        _report(cells, piece, "M405", cells.is_missing, "is missing", mend)
        return cells
    wrong, wanted = outside(space, values)
    if wanted and wrong.any():
        said = f"is {_shown(values, wrong)}, but {need.space} wants {wanted}"
        _report(cells, piece, "M410", wrong, said, None)
    return cells


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
    values = cells.values
    if isinstance(need.space, Label):
        values = _coded(piece, cells, axes, problems)
    row_places = [
        _places(piece, dim, key, len(values), needs, axes, problems)
        for dim, key in zip(piece.row_dims, piece.keys, strict=True)
    ]
    inner = values.shape[1 if piece.row_dims else 0 :]
    rest_places = [
        _places(piece, dim, key, size, needs, axes, problems)
        for dim, key, size in zip(piece.rest, piece.rest_keys, inner, strict=True)
    ]
    if problems:
        return None, problems
    shape = tuple(sizes[dim] for dim in need.dims)
    row_sizes = tuple(sizes[dim] for dim in piece.row_dims)
    rest_sizes = tuple(sizes[dim] for dim in piece.rest)
    rows = _flat(row_places, row_sizes)
    if rows is not None and _twice(piece, rows, row_sizes, axes, problems):
        return None, problems
    places = ([] if rows is None else [rows]) + rest_places
    if all(_is_whole(p, s) for p, s in zip(places, _block(row_sizes, rest_sizes), strict=True)):
        return values.reshape(shape), problems
    nothing = -1 if isinstance(need.space, Label) else np.nan
    block = _block(row_sizes, rest_sizes)
    target = np.full(block, nothing, values.dtype) if start is None else start.reshape(block)
    is_there = ~(target < 0) & ~np.isnan(target.astype(float)) if start is not None else None
    is_there = np.zeros(block, dtype=bool) if is_there is None else is_there
    target[np.ix_(*places)] = values
    is_there[np.ix_(*places)] = True
    if not need.is_outcome and not is_there.all():
        problems.append(_gap(piece, is_there.reshape(shape), axes))
        return None, problems
    return target.reshape(shape), problems


def _coded(piece: Piece, cells: Cells, axes: Axes, problems: list[Diagnostic]) -> np.ndarray:
    """Labels as their codes; a missing one is -1."""
    space = piece.need.space
    assert isinstance(space, Label)
    among = axes.labels[space.index]
    place = codes(cells.values, among)
    unknown = (place < 0) & ~cells.is_missing
    if unknown.any():
        at = np.unravel_index(int(np.argmax(unknown)), unknown.shape)
        label = cells.values[at]
        said = f"is {label_text(label)}, which is no label of {space.index}"
        mend = nearest(label, among)
        if space.index in axes.numbered:
            mend = (
                f"the rows of {space.index} are numbered from 0 to {len(among) - 1}: "
                f"give them a column {space.index} of labels"
            )
        wrong = Cells(cells.values, cells.is_missing)
        _report(wrong, piece, "M409", unknown, said, mend)
        problems += wrong.problems
    return np.where(cells.is_missing, -1, place).astype(np.int64)


def _places(
    piece: Piece,
    dim: Dim,
    key: np.ndarray | None,
    size: int,
    needs: Needs,
    axes: Axes,
    problems: list[Diagnostic],
) -> np.ndarray:
    """Where the cells along `dim` belong."""
    index = needs.index(dim)
    among = axes.labels.get(base_of(dim))
    is_long = len(piece.row_dims) > 1 and dim in piece.row_dims
    if among is None or (not index.is_looked_up and index.labels is None and not is_long):
        return np.arange(size)
    if key is None and index.labels is not None:
        return np.arange(size)
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


# --- where a cell stands ------------------------------------------------------------------------


def _report(
    cells: Cells, piece: Piece, code: str, wrong: np.ndarray, said: str, mend: str | None
) -> None:
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    count = int(np.sum(wrong))
    why = f"so are {count - 1} more values" if count > 2 else None
    if count == 2:
        why = "so is another value"
    if code in ("M409", "M410", "M404") and why:
        why = f"{count} values are wrong in this way"
    cells.problems.append(
        Diagnostic(code, f"{_place(piece, at)} {said}", piece.need.span, why=why, mend=mend)
    )


def _place(piece: Piece, at: tuple[int, ...]) -> str:
    """Column and row in the user's table, both as they are counted there: from 1."""
    name = piece.columns[0] if len(piece.columns) == 1 else piece.columns[at[-1]]
    if not at:
        return name
    if piece.table.is_frame or len(at) == 1 or len(piece.columns) > 1:
        row = f" in row {at[0] + 1}" if piece.row_dims else ""
        return f"{name}{row} of {piece.table.name}"
    return f"{name}[{', '.join(str(i + 1) for i in at)}] (counted from 1) of {piece.table.name}"


def _shown(values: np.ndarray, wrong: np.ndarray) -> str:
    value = values.ravel()[int(np.argmax(wrong))]
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'
    return f"{value:.10g}" if isinstance(value, (float, np.floating)) else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
