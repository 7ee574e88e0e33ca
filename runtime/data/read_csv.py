"""Separated text turned into a `Table`: comma, semicolon or tab, and a first line of names.

The file is read in pieces that end with a line; a small one is a single piece.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mercer.runtime.data.columns import EXACT, Column, Conflict, Words, blocks, gather, on_disk
from mercer.runtime.data.datafile import File, fail, plural
from mercer.runtime.data.frames import Table, cells, series

_SEPARATORS = (",", ";", "\t")
_PIECE = 1 << 22
"""Bytes of a piece of a large file."""

_PADDED = re.compile(rb"(?:^|[,;\t\n\"]) *[+-]?0[0-9]")
"""`01001` as a label is another than `1001`: such a column is text; numbers are read of it too."""

_TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


class _Layout(NamedTuple):
    """How a file is written: its names, what separates them, and where its rows begin."""

    header: list[str]
    separator: str
    offset: int
    lines: int


def read_csv(file: File) -> Table:
    """The table in a CSV file."""
    layout = _layout(file)
    as_text: set[int] = set()
    while True:
        try:
            columns = gather(_chunks(file, layout, as_text))
        except Conflict as conflict:
            # Numbers at first, then text: `007` would have lost its zeros. From the start again.
            as_text |= conflict.names
            continue
        break
    if not columns:
        fail("M411", f"{file.name} has no rows below its header")
    for place in as_text:
        columns[place] = _settled(columns[place])
    # A column without a name holds the row numbers that R and pandas write.
    named = {name: columns[place] for place, name in enumerate(layout.header) if name}
    return Table(file.name, named, is_frame=True)


def _layout(file: File) -> _Layout:
    name, head = file.name, file.head
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        fail("M421", f"{name} is UTF-16 text", mend="save it as CSV in UTF-8")
    if b"\0" in head:
        wanted = "CSV, Parquet, JSON, NPZ and NetCDF are read"
        fail("M421", f"{name} is not a CSV file: it is not text", why=wanted)
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    start = mark + len(head[mark:]) - len(head[mark:].lstrip(b"\r\n"))
    stops = [at for sign in (b"\n", b"\r") if (at := head.find(sign, start)) >= 0]
    stop = min(stops, default=len(head))
    if not stops and file.size > len(head):
        fail("M421", f"{name} is not a CSV file", why=f"its first {len(head)} bytes hold no line")
    end = stop + (2 if head[stop : stop + 2] == b"\r\n" else 1)
    try:
        first = head[start:stop].decode("utf-8")
    except UnicodeDecodeError:
        fail("M421", f"{name} is not UTF-8 text", mend="save it as CSV in UTF-8")
    _check_first(first, name)
    separator = _separator(first)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=separator))]
    _check_header(header, name)
    lines = len(head[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n").splitlines())
    return _Layout(header, separator, min(end, file.size), lines)


def _check_first(first: str, name: str) -> None:
    """The first line is that of the names, and nothing else."""
    if re.fullmatch(r'"?sep=.?"?', first.strip()):
        problem = f"the first line of {name} is {first.strip()}, which only a spreadsheet knows"
        fail("M421", problem, mend="remove it: commas, semicolons and tabs are recognised")
    if first.lstrip().startswith("#") and not any(mark in first for mark in _SEPARATORS):
        problem = f"the first line of {name} is a comment"
        why = "it must hold the names of the columns"
        fail("M421", problem, why=why, mend="remove the lines that begin with # above the names")


def _separator(first: str) -> str:
    """The separator that divides the header most, outside quotes; a comma if none does."""
    bare = "".join(part for position, part in enumerate(first.split('"')) if position % 2 == 0)
    return max(_SEPARATORS, key=lambda mark: (bare.count(mark), mark == ","))


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({label for label in header if label and header.count(label) > 1})
    if twice and not all(_is_number(label) for label in header):
        problem = f"{name} has more than one column {', '.join(twice)}"
        fail("M403", problem, mend="rename one")
    if all(_is_number(label) for label in header):
        fail(
            "M421",
            f"{name} has no header",
            why=f"its first line holds only numbers: {', '.join(header[:4])}",
            mend="write the names of the columns into a first line",
        )
    if not any(header):
        fail("M421", f"{name} has no header", mend="write the names of the columns first")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _chunks(file: File, layout: _Layout, as_text: set[int]) -> Iterator[dict[int, Column]]:
    line = layout.lines
    for piece in _pieces(file, layout):
        lines = _check_ragged(piece, layout, file.name, line)
        if piece.strip(b"\n"):
            yield _parsed(piece, layout, file.name, as_text)
        line += lines


def _pieces(file: File, layout: _Layout) -> Iterator[bytes]:
    """The rows of the file, cut at the ends of lines; line ends are all `\\n`."""
    if not file.is_large:
        yield file.content()[layout.offset :].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return
    with file.path.open("rb") as opened:
        opened.seek(layout.offset)
        left = b""
        while fresh := opened.read(_PIECE):
            left += fresh
            cut = _last_end(left)
            if cut:
                yield left[:cut].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                left = left[cut:]
        if left:
            yield left.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _last_end(text: bytes) -> int:
    """Where the last whole line ends; a line's end inside quotes ends nothing."""
    end = text.rfind(b"\n") + 1
    while end and text.count(b'"', 0, end) % 2:
        end = text.rfind(b"\n", 0, end - 1) + 1
    return end


def _parsed(piece: bytes, layout: _Layout, name: str, as_text: set[int]) -> dict[int, Column]:
    try:
        table = _read(piece, layout, dtype=dict.fromkeys(as_text, object))
    except UnicodeDecodeError:
        fail("M421", f"{name} is not UTF-8 text", mend="save it as CSV in UTF-8")
    except (ValueError, pd.errors.ParserError) as error:
        fail("M421", f"{name} is not a CSV file", why=str(error).splitlines()[0])
    changed = {p for p in range(len(layout.header)) if _loses(table[p])}
    changed |= _padded(piece, layout, table)
    if changed:
        return _parsed(piece, layout, name, as_text | changed)
    return {
        place: _as_text(table[place]) if place in as_text else series(table[place])
        for place in range(len(layout.header))
    }


def _read(piece: bytes, layout: _Layout, **more: Any) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(piece),
        sep=layout.separator,
        header=None,
        names=list(range(len(layout.header))),
        index_col=False,
        # Only an empty cell is missing for sure: NA is also a label (Namibia).
        keep_default_na=False,
        na_values=[""],
        skipinitialspace=True,
        low_memory=False,
        encoding="utf-8",
        **more,
    )


def _loses(column: pd.Series) -> bool:
    """Whether pandas, because of an empty cell or their size, took whole numbers inexactly."""
    if column.dtype == np.uint64:
        return True
    if column.dtype != np.float64:
        return False
    found = column.to_numpy()
    return bool(np.any(np.isfinite(found) & (np.abs(found) >= EXACT)))


def _padded(piece: bytes, layout: _Layout, table: pd.DataFrame) -> set[int]:
    """The columns of numbers of which some are written with zeros in front."""
    places = [p for p in range(len(layout.header)) if table[p].dtype.kind in "iuf"]
    if not places or not _PADDED.search(piece):
        return set()
    written = _read(piece, layout, usecols=places, dtype=str)
    return {p for p in places if written[p].str.match(r"[+-]?0[0-9]", na=False).any()}


def _as_text(column: pd.Series) -> np.ndarray:
    return column.astype(object).where(column.notna(), None).to_numpy(dtype=object)


def _check_ragged(piece: bytes, layout: _Layout, name: str, before: int) -> int:
    """Every line has as many cells as the header; pandas would fill short lines in silence.

    `before` lines stand above the piece; gives the number of its lines.
    """
    if not piece:
        return 0
    text = np.frombuffer(piece if piece.endswith(b"\n") else piece + b"\n", dtype=np.uint8)
    every = text == ord("\n")
    ends, marks = every, text == ord(layout.separator)
    if b'"' in piece:
        quoted = np.bitwise_xor.accumulate((text == ord('"')).astype(np.uint8)).astype(bool)
        if quoted[-1]:
            fail("M420", f"{name} has a quote that is never closed", mend='write "" for a quote')
        ends = every & ~quoted
        marks &= ~quoted
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1))
    counts = np.add.reduceat(marks, starts, dtype=np.int32)
    is_blank = stops == starts
    wrong = np.flatnonzero((counts != len(layout.header) - 1) & ~is_blank)
    if wrong.size:
        line = 1 + before + int(np.count_nonzero(text[: starts[wrong[0]]] == ord("\n")))
        found = plural(int(counts[wrong[0]]) + 1, "cell")
        fail(
            "M420",
            f"line {line} of {name} has {found}, its header {len(layout.header)}",
            mend="leave a missing cell empty, but keep its separators; "
            "quote text that holds the separator",
        )
    return int(np.count_nonzero(every))


def _settled(column: object) -> object:
    """What was read as text and is truth values or dates after all, as pandas has it at once."""
    if not isinstance(column, Words):
        return column
    words = column.words
    present = [word for word in words if word is not None]
    if present and all(word in _TRUTH for word in present):
        words = np.array([None if w is None else _TRUTH[w] for w in words], dtype=object)
        return Words(column.codes, words)
    times = cells(words)
    if times.dtype.kind != "M":
        return column
    return on_disk((times[codes] for _, (codes,) in blocks(column.codes)), times.dtype)
