"""How far a computation is, as a terminal and a log are told."""

import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mercer.runtime import progress
from mercer.runtime.progress import Watch, lasting, watched

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_has_share_time_rate_and_what_is_told(clock: list[float]) -> None:
    watch = Watch()
    watch("compiling")
    assert watch.line() == "0 s, compiling"
    clock[0] += 40
    for done in range(0, 101, 20):
        watch("2 divergences", done / 400, done=done)
        clock[0] += 2
    clock[0] -= 2
    assert watch.line() == "25 %, 50 s, 30 s left, 10 steps a second, 2 divergences"
    clock[0] += 5
    assert watch.line() == "25 %, 55 s, 25 s left, 10 steps a second, 2 divergences"


def test_the_rate_is_that_of_the_last_half_minute(clock: list[float]) -> None:
    watch = Watch()
    for step in range(100):  # a second each, then ten a second
        watch("", step / 1100, done=step)
        clock[0] += 1
    for step in range(100, 600, 10):
        watch("", step / 1100, done=step)
        clock[0] += 1
    assert "10 steps a second" in watch.line() and ", 50 s left" in watch.line()


def test_what_was_done_before_a_checkpoint_does_not_count_for_the_rate(clock: list[float]) -> None:
    watch = Watch()
    watch("", 0.9, done=900)
    clock[0] += 10
    watch("", 0.95, done=950)
    assert watch.line() == "95 %, 10 s, 10 s left, 5 steps a second"


def test_another_unit_begins_another_rate(clock: list[float]) -> None:
    watch = Watch()
    for done in (0, 100):
        watch("", done / 100, done=done, unit="evaluations")
        clock[0] += 1
    for done in (0, 1):
        watch("", done / 100, done=done, unit="rows")
        clock[0] += 1
    assert ", 1 rows a second" in watch.line()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_times_are_told_in_the_units_that_matter(seconds: float, told: str) -> None:
    assert lasting(seconds) == told


def lines_of_a_log(
    progress_asked: bool | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What a log gets of a second of work, where a minute lasts a third of a second."""
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_MINUTE", 0.35)
    monkeypatch.setattr(progress, "_LINES", (0.1, 10.0))

    def work(report: progress.Report) -> int:
        for done in range(10):
            report("loss 1.5", done / 10, done=done)
            time.sleep(0.1)
        return 7

    assert watched("fitting", work, progress=progress_asked) == 7
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {asked: lines_of_a_log(asked, monkeypatch, capsys) for asked in (True, None, False)}
    assert found[False] == []
    assert len(found[True]) >= len(found[None]) >= 1
    for line in [*found[True], *found[None]]:
        assert line.startswith("fitting: ") and line.endswith("loss 1.5") and "\x1b" not in line


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (True, None):
        assert watched("fitting", lambda report: report("soon", 0.5), progress=asked) is None
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_line_that_changes() -> None:
    code = """if True:
        import time
        from mercer.runtime import progress
        progress._SILENT_SECONDS = 0.01

        def work(report):
            for done in range(8):
                report("3 divergences", done / 8, done=done)
                time.sleep(0.1)

        progress.watched("sampling", work)
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment)
    os.close(theirs)
    printed = b""
    try:
        while part := os.read(ours, 4096):
            printed += part
    except OSError:  # how Linux says that the other end is closed
        pass
    assert process.wait(60) == 0
    text = printed.decode()
    assert "steps a second, 3 divergences" in text and " left, " in text
    assert text.rstrip().endswith("sampling: 1 s")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is back


def test_a_computation_whose_caller_is_gone_ends() -> None:
    watch, ended = Watch(), threading.Event()

    def work() -> None:
        try:
            while True:
                watch("on", 0.5)
        except KeyboardInterrupt:
            ended.set()

    threading.Thread(target=work, daemon=True).start()
    watch.is_over = True
    assert ended.wait(10)
