"""A stretch of model text: where a thing was written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """The text of one model file, with the name under which messages show it."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its line end."""
        return self._lines[number - 1] if 1 <= number <= len(self._lines) else ""

    @cached_property
    def _lines(self) -> list[str]:
        # Not `splitlines`: it also splits at characters that end no line of a model.
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch of one source; lines and columns count from 1.

    `file` is the `Source.name`. `end_column` is the column behind the last character.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The stretch from the start of this one to the end of `other`."""
        return Span(self.file, self.line, self.column, other.end_line, other.end_column)
