"""Shows that something is still going on, once it has taken two seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0
"""Seconds before anything is shown: a quick command stays silent."""


@contextlib.contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Says `what` on the error stream after two seconds: a spinner on a terminal, else a line."""
    if quiet:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_show, args=(what, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show(what: str, ended: threading.Event) -> None:
    start = time.monotonic()
    if ended.wait(PATIENCE):
        return
    if not sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        while not ended.wait(0.5):
            status.update(f"{what} ({time.monotonic() - start:.0f} s)")


class Steps:
    """What inference reports: `steps(text, done, total)`; `total` is 0 where nobody knows it.

    On a terminal this is a bar; elsewhere a line, at most one every ten seconds.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._start = time.monotonic()
        self._last = self._start
        self._bar: Progress | None = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, text: str, done: int = 0, total: int = 0) -> None:
        now = time.monotonic()
        if self._quiet or now - self._start < PATIENCE:
            return
        if not sys.stderr.isatty():
            if now - self._last >= 10.0 or self._last == self._start:
                self._last = now
                count = f" {done}/{total}" if total else ""
                print(f"{text}{count} ({now - self._start:.0f} s)", file=sys.stderr, flush=True)
            return
        self._draw(text, done, total)

    def _draw(self, text: str, done: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task(text, total=total or None)
        task = self._bar.task_ids[0]
        self._bar.update(task, description=text, completed=done, total=total or None)
