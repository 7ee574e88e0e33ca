"""What went wrong turned into a message on the error stream and an exit code."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from mercer.dsl.diagnostic import Diagnostic, MercerError

OK = 0
WRONG = 1
USAGE = 2
FILES = 3
NUMERICS = 4
INTERNAL = 70
INTERRUPTED = 130

TABLE = """Exit codes: 0 all is well; 1 the model or the data are wrong; 2 the command is wrong;
3 a file cannot be read or written; 4 the inference failed; 70 a fault inside Mercer;
130 interrupted."""


class Usage(Exception):
    """A command line that asks for what does not exist or does not go together."""

    def __init__(self, problem: str, *, why: str | None = None, mend: str | None = None) -> None:
        super().__init__(problem)
        self.diagnostic = Diagnostic("M510", problem, why=why, mend=mend)


def code_of(diagnostics: Iterable[Diagnostic]) -> int:
    """The exit code of a set of mistakes: that of the earliest stage that went wrong."""
    families = {d.code[:2] for d in diagnostics if d.severity == "error"}
    if families & {"M1", "M2", "M3", "M4"}:
        return WRONG
    if "M5" in families:
        return FILES
    return NUMERICS if "M6" in families else WRONG


def say(text: str = "") -> None:
    """A line on the error stream, where messages, warnings and progress go."""
    print(text, file=sys.stderr, flush=True)


def say_warnings(bound: Any) -> None:
    """The warnings about bound data; notes are for `mercer explain`."""
    from mercer.cli.colours import painted

    for said in bound.warnings:
        if said.severity == "warning":
            say(painted(said.render(bound.needs.sources)))


@contextlib.contextmanager
def notices_said() -> Iterator[None]:
    """Warnings of ours as lines, without the place in the program that Python adds."""
    shown = warnings.showwarning

    def said(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category.__module__.startswith("mercer."):
            say(str(message))
        else:
            shown(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.showwarning = said
        yield


def report(error: MercerError) -> int:
    """Prints the mistakes, coloured where the error stream is a terminal; gives the exit code."""
    from mercer.cli.colours import painted

    say(painted(str(error)))
    errors = [d for d in error.diagnostics if d.severity == "error"]
    if len(errors) > 1:
        say(f"\n{len(errors)} errors")
    return code_of(error.diagnostics)


def report_internal(error: BaseException) -> int:
    """A fault of ours: says so, and how to report it. The traceback is shown with --debug."""
    last = str(error).strip().splitlines()
    say(f"internal error: {type(error).__name__}: {last[0] if last else 'no message'}")
    say("  = this is a fault in Mercer, not in your model or data.")
    say("  = run the command again with --debug before its name (`mercer --debug ...`)")
    say("    and report what it prints, with the model and `mercer info`.")
    return INTERNAL
