"""The options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mercer.cli.exits import Usage
from mercer.dsl.suggest import nearest


def whole(option: str, least: int) -> Callable[[str], int]:
    """What reads a whole number >= `least` of an option."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise Usage(f"{option} {text} is no whole number from {least} on")
        return number

    return read


ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (*.mercer).")]
FitPath = Annotated[Path, typer.Argument(metavar="FIT", help="A fit that `mercer fit` wrote.")]
DataPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="DATA...",
        help="Data files: CSV, Parquet, JSON, NPZ or NetCDF. Several are joined.",
    ),
]
SomeDataPaths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[DATA...]", help="Data files: CSV, Parquet, JSON, NPZ or NetCDF."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="NAME=A,B",
        help="The columns that hold a data name: `x=lon,lat`; `x=*` takes all that are left. "
        "May be given several times.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        parser=whole("--seed", 0), metavar="N", help="The same seed gives the same draws."
    ),
]
METHODS = ("auto", "nuts", "map", "svi", "messages")
Method = Annotated[
    str,
    typer.Option(
        "--infer",
        metavar="METHOD",
        help="auto, nuts, map, svi, or what stands after `infer` in a model: "
        "'NUTS(target = 0.95)'.",
    ),
]


def columns_of(texts: list[str] | None) -> dict[str, list[str] | str] | None:
    """`["x=lon,lat", "z=*"]` as `{"x": ["lon", "lat"], "z": "*"}`."""
    if not texts:
        return None
    found: dict[str, list[str] | str] = {}
    for text in texts:
        name, equals, right = text.partition("=")
        parts = [part.strip() for part in right.split(",")]
        if not equals or not name.strip() or not all(parts):
            raise Usage(
                f"--columns {text} cannot be read",
                mend="write --columns x=lon,lat or --columns x=*",
            )
        if name.strip() in found:
            raise Usage(
                f"--columns names {name.strip()} twice", mend="give all its columns at once"
            )
        found[name.strip()] = "*" if parts == ["*"] else parts
    return found


def chosen(option: str, text: str, choices: tuple[str, ...]) -> Any:
    """`text`, which must be one of `choices`."""
    word = text.lower()
    if word in choices:
        return word
    near = nearest(word, choices)
    raise Usage(
        f"{option} {text} does not exist",
        why=f"{option} takes {', '.join(choices)}.",
        mend=f"did you mean {option} {near}?" if near else None,
    )


def method_of(text: str) -> str:
    """One of the methods by its name, or a text that the model takes as a line of its own."""
    return text if any(mark in text for mark in "( ") else chosen("--infer", text, METHODS)


def suffix_of(path: Path, choices: tuple[str, ...], what: str) -> str:
    """The suffix of an output file, which says its format."""
    if path.suffix.lower() in choices:
        return path.suffix.lower()
    raise Usage(
        f"{what} cannot be written to {path}",
        why=f"the name of the file says its format: {' or '.join(choices)}.",
        mend=f"write -o {path.with_suffix(choices[0])}",
    )
