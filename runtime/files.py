"""Arrays and columns turned into whole files: a reader finds the old or the new, never half."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mercer.dsl.whole import replace_whole

__all__ = ["replace_whole", "write_csv", "write_csv_parts", "write_npz"]


Columns = Mapping[str, Sequence[Any] | np.ndarray]


def write_csv(path: str | Path, columns: Columns) -> None:
    """Columns by name as CSV (UTF-8); numbers with all their digits, NaN as an empty cell."""
    write_csv_parts(path, [columns])


def write_csv_parts(path: str | Path, parts: Iterable[Columns]) -> None:
    """As `write_csv`, from parts of the rows that come one after another; whole or not at all."""
    with replace_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        head: list[str] | None = None
        for columns in parts:
            lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
            lengths = {len(values) for values in lists.values()}
            if len(lengths) > 1:
                raise ValueError(f"columns: all must have one length, these have {sorted(lengths)}")
            if head is None:
                head = list(lists)
                writer.writerow(head)
            if list(lists) != head:
                raise ValueError(f"parts: all must have the columns {head}, got {list(lists)}")
            writer.writerows([_cell(value) for value in row] for row in zip(*lists.values()))


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays by name as a compressed NPZ file, which holds numbers and text but no objects."""
    plain: dict[str, Any] = {name: _plain(name, values) for name, values in arrays.items()}
    with replace_whole(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, **plain)


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else value


def _plain(name: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype != object:
        return array
    if all(isinstance(value, str) for value in array.ravel()):
        return array.astype(str)
    raise ValueError(f"arrays: {name!r} holds objects; numbers or text are wanted")
