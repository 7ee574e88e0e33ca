"""DataFrames, mappings, structured arrays and xarray Datasets turned into `Table`s.

A table is a *frame* (a CSV file, a DataFrame: every column has one value a row) or a set of
*arrays* (a dict, NPZ, JSON: each array has a shape of its own). Whatever they came from, columns
hold the same: numbers, times (datetime64), or objects such as text, None for what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.data.columns import EXACT, Column, words_of
from mercer.runtime.data.times import moments
from mercer.runtime.data.values import is_missing


@dataclass(frozen=True, eq=False)
class Table:
    """Columns as they came. `index` is the index of its rows, where the user said so.

    `dims` names the axes of a column, where the data say them (xarray).
    """

    name: str
    columns: Mapping[str, Column]
    is_frame: bool
    index: str | None = None
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def frame(given: pd.DataFrame, name: str, *, index: str | None = None) -> Table:
    """A DataFrame as a table; levels of its index that have names are columns too."""
    problems = []
    named: list[Any] = [level for level in given.index.names if level is not None]
    if named:
        extra = {str(level): given.index.get_level_values(level) for level in named}
    elif index is not None and not isinstance(given.index, pd.RangeIndex):
        extra = {index: given.index}
    else:
        extra = {}
    columns = {k: series(pd.Series(v)) for k, v in extra.items() if k not in given.columns}
    labels = [".".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in given.columns]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(
            Diagnostic("M403", f"{name} has more than one column {label}", mend="rename one")
        )
    if len(given) == 0:
        problems.append(Diagnostic("M411", f"{name} has no rows"))
    for position, label in enumerate(labels):
        try:
            columns[label] = series(given.iloc[:, position])
        except Exception:  # of pandas, of its extensions, of what lies in a cell
            problems.append(not_rectangular(label, name))
    if problems:
        raise MercerError(problems)
    return Table(name, columns, is_frame=True, index=index)


def polars_frame(given: Any, name: str, *, index: str | None = None) -> Table:
    """A polars DataFrame as a table, without importing polars."""
    if len(given) == 0:
        raise MercerError([Diagnostic("M411", f"{name} has no rows")])
    found = arrays({each.name: each for each in given.get_columns()}, name)
    return Table(name, found.columns, is_frame=True, index=index)


def arrays(given: Mapping[str, Any], name: str) -> Table:
    """A mapping from names to numbers, text, lists and arrays as a table."""
    columns: dict[str, Column] = {}
    problems: list[Diagnostic] = []
    for key, value in given.items():
        try:
            columns[key] = array(value)
        except Exception:  # whoever made the value has exceptions of his own
            problems.append(not_rectangular(key, name))
    if problems:
        raise MercerError(problems)
    return Table(name, columns, is_frame=False)


def structured(given: np.ndarray, name: str) -> Table:
    """A structured array: its fields are the columns, one value or one vector a row."""
    rows = given.reshape(-1)
    if not len(rows):
        raise MercerError([Diagnostic("M411", f"{name} has no rows")])
    found = arrays({field: rows[field] for field in rows.dtype.names or ()}, name)
    return Table(name, found.columns, is_frame=all(v.ndim == 1 for v in found.columns.values()))


def dataset(given: Any, name: str) -> Table:
    """An xarray Dataset or DataArray; what it calls its axes counts."""
    if not hasattr(given, "data_vars"):  # a DataArray
        given = given.to_dataset(name=given.name or "data")
    columns = {str(k): array(v.values) for k, v in given.variables.items()}
    return Table(name, columns, is_frame=False, dims=dims_of(given))


def dims_of(given: Any) -> dict[str, tuple[str, ...]]:
    """The names of the axes of each variable of a Dataset."""
    return {str(k): tuple(str(d) for d in v.dims) for k, v in given.variables.items()}


def array(value: Any) -> Column:
    """A number, text, list or array as an array; None is kept for a missing entry."""
    if isinstance(value, (pd.Series, pd.Index)):
        return series(pd.Series(value))
    if isinstance(value, (Mapping, set, frozenset)):
        raise TypeError("no array")
    if hasattr(value, "to_numpy") and not hasattr(value, "dims"):
        value = _polars_column(value)
    if isinstance(value, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(value)
        value = value.data.astype(object)
        value[hidden] = None
    found = value if isinstance(value, np.memmap) else np.asarray(value)
    if found.dtype.kind in "US" and not _is_all_text(value):
        # NumPy turned the numbers of a mixed list into text.
        found = np.asarray(value, dtype=object)
    if found.dtype.kind == "c":
        raise TypeError("complex numbers")
    if found.dtype == object and any(isinstance(v, _NESTED) for v in found.ravel()):
        raise ValueError("ragged")
    return cells(found)


def series(values: pd.Series) -> Column:
    """A column of a DataFrame as an array; missing text is None, missing numbers NaN.

    Cells that are lists of one length are the rows of a matrix.
    """
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = values.astype(object)
    elif pd.api.types.is_bool_dtype(dtype):
        if not values.isna().any():
            return values.to_numpy(bool)
        values = values.astype(object)
    elif pd.api.types.is_numeric_dtype(dtype) and pd.api.types.is_extension_array_dtype(dtype):
        found = values.to_numpy(dtype=float, na_value=np.nan)
        if not pd.api.types.is_integer_dtype(dtype) or not np.any(np.abs(found) >= EXACT):
            return found
        return cells(values.astype(object).where(values.notna(), None).to_numpy())
    elif isinstance(dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    elif isinstance(dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    plain = values.to_numpy()
    if plain.dtype == object and any(isinstance(cell, _NESTED) for cell in plain):
        return array([list(cell) for cell in plain])
    return cells(plain)


def cells(found: np.ndarray) -> Column:
    """Cells as every table holds them: text as `Words`, and dates as times where all are."""
    if found.dtype.kind == "S":
        found = np.char.decode(found, "utf-8")
    if found.dtype.kind in "biufMm":
        return found
    found = found.astype(object)
    if found.ndim == 0:
        return found
    distinct = words_of(found.ravel())
    if any(isinstance(cell, bytes) for cell in distinct.words):
        decoded = [_decoded(cell) for cell in found.ravel()]
        return cells(np.array([*decoded, None], dtype=object)[:-1].reshape(found.shape))
    present = np.array([not is_missing(cell) for cell in distinct.words], dtype=bool)
    times = moments(distinct.words[present])
    if times is not None:
        every = np.full(len(distinct.words), np.datetime64("NaT"), dtype="datetime64[us]")
        every[present] = times
        return every[distinct.codes].reshape(found.shape)
    is_text = all(cell is None or isinstance(cell, str) for cell in distinct.words)
    return distinct if is_text and found.ndim == 1 else found


def _decoded(cell: object) -> object:
    return cell.decode("utf-8", errors="replace") if isinstance(cell, bytes) else cell


def not_rectangular(column: str, name: str) -> Diagnostic:
    """The message for nested lists that are no array."""
    return Diagnostic(
        "M407",
        f"{column} in {name} is no rectangular array of numbers or text",
        why="its lists differ in length or depth, or hold something else",
        mend="give every row as many entries; write null or NaN for a missing one",
    )


_NESTED = (list, tuple, dict, np.ndarray)


def _is_all_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_all_text(item) for item in value)
    return isinstance(value, (str, bytes, np.ndarray)) or hasattr(value, "dtype")


def _polars_column(given: Any) -> Any:
    """A polars Series as an array; its lists as the rows of a matrix."""
    found = given.to_numpy()
    if found.dtype == object and any(isinstance(cell, _NESTED) for cell in found.ravel()):
        return [list(cell) for cell in found.ravel()]
    return found
