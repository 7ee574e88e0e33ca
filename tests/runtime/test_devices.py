"""Several devices, and several processes, find what one finds."""

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import mercer
from mercer.cli import run
from mercer.runtime import hosts

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("devices_program.py")
CHAINS = """data x[n], y[n] : Real
b ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(b * x, sigma)
infer NUTS(chains = 3, warmup = 20, draws = 10)
"""
BATCHES = """data x[n], y[n] : Real
f : Real -> Real ~ GP(RBF())
sigma ~ HalfNormal(1)
y ~ Normal(f(x), sigma)
infer f by Inducing(count = 6)
infer SVI(batch = 31, steps = 130, draws = 4, chains = 2)
"""
DYING = """
    import os, signal, sys
    from mercer.runtime.methods.checkpoint import Checkpoint
    from mercer.cli import run

    saved = Checkpoint.save

    def dies(self, name, state, **options):
        self._due = 0.0  # it is written at every call
        saved(self, name, state, **options)
        if name == "state" and state.step >= 70:
            os.kill(os.getpid(), signal.{signal})

    Checkpoint.save = dies
    sys.exit(run({words!r}))
"""


def environment(devices: int = 1) -> dict[str, str]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("", 0))
        return int(asked.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("processes")
    (found / "chains.mercer").write_text(CHAINS)
    (found / "batches.mercer").write_text(BATCHES)
    random = np.random.default_rng(1)
    for name, rows in (("data", 90), ("other", 89)):
        x = np.linspace(-2, 2, rows)
        lines = [f"{a},{b}" for a, b in zip(x, np.sin(x) + 0.1 * random.normal(size=rows))]
        (found / f"{name}.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    return found


def fitting(folder: Path, model: str, out: str, *more: str, data: str = "data") -> list[str]:
    paths = [str(folder / name) for name in (f"{model}.mercer", f"{data}.csv", f"{out}.nc")]
    return ["fit", paths[0], paths[1], "-o", paths[2], *more]


def group(port: int, process: int) -> list[str]:
    options = ["--processes", "2", "--process", str(process), "--patience", "300"]
    return [*options, "--coordinator", f"localhost:{port}"]


def together(*codes: str) -> list[tuple[int, str, str]]:
    """Exit codes and streams of programs that run side by side."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for code in codes
    ]
    try:
        said = [process.communicate(timeout=400) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(p.returncode, *streams) for p, streams in zip(started, said)]


def command(words: list[str]) -> str:
    return f"import sys; from mercer.cli import run; sys.exit(run({words!r}))"


def posterior(path: Path) -> dict[str, np.ndarray]:
    with xr.open_dataset(path, group="posterior") as found:
        return {str(name): found[name].values for name in found}


def test_four_devices_find_what_one_finds() -> None:
    """Chains (three of them), minibatches that four do not divide, and the training of layers."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env=environment(4),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    devices, apart, told = json.loads(done.stdout)
    assert devices == 4
    # Adam divides a gradient by its size: where it is near to zero, half the digits of a double
    # are what rounding leaves. Few steps, since a trajectory of NUTS doubles what it began.
    half = np.sqrt(np.finfo(float).eps)
    assert apart["chains"] < half and 0 < apart["batches"] < half and 0 < apart["training"] < half
    assert "Devices: all 4 (cpu), which share the 4 chains." in told["chains"]
    assert told["batches"] == ["Devices: all 4 (cpu), which share the 33 rows of each step."]
    assert told["training"] == [
        "Devices: all 4 (cpu), which share the 12 rows of each step of training."
    ]


def test_two_processes_find_what_one_finds(folder: Path) -> None:
    assert run(fitting(folder, "chains", "one", "--quiet")) == 0
    port = free_port()
    first, second = together(
        *(command(fitting(folder, "chains", f"of{k}", *group(port, k))) for k in (0, 1))
    )
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "wrote" in first[2] and not (second[1] or second[2])
    assert not (folder / "of1.nc").exists()
    one, two = posterior(folder / "one.nc"), posterior(folder / "of0.nc")
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_who_loses_a_process_says_so_and_the_checkpoint_goes_on(folder: Path, lost: int) -> None:
    """Killed in the middle; gone on with, the result is the unbroken one, bit for bit."""
    port, name = free_port(), f"killed{lost}"
    words = [fitting(folder, "batches", name, *group(port, k)) for k in (0, 1)]
    dying = DYING.format(signal="SIGKILL", words=words[lost])
    codes = [command(own) for own in words]
    codes[lost] = dying
    ended = together(*codes)
    assert ended[lost][0] == -9
    code, _, told = ended[1 - lost]
    assert code == 4, told
    assert f"M610: process {lost} of 2 was lost" in told and "--resume" in told
    assert (folder / f"{name}.nc.partial").exists()
    port = free_port()
    again = [fitting(folder, "batches", name, *group(port, k), "--resume") for k in (0, 1)]
    for code, _, told in together(*map(command, again)):
        assert code == 0 and "starts anew" not in told, told
    port = free_port()
    whole = [fitting(folder, "batches", "whole", *group(port, k)) for k in (0, 1)]
    for code, _, told in together(*map(command, whole)):
        assert code == 0, told
    assert run(fitting(folder, "batches", "alone", "--quiet")) == 0
    resumed, unbroken, alone = (posterior(folder / f"{n}.nc") for n in (name, "whole", "alone"))
    for key, values in unbroken.items():
        np.testing.assert_array_equal(resumed[key], values)
        np.testing.assert_allclose(values, alone[key], rtol=1e-8, atol=1e-10)


@pytest.mark.slow
def test_who_never_comes_back_is_lost_too(folder: Path) -> None:
    """A process that is stopped answers nobody, and ends nothing either."""
    port = free_port()
    words = [fitting(folder, "batches", "stopped", *group(port, k)) for k in (0, 1)]
    code = textwrap.dedent(DYING.format(signal="SIGSTOP", words=words[1]))
    process = subprocess.Popen([sys.executable, "-c", code], env=environment())
    try:
        ((found, _, told),) = together(command(words[0]))
    finally:
        process.kill()
    assert found == 4 and "process 1 of 2 was lost" in told
    assert "no sign of life" in told


@pytest.mark.slow
def test_processes_with_different_data_are_told_apart(folder: Path) -> None:
    port = free_port()
    ended = together(
        command(fitting(folder, "chains", "apart", *group(port, 0))),
        command(fitting(folder, "chains", "apart", *group(port, 1), data="other")),
    )
    for code, _, told in ended:
        assert code == 4
        assert "M611: process 1 of 2 does not fit the same as process 0" in told
        assert "the digest of the data is not the same" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--processes", "4", "--process", "4", "--coordinator", "a:1"], "numbered from 0 to 3"),
        (["--processes", "2", "--process", "1"], "--processes needs --coordinator"),
        (["--processes", "2", "--coordinator", "a:1"], "--processes needs --process"),
        (["--process", "1"], "--process needs --processes"),
        (["--processes", "2", "--process", "1", "--coordinator", "a:b"], "10.0.0.1:1234"),
        (["--processes", "0", "--process", "0", "--coordinator", "a:1"], "whole number from 1"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert run(fitting(folder, "chains", "wrong", *options)) == 2
    assert told in capsys.readouterr().err


def test_a_port_in_use_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(fitting(folder, "chains", "wrong", *group(port, 0))) == 4
    assert f"M612: port {port} of this machine cannot be used" in capsys.readouterr().err


def test_a_coordinator_that_nobody_is_at_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = fitting(folder, "chains", "wrong", *group(free_port(), 1), "--patience", "1")
    assert run(words) == 4
    told = capsys.readouterr().err
    assert "cannot be reached" in told and "start process 0" in told


def test_what_processes_cannot_share_is_refused_before_they_meet(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ["--processes", "9", "--process", "8", "--coordinator", "localhost:1"]
    assert run(fitting(folder, "chains", "wrong", *own)) == 1
    assert "9 processes have only 3 chains to share" in capsys.readouterr().err
    assert run(fitting(folder, "chains", "wrong", *group(1, 1), "--infer", "map")) == 1
    assert "a fit by MAP is not for several processes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"process": 2}, "process: a number below 2"),
        ({"processes": 0}, "processes: a whole number >= 1"),
        ({"coordinator": "nowhere"}, "coordinator: HOST:PORT is wanted"),
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object], told: str) -> None:
    right: dict[str, object] = {"processes": 2, "process": 0, "coordinator": "localhost:1"}
    with pytest.raises(ValueError, match=told):
        mercer.distributed(**(right | wrong))
    assert hosts.hosts().count == 1
