"""Shows that something is still going on, once it has taken two seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

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
    if ended.wait(min(PATIENCE, threading.TIMEOUT_MAX)):
        return
    if not sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        while not ended.wait(0.5):
            status.update(f"{what} ({time.monotonic() - start:.0f} s)")
