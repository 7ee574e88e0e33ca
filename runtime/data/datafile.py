"""A path turned into a `File` that is there, is not empty and may be read."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mercer.dsl.diagnostic import Diagnostic, MercerError

_HEAD = 1 << 16


@dataclass(frozen=True)
class File:
    """A file of data. `head` are its first bytes; `is_large` where it must be read in chunks.

    `content` is None but for what can be read only once (a pipe).
    """

    path: Path
    size: int
    head: bytes
    is_large: bool
    _content: bytes | None = None

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_on_disk(self) -> bool:
        """Whether the file can be opened by its path, as often as wanted."""
        return self._content is None

    def content(self) -> bytes:
        """The whole file."""
        return self.path.read_bytes() if self._content is None else self._content


def open_file(path: Path, large: int) -> File:
    """The file `path`; from `large` bytes on it is read in chunks. Errors: M501 to M503, M411."""
    try:
        if path.is_file():
            size, content = path.stat().st_size, None
            with path.open("rb") as opened:
                head = opened.read(_HEAD)
        else:  # a folder raises, a pipe is read once
            content = path.read_bytes()
            size, head = len(content), content[:_HEAD]
    except FileNotFoundError:
        fail("M501", f"there is no file {path}", mend=_nearest_file(path))
    except IsADirectoryError:
        fail("M502", f"{path} is a folder", mend="name the files in it")
    except OSError as error:
        fail("M503", f"cannot read {path}", why=error.strerror or str(error))
    if not head.strip() and size <= len(head):
        fail("M411", f"{path.name} is empty")
    return File(path, size, head, content is None and size >= large, content)


def fail(code: str, problem: str, *, why: str | None = None, mend: str | None = None) -> NoReturn:
    """Raises one diagnostic."""
    raise MercerError([Diagnostic(code, problem, why=why, mend=mend)])


def plural(count: int, noun: str) -> str:
    """A number of things in words: 1 cell, 2 cells."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _nearest_file(path: Path) -> str | None:
    try:
        beside = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent} either"
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else None
