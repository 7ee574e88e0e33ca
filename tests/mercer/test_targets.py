"""A place that cannot be written ends in an error that says how to go on; nothing is lost.

The places are real: a limit on the size of files, and folders that the system refuses.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE = """data x[n], y[n] : Real
b     ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(b * x, sigma)
"""
WORDS = ["fit", "line.mercer", "data.csv", "--infer", "map", "--draws", "100"]
FIRST = """
import resource
import sys

from mercer.cli import run
from mercer.runtime.methods import infer as driver


def nothing_computed():
    def computed(density, *, seed, chains, draws, restarts, steps, report, checkpoint):
        sys.exit("something was computed")

    driver._RUNNERS["map"] = computed
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "line.mercer").write_text(LINE)
    rows = [f"{i / 7},{(i * 37 % 11) / 3}" for i in range(30)]
    (tmp_path / "data.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    return tmp_path


WITHOUT_PRIVILEGE = """
import ctypes, os, sys

drop_from_bounding_set, right_to_override = 24, 1
ctypes.CDLL(None).prctl(drop_from_bounding_set, right_to_override, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
"""The superuser may write where others may not: that right is given up (Linux)."""


def ran(code: str, folder: Path, *, privileged: bool = True) -> subprocess.CompletedProcess[str]:
    words = [FIRST + textwrap.dedent(code)]
    return subprocess.run(
        [sys.executable, "-c", *([] if privileged else [WITHOUT_PRIVILEGE]), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_full_disk_leaves_the_old_file_and_loses_nothing(folder: Path) -> None:
    """Files may not grow: at first beyond a kilobyte, then beyond the size of the checkpoint."""
    (folder / "fit.nc").write_text("old")
    code = f"""
        from pathlib import Path
        from mercer.runtime.methods import checkpoint
        from mercer.runtime.posterior import fit
        checkpoint.SECONDS = 0.0
        words = {[*WORDS, "-o", "fit.nc"]!r}
        save = fit.Fit.save

        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        def limited_at_the_end(self, path):
            self.checkpoint.write()  # a part that ended while another was written
            limit(self.checkpoint.path.stat().st_size + 1000)
            return save(self, path)

        def tell(code):
            names = sorted(path.name for path in Path().iterdir())
            print(code, Path("fit.nc").read_bytes()[:4], *names, sep=", ")

        limit(1000)
        tell(run(words))
        print("then", file=sys.stderr)
        limit(resource.RLIM_INFINITY)
        fit.Fit.save = limited_at_the_end
        tell(run(words))
        limit(resource.RLIM_INFINITY)
        fit.Fit.save = save
        nothing_computed()
        tell(run([*words, "--resume"]))
    """
    done = ran(code, folder)
    always, at_the_end = done.stderr.split("then\n")
    assert done.stdout.splitlines() == [
        "3, b'old', data.csv, fit.nc, line.mercer",
        "3, b'old', data.csv, fit.nc, fit.nc.partial, line.mercer",
        "0, b'\\x89HDF', data.csv, fit.nc, line.mercer",
    ], done.stderr
    assert "no checkpoint fit.nc.partial: it would grow larger than is allowed there" in always
    assert "error M504: cannot write fit.nc" in always and "is in fit.nc.partial" not in always
    assert "error M504: cannot write fit.nc" in at_the_end
    assert "all that was computed is in fit.nc.partial" in at_the_end


def test_a_folder_that_is_read_only_is_refused_before_the_fit(folder: Path) -> None:
    (folder / "closed").mkdir()
    (folder / "closed" / "fit.nc").write_text("old")
    (folder / "closed").chmod(0o555)
    code = f"""
        nothing_computed()
        print(run({[*WORDS, "-o", "closed/fit.nc"]!r}))
        print(run({[*WORDS, "-o", "closed/new.nc"]!r}))
        import mercer
        try:
            mercer.load("line.mercer").fit("data.csv", "map", checkpoint="closed/deep/fit.partial")
        except mercer.MercerError as error:
            print(error)
    """
    done = ran(code, folder, privileged=False)
    assert done.stdout.split()[:2] == ["3", "3"], done.stderr
    assert done.stderr.count("the folder closed may not be written to") == 2
    assert "error M504: cannot write closed/deep/fit.partial" in done.stdout
    assert (folder / "closed" / "fit.nc").read_text() == "old"
    (folder / "closed").chmod(0o755)
