"""A long computation turned into one that says how far it is and that Ctrl-C stops at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

_SILENT_SECONDS = 2.0  # what is shorter needs no report


class Report(Protocol):
    """Says what is being done and, where known, how much of it is: 0 to 1."""

    def __call__(self, text: str = "", share: float | None = None) -> None: ...


def silent(text: str = "", share: float | None = None) -> None:
    """A report to nobody."""


class _Watch:
    """The report of one computation; it ends a computation whose caller is gone."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.is_over = False
        self.text, self.share = "", 0.0

    def __call__(self, text: str = "", share: float | None = None) -> None:
        if self.is_over:
            raise KeyboardInterrupt
        self.text, self.share = text, share or 0.0

    def line(self) -> str:
        seconds = time.monotonic() - self.started
        parts = [f"{seconds:.0f} s"]
        if self.share:
            parts = [f"{100 * self.share:.0f} %", *parts]
            parts.append(f"{seconds * (1 / self.share - 1):.0f} s left")
        return ", ".join([*parts, self.text] if self.text else parts)


def watched(text: str, compute: Callable[[Report], T], *, progress: bool | None = None) -> T:
    """`compute(report)`, with a line on the terminal once it takes more than two seconds.

    `progress` None: only where standard error is a terminal. The work runs in a thread of its
    own, because a compiled loop would keep Ctrl-C waiting until it ends.
    """
    result: list[T] = []
    failure: list[BaseException] = []
    watch = _Watch()

    def work() -> None:
        try:
            result.append(compute(watch))
        except BaseException as error:
            failure.append(error)

    is_shown = sys.stderr.isatty() if progress is None else progress
    worker = threading.Thread(target=work, name="mercer", daemon=True)
    worker.start()
    try:
        worker.join(_SILENT_SECONDS)
        if worker.is_alive() and is_shown:
            _show(text, watch, worker)
        while worker.is_alive():
            worker.join(0.2)
    finally:
        watch.is_over = True
    if failure:
        raise failure[0]
    return result[0]


def _show(text: str, watch: _Watch, worker: threading.Thread) -> None:
    from rich.console import Console

    console = Console(stderr=True)
    with console.status(text) as status:
        while worker.is_alive():
            worker.join(0.2)
            status.update(f"{text} ({watch.line()})")
    console.print(f"{text}: {time.monotonic() - watch.started:.1f} s")
