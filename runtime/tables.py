"""Files, mappings and frames turned into `Tables`: columns by name, nothing known of a model yet.

A table is a *frame* (a CSV file, a DataFrame: every column has one value a row) or a set of
*arrays* (a dict, NPZ, JSON: each array has a shape of its own).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic, MercerError


@dataclass(frozen=True, eq=False)
class Table:
    """Columns as they came. `index` is the index of its rows, where the user said so.

    `dims` names the axes of a column, where the data say them (xarray).
    """

    name: str
    columns: Mapping[str, np.ndarray]
    is_frame: bool
    index: str | None = None
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Tables:
    """All that the user gave. `columns[x]` are the columns of `x` where they are called otherwise.

    "*" stands for all the columns that nothing else takes.
    """

    tables: tuple[Table, ...]
    columns: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)


def read(paths: Any, *, columns: Mapping[str, Sequence[str] | str] | None = None) -> Tables:
    """Everything that a model may be given, as `Tables`.

    `paths` is a path (CSV, NPZ, JSON), a mapping from names to arrays, lists and numbers, a
    mapping from indices to DataFrames, a DataFrame, an xarray Dataset, or a sequence of these.
    `columns` maps a name to the columns that hold it: `{"x": ["lon", "lat"]}`, `{"x": "*"}`.
    Errors: `MercerError` with the M42x and M5xx of all the files at once; `ValueError` for what is
    no data at all.
    """
    problems: list[Diagnostic] = []
    if isinstance(paths, Tables):
        tables = list(paths.tables)
    else:
        tables = []
        for item in _items(paths):
            try:
                tables += _tables_of(item)
            except MercerError as error:
                problems += error.diagnostics
    if problems:
        raise MercerError(problems)
    renamed = dict(paths.columns) if isinstance(paths, Tables) else {}
    for name, wanted in (columns or {}).items():
        if isinstance(wanted, str):
            renamed[name] = "*" if wanted == "*" else (wanted,)
        else:
            renamed[name] = "*" if list(wanted) == ["*"] else tuple(wanted)
    return Tables(tuple(tables), renamed)


def columns_of(options: Iterable[str]) -> dict[str, list[str] | str]:
    """The `--columns` of the command line, `["x=lon,lat", "z=*"]`, as the mapping of `read`."""
    found: dict[str, list[str] | str] = {}
    for option in options:
        name, mark, rest = option.partition("=")
        wanted = [part.strip() for part in rest.split(",")]
        if not mark or not name.strip() or not all(wanted):
            raise MercerError(
                [
                    Diagnostic(
                        "M505",
                        f"cannot read the option --columns {option}",
                        mend="write --columns x=lon,lat, or --columns x=* for all columns left",
                    )
                ]
            )
        found[name.strip()] = "*" if wanted == ["*"] else wanted
    return found


def _items(given: Any) -> Iterator[Any]:
    if isinstance(given, (list, tuple)):
        for item in given:
            yield from _items(item)
    else:
        yield given


def _tables_of(item: Any) -> list[Table]:
    if isinstance(item, (str, Path)):
        from mercer.runtime.readers import read_file

        return [read_file(Path(item))]
    if isinstance(item, Table):
        return [item]
    if isinstance(item, pd.DataFrame):
        return [frame(item, "the DataFrame")]
    if isinstance(item, pd.Series):
        return [frame(item.to_frame(), "the Series")]
    if hasattr(item, "to_dataset") or hasattr(item, "data_vars"):
        return [_xarray(item)]
    if isinstance(item, Mapping):
        return _mapping(item)
    raise ValueError(
        "data: wanted a path, a mapping, a DataFrame or an xarray Dataset, "
        f"got {type(item).__name__}"
    )


def _mapping(given: Mapping[Any, Any]) -> list[Table]:
    frames = {str(k): v for k, v in given.items() if isinstance(v, pd.DataFrame)}
    rest = {str(k): v for k, v in given.items() if not isinstance(v, pd.DataFrame)}
    tables = [frame(v, f"the DataFrame {k}", index=k) for k, v in frames.items()]
    return tables + ([arrays(rest, "the data")] if rest or not frames else [])


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
    columns = {k: v.to_numpy() for k, v in extra.items() if k not in given.columns}
    labels = [str(label) for label in given.columns]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        problems.append(
            Diagnostic("M403", f"{name} has more than one column {label}", mend="rename one")
        )
    if len(given) == 0:
        problems.append(Diagnostic("M411", f"{name} has no rows"))
    if problems:
        raise MercerError(problems)
    for position, label in enumerate(labels):
        columns[label] = series(given.iloc[:, position])
    return Table(name, columns, is_frame=True, index=index)


def arrays(given: Mapping[str, Any], name: str) -> Table:
    """A mapping from names to numbers, text, lists and arrays as a table."""
    columns: dict[str, np.ndarray] = {}
    problems: list[Diagnostic] = []
    for key, value in given.items():
        try:
            columns[key] = array(value)
        except (ValueError, TypeError):
            problems.append(
                Diagnostic(
                    "M407",
                    f"{key} in {name} is no rectangular array",
                    why="its lists differ in length or depth",
                    mend="give every row as many entries; write null or NaN for a missing one",
                )
            )
    if problems:
        raise MercerError(problems)
    return Table(name, columns, is_frame=False)


def array(value: Any) -> np.ndarray:
    """A number, text, list or array as an array; None is kept for a missing entry."""
    if isinstance(value, (pd.Series, pd.Index)):
        return series(pd.Series(value))
    if isinstance(value, Mapping):
        raise TypeError("a mapping inside a mapping")
    found = np.asarray(value)
    if found.dtype.kind in "US" and not _is_all_text(value):
        # NumPy turned the numbers of a mixed list into text.
        found = np.asarray(value, dtype=object)
    if found.dtype == object and any(isinstance(v, (list, tuple, dict)) for v in found.ravel()):
        raise ValueError("ragged")
    return found.astype(object) if found.dtype.kind in "US" else found


def series(values: pd.Series) -> np.ndarray:
    """A column of a DataFrame as a NumPy array; missing text is None, missing numbers NaN."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = values.astype(object)
    elif pd.api.types.is_bool_dtype(dtype):
        missing = bool(values.isna().any())
        return values.to_numpy(dtype=float, na_value=np.nan) if missing else values.to_numpy(bool)
    elif pd.api.types.is_numeric_dtype(dtype) and pd.api.types.is_extension_array_dtype(dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    elif pd.api.types.is_datetime64_any_dtype(dtype):
        return values.astype(str).to_numpy(dtype=object)
    plain = values.to_numpy()
    return plain.astype(object) if plain.dtype.kind not in "biuf" else plain


def _is_all_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_all_text(item) for item in value)
    return isinstance(value, (str, bytes, np.ndarray)) or hasattr(value, "dtype")


def _xarray(given: Any) -> Table:
    if not hasattr(given, "data_vars"):  # a DataArray
        given = given.to_dataset(name=given.name or "data")
    columns = {str(k): array(v.values) for k, v in given.variables.items()}
    dims = {str(k): tuple(str(d) for d in v.dims) for k, v in given.variables.items()}
    return Table("the Dataset", columns, is_frame=False, dims=dims)
