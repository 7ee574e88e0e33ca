"""One file of data turned into a `Table`: CSV, NPZ, and the JSON of CmdStan and posteriordb."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.tables import Table, arrays, frame

_SEPARATORS = (",", ";", "\t")
_FORMATS = "CSV, NPZ and JSON are read"


def read_file(path: Path) -> Table:
    """The table in the file `path`, read by its suffix, or else by its first bytes."""
    name = path.name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        _fail("M501", f"there is no file {path}", mend=_nearest_file(path))
    except IsADirectoryError:
        _fail("M502", f"{path} is a folder", mend="name the files in it")
    except OSError as error:
        _fail("M503", f"cannot read {path}", why=error.strerror or str(error))
    if not content.strip():
        _fail("M411", f"{name} is empty")
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xls", ".ods"):
        _fail("M421", f"{name} is a spreadsheet", mend="export it as CSV")
    if suffix == ".npz" or (content[:2] == b"PK" and suffix not in (".csv", ".json")):
        return _npz(content, name)
    if suffix == ".json":
        return _json(content, name)
    return _csv(content, name)


# --- CSV ----------------------------------------------------------------------------------------


def _csv(content: bytes, name: str) -> Table:
    if b"\0" in content[: 1 << 16]:
        _fail("M421", f"{name} is not a CSV file: it is not text", why=_FORMATS)
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        first = content.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        _fail("M421", f"{name} is not UTF-8 text", mend="save it as CSV in UTF-8")
    separator = _separator(first)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=separator))]
    _check_header(header, name)
    _check_ragged(content, separator, header, name)
    try:
        table = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=0,
            names=list(range(len(header))),
            index_col=False,
            # Only an empty cell is missing for sure: NA is also a label (Namibia).
            keep_default_na=False,
            na_values=[""],
            skipinitialspace=True,
            low_memory=False,
            encoding="utf-8",
        )
    except UnicodeDecodeError:
        _fail("M421", f"{name} is not UTF-8 text", mend="save it as CSV in UTF-8")
    except (ValueError, pd.errors.ParserError) as error:
        _fail("M421", f"{name} is not a CSV file", why=str(error).splitlines()[0])
    if len(table) == 0:
        _fail("M411", f"{name} has no rows below its header")
    # A column without a name holds the row numbers that R and pandas write.
    named = [position for position, label in enumerate(header) if label]
    table = table.iloc[:, named]
    table.columns = [header[position] for position in named]
    return frame(table, name)


def _separator(first: str) -> str:
    """The separator that divides the header most, outside quotes; a comma if none does."""
    bare = "".join(part for position, part in enumerate(first.split('"')) if position % 2 == 0)
    return max(_SEPARATORS, key=lambda mark: (bare.count(mark), mark == ","))


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({label for label in header if label and header.count(label) > 1})
    if twice and not all(_is_number(label) for label in header):
        problem = f"{name} has more than one column {', '.join(twice)}"
        _fail("M403", problem, mend="rename one")
    if all(_is_number(label) for label in header):
        _fail(
            "M421",
            f"{name} has no header",
            why=f"its first line holds only numbers: {', '.join(header[:4])}",
            mend="write the names of the columns into a first line",
        )
    if not any(header):
        _fail("M421", f"{name} has no header", mend="write the names of the columns first")


def _check_ragged(content: bytes, separator: str, header: list[str], name: str) -> None:
    """Every line has as many cells as the header; pandas would fill short lines in silence."""
    text = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", dtype=np.uint8)
    ends = text == ord("\n")
    marks = text == ord(separator)
    if b'"' in content:
        quoted = np.bitwise_xor.accumulate((text == ord('"')).astype(np.uint8)).astype(bool)
        if quoted[-1]:
            _fail("M420", f"{name} has a quote that is never closed", mend='write "" for a quote')
        ends &= ~quoted
        marks &= ~quoted
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1))
    counts = np.add.reduceat(marks, starts, dtype=np.int32)
    is_blank = stops == starts
    wrong = np.flatnonzero((counts != len(header) - 1) & ~is_blank)
    if wrong.size:
        line = 1 + int(np.count_nonzero(text[: starts[wrong[0]]] == ord("\n")))
        cells = int(counts[wrong[0]]) + 1
        _fail(
            "M420",
            f"line {line} of {name} has {_plural(cells, 'cell')}, its header {len(header)}",
            mend="leave a missing cell empty, but keep its separators; "
            "quote text that holds the separator",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- NPZ ----------------------------------------------------------------------------------------


def _npz(content: bytes, name: str) -> Table:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise zipfile.BadZipFile("one array without a name")
            found = {key: _unpickled(file, key, name) for key in file.files}
    except MercerError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if "pickle" in str(error).lower():
            problem = f"{name} is not an NPZ file"
        else:
            problem = f"{name} is not an NPZ file, or a damaged one"
        _fail("M423", problem, mend="write it with numpy.savez")
    if not found:
        _fail("M411", f"{name} holds no arrays")
    return arrays(found, name)


def _unpickled(file: Any, key: str, name: str) -> np.ndarray:
    try:
        values: np.ndarray = file[key]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        _fail(
            "M423",
            f"{key} in {name} is pickled",
            why="a pickle can run any program when it is read, so it is never opened",
            mend=f"save it as numbers or text: {key}.astype(float) or {key}.astype(str)",
        )
    return values


# --- JSON ---------------------------------------------------------------------------------------


def _json(content: bytes, name: str) -> Table:
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        _fail("M422", f"{name} is not UTF-8 text")
    except json.JSONDecodeError as error:
        _fail("M422", f"{name}:{error.lineno}:{error.colno} is not JSON", why=error.msg)
    except RecursionError:
        _fail("M422", f"{name} is nested too deeply")
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return frame(pd.DataFrame(found), name)
    if isinstance(found, dict) and isinstance(found.get("data"), dict):
        found = found["data"]
    if not isinstance(found, dict):
        _fail("M422", f"{name} holds no names", mend='write {"x": [1, 2], "y": [3, 4]}')
    if not found:
        _fail("M411", f"{name} holds no data")
    return arrays(found, name)


# --- messages -----------------------------------------------------------------------------------


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _nearest_file(path: Path) -> str | None:
    import difflib

    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent} either"
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else None


def _fail(code: str, problem: str, *, why: str | None = None, mend: str | None = None) -> NoReturn:
    raise MercerError([Diagnostic(code, problem, why=why, mend=mend)])
