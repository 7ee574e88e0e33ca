"""`recover`: what it ranks, keeps, goes on with, says and refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import mercer
from mercer.cli import run
from mercer.runtime.recovery.calibration import Calibration, open_calibration

MODEL = """data x[n], y[n] : Real
b ~ Normal(0, 1)
y ~ Normal(b * x, 0.5)
"""
X = np.linspace(-1.0, 1.0, 5)


@pytest.fixture(scope="module")
def found() -> Calibration:
    """The posterior is exact here: nothing is sampled."""
    return mercer.compile(MODEL).recover({"x": X}, simulations=60, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recover")
    (folder / "line.mercer").write_text(MODEL)
    (folder / "data.csv").write_text("x,y\n-1,0\n0,\n1,5\n")
    return folder


def test_a_conjugate_model_is_calibrated(found: Calibration) -> None:
    assert found.quantities == ("b",)
    assert found.is_right and found.failed == ()
    assert (found.ranks >= 0).all() and (found.ranks <= found.kept).all()


def test_draws_follow_the_closed_form(found: Calibration) -> None:
    """Means of the ranked draws shrink the truth by the known factor."""
    precision = 1.0 + np.sum(X**2) / 0.25
    means = found.draws[:, 0].mean(-1)
    slope = np.polyfit(found.truths[:, 0], means, 1)[0]
    expected = 1.0 - 1.0 / precision
    # The means scatter about it: by noise in the data, and since few draws are taken.
    scatter = np.sqrt(expected / precision + 1.0 / precision / found.kept)
    error = scatter / np.sqrt(np.sum((found.truths - found.truths.mean()) ** 2))
    assert abs(slope - expected) < 4.0 * error
    assert np.allclose(found.draws[:, 0].var(-1, ddof=1).mean(), 1.0 / precision, rtol=0.2)


def test_the_same_seed_gives_the_same_ranks_whatever_the_number(found: Calibration) -> None:
    fewer = mercer.compile(MODEL).recover({"x": X}, simulations=10, seed=3)
    assert np.array_equal(fewer.truths, found.truths[:10])
    assert np.array_equal(fewer.draws, found.draws[:10])
    other = mercer.compile(MODEL).recover({"x": X}, simulations=10, seed=4)
    assert not np.any(other.truths == found.truths[:10])


def test_a_truth_noted_wrong_is_told_with_its_shape(found: Calibration) -> None:
    shifted = Calibration(
        found.quantities, found.numbers, found.truths + 1.0, found.draws, {}, key="other"
    )
    assert shifted.failed == ("b",) and not shifted.is_right
    assert shifted.table().loc["b", "posterior"] == "too low"
    assert any("not uniform: b" in sentence for sentence in shifted.sentences)


def test_many_data_sets_without_a_fit_fail_the_calibration(found: Calibration) -> None:
    unfitted = dict.fromkeys(range(100, 110), "no start")
    some = Calibration(found.quantities, found.numbers, found.truths, found.draws, unfitted)
    assert some.failed == () and not some.is_right
    assert any("10 simulations could not be fitted" in s for s in some.sentences)


def test_a_saved_calibration_reads_the_same(found: Calibration, tmp_path: Path) -> None:
    again = open_calibration(found.save(tmp_path / "found.nc"))
    assert again.quantities == found.quantities and again.key == found.key
    assert np.array_equal(again.ranks, found.ranks)
    assert np.array_equal(again.chances, found.chances)


def test_an_interrupted_calibration_is_gone_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mercer import recover

    model, data, path = mercer.load(folder / "line.mercer"), folder / "data.csv", tmp_path / "r.nc"
    model.recover(data, simulations=4, path=path)
    made: list[int] = []
    real = recover.outcome_of

    def counted(study: object, task: object, number: int) -> object:
        made.append(number)
        return real(study, task, number)

    monkeypatch.setattr(recover, "outcome_of", counted)
    longer = model.recover(data, simulations=7, path=path)
    assert made == [5, 6, 7] and longer.numbers == (1, 2, 3, 4, 5, 6, 7)
    made.clear()
    model.recover(data, simulations=7, path=path, seed=1)
    assert made == [1, 2, 3, 4, 5, 6, 7]


def test_missing_outcomes_stay_missing_and_are_ranked(folder: Path) -> None:
    found = mercer.load(folder / "line.mercer").recover(folder / "data.csv", simulations=3)
    assert found.quantities == ("b", "y[1], missing")


@pytest.mark.slow
def test_default_priors_keep_the_scale_of_the_data_that_were_given() -> None:
    text = "data x[n], y[n] : Real\nf ~ GP(Constant())\nnoise ~ HalfNormal(1)\n"
    text += "y ~ Normal(f(x), noise)\n"
    model = mercer.compile(text)
    wide = model.recover({"x": X, "y": 1000.0 * X}, simulations=6, draws=38, kept=2, warmup=50)
    unit = model.recover({"x": X, "y": X}, simulations=6, draws=38, kept=2, warmup=50)
    place = wide.quantities.index("f.scale")
    assert np.allclose(wide.truths[:, place], 1000.0 * unit.truths[:, place])


def test_the_command_writes_table_result_and_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["recover", str(folder / "line.mercer"), str(folder / "data.csv")]
    target = tmp_path / "found.csv"
    assert run([*words, "--simulations", "10", "--processes", "1", "-o", str(target)]) == 0
    told = capsys.readouterr()
    assert "chi-square" in told.out and "The ranks look uniform." in told.out
    with target.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 20 and {row["quantity"] for row in rows} == {"b", "y[1], missing"}
    assert imread(tmp_path / "found.png").shape[2] == 4


def test_the_command_ends_with_4_where_the_ranks_are_odd(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The simulator is made to note another truth than that of its data."""
    from mercer.runtime.recovery import replicate

    real = replicate.simulate

    def wrong(*arguments: object) -> dict[str, np.ndarray]:
        values = real(*arguments)
        return {**values, "b": values["b"] + 1.0}

    monkeypatch.setattr(replicate, "simulate", wrong)
    words = ["recover", str(folder / "line.mercer"), str(folder / "data.csv")]
    options = ["--simulations", "20", "--processes", "1", "-o", str(tmp_path / "found.nc")]
    assert run([*words, *options]) == 4
    told = capsys.readouterr()
    assert "too low" in told.out
    assert "error M606: the calibration failed" in told.err


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("data y[n] : Real\nb ~ Flat()\ny ~ Normal(b, 1)\n", "M330", "`b`"),
        ("data y[n] : Positive\nb ~ Normal(0, 1)\nz = log(y)\nz ~ Normal(b, 1)\n", "M331", "`z`"),
        (
            "data y[n] : Positive\ndata c[n] : Bool\nb ~ Normal(0, 1)\n"
            "y ~ Censored(Weibull(exp(b), 1), above = c)\n",
            "M332",
            "`y`",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_at_its_line(text: str, code: str, words: str) -> None:
    with pytest.raises(mercer.MercerError) as caught:
        mercer.compile(text).recover({"y": [1.0, 2.0], "c": [0, 1]})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code and words in diagnostic.problem
    assert diagnostic.span is not None and diagnostic.span.line == (2 if code == "M330" else 4)


def test_simulate_names_a_flat_prior_too() -> None:
    with pytest.raises(mercer.MercerError, match="M330: `b` cannot be drawn"):
        mercer.compile("data y[n] : Real\nb ~ Flat()\ny ~ Normal(b, 1)\n").simulate({"y": [1.0]})


@pytest.mark.parametrize(
    "options", [{"simulations": 0}, {"draws": 5}, {"false_alarm": 1.5}, {"seed": -1}]
)
def test_arguments_out_of_range_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        mercer.compile(MODEL).recover({"x": X}, **options)
