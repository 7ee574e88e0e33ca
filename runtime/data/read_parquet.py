"""Parquet and Arrow files turned into a `Table`, by pyarrow, which comes with `mercer[parquet]`.

Only the columns that a model asks for are read; those of a large file in batches.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.data.columns import EXACT, ROWS, Column, Conflict, Lazy, gather
from mercer.runtime.data.datafile import File, fail
from mercer.runtime.data.frames import Table, cells, not_rectangular, series


def read_parquet(file: File) -> Table:
    """The table in a Parquet file. Errors: M509 where pyarrow is not installed, M424, M411."""
    _need_arrow(file)
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(_source(file))
        names, rows = list(opened.schema_arrow.names), opened.metadata.num_rows
    except Exception as error:  # Arrow has many, not all of one base
        _damaged(file, "Parquet", error)

    def parts(name: str) -> Iterator[Any]:
        if not file.is_large:
            yield opened.read([name]).column(0)
            return
        for group in range(opened.num_row_groups):
            # One after another: asked for all, Arrow reads ahead as far as memory goes.
            for batch in opened.iter_batches(
                batch_size=ROWS, row_groups=[group], columns=[name], use_threads=False
            ):
                yield batch.column(0)

    return _table(file, names, rows, parts, "Parquet")


def read_feather(file: File) -> Table:
    """The table in an Arrow file (Feather). Errors: as `read_parquet`."""
    _need_arrow(file)
    from pyarrow import feather

    try:
        found = feather.read_table(_source(file), memory_map=file.is_large)
    except Exception as error:
        _damaged(file, "Arrow", error)

    def parts(name: str) -> Iterator[Any]:
        column = found.column(name)
        for start in range(0, len(column), ROWS if file.is_large else max(len(column), 1)):
            yield column.slice(start, ROWS if file.is_large else None)

    return _table(file, found.column_names, found.num_rows, parts, "Arrow")


def _table(
    file: File,
    names: list[str],
    rows: int,
    parts: Callable[[str], Iterator[Any]],
    kind: str,
) -> Table:
    if rows == 0:
        fail("M411", f"{file.name} has no rows")
    for name in sorted({name for name in names if names.count(name) > 1}):
        fail("M403", f"{file.name} has more than one column {name}", mend="rename one")

    def read(name: str) -> Any:
        try:
            return gather({name: _cells(part, name, file)} for part in parts(name))[name]
        except Conflict:
            # Whole numbers that a gap in one batch would make inexact: as they are, in all.
            return gather({name: cells(_objects(part))} for part in parts(name))[name]
        except MercerError:
            raise
        except Exception as error:
            _damaged(file, kind, error)

    # pandas keeps an index without a name under a name of its own, which is none of the user's.
    kept = [name for name in names if not name.startswith("__index_level_")]
    return Table(file.name, Lazy(kept, read), is_frame=True)


def _cells(part: Any, name: str, file: File) -> Column:
    import pyarrow

    if pyarrow.types.is_decimal(part.type):
        part = part.cast(pyarrow.float64())
    if pyarrow.types.is_integer(part.type) and part.null_count:
        found = _objects(part)
        if any(cell is not None and abs(cell) >= EXACT for cell in found):
            return cells(found)
    try:
        return series(part.to_pandas())
    except (ValueError, TypeError):
        raise MercerError([not_rectangular(name, file.name)]) from None


def _objects(part: Any) -> np.ndarray:
    return part.to_pandas(integer_object_nulls=True).to_numpy(dtype=object)


def _source(file: File) -> Any:
    return file.path if file.is_on_disk else io.BytesIO(file.content())


def _need_arrow(file: File) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        fail(
            "M509",
            f"{file.name} cannot be read without pyarrow, which is not installed",
            mend="pip install 'mercer[parquet]', or export the table as CSV",
        )


def _damaged(file: File, kind: str, error: Exception) -> NoReturn:
    said = str(error).splitlines()[0].split(". ")[0] if str(error) else None
    problem = f"{file.name} is not a {kind} file, or a damaged one"
    raise MercerError(
        [Diagnostic("M424", problem, why=said, mend="is it cut short? Copy or write it anew")]
    ) from error
