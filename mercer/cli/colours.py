"""Messages turned into coloured ones, where they are shown on a terminal that wants colours."""

from __future__ import annotations

import os
import re
import sys

_RED, _YELLOW, _BLUE, _DIM, _BOLD, _END = (
    "\033[31;1m",
    "\033[33;1m",
    "\033[34m",
    "\033[2m",
    "\033[1m",
    "\033[0m",
)


def wants_colour(stream: object = None) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    out = stream or sys.stderr
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return bool(getattr(out, "isatty", lambda: False)())


def painted(text: str) -> str:
    """A rendered diagnostic with its head, carets and explanations told apart by colour."""
    return coloured(text) if wants_colour() else text


def coloured(text: str) -> str:
    """The same, whatever it is shown on."""
    return "\n".join(_line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    head = re.match(r"(.*?)(error|warning|note)( M\d+)?: (.*)$", line)
    if head and not line.startswith(" "):
        place, word, code, rest = head.groups(default="")
        colour = {"error": _RED, "warning": _YELLOW, "note": _BLUE}[word]
        return f"{_DIM}{place}{_END}{colour}{word}{code}{_END}: {_BOLD}{rest}{_END}"
    carets = re.match(r"(\s*\|\s*)(\^+)$", line)
    if carets:
        return f"{_BLUE}{carets[1]}{_END}{_RED}{carets[2]}{_END}"
    explained = re.match(r"(  = )(.*)$", line)
    if explained:
        return f"{_BLUE}{explained[1]}{_END}{explained[2]}"
    return line
