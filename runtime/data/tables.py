"""Files, mappings and frames turned into `Tables`: columns by name, no model being known yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.data.frames import Table, arrays, dataset, frame, polars_frame, structured


@dataclass(frozen=True, eq=False)
class Tables:
    """All that the user gave. `columns[x]` are the columns of `x` where they are called otherwise.

    "*" stands for all the columns that nothing else takes.
    """

    tables: tuple[Table, ...]
    columns: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)


def read(paths: Any, *, columns: Mapping[str, Sequence[str] | str] | None = None) -> Tables:
    """Everything that a model may be given, as `Tables`.

    `paths` is a path (CSV, Parquet, JSON, NPZ, NPY, NetCDF), a mapping from names to arrays, lists
    and numbers, a mapping from indices to DataFrames, a DataFrame (pandas or polars), a structured
    array, an xarray Dataset, or a sequence of these. `columns` maps a name to the columns that hold
    it: `{"x": ["lon", "lat"]}`, `{"x": "*"}`. Errors: `MercerError` with the M42x and M5xx of all
    the files at once; `ValueError` for what is no data at all.
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
        from mercer.runtime.data.readers import read_file

        return [read_file(Path(item))]
    if isinstance(item, Table):
        return [item]
    if isinstance(item, Mapping) and not hasattr(item, "data_vars"):
        return _mapping(item)
    if found := _as_frame(item, "the DataFrame"):
        return [found]
    if isinstance(item, pd.Series):
        return [frame(item.to_frame(), "the Series")]
    if hasattr(item, "to_dataset") or hasattr(item, "data_vars"):
        return [dataset(item, "the Dataset")]
    if isinstance(item, np.ndarray) and item.dtype.names:
        return [structured(item, "the array")]
    if isinstance(item, np.ndarray):
        raise ValueError('data: an array without names of its columns; give {"x": array}')
    raise ValueError(
        "data: wanted a path, a mapping, a DataFrame, a structured array or an xarray Dataset, "
        f"got {type(item).__name__}"
    )


def _mapping(given: Mapping[Any, Any]) -> list[Table]:
    frames = {str(k): _as_frame(v, f"the DataFrame {k}", index=str(k)) for k, v in given.items()}
    rest = {str(k): v for k, v in given.items() if frames[str(k)] is None}
    tables = [table for table in frames.values() if table is not None]
    return tables + ([arrays(rest, "the data")] if rest or not tables else [])


def _as_frame(given: Any, name: str, *, index: str | None = None) -> Table | None:
    """A DataFrame of pandas, of polars, or of whoever turns his into one of pandas."""
    if isinstance(given, pd.DataFrame):
        return frame(given, name, index=index)
    if hasattr(given, "collect_schema") and hasattr(given, "collect"):  # polars' LazyFrame
        given = given.collect()
    if hasattr(given, "get_columns"):
        return polars_frame(given, name, index=index)
    if hasattr(given, "to_pandas") and (hasattr(given, "columns") or hasattr(given, "schema")):
        return frame(given.to_pandas(), name, index=index)
    return None
