"""Collects the mistakes of a model, so that one check finds all that are independent."""

from __future__ import annotations

from collections.abc import Iterable

from mercer.compiler.codes import TITLES
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.elsewhere import known_elsewhere
from mercer.dsl.span import Span
from mercer.dsl.suggest import nearest


class Failed(Exception):
    """This has no type, and why has been reported; nothing that depends on it is reported again."""


class Problems:
    """Diagnostics in the order of the text, each place and code once."""

    def __init__(self, earlier: Iterable[Diagnostic] = ()) -> None:
        self._found: dict[tuple[str, Span | None, str], Diagnostic] = {}
        for diagnostic in earlier:
            self.keep(diagnostic)

    def report(
        self,
        code: str,
        problem: str,
        span: Span,
        *,
        why: str | None = None,
        mend: str | None = None,
        notes: tuple[tuple[Span, str], ...] = (),
    ) -> Failed:
        """Keeps the mistake; returns what the caller raises where it cannot go on."""
        assert code in TITLES, code
        self.keep(Diagnostic(code, problem, span, why, mend, notes))
        return Failed(code)

    def keep(self, diagnostic: Diagnostic) -> None:
        """Keeps a mistake found elsewhere."""
        key = (diagnostic.code, diagnostic.span, diagnostic.problem)
        self._found.setdefault(key, diagnostic)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        def place(diagnostic: Diagnostic) -> tuple[str, int, int]:
            span = diagnostic.span
            return (span.file, span.line, span.column) if span else ("", 0, 0)

        return tuple(sorted(self._found.values(), key=place))


def meant(
    word: str,
    candidates: Iterable[str],
    otherwise: str | None = None,
    *,
    is_argument: bool = False,
) -> str | None:
    """A mend that names the candidate probably meant: known elsewhere by that word, or near it."""
    candidates = list(candidates)
    if known := known_elsewhere(word, candidates, is_argument=is_argument):
        return known
    near = nearest(word, candidates)
    return f"did you mean `{near}`?" if near else otherwise


def quoted(words: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    items = [f"`{w}`" for w in words]
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]
