"""Ctrl-C turned into one line and exit code 130, whatever the process is doing at the time.

It imports little, so that the guard stands before anything slow is imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from mercer.cli.exits import INTERNAL, INTERRUPTED

MESSAGE = "interrupted; no file is left half written"

_RESUMABLE: list[Path] = []
"""Checkpoints of what is running: who is interrupted should know of them."""

_GRACE = 1.0
"""Seconds in which the main thread may unwind: enough for its `finally`, short for a user."""


@contextlib.contextmanager
def resumable(checkpoint: Path) -> Iterator[None]:
    """An interruption in the body says how to go on, once there is a checkpoint."""
    _RESUMABLE.append(checkpoint)
    try:
        yield
    finally:
        _RESUMABLE.remove(checkpoint)


def message() -> str:
    """What an interrupted user is told."""
    left = [f"; with --resume it goes on from {path}" for path in _RESUMABLE if path.exists()]
    return "".join([MESSAGE, *left])


def guarded(work: Callable[[], int]) -> NoReturn:
    """Runs `work` and ends the process with the exit code that it gives, or 130 on Ctrl-C.

    On Ctrl-C the main thread unwinds as usual, by `KeyboardInterrupt`. Compiled code keeps it
    from that until it returns, and a destructor or a library swallows the exception: so a thread
    watches for the signal too, says the line at once, and ends what has not ended by itself.
    """
    guard = _Guard()
    code = INTERNAL
    try:
        # Where Ctrl-C was switched off (`nohup`, a script's background job) it stays so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            guard.install()
        code = work()
        guard.lift()
    except BaseException:
        if not guard.has_told():
            raise
    if guard.has_told():
        code = INTERRUPTED
    with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
        sys.stdout.flush()
    # Not by `sys.exit`: every file is closed by now, taking JAX apart object by object costs half
    # a second, and a thread that still computes would be torn down in the middle.
    os._exit(code)


class _Guard:
    """Tells of an interruption once, from the handler of the main thread or from the watch."""

    def __init__(self) -> None:
        self._is_told = False
        self._telling = threading.Lock()

    def has_told(self) -> bool:
        """Whether there was an interruption; waits for a line that is just being written."""
        with self._telling:
            return self._is_told

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._unwind)
        if os.name == "posix":
            heard, written = os.pipe()
            os.set_blocking(written, False)
            signal.set_wakeup_fd(written, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(heard,), daemon=True).start()

    def lift(self) -> None:
        """What is done is done: a late Ctrl-C changes nothing."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _unwind(self, number: int, frame: Any) -> NoReturn:
        self.lift()  # a second Ctrl-C must not disturb what the first one makes undone
        self._tell()
        raise KeyboardInterrupt

    def _watch(self, heard: int) -> None:
        os.read(heard, 1)
        self._tell()
        time.sleep(_GRACE)
        from mercer.dsl.whole import discard_unfinished

        discard_unfinished()
        os._exit(INTERRUPTED)

    def _tell(self) -> None:
        with self._telling:
            if not self._is_told:
                self._is_told = True
                # On a terminal a spinner may have hidden the cursor and half a line be drawn.
                start = "\r\033[2K\033[?25h" if os.isatty(2) else ""
                os.write(2, f"{start}{message()}\n".encode())
                # What unwinds has nothing to add: this line stays the last.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
