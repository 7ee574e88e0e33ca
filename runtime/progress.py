"""A long computation turned into one that says how long it runs and that Ctrl-C stops at once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

T = TypeVar("T")

_SILENT_SECONDS = 2.0  # what is shorter needs no report


def watched(text: str, compute: Callable[[], T], *, progress: bool | None = None) -> T:
    """`compute()`, with a line on the terminal once it takes more than two seconds.

    `progress` None: only where standard error is a terminal. The work runs in a thread of its
    own, because a compiled loop would keep Ctrl-C waiting until it ends.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(compute())
        except BaseException as error:
            failure.append(error)

    is_shown = sys.stderr.isatty() if progress is None else progress
    worker = threading.Thread(target=work, name="mercer", daemon=True)
    started = time.monotonic()
    worker.start()
    worker.join(_SILENT_SECONDS)
    if worker.is_alive() and is_shown:
        console = Console(stderr=True)
        with console.status(text) as status:
            while worker.is_alive():
                worker.join(0.2)
                status.update(f"{text} ({time.monotonic() - started:.0f} s)")
        console.print(f"{text}: {time.monotonic() - started:.1f} s")
    while worker.is_alive():
        worker.join(0.2)
    if failure:
        raise failure[0]
    return result[0]
