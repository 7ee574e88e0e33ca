"""Ctrl-C at every stage of a command: one line, exit code 130, no traceback, no half file.

The signal is sent when something is seen to happen, never after a time.
"""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds until a test gives up; none waits for them where all is well."""
LAST = "interrupted; no file is left half written\n"
GOES_ON = LAST.strip() + "; with --resume it goes on from fit.nc.partial\n"
PROCESS = """data x[n], y[n] : Real
f ~ GP(RBF())
sigma ~ HalfNormal(1)
y ~ Normal(f(x), sigma)
"""
AT_IMPORT = """
    import os, signal, sys

    class AtImport:
        def find_spec(self, name, path=None, target=None):
            if name == {name!r}:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), signal.SIGINT)

    sys.meta_path.insert(0, AtImport())
"""
COMMAND = """
    import sys
    sys.argv = ["mercer", *{words!r}]
    from mercer.cli import main
    main()
"""


def started(*codes: str, cwd: Path) -> subprocess.Popen[str]:
    """A process that runs Python code, one piece after another, Ctrl-C switched on."""

    def with_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(textwrap.dedent(code) for code in codes)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=with_ctrl_c,
    )


def interrupted_at(line: str, process: subprocess.Popen[str]) -> str:
    """Sends Ctrl-C once `line` is on the error stream; gives what follows it there."""
    assert process.stderr is not None
    before = []
    too_late = threading.Timer(PATIENCE, process.kill)
    too_late.start()
    try:
        for printed in process.stderr:
            before.append(printed)
            if printed.startswith(line):
                process.send_signal(signal.SIGINT)
                return process.communicate()[1]
    finally:
        too_late.cancel()
    pytest.fail("".join(before))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.mercer").write_text(PROCESS)
    rows = [f"{i / 7},{(i * 37 % 11) / 5}" for i in range(60)]
    (tmp_path / "data.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    return tmp_path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


FIT = ("fit", "model.mercer", "data.csv", "-o", "fit.nc", "--infer", "nuts", "--quiet")
"""Quiet, or a slow machine would say "Starting JAX ..." first."""


@pytest.mark.parametrize(
    "name",
    [
        "mercer.cli.app",
        "typer",
        "mercer.dsl.parse",
        "mercer.compiler.check",
        "jax",
        "jax._src.core",
        "numpy.linalg",
        "pandas",
        "numpyro",
        "mercer.runtime.run",
    ],
)
def test_ctrl_c_during_an_import(name: str, folder: Path) -> None:
    process = started(AT_IMPORT.format(name=name), COMMAND.format(words=FIT), cwd=folder)
    _, printed = process.communicate(timeout=PATIENCE)
    # A slow machine may have told before that it was starting.
    *before, last = printed.splitlines(keepends=True)
    assert (process.returncode, last) == (130, LAST)
    assert all(line.endswith("...\n") for line in before)
    assert names_in(folder) == ["data.csv", "model.mercer"]


def test_ctrl_c_while_chains_run(folder: Path) -> None:
    announce = """
        import sys
        from mercer.runtime.methods import nuts
        run = nuts.side_by_side

        def announced(*given, **named):
            print("the chains start", file=sys.stderr, flush=True)
            return run(*given, **named)

        nuts.side_by_side = announced
    """
    words = (*FIT, "--draws", "1000000")
    process = started(announce, COMMAND.format(words=words), cwd=folder)
    said = interrupted_at("the chains start", process)
    assert process.returncode == 130
    # A slow machine writes its first checkpoint before the signal gets through.
    kept = [name for name in names_in(folder) if name.endswith(".partial")]
    assert said == (GOES_ON if kept else LAST)
    assert names_in(folder) == sorted(["data.csv", "model.mercer", *kept])


def test_who_interrupts_a_fit_is_told_how_to_go_on(folder: Path) -> None:
    announce = """
        import sys
        from mercer.runtime.methods import checkpoint
        checkpoint.SECONDS = 0.0
        write = checkpoint.Checkpoint._write

        def announced(self):
            write(self)
            print("a checkpoint is written", file=sys.stderr, flush=True)
            self._every = 3600.0

        checkpoint.Checkpoint._write = announced
    """
    words = (*FIT, "--draws", "1000000")
    process = started(announce, COMMAND.format(words=words), cwd=folder)
    told = interrupted_at("a checkpoint is written", process)
    assert told == f"{LAST.strip()}; with --resume it goes on from fit.nc.partial\n"
    assert process.returncode == 130
    assert names_in(folder) == ["data.csv", "fit.nc.partial", "model.mercer"]


def test_ctrl_c_in_compiled_work_that_never_returns(tmp_path: Path) -> None:
    endless = """
        import sys
        from mercer.cli.interrupt import guarded

        def work():
            import jax, jax.numpy as jnp
            from mercer.dsl.whole import replace_whole
            loop = jax.jit(lambda x: jax.lax.while_loop(lambda v: v > 0, lambda v: v + 1, x))
            loop = loop.lower(jnp.ones(())).compile()
            with replace_whole("result.txt") as temporary:
                temporary.write_text("half")
                print("compiled", file=sys.stderr, flush=True)
                loop(jnp.ones(())).block_until_ready()

        guarded(work)
    """
    process = started(endless, cwd=tmp_path)
    assert interrupted_at("compiled", process) == LAST
    assert process.returncode == 130
    assert names_in(tmp_path) == []


def test_ctrl_c_while_a_file_is_written_leaves_the_old_one(folder: Path) -> None:
    slow_disk = """
        import os, sys, threading
        from mercer.dsl import whole

        def fsync(number):
            print("the disk is slow", file=sys.stderr, flush=True)
            threading.Event().wait()

        os.fsync = fsync
    """
    (folder / "model.py").write_text("old")
    words = ("compile", "model.mercer", "-o", "model.py")
    process = started(slow_disk, COMMAND.format(words=words), cwd=folder)
    assert interrupted_at("the disk is slow", process) == LAST
    assert process.returncode == 130
    assert (folder / "model.py").read_text() == "old"
    assert names_in(folder) == ["data.csv", "model.mercer", "model.py"]


def test_an_interruption_that_is_swallowed_ends_the_process_all_the_same(tmp_path: Path) -> None:
    swallowing = """
        import sys
        from mercer.cli.interrupt import guarded

        def work():
            print("deaf", file=sys.stderr, flush=True)
            while True:
                try:
                    while True:
                        pass
                except KeyboardInterrupt:
                    print("never seen", file=sys.stderr, flush=True)

        guarded(work)
    """
    process = started(swallowing, cwd=tmp_path)
    assert interrupted_at("deaf", process) == LAST
    assert process.returncode == 130


def test_a_second_ctrl_c_changes_nothing(tmp_path: Path) -> None:
    undoing = """
        import os, signal, sys
        from mercer.cli.interrupt import guarded

        def work():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    pass
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                open("undone", "w").close()

        guarded(work)
    """
    process = started(undoing, cwd=tmp_path)
    assert process.communicate(timeout=PATIENCE)[1] == LAST
    assert process.returncode == 130
    assert names_in(tmp_path) == ["undone"]


def test_ctrl_c_that_a_script_has_switched_off_stays_off(folder: Path) -> None:
    off = """
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    """
    words = ("check", "model.mercer")
    process = started(off, AT_IMPORT.format(name="typer"), COMMAND.format(words=words), cwd=folder)
    assert process.communicate(timeout=PATIENCE)[0] == "model.mercer: ok\n"
    assert process.returncode == 0
