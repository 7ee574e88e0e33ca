"""The command line: what it prints, where, and its exit codes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mercer.cli import run

ROOT = Path(__file__).resolve().parents[2]
LINE = """data x[n], y[n] : Real
b     ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(b * x, sigma)
"""


def in_a_process(
    *words: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`mercer words...` as a shell would run it."""
    return subprocess.run(
        [sys.executable, "-m", "mercer", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "line.mercer"
    path.write_text(LINE)
    return path


def test_check_says_ok_on_standard_output(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(model)]) == 0
    assert capsys.readouterr().out == f"{model}: ok\n"


def test_check_goes_on_after_a_wrong_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.mercer"
    wrong.write_text("data y[n] : Real\ny ~ Normal(m, 1)\n")
    assert run(["check", str(wrong), str(model)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{model}: ok\n"
    assert printed.err.startswith(f"{wrong}:2:12  error M2")


@pytest.mark.parametrize(
    "words",
    [
        ("check", "line.mercer"),
        ("fmt", "loose.mercer"),
        ("explain", "line.mercer"),
        ("compile", "line.mercer", "-o", "line.py"),
        ("compile", "line.mercer", "--show", "graph"),
        ("check", "wrong.mercer"),
        ("--help",),
    ],
)
def test_what_computes_nothing_imports_no_jax(words: tuple[str, ...], model: Path) -> None:
    (model.parent / "loose.mercer").write_text(LINE.replace(" ~ ", "~"))
    (model.parent / "wrong.mercer").write_text(LINE.replace("b * x", "c * x"))
    look = (
        "import sys; from mercer.cli import run; run(sys.argv[1:]);"
        "heavy = {'jax', 'numpyro', 'pandas', 'numpy', 'arviz'};"
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", look, *words],
        cwd=model.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr
    if words[0] == "fmt":
        assert (model.parent / "loose.mercer").read_text().count(" ~ ") == 3


def test_importing_mercer_imports_neither_jax_nor_the_compiler() -> None:
    look = (
        "import sys, mercer;"
        "print(sorted(m for m in sys.modules if m == 'jax' or m.startswith('mercer.compiler')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"


def test_fmt_check_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loose.mercer"
    path.write_text("data   y[n]:Real # the outcome\ny~Normal( 0,1 )\n")
    before = path.read_text()
    assert run(["fmt", "--check", str(path)]) == 1
    assert path.read_text() == before
    assert run(["fmt", str(path)]) == 0
    assert path.read_text() != before and "# the outcome" in path.read_text()
    assert run(["fmt", "--check", str(path)]) == 0


def test_fmt_goes_from_standard_input_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("data y[n]:Real\ny~Normal(0,1)\n"))
    assert run(["fmt", "-"]) == 0
    assert capsys.readouterr().out == "data y[n] : Real\ny ~ Normal(0, 1)\n"


def test_explain_names_what_is_integrated_out(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", str(model)]) == 0
    printed = capsys.readouterr().out
    assert "b enter" in printed or "b enters" in printed
    assert "sigma" in printed


@pytest.mark.parametrize("stage", ["syntax", "types", "graph", "plan", "numpyro"])
def test_every_stage_can_be_shown(
    model: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", str(model), "--show", stage]) == 0
    printed = capsys.readouterr().out
    assert "sigma" in printed and printed.endswith("\n")


def test_the_jaxpr_is_that_of_the_log_density(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", str(model), "--show", "jaxpr"]) == 0
    printed = capsys.readouterr().out
    assert "{ lambda" in printed and "cholesky" in printed


def test_compile_writes_a_module_that_python_accepts(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "line.py"
    assert run(["compile", str(model), "-o", str(target)]) == 0
    compile(target.read_text(), str(target), "exec")
    assert run(["compile", str(model), "-o", str(tmp_path / "none" / "line.py")]) == 3


def test_info_as_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"mercer", "python", "packages", "devices", "cache"} <= set(found)


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    import tomllib

    import mercer

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"mercer {project['version']}\n"
    assert mercer.__version__ == project["version"]


def test_a_pipe_and_no_color_get_plain_text(model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.mercer"
    wrong.write_text("data y[n] : Real\ny ~ Normal(m, 1)\n")
    plain = in_a_process("check", str(wrong))
    forced = in_a_process("check", str(wrong), env={"FORCE_COLOR": "1"})
    refused = in_a_process("check", str(wrong), env={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert "\033[" not in plain.stderr and plain.stderr == refused.stderr
    assert "\033[" in forced.stderr
    assert plain.returncode == forced.returncode == 1


def test_a_fault_of_ours_says_so_and_shows_no_traceback(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mercer.model

    def broken(*_: object) -> None:
        raise RuntimeError("the invariant does not hold")

    monkeypatch.setattr(mercer.model.Model, "from_file", broken)
    assert run(["check", str(model)]) == 70
    printed = capsys.readouterr().err
    assert "internal error: RuntimeError: the invariant does not hold" in printed
    assert "Traceback" not in printed
    with pytest.raises(RuntimeError):
        run(["--debug", "check", str(model)])
