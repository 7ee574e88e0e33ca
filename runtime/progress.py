"""A long computation turned into one that says how far it is and that Ctrl-C stops at once."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

_SILENT_SECONDS = 2.0  # what is shorter needs no report
_MINUTE = 60.0  # what is shorter needs no line in a log that nobody has asked for
_LINES = (30.0, 600.0)  # seconds between two lines of a log, at least and at most
_RECENT = 30.0  # seconds that rate and time left are taken from: warm-up is no guide for the rest


class Report(Protocol):
    """Says what is being done and, where known, how much of it is: 0 to 1.

    `done` counts the `unit`s that are done, for their rate. A computation that goes on from a
    checkpoint counts what was done before it too.
    """

    def __call__(
        self,
        text: str = "",
        share: float | None = None,
        *,
        done: int | None = None,
        unit: str = "steps",
    ) -> None: ...


def silent(
    text: str = "", share: float | None = None, *, done: int | None = None, unit: str = "steps"
) -> None:
    """A report to nobody."""


class _Told(NamedTuple):
    time: float
    share: float | None
    done: int | None


class Watch:
    """The report of one computation; it ends a computation whose caller is gone."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.is_over = False
        self.share: float | None = None
        self._text, self._unit = "", ""
        self._told: deque[_Told] = deque()

    def __call__(
        self,
        text: str = "",
        share: float | None = None,
        *,
        done: int | None = None,
        unit: str = "steps",
    ) -> None:
        if self.is_over:
            raise KeyboardInterrupt
        if unit != self._unit or (share is None) != (self.share is None):
            self._told.clear()  # something else begins
        self._text, self.share, self._unit = text, share, unit
        now = time.monotonic()
        self._told.append(_Told(now, share, done))
        while len(self._told) > 2 and now - self._told[1].time > _RECENT:
            self._told.popleft()

    def line(self) -> str:
        """How far it is: `45 %, 12 s, 14 s left, 83 steps a second, 2 divergences`."""
        told = list(self._told)
        parts = [] if self.share is None else [f"{100 * self.share:.0f} %"]
        parts.append(lasting(time.monotonic() - self.started))
        if len(told) > 1 and (seconds := told[-1].time - told[0].time) > 0:
            gained = _gain(told[0].share, told[-1].share)
            if gained and told[-1].share is not None:
                # From the last report on it went on at the same rate.
                left = seconds / gained * (1 - told[-1].share) - (time.monotonic() - told[-1].time)
                parts.append(f"{lasting(max(left, 0.0))} left")
            if count := _gain(told[0].done, told[-1].done):
                parts.append(f"{_rate(count / seconds)} {self._unit} a second")
        return ", ".join([*parts, self._text] if self._text else parts)


def watched(
    text: str,
    compute: Callable[[Report], T],
    *,
    progress: bool | None = None,
    check: Callable[[], None] | None = None,
) -> T:
    """`compute(report)`, with a line on a terminal once it takes more than two seconds.

    Where standard error is no terminal, but a log, a line is added now and then: with `progress`
    True from the start, with None once the work takes more than a minute. False shows nothing.
    The work runs in a thread of its own, because a compiled loop would keep Ctrl-C waiting until
    it ends. `check` is called now and then, and what it raises ends all: work that waits for
    another machine may never return.
    """
    result: list[T] = []
    failure: list[BaseException] = []
    watch = Watch()

    def work() -> None:
        try:
            result.append(compute(watch))
        except BaseException as error:
            failure.append(error)

    def wait() -> None:
        worker.join(0.2)
        if check is not None and worker.is_alive():
            check()

    worker = threading.Thread(target=work, name="mercer", daemon=True)
    worker.start()
    try:
        worker.join(_SILENT_SECONDS)
        if worker.is_alive() and progress is not False:
            if sys.stderr.isatty():
                _show(text, watch, worker, wait)
            else:
                _log(text, watch, worker, wait, patience=_LINES[0] if progress else _MINUTE)
        while worker.is_alive():
            wait()
    finally:
        watch.is_over = True
    if failure:
        raise failure[0]
    return result[0]


def lasting(seconds: float) -> str:
    """A time in the two units that matter: `12 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _show(text: str, watch: Watch, worker: threading.Thread, wait: Callable[[], None]) -> None:
    """One line that changes, and stays with the time that all took."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(text), BarColumn(20), TextColumn("{task.fields[line]}"))
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(text, total=None, line="")
        while worker.is_alive():
            wait()
            # Without a total the bar only says that something goes on.
            total = None if watch.share is None else 1.0
            shown.update(task, total=total, completed=watch.share or 0.0, line=watch.line())
    console.print(f"{text}: {lasting(time.monotonic() - watch.started)}", highlight=False)


def _log(
    text: str,
    watch: Watch,
    worker: threading.Thread,
    wait: Callable[[], None],
    *,
    patience: float,
) -> None:
    """A line at first after `patience` seconds, then ever more seldom."""
    due = watch.started + patience
    while worker.is_alive():
        wait()
        if (now := time.monotonic()) >= due:
            print(f"{text}: {watch.line()}", file=sys.stderr, flush=True)
            due = now + min(max(_LINES[0], (now - watch.started) / 10), _LINES[1])


def _gain(first: float | None, last: float | None) -> float:
    return 0.0 if first is None or last is None else last - first


def _rate(value: float) -> str:
    """Three digits: rates differ by orders of magnitude."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
