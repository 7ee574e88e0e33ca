"""A fit that was ended at any moment and goes on is the unbroken one, bit for bit."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mercer
from mercer.cli import run
from mercer.runtime.methods import checkpoint
from mercer.runtime.methods.checkpoint import Checkpoint, CheckpointNotice
from mercer.runtime.posterior.containers import group_names
from mercer.runtime.posterior.fit import Fit

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
PROCESS = """data x[n], y[n] : Real
f ~ GP(RBF())
sigma ~ HalfNormal(1)
y ~ Normal(f(x), sigma)
"""
COUNTS = """data x[n] : Real
data y[n] : Count
a ~ Normal(0, 1)
b ~ Normal(0, 1)
y ~ Poisson(exp(a + b * x))
"""
FUNCTION = COUNTS.replace("a ~ Normal(0, 1)", "f : Real -> Real ~ GP(Matern32(scale = 1))").replace(
    "exp(a +", "exp(f(x) +"
)
NEAREST = FUNCTION + "infer f by CVI()\n"
COMPOSED = """data x[n], y[n] : Real
h : Real -> Real ~ GP(RBF(lengthscale = 1, scale = 1), mean = Identity())
f : Real -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(f(h(x)), 0.5)
infer h by Inducing(count = 4)
infer SVI(steps = 80, batch = 7, samples = 1)
"""
CHOSEN = """data x[n], y[n] : Real
h : Real -> Real^inf ~ GP(RBF(lengthscale = 1), nu = [1, 10, inf])
f : Real^inf -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(f(h(x)), 0.5)
"""
CHILD = """
    import os, signal, sys
    from mercer.runtime.methods import checkpoint
    from mercer.cli import run

    checkpoint.SECONDS = 0.0
    write = checkpoint.Checkpoint._write
    part, least = {part!r}, {least!r}

    def written_and_killed(self):
        write(self)
        with self._states_lock:
            states = dict(self._states)
        for name, state in states.items():
            state = checkpoint._gathered(state)
            far = getattr(state, "done", None) or (isinstance(state, dict) and state.get("parts"))
            if part and name.startswith(part) and far and far >= least:
                os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.Checkpoint._write = written_and_killed
    sys.exit(run({words!r}))
"""


def ended(words: list[str], folder: Path, part: str = "", least: int = 0) -> tuple[int, str]:
    """Exit code and error stream of a command that kills itself when `part` is `least` far."""
    code = textwrap.dedent(CHILD).format(words=words, part=part, least=least)
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return process.returncode, process.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "process.mercer").write_text(PROCESS)
    (tmp_path / "counts.mercer").write_text(COUNTS)
    (tmp_path / "function.mercer").write_text(FUNCTION)
    (tmp_path / "nearest.mercer").write_text(NEAREST)
    rows = [f"{i / 7},{(i * 37 % 11) // 3}" for i in range(20)]
    (tmp_path / "data.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    return tmp_path


def words_of(model: str, method: str, output: str, *, each: int = 60) -> list[str]:
    sizes = ["--chains", "2", "--warmup", str(each), "--draws", str(each)]
    return ["fit", model, "data.csv", "--infer", method, *sizes, "-o", output]


def test_a_fit_killed_in_warm_up_in_sampling_and_at_the_end_is_the_unbroken_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not killed runs here, which saves the start of two processes."""
    monkeypatch.chdir(folder)
    assert run(words_of("process.mercer", "nuts", "whole.nc", each=30)) == 0
    words = words_of("process.mercer", "nuts", "broken.nc", each=30)
    killed = -signal.SIGKILL
    assert ended(words, folder, "chain 1", 10)[0] == killed
    for part, least in (("chain", 40), ("draws of the rest", 20)):
        code, told = ended([*words, "--resume"], folder, part, least)
        assert code == killed and "anew" not in told
    assert (folder / "broken.nc.partial").exists() and not (folder / "broken.nc").exists()
    assert run([*words, "--resume"]) == 0
    assert (folder / "broken.nc").read_bytes() == (folder / "whole.nc").read_bytes()
    assert not (folder / "broken.nc.partial").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("counts", "nuts"),
        ("counts", "map"),
        ("counts", "svi"),
        ("function", "SVI(batch = 5, steps = 2000)"),
        ("nearest", "nuts"),
    ],
)
def test_a_fit_killed_at_any_time_is_the_unbroken_one(
    model: str, method: str, folder: Path
) -> None:
    """The parent kills it after times that nobody has chosen well."""
    assert ended(words_of(f"{model}.mercer", method, "whole.nc"), folder)[0] == 0
    words = [*words_of(f"{model}.mercer", method, "broken.nc"), "--resume"]
    code = textwrap.dedent(CHILD).format(words=words, part="", least=0)
    patience, kills = 2.0, 0
    while not (folder / "broken.nc").exists():
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.wait()
        patience += 0.3
    assert kills > 3
    assert (folder / "broken.nc").read_bytes() == (folder / "whole.nc").read_bytes()
    left = [path.name for path in folder.iterdir() if path.name.endswith("partial")]
    assert left == []


class Ended(BaseException):
    """What ends a fit here."""


DATA = {"x": np.linspace(-1, 1, 14), "y": np.arange(14.0) % 5}


def fitted(method: str, path: Path | None, text: str = COUNTS, **options: Any) -> Fit:
    model = mercer.compile(text)
    sizes = {"chains": 2, "warmup": 60, "draws": 40, "seed": 3}
    return model.fit(DATA, method, **sizes, progress=False, checkpoint=path, **options)


def bits_of(fit: Fit) -> dict[str, bytes]:
    return {
        f"{group}: {name}": value.values.tobytes()
        for group in group_names(fit.idata)
        for name, value in fit.idata[group].variables.items()
        if value.dtype != object
    }


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Ends a fit after so many states were handed over, which are written as soon as can be.

    The writings themselves are no measure: while one thread writes, the others go on.
    """
    after = [10**9]
    save = Checkpoint.save

    def counted(self: Checkpoint, *state: Any, **options: Any) -> None:
        if self.path is None:  # a fit inside another, which is kept as a whole
            return
        after[0] -= 1
        if after[0] < 0:  # other threads hand over nothing more either
            raise Ended
        save(self, *state, **options)

    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(Checkpoint, "save", counted)
    yield after


@pytest.mark.parametrize(
    ("text", "method"),
    [
        pytest.param(COUNTS, "nuts", id="nuts"),
        pytest.param(COUNTS, "map", id="map"),
        pytest.param(COUNTS, "SVI(steps = 300)", id="svi"),
        pytest.param(
            FUNCTION, "SVI(batch = 5, steps = 600)", id="svi by batches", marks=pytest.mark.slow
        ),
    ],
)
def test_each_method_goes_on_from_wherever_it_was_ended(
    text: str, method: str, tmp_path: Path, ending: list[int]
) -> None:
    whole = fitted(method, None, text)
    path = tmp_path / "fit.partial"
    times = 0
    while True:
        ending[0] = 12
        try:
            broken = fitted(method, path, text, resume=path.exists())
        except Ended:
            times += 1
            continue
        break
    assert times > 2
    assert bits_of(broken) == bits_of(whole)
    assert broken.diagnostics == whole.diagnostics


@pytest.mark.parametrize(("text", "each"), [(COMPOSED, 4), pytest.param(CHOSEN, 1, id="chosen")])
def test_compositions_go_on_from_wherever_they_were_ended(
    text: str, each: int, tmp_path: Path, ending: list[int]
) -> None:
    """Laws of layers, learned step by step; and what is chosen, number by number."""
    sizes: dict[str, Any] = {"chains": 1, "draws": 10, "seed": 3, "progress": False}
    whole = mercer.compile(text).fit(DATA, **sizes)
    path, times = tmp_path / "fit.partial", 0
    while True:
        ending[0] = each
        try:
            broken = mercer.compile(text).fit(
                DATA, **sizes, checkpoint=path, resume=any(tmp_path.iterdir())
            )
        except Ended:
            times += 1
            assert times < 100, "it never gets on"
            continue
        break
    assert times > 1
    assert bits_of(broken) == bits_of(whole)
    assert broken.diagnostics == whole.diagnostics
    broken.save(tmp_path / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_a_saved_fit_needs_no_checkpoint(tmp_path: Path, ending: list[int]) -> None:
    path = tmp_path / "fit.partial"
    fit = fitted("map", path)
    assert path.exists()
    fit.save(tmp_path / "fit.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path, ending: list[int]) -> None:
    path = tmp_path / "fit.partial"
    ending[0] = 5
    with pytest.raises(Ended):
        fitted("map", path)
    model = mercer.compile(COUNTS.replace("b ~ Normal(0, 1)", "b ~ Normal(0, 2)"))
    other = {**DATA, "y": DATA["y"][::-1]}
    asked: list[tuple[mercer.Model, Any, Any, str]] = [
        (mercer.compile(COUNTS), DATA, {"seed": 4}, "the seed was 3 and now is 4"),
        (mercer.compile(COUNTS), other, {"seed": 3}, "the digest of the data is not the same"),
        (model, DATA, {"seed": 3}, "the digest of the model is not the same"),
        (mercer.compile(COUNTS), DATA, {"seed": 3, "draws": 41}, "draws was 40 and now is 41"),
    ]
    for model, data, options, told in asked:
        options = {"chains": 2, "draws": 40, "progress": False, **options}
        with pytest.raises(mercer.MercerError, match=told) as refused:
            model.fit(data, "map", checkpoint=path, resume=True, **options)
        assert refused.value.diagnostics[0].code == "M511"


def test_the_place_of_the_model_does_not_make_it_another_fit(
    tmp_path: Path, ending: list[int]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.mercer").write_text(COUNTS)
    path = tmp_path / "fit.partial"
    options = {"chains": 1, "draws": 20, "progress": False, "checkpoint": path}
    mercer.load(tmp_path / "one" / "model.mercer").fit(DATA, "map", **options)
    mercer.load(tmp_path / "two" / "model.mercer").fit(DATA, "map", resume=True, **options)


def test_a_checkpoint_that_is_not_used_is_told_and_so_is_one_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words = words_of("counts.mercer", "map", "fit.nc")
    assert run([*words, "--resume"]) == 0
    told = capsys.readouterr().err
    assert "there is no checkpoint fit.nc.partial: the fit starts anew\n" in told
    (folder / "fit.nc.partial").write_bytes(b"of long ago")
    assert run(words) == 0
    told = capsys.readouterr().err
    assert told.startswith("the checkpoint fit.nc.partial of an earlier fit is not used")
    (folder / "fit.nc.partial").write_bytes(b"of long ago")
    assert run([*words, "--resume"]) == 3
    assert "M512" in capsys.readouterr().err


def test_to_resume_without_a_checkpoint_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="resume"):
        fitted("map", None, resume=True)


def test_python_is_warned_of_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.warns(CheckpointNotice, match="there is no checkpoint"):
        fitted("map", tmp_path / "fit.partial", resume=True)
