"""JSON turned into a `Table`: arrays by name as CmdStan has them, columns, records, JSON lines."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from mercer.runtime.data.datafile import File, fail
from mercer.runtime.data.frames import Table, arrays, frame

_SHAPES = 'write {"x": [1, 2], "y": [3, 4]}, or [{"x": 1, "y": 3}, {"x": 2, "y": 4}]'


def read_json(file: File) -> Table:
    """The table in a JSON file: an object of arrays, or a list of objects, one a row."""
    name = file.name
    found = _parsed(_text(file), name)
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return _records(found, name)
    if isinstance(found, dict) and isinstance(found.get("data"), dict):
        found = found["data"]  # posteriordb
    if isinstance(found, dict) and found and all(isinstance(v, dict) for v in found.values()):
        return frame(pd.DataFrame(found), name)  # pandas' own: cells by column and row
    if not isinstance(found, dict):
        fail("M422", f"{name} holds no names", mend=_SHAPES)
    if not found:
        fail("M411", f"{name} holds no data")
    return arrays(found, name)


def read_json_lines(file: File) -> Table:
    """The table in a file with a JSON object on each line."""
    name, rows = file.name, []
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if line.strip():
            rows.append(_parsed(line, name, number))
            if not isinstance(rows[-1], dict):
                fail("M422", f"line {number} of {name} is no object", mend='write {"x": 1, "y": 3}')
    return _records(rows, name)


def _records(rows: list[Any], name: str) -> Table:
    """One object a row; a name that a row leaves out is missing there."""
    return frame(pd.DataFrame(rows), name)


def _text(file: File) -> str:
    try:
        return file.content().decode("utf-8-sig")
    except UnicodeDecodeError:
        fail("M422", f"{file.name} is not UTF-8 text", mend="save it as JSON in UTF-8")


def _parsed(text: str, name: str, line: int = 1) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            fail("M403", f"{name} has more than one entry {twice}", mend="rename one")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        place = f"{name}:{error.lineno + line - 1}:{error.colno}"
        if error.pos >= len(text.rstrip()):
            problem = f"{place} is the end of the file, but not of the JSON in it"
            why = "a bracket or a quote is still open"
            fail("M422", problem, why=why, mend="is the file cut short?")
        fail("M422", f"{place} is not JSON", why=error.msg)
    except RecursionError:
        fail("M422", f"{name} is nested too deeply", mend=_SHAPES)
