"""What a user is told when something is wrong: a value with a place, shown in one way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mercer.dsl.span import Source, Span

_EXCERPT = 600
"""Characters of a line that a message shows; generated models have longer lines."""


@dataclass(frozen=True)
class Diagnostic:
    """One mistake, in the user's terms.

    `code` is M1xx syntax, M2xx names and types, M3xx plan and inference, M4xx data,
    M5xx files and command line, M6xx numerics while fitting. `why` explains; `mend` proposes.
    `notes` are further places, each with its sentence. `span` is None where no text is at fault.
    """

    code: str
    problem: str
    span: Span | None = None
    why: str | None = None
    mend: str | None = None
    notes: tuple[tuple[Span, str], ...] = ()
    severity: str = "error"  # or "warning"

    def render(self, sources: Mapping[str, Source]) -> str:
        """The message as plain text: place, problem, the line with carets, why, mend."""
        head = f"{self.severity} {self.code}: {self.problem}"
        if self.span is None:
            lines = [head]
        else:
            lines = [f"{self.span.file}:{self.span.line}:{self.span.column}  {head}"]
            lines += _excerpt(self.span, sources)
        lines += [f"  = {text}" for text in (self.why, self.mend) if text]
        for span, sentence in self.notes:
            lines.append(f"{span.file}:{span.line}:{span.column}  note: {sentence}")
            lines += _excerpt(span, sources)
        return "\n".join(lines)


class MercerError(Exception):
    """Diagnostics on their way to the front door; `str()` is what a user should read."""

    def __init__(
        self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, Source] | None = None
    ) -> None:
        self.diagnostics = tuple(diagnostics)
        self.sources = dict(sources or {})
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return "\n\n".join(d.render(self.sources) for d in self.diagnostics)


def _excerpt(span: Span, sources: Mapping[str, Source]) -> list[str]:
    source = sources.get(span.file)
    if source is None:
        return []
    # What would not print, or would turn the line around, is shown as a replacement character.
    text = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in source.line(span.line))
    column = span.column
    end = span.end_column if span.end_line == span.line else len(text) + 1
    if len(text) > _EXCERPT:
        # Of a line that nobody reads whole, the stretch around the place.
        cut = max(0, min(column - _EXCERPT // 3, len(text) - _EXCERPT))
        text = "..." * (cut > 0) + text[cut : cut + _EXCERPT]
        column, end = (place - cut + 3 * (cut > 0) for place in (column, end))
        end = min(end, len(text) + 1)
    # Tabs keep their width in the caret line, so that the carets stand under the words.
    before = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
    gutter = " " * len(str(span.line))
    carets = before + "^" * max(1, end - column)
    return [f"{gutter} |", f"{span.line} | {text}".rstrip(), f"{gutter} | {carets}"]
