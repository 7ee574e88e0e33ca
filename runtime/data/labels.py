"""Pieces turned into the labels of every index: tables meet by label, never by row.

The labels of an index are those declared; else those of its table, if one is given; else the
sorted union of what occurs in its `Label` columns and beside long cells. Rows without labels are
numbered from 0. Coordinates without a name of their own meet by position, numbered from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Dim, Label
from mercer.dsl.span import Span
from mercer.runtime.data.columns import Column, counted
from mercer.runtime.data.locate import Located, Piece
from mercer.runtime.data.needs import IndexNeed, Needs, base_of
from mercer.runtime.data.values import (
    Labels,
    as_text,
    codes,
    distinct_labels,
    label_blocks,
    label_text,
    labels,
    union,
)


@dataclass(frozen=True, eq=False)
class Known:
    """The labels of a fit, which new data are bound to."""

    labels: Mapping[Dim, Labels]
    numbered: frozenset[Dim]


@dataclass
class Axes:
    """Labels by index, and their places in the fit (`codes`; beyond its size: new).

    `numbered`: indices whose labels are only the numbers of rows. `positioned`: those whose
    coordinates come without names, in the order of the fit. `given`: those that the data at hand
    bring anew; the others are as they were at the fit.
    """

    labels: dict[Dim, Labels] = field(default_factory=dict)
    codes: dict[Dim, np.ndarray] = field(default_factory=dict)
    numbered: set[Dim] = field(default_factory=set)
    positioned: set[Dim] = field(default_factory=set)
    given: set[Dim] = field(default_factory=set)
    problems: list[Diagnostic] = field(default_factory=list)


@dataclass
class _Evidence:
    """What the data say of one index: of the axes along it, some may be declared in brackets
    (`along_rows`), others the coordinates of a space (`of_space`)."""

    axes: list[tuple[Piece, Labels | None, int]] = field(default_factory=list)
    cells: list[Labels] = field(default_factory=list)
    feeders: list[Labels] = field(default_factory=list)
    alone: list[Labels] = field(default_factory=list)
    along_rows: bool = False
    of_space: bool = False

    @property
    def is_any(self) -> bool:
        return bool(self.axes or self.cells or self.feeders or self.alone)

    def is_bare(self, old: Labels) -> bool:
        """Whether cells lie along the index, and nothing says which of the labels they have."""
        if not self.axes or self.cells or self.alone:
            return False
        return all(key is None or _is_counted(key, old) for _, key, _ in self.axes)


def resolve_labels(needs: Needs, located: Located, known: Known | None) -> Axes:
    """The labels of all indices and coordinates of `needs` (sizes that are numbers apart)."""
    evidence: dict[Dim, _Evidence] = {name: _Evidence() for name in needs.indices}
    for need in needs.data:
        for dim in need.dims:
            if not base_of(dim).isdigit():
                evidence.setdefault(base_of(dim), _Evidence())
    found = Axes()
    for piece in located.pieces.values():
        _collect(piece, evidence, found)
    for dim, raw in located.alone.items():
        evidence[dim].alone.append(_present(raw))
    for name, seen in evidence.items():
        _one(needs.index(name), seen, known, found)
    return found


def _collect(piece: Piece, evidence: dict[Dim, _Evidence], found: Axes) -> None:
    sizes = piece.values.shape[1 if piece.row_dims else 0 :]
    for dim in piece.need.dims:
        if base_of(dim) in evidence:
            is_bracketed = dim in piece.need.indices
            evidence[base_of(dim)].along_rows |= is_bracketed
            evidence[base_of(dim)].of_space |= not is_bracketed
    for dim, key in zip(piece.row_dims, piece.keys, strict=True):
        name = base_of(dim)
        if key is not None:
            absent = _first_missing(key)
            if absent is not None:
                found.problems.append(
                    Diagnostic(
                        "M413",
                        f"row {absent + 1} of {piece.table.name} has no {dim}",
                        piece.need.span,
                        why=f"{dim} holds the labels of the rows of {piece.need}",
                    )
                )
        if name not in evidence:
            continue
        if len(piece.row_dims) == 1:
            read = None if key is None else distinct_labels(key)
            evidence[name].axes.append((piece, read, len(piece.values)))
        elif key is not None:
            evidence[name].cells.append(distinct_labels(key))
    for dim, key, size in zip(piece.rest, piece.rest_keys, sizes, strict=True):
        if base_of(dim) in evidence:
            read = None if key is None else _present(key)
            evidence[base_of(dim)].axes.append((piece, read, size))
    space = piece.need.space
    if isinstance(space, Label) and space.index in evidence:
        evidence[space.index].feeders.append(distinct_labels(piece.values))


def _one(index: IndexNeed, seen: _Evidence, known: Known | None, found: Axes) -> None:
    name = index.name
    old = None if known is None else known.labels.get(name)
    if index.labels is not None:
        declared = declared_labels(index)
        found.problems += _sizes_agree(index, seen, len(declared), "is declared with")
        found.labels[name], found.codes[name] = declared, np.arange(len(declared))
        return
    if not index.is_looked_up:
        _coordinate(index, seen, old, found)
        return
    if not seen.is_any:
        if old is not None and known is not None:
            found.labels[name], found.codes[name] = old, np.arange(len(old))
            if name in known.numbered:
                found.numbered.add(name)
        return
    if old is not None and known is not None and (seen.of_space or index.fed_by):
        is_named = name not in known.numbered
        if seen.is_bare(old) and (is_named or not seen.along_rows):
            found.problems += _in_order(index, seen, old, is_named=is_named)
            found.positioned.add(name)
            found.labels[name], found.codes[name] = old, np.arange(len(old))
            if not is_named:
                found.numbered.add(name)
            return
    fresh = _fresh(index, seen, found)
    if old is not None and not seen.along_rows and _are_same(fresh, old):
        found.labels[name], found.codes[name] = old, np.arange(len(old))
        return
    found.given.add(name)
    if old is None or known is None:
        found.labels[name] = fresh
        found.codes[name] = fresh if name in found.numbered else counted(len(fresh))
    elif index.fed_by:
        # Label columns look up in what the fit knew and, behind it, what is new.
        new = fresh[codes(fresh, old) < 0]
        old, new = _alike(old, new)
        found.labels[name] = np.concatenate([old, new])
        found.codes[name] = np.arange(len(old) + len(new))
    elif name in found.numbered:
        # Rows that only have numbers are other rows than those of the fit.
        found.labels[name], found.codes[name] = fresh, len(old) + np.arange(len(fresh))
    else:
        place = codes(fresh, old)
        place[place < 0] = len(old) + np.arange(int(np.sum(place < 0)))
        found.labels[name], found.codes[name] = fresh, place


def declared_labels(index: IndexNeed) -> Labels:
    """The labels that the model declares, as an array."""
    given = index.labels or ()
    if all(isinstance(label, str) for label in given):
        return np.array(given, dtype=object)
    return labels(np.array(given, dtype=np.float64))[0]


def _fresh(index: IndexNeed, seen: _Evidence, found: Axes) -> Labels:
    """The labels of the data at hand alone."""
    named = [key for _, key, _ in seen.axes if key is not None] + seen.alone
    bare = sorted({size for _, key, size in seen.axes if key is None})
    if named:
        # The names of the rows count; a column without them meets by its numbers.
        return union(named, is_sorted=False)
    if bare:
        found.numbered.add(index.name)
        found.problems += _sizes_agree(index, seen, bare[-1], "has")
        fresh = counted(bare[-1])
        found.problems += _counted_from_one(index, seen, fresh)
        return fresh
    return union(seen.cells + seen.feeders, is_sorted=True)


def _coordinate(index: IndexNeed, seen: _Evidence, old: Labels | None, found: Axes) -> None:
    name = index.name
    if not seen.is_any:
        if old is not None:
            found.labels[name], found.codes[name] = old, np.arange(len(old))
        return
    named = [key for _, key, _ in seen.axes if key is not None]
    sizes = [size for _, _, size in seen.axes]
    if old is not None:
        fresh = old
    elif seen.cells or not sizes:
        fresh = union(seen.cells + seen.alone + seen.feeders, is_sorted=bool(seen.cells))
    elif len(named) == len(sizes) and all(np.array_equal(named[0], key) for key in named):
        fresh = named[0]
    else:
        fresh = np.arange(1, max(sizes) + 1)
    verb = "had" if old is not None else "has"
    found.problems += _sizes_agree(index, seen, len(fresh), verb)
    found.labels[name], found.codes[name] = fresh, np.arange(len(fresh))


def _sizes_agree(index: IndexNeed, seen: _Evidence, size: int, verb: str) -> list[Diagnostic]:
    """Axes without labels must be as long as the index."""
    is_row = index.is_looked_up
    wrong = [(p, s) for p, key, s in seen.axes if s != size and (key is None or not is_row)]
    if not wrong:
        return []
    piece, got = wrong[0]
    same = [p.need.name for p, _, s in seen.axes if s == size]
    noun = f"rows of {index.name}" if is_row else f"coordinates {index.name}"
    if same and verb == "has":
        other = f"{same[0]} has {size}"
    else:
        other = f"{index.name} {verb} {size}"
    return [
        Diagnostic(
            "M406",
            f"{piece.need.name} has {got} {noun}, but {other}",
            piece.need.span,
            why=f"{piece.need.name} is in {piece.table.name}",
            mend=f"give them one length, or a column {index.name} of labels in each table"
            if is_row
            else None,
        )
    ]


def _are_same(fresh: Labels, old: Labels) -> bool:
    """Whether coordinates have the labels of the fit, in whatever order."""
    return len(fresh) == len(old) and bool(np.all(codes(fresh, old) >= 0))


def _is_counted(key: Labels, old: Labels) -> bool:
    """Whether labels are the numbers of coordinates, `x.1, x.2`, where the fit had names."""
    is_numbers = key.dtype.kind == "i" and np.array_equal(key, np.arange(1, len(key) + 1))
    return bool(is_numbers and old.dtype == object and np.all(codes(key, old) < 0))


def _in_order(
    index: IndexNeed, seen: _Evidence, old: Labels, *, is_named: bool
) -> list[Diagnostic]:
    """What is wrong with cells without labels along an index of the fit: rows have no order that
    could be meant, coordinates have one."""
    name = index.name
    fitted = ", ".join(label_text(label) for label in old[:8]) + (", ..." if len(old) > 8 else "")
    for piece, _, size in seen.axes:
        need = piece.need
        if is_named and name in map(base_of, need.indices):
            problem = f"the rows of {need.name} have no labels, but {name} has: {fitted}"
            mend = f"give them a column {name}: tables meet by label, never by row"
            return [Diagnostic("M409", problem, need.span, mend=mend)]
        if size != len(old):
            was = f"at the fit they were {fitted}" if is_named else f"the fit had {len(old)}"
            problem = f"{need.name} has {size} coordinates {name}, but {was}"
            mend = f"give {need.name} these, in this order or in columns of these names"
            return [Diagnostic("M406", problem, need.span, mend=mend if is_named else None)]
    return []


def _counted_from_one(index: IndexNeed, seen: _Evidence, fresh: Labels) -> list[Diagnostic]:
    """A warning where labels look counted from 1, but rows without labels count from 0."""
    used = [feeder for feeder in seen.feeders if feeder.size and feeder.dtype.kind == "i"]
    if not used or min(int(f.min()) for f in used) != 1:
        return []
    if max(int(f.max()) for f in used) >= len(fresh):
        return []  # an unknown label, reported with its row
    return [
        Diagnostic(
            "M418",
            f"no {index.fed_by[0]} is 0, but the rows of {index.name} are numbered from 0",
            index.span,
            why="labels counted from 1 would meet the rows one too late",
            mend=f"give {index.name} its labels: a column {index.name}",
            severity="warning",
        )
    ]


def places_of(written: Mapping[str, Any], bound: Any) -> dict[str, np.ndarray]:
    """The places of labels that the model writes, `b["Texas"]`, among those of the data.

    `written[word]` are an index, a label of it, and where that stands. Errors: M409.
    """
    found, problems = {}, []
    for word, (index, label, place) in written.items():
        among = bound.labels[index]
        wanted = np.array([label], dtype=object if isinstance(label, str) else float)
        found[word] = codes(wanted, among)[0]
        if found[word] < 0:
            problem = f"there is no label {label_text(label)} in {index}"
            mend = nearest(label, among)
            problems.append(Diagnostic("M409", problem, Span(*place), mend=mend))
    if problems:
        raise MercerError(problems, bound.needs.sources)
    return found


def nearest(label: object, among: Labels) -> str:
    """A proposal for a label that is not there."""
    import difflib

    texts = [label_text(v) for v in as_text(among[:10_000])]
    folded = {text.casefold(): text for text in texts}
    close = difflib.get_close_matches(label_text(label).casefold(), list(folded), n=1)
    if close:
        return f"did you mean {folded[close[0]]}?"
    more = ", ..." if len(texts) > 8 else ""
    return f"they are {', '.join(texts[:8])}{more}"


def _alike(old: Labels, new: Labels) -> tuple[Labels, Labels]:
    if (old.dtype == object) == (new.dtype == object):
        return old, new
    return as_text(old), as_text(new)


def _present(raw: Column) -> Labels:
    found, absent = labels(raw)
    return found[~absent]


def _first_missing(raw: Column) -> int | None:
    for start, _, absent in label_blocks(raw):
        if absent.any():
            return start + int(np.argmax(absent))
    return None
