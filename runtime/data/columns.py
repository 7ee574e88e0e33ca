"""Chunks of columns turned into whole columns: in memory, or on disk where a file is large.

What is on disk is a memory map of a file without a name: the system removes it with the last map,
however the process ends. Whoever goes through a column goes by `blocks`, so that no more than a
block of it is in memory at a time.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO, cast

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic, MercerError

LARGE = 16 << 20
"""Bytes from which on a file is read in chunks, its columns kept on disk."""

SMALL = 1 << 20
"""Bytes below which an array of a large file is not worth a file of its own."""

ROWS = 1 << 18
"""Rows of a block: megabytes, so that what NumPy does at each call weighs nothing."""

EXACT = 2.0**53
"""Whole numbers from here on lose digits in float64, which is what an empty cell makes of them."""


class Words:
    """A column of text: `words[codes]`, each distinct text once.

    It has the shape, dtype and slices of the object array that it stands for.
    """

    dtype = np.dtype(object)
    ndim = 1

    def __init__(self, codes: np.ndarray, words: np.ndarray) -> None:
        self.codes, self.words = codes, words
        self.shape = codes.shape
        self.size = codes.size

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Any:
        return self.words[np.asarray(self.codes[rows])]


class SideBySide:
    """Columns as the matrix that they are together, without making it: shape [rows, columns]."""

    ndim = 2

    def __init__(self, columns: list[Any]) -> None:
        self.columns = columns
        self.shape = (len(columns[0]), len(columns))
        self.size = self.shape[0] * self.shape[1]
        kinds = {column.dtype.kind for column in columns}
        if kinds <= set("biuf") or len(kinds) == 1:
            self.dtype = np.result_type(*(column.dtype for column in columns))
        else:
            self.dtype = np.dtype(object)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, tuple) and len(at) == 2 and not isinstance(at[0], slice):
            return self.columns[at[1]][at[0]]
        rows = at[0] if isinstance(at, tuple) else at
        return np.stack([np.asarray(c[rows], dtype=self.dtype) for c in self.columns], axis=-1)


Column = np.ndarray | Words | SideBySide


def words_of(cells: np.ndarray) -> Words:
    """Cells as codes into those that differ; None stands for what is missing."""
    codes, words = pd.factorize(cells.astype(object))
    if (codes < 0).any():
        codes = np.where(codes < 0, len(words), codes)
        words = np.append(words, np.array([None]))
    return Words(codes.astype(np.int32), words)


class Lazy(Mapping[str, Any]):
    """Columns by name, each read when it is first asked for: a file may have many more."""

    def __init__(self, names: Iterable[str], read: Callable[[str], Any]) -> None:
        self._found: dict[str, Any] = dict.fromkeys(names)
        self._read = read

    def __getitem__(self, name: str) -> Any:
        if self._found[name] is None:
            self._found[name] = self._read(name)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class Conflict(Exception):
    """Columns that are numbers in one chunk and text in another, or inexact in one."""

    def __init__(self, names: set[Any]) -> None:
        super().__init__(names)
        self.names = names


# --- going through ------------------------------------------------------------------------------


def blocks(*columns: Column) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    """The first row and the cells of each block of rows, of columns of one length.

    What is in memory as objects, and a single value, is one block.
    """
    first = columns[0]
    if all(isinstance(c, np.ndarray) and (c.dtype == object or c.ndim == 0) for c in columns):
        yield 0, cast(tuple[np.ndarray, ...], columns)
        return
    for start in range(0, len(first), ROWS):
        yield start, tuple(column[start : start + ROWS] for column in columns)
        for column in columns:
            _let_go(column)


def is_on_disk(column: Column) -> bool:
    """Whether the cells of a column are read from a file as they are needed."""
    if isinstance(column, Words):
        return is_on_disk(column.codes)
    if isinstance(column, SideBySide):
        return any(map(is_on_disk, column.columns))
    return isinstance(column, np.memmap)


def _let_go(column: Column) -> None:
    """Tells the system that the pages of a map are not needed: it would keep them for long."""
    if isinstance(column, Words):
        _let_go(column.codes)
    elif isinstance(column, SideBySide):
        for each in column.columns:
            _let_go(each)
    elif isinstance(column, np.memmap) and column.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        pages = getattr(column, "_mmap", None)
        if isinstance(pages, mmap.mmap):
            pages.madvise(mmap.MADV_DONTNEED)


# --- writing ------------------------------------------------------------------------------------


def on_disk(parts: Iterable[np.ndarray], dtype: Any, shape: tuple[int, ...] = (-1,)) -> np.ndarray:
    """A memory map of the parts, one behind the other, as an array of that shape."""
    file = _temporary()
    for part in parts:
        _write(file, part.astype(dtype, copy=False))
    return _mapped(file, np.dtype(dtype), shape)


def counted(size: int) -> np.ndarray:
    """0, 1, 2, ..., on disk where they are many."""
    if size * 8 < SMALL:
        return np.arange(size)
    starts = range(0, size, ROWS)
    return on_disk((np.arange(s, min(s + ROWS, size)) for s in starts), np.int64)


def gather(chunks: Iterable[Mapping[Any, Column]]) -> dict[Any, Any]:
    """Whole columns of chunks of columns; one chunk stays as it is.

    Raises `Conflict` where a column is numbers in one chunk and text in another, or whole numbers
    that those of another would make inexact.
    """
    stream = iter(chunks)
    first = next(stream, None)
    second = next(stream, None)
    if first is None or second is None:
        return dict(first or {})
    writers = {name: _Writer() for name in first}
    conflicts: set[Any] = set()
    for chunk in _and_then(first, second, stream):
        for name, cells in chunk.items():
            if name not in conflicts and not writers[name].add(cells):
                conflicts.add(name)
                del writers[name]
    if conflicts:
        raise Conflict(conflicts)
    return {name: writer.column() for name, writer in writers.items()}


def _and_then(first: Any, second: Any, rest: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield second
    yield from rest


class _Writer:
    """One column on its way to disk: numbers, times, or codes into words."""

    def __init__(self) -> None:
        self.kind = ""
        self.file = _temporary()
        self.inner: tuple[int, ...] = ()
        self.is_exact = True
        self.place: dict[Any, int] = {}

    def add(self, cells: Column) -> bool:
        """Takes the next cells; false where they are of another kind than those before."""
        kind = _kind(cells)
        if not self.kind:
            self.kind, self.inner = kind, cells.shape[1:]
        if kind == "i" and len(cells):
            found = cells[...]
            self.is_exact &= -EXACT < int(found.min()) and int(found.max()) < EXACT
        if {kind, self.kind} == {"i", "f"}:
            if not self.is_exact:
                return False
            if self.kind == "i":
                self._widen()
        elif kind != self.kind:
            return False
        if cells.shape[1:] != self.inner:
            return False
        if kind in ("O", "b"):
            _write(self.file, self._coded(cells))
        else:
            _write(self.file, cells[...].astype(_DTYPES[self.kind]))
        return True

    def column(self) -> Any:
        mapped = _mapped(self.file, np.dtype(_DTYPES[self.kind]), (-1, *self.inner))
        if self.kind not in ("O", "b"):
            return mapped
        words = np.empty(len(self.place), dtype=object)
        words[:] = list(self.place)
        return Words(mapped, words)

    def _coded(self, cells: Column) -> np.ndarray:
        found = cells if isinstance(cells, Words) else words_of(cells[...])
        own = [self.place.setdefault(word, len(self.place)) for word in found.words]
        return np.array(own, dtype=np.int32)[found.codes]

    def _widen(self) -> None:
        """Whole numbers so far, written anew as any numbers."""
        old = _mapped(self.file, np.dtype(np.int64), (-1,))
        self.kind, self.file = "f", _temporary()
        for _, (part,) in blocks(old):
            _write(self.file, part.astype(np.float64))


_DTYPES = {"i": "i8", "f": "f8", "M": "M8[us]", "m": "m8[us]", "O": "i4", "b": "i4"}


def _kind(cells: Column) -> str:
    kind = cells.dtype.kind
    if kind == "u":
        return "i" if not len(cells) or int(cells[...].max()) <= np.iinfo(np.int64).max else "O"
    if not isinstance(cells, np.ndarray) or kind != "O":
        return kind
    present = pd.unique(pd.Series(cells.ravel(), dtype=object).dropna())
    is_truth = len(present) > 0 and all(isinstance(cell, bool) for cell in present)
    return "b" if is_truth else "O"


def _temporary() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="mercer-"))


def _write(file: BinaryIO, part: np.ndarray) -> None:
    try:
        file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    except OSError as error:
        raise MercerError(
            [
                Diagnostic(
                    "M504",
                    f"cannot write the columns to {tempfile.gettempdir()}",
                    why=error.strerror or str(error),
                    mend="free some space there, or set TMPDIR to a folder on another disk",
                )
            ]
        ) from error


def _mapped(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    file.flush()
    size = file.tell() // dtype.itemsize
    if size == 0:
        return np.zeros([max(n, 0) for n in shape], dtype)
    with file:
        return np.memmap(file, dtype, mode="r", shape=(size,)).reshape(shape)
