"""A case of bad input turned into what the command line prints for it.

A case is a folder's worth of text in one file, `cases/NAME.case`:

    $ mercer check model.mercer          the command, run in an empty folder; the last, where
                                         several follow one another, is the one that fails
    --- model.mercer                     a file in that folder, up to the next `---`
    data y[n] : Real
    --- expected, exit 1                 written by MERCER_GOLDEN=write, read as a diff
    model.mercer:1:1  error M...
"""

from __future__ import annotations

import io
import os
import re
import shlex
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from mercer.cli import progress, run

_FILE = re.compile(r"^--- (.+)$", re.MULTILINE)
_EXPECTED = re.compile(r"expected, exit (\d+)")


@dataclass(frozen=True)
class Case:
    """`expected` is None where nobody has written it yet."""

    path: Path
    commands: list[str]
    files: dict[str, str]
    expected: str | None
    code: int | None

    @property
    def head(self) -> str:
        """The case without what is expected."""
        text = "".join(f"$ {command}\n" for command in self.commands)
        for name, content in self.files.items():
            text += f"--- {name}\n{content}"
        return text


def read_case(path: Path) -> Case:
    """The case in a file."""
    pieces = _FILE.split(path.read_text(encoding="utf-8"))
    commands = [line.removeprefix("$ ") for line in pieces[0].strip().splitlines()]
    files: dict[str, str] = {}
    expected, code = None, None
    for name, content in zip(pieces[1::2], pieces[2::2]):
        body = content.removeprefix("\n")
        if found := _EXPECTED.fullmatch(name):
            expected, code = body, int(found[1])
        else:
            files[name] = body
    return Case(path, commands, files, expected, code)


def run_case(case: Case, folder: Path) -> tuple[int, str]:
    """The exit code, and all that the command printed."""
    for name, content in case.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    printed = io.StringIO()
    # A slow machine must not see "Summarising ..." where a quick one does not.
    progress.PATIENCE = float("inf")
    code = 0
    for command in case.commands:
        assert code == 0, printed.getvalue()
        printed = io.StringIO()
        words = shlex.split(command)
        assert words[0] == "mercer"
        with chdir(folder), redirect_stdout(printed), redirect_stderr(printed):
            code = run(words[1:])
    return code, printed.getvalue().replace(str(folder), "FOLDER")


def write_case(case: Case, code: int, printed: str) -> None:
    """Writes the case anew with what was printed."""
    text = case.head + f"--- expected, exit {code}\n{printed}"
    case.path.write_text(text, encoding="utf-8")


def is_writing() -> bool:
    """Whether golden files are to be written anew."""
    return os.environ.get("MERCER_GOLDEN") == "write"
