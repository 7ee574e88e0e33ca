"""The commands that fit and what comes after: what they write, say and refuse."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.image import imread

from mercer.cli import run

LINE = """data x[n], y[n] : Real
b     ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(b * x, sigma)
"""
FIELD = """data s[n] : Real^2
data y[n] : Real
f ~ GP(RBF())
sigma ~ HalfNormal(1)
y ~ Normal(f(s), sigma)
"""
PAIR = """data x[n] : Real
data y[n] : Real^2
a : Real^2 ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(a * x, sigma)
"""
YES = """index answer = ["no", "yes", "maybe"]
data x[n] : Real
data y[n] : Label(answer)
b[answer] ~ Normal(0, 1)
y ~ Categorical(logits = b * x)
"""
QUICK = ("--chains", "2", "--warmup", "50", "--draws", "50")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("fits")
    (found / "line.mercer").write_text(LINE)
    (found / "field.mercer").write_text(FIELD)
    random = np.random.default_rng(1)
    x = np.linspace(-2, 2, 12)
    y = 0.7 * x + 0.3 * random.normal(size=12)
    rows = [f"{a},{b}" for a, b in zip(x, y)]
    (found / "data.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    (found / "new.csv").write_text("x\n0\n1\n3\n")
    rows = [f"{a},{-a * a},{b}" for a, b in zip(x, y)]
    (found / "places.csv").write_text("\n".join(["lon,lat,y", *rows]) + "\n")
    return found


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Path:
    words = ["fit", str(folder / "line.mercer"), str(folder / "data.csv"), "--infer", "nuts"]
    assert run([*words, *QUICK, "-o", str(folder / "line.nc")]) == 0
    return folder / "line.nc"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("method", ["map", "svi", "MAP(restarts = 2)"])
def test_a_fit_by_other_methods_can_be_summarised(
    method: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "fit.nc"
    words = ["fit", str(folder / "line.mercer"), str(folder / "data.csv"), "--infer", method]
    assert run([*words, "--draws", "50", "-o", str(target)]) == 0
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines()[-1] == f"wrote {target}"
    assert "normal law" in told.err
    assert run(["summary", str(target)]) == 0
    printed = capsys.readouterr().out
    (row,) = (line.split() for line in printed.splitlines() if line.startswith("b "))
    assert float(row[1]) == pytest.approx(0.7, abs=0.25)


def test_a_summary_has_a_row_for_each_unknown(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["summary", str(fitted), "--digits", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line[:1].strip()]
    assert {"b", "sigma"} <= set(names)
    assert any("r_hat" in line and "ess_bulk" in line for line in lines)


def test_a_table_of_predictions_has_a_row_for_each_new_row(
    fitted: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new.csv"
    assert run(["predict", str(fitted), str(folder / "new.csv"), "-o", str(target)]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"wrote {target}"
    rows = rows_of(target)
    assert [name for name in rows[0] if name.startswith("y")] == [
        "y.mean",
        "y.sd",
        "y.q2.5",
        "y.q97.5",
    ]
    assert len(rows) == 3
    for row, x in zip(rows, (0, 1, 3)):
        assert float(row["y.mean"]) == pytest.approx(0.7 * x, abs=0.6)
        assert float(row["y.q2.5"]) < float(row["y.mean"]) < float(row["y.q97.5"])


def test_a_table_of_many_rows_is_written_in_parts_that_make_the_whole(
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    new = tmp_path / "many.csv"
    new.write_text("\n".join(["x", *(str(i / 500) for i in range(1100))]) + "\n")
    words = ["predict", str(fitted), str(new), "-o"]
    assert run([*words, str(tmp_path / "one.csv")]) == 0
    monkeypatch.setattr("mercer.runtime.posterior.groups.KEPT_BYTES", 1e6)
    assert run([*words, str(tmp_path / "parts.csv")]) == 0
    one, parts = (list(csv.reader((tmp_path / name).open())) for name in ("one.csv", "parts.csv"))
    assert one[0] == parts[0] and len(one) == len(parts) == 1101
    np.testing.assert_allclose(
        np.array(parts[1:], float), np.array(one[1:], float), rtol=1e-7, atol=1e-9
    )
    capsys.readouterr()
    assert run([*words, str(tmp_path / "draws.nc")]) == 3
    assert "M515" in capsys.readouterr().err and not (tmp_path / "draws.nc").exists()


def test_draws_of_predictions_are_joint_over_the_rows(
    fitted: Path, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new.nc"
    assert run(["predict", str(fitted), str(folder / "new.csv"), "-o", str(target)]) == 0
    with xr.open_dataset(target, engine="h5netcdf") as drawn:
        assert drawn["y"].dims == ("chain", "draw", "n")
        assert drawn["y"].shape == (2, 50, 3)


def test_a_vector_outcome_has_columns_for_each_coordinate(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pair.mercer").write_text(PAIR)
    rows = [f"{x},{2 * x},{-x + 0.1}" for x in (0.0, 1.0, 2.0, 3.0, 4.0)]
    (tmp_path / "pair.csv").write_text("\n".join(["x,y.1,y.2", *rows]) + "\n")
    words = ["fit", str(tmp_path / "pair.mercer"), str(tmp_path / "pair.csv"), "--infer", "map"]
    assert run([*words, "--draws", "25", "-o", str(tmp_path / "pair.nc")]) == 0
    target = tmp_path / "told.csv"
    assert (
        run(["predict", str(tmp_path / "pair.nc"), str(folder / "new.csv"), "-o", str(target)]) == 0
    )
    names = set(rows_of(target)[0])
    assert {"y.1.mean", "y.2.sd", "y.1.q2.5", "y.2.q97.5"} <= names


def test_a_label_outcome_has_the_likeliest_and_all_probabilities(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "yes.mercer").write_text(YES)
    rows = [f"{x},{'yes' if x > 0 else 'no'}" for x in (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)]
    (tmp_path / "yes.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    words = ["fit", str(tmp_path / "yes.mercer"), str(tmp_path / "yes.csv"), "--infer", "map"]
    assert run([*words, "--draws", "25", "-o", str(tmp_path / "yes.nc")]) == 0
    target = tmp_path / "told.csv"
    words = ["predict", str(tmp_path / "yes.nc"), str(folder / "new.csv"), "-o", str(target)]
    assert run(words) == 0
    last = rows_of(target)[-1]
    assert last["y.most_likely"] == "yes"
    shares = [float(last[f"y.p.{label}"]) for label in ("no", "yes", "maybe")]
    assert sum(shares) == pytest.approx(1) and shares[1] > 0.6


@pytest.mark.parametrize("suffix", [".nc", ".csv", ".npz"])
def test_a_simulation_is_repeatable_and_has_the_outcomes(
    suffix: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for number, seed in enumerate((3, 3, 4)):
        target = tmp_path / f"{number}{suffix}"
        words = ["simulate", str(folder / "line.mercer"), str(folder / "new.csv")]
        assert run([*words, "--seed", str(seed), "-o", str(target)]) == 0
        if suffix == ".nc":
            with xr.open_dataset(target, engine="h5netcdf") as drawn:
                found.append(drawn["y"].values.copy())
        elif suffix == ".npz":
            found.append(np.load(target)["y"])
        else:
            found.append(np.array([float(row["y"]) for row in rows_of(target)]))
    told = capsys.readouterr().err
    assert ("not of this table: b, sigma;" in told) == (suffix == ".csv")
    assert found[0].shape == (3,)
    assert (found[0] == found[1]).all() and (found[0] != found[2]).all()


def test_pictures_are_written_and_not_blank(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plot", str(fitted), "-o", str(tmp_path / "pictures")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wrote ")]
    paths = sorted((tmp_path / "pictures").iterdir())
    assert sorted(told) == [f"wrote {path}" for path in paths]
    assert {"posterior.png", "trace.png"} <= {path.name for path in paths}
    for path in paths:
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 200 and pixels[..., :3].std() > 0.02


def test_columns_are_named_or_taken_all(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", str(folder / "field.mercer"), str(folder / "places.csv"), "--columns"]
    assert run([*words, "s=lon,lat"]) == 0
    named = capsys.readouterr().out
    assert "n = 12" in named and "sigma" in named
    assert run([*words, "s=*"]) == 0
    assert capsys.readouterr().out == named
    assert run([*words, "s=lon,long"]) == 1
    assert "lon" in capsys.readouterr().err
    assert run([*words, "lon,lat"]) == 2
    assert "write --columns x=lon,lat" in capsys.readouterr().err
    assert run([*words[:2], "--columns", "s=*"]) == 2


def test_the_jaxpr_has_the_sizes_of_the_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compile", str(folder / "line.mercer"), "--show", "jaxpr"]
    assert run([*words, "--data", str(folder / "data.csv")]) == 0
    assert "f64[12" in capsys.readouterr().out


def test_a_target_that_cannot_be_written_is_refused_before_the_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", str(folder / "line.mercer"), str(folder / "data.csv"), "-o"]
    assert run([*words, str(tmp_path / "none" / "fit.nc")]) == 3
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err
    (tmp_path / "folder.nc").mkdir()
    assert run([*words, str(tmp_path / "folder.nc")]) == 3
    assert "it is a folder" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "fit.txt")]) == 2
    assert "write -o" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.nc"]


def commands_that_write(folder: Path, fitted: Path, target: Path) -> list[list[str]]:
    line, data, new = (str(folder / name) for name in ("line.mercer", "data.csv", "new.csv"))
    return [
        ["fit", line, data, "--infer", "map", "-o", str(target.with_suffix(".nc"))],
        ["predict", str(fitted), new, "-o", str(target.with_suffix(".csv"))],
        ["predict", str(fitted), new, "-o", str(target.with_suffix(".nc"))],
        ["simulate", line, new, "-o", str(target.with_suffix(".npz"))],
        ["compile", line, "-o", str(target.with_suffix(".py"))],
    ]


def test_a_read_only_target_is_an_error_and_stays(
    folder: Path,
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The superuser may write everything: the answer of the system is set here.
    monkeypatch.setattr("mercer.dsl.whole.os.access", lambda path, mode: mode != os.W_OK)
    for words in commands_that_write(folder, fitted, tmp_path / "old"):
        Path(words[-1]).write_text("old")
        assert run(words) == 3, words
        assert "the file is read-only" in capsys.readouterr().err
        assert Path(words[-1]).read_text() == "old"
    assert all(path.stem == "old" for path in tmp_path.iterdir())


def test_a_full_disk_is_an_error_and_the_old_file_stays(
    folder: Path,
    fitted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mercer.dsl.whole.os.fsync", fsync)
    for words in commands_that_write(folder, fitted, tmp_path / "old"):
        Path(words[-1]).write_text("old")
        assert run(words) == 3, words
        assert "the disk is full" in capsys.readouterr().err
        assert Path(words[-1]).read_text() == "old"
    assert all(path.stem == "old" for path in tmp_path.iterdir())


def test_each_kind_of_fault_has_its_exit_code(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, data = str(folder / "line.mercer"), str(folder / "data.csv")
    target = str(tmp_path / "fit.nc")
    impossible = tmp_path / "impossible.mercer"
    impossible.write_text("data y[n] : Real\nm ~ Normal(0, 1)\ny ~ Uniform(10 + m, 11 + m)\n")
    wrong = tmp_path / "wrong.mercer"
    wrong.write_text("data y[n] : Real\ny ~ Normal(m, 1)\n")
    assert run(["check", line]) == 0
    assert run(["check", str(wrong)]) == 1
    assert run(["fit", line, str(folder / "new.csv"), "-o", target]) == 1
    assert run(["fit", line]) == 2
    assert run(["fit", line, data, "-o", target, "--infer", "mcmc"]) == 2
    assert run(["fitt"]) == 2
    assert run(["check", str(tmp_path / "none.mercer")]) == 3
    assert run(["summary", str(tmp_path / "none.nc")]) == 3
    assert run(["fit", line, str(tmp_path / "none.csv"), "-o", target]) == 3
    assert run(["summary", data]) == 3
    assert run(["fit", str(impossible), data, "-o", target]) == 4
    assert not Path(target).exists()


def test_the_documented_exit_codes_are_those_of_the_program() -> None:
    from mercer.cli import exits

    page = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = page.partition("## Exit codes")[2]
    told = {
        int(line.split("|")[1]) for line in section.splitlines() if line[:3].strip("| ").isdigit()
    }
    codes = {"OK", "WRONG", "USAGE", "FILES", "NUMERICS", "INTERNAL", "INTERRUPTED"}
    assert told == {getattr(exits, name) for name in codes}


def test_information_can_be_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["jax"].count(".") == 2 and found["devices"]
