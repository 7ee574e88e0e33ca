"""Each example is whole, says what it needs to, and runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mercer
from examples import pictures
from examples.run import KEPT, run
from examples.spec import HERE, Example, example, names
from mercer.cli import run as command

EVERY = names()
SECTIONS = ("## The data", "## What to see")


@pytest.fixture(scope="module", params=EVERY)
def chosen(request: pytest.FixtureRequest) -> Example:
    return example(request.param)


def test_every_folder_with_a_model_is_listed() -> None:
    folders = {path.parent.name for path in HERE.glob("*/*.mercer")}
    assert folders == set(EVERY)
    listed = re.findall(r"\]\((\w+)/\)", (HERE / "README.md").read_text(encoding="utf-8"))
    assert set(listed) == folders


def test_a_readme_has_data_terms_and_what_to_see(chosen: Example) -> None:
    text = (chosen.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {chosen.title}\n")
    assert all(section in text for section in SECTIONS)
    assert re.search(r"public domain|BSD|MIT|CC BY|made by|published", text)
    assert f"python -m examples.run {chosen.name}" in text
    for target in re.findall(r"\]\(([^):#]+)\)", text):
        assert (chosen.folder / target).exists(), target


def test_a_picture_is_kept_and_small(chosen: Example) -> None:
    assert 5_000 < (chosen.folder / KEPT).stat().st_size < 150_000
    assert all(settings["kind"] in pictures.KINDS for settings in chosen.pictures)


def test_a_model_is_formatted_and_meets_its_data(
    chosen: Example, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["fmt", "--check", str(chosen.model)]) == 0
    chosen.write_data(tmp_path)
    data = [str(tmp_path / name) for name in chosen.data]
    columns = [word for text in chosen.columns for word in ("--columns", text)]
    assert command(["explain", str(chosen.model), *data, *columns]) == 0
    assert "Left to inference" in capsys.readouterr().out


def test_an_example_runs_from_data_to_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = {"chains": 1, "warmup": 50, "draws": 50}
    assert run(example("eight_schools"), tmp_path, **quick) == 0
    assert (tmp_path / "forest.png").exists()
    assert "mercer fit" in capsys.readouterr().out


@pytest.mark.slow
def test_every_example_runs_in_short(chosen: Example, tmp_path: Path) -> None:
    quick = {"chains": 1, "warmup": 100, "draws": 100}
    assert run(chosen, tmp_path, **quick) == 0
    for settings in chosen.pictures:
        assert (tmp_path / (settings.get("file") or f"{settings['kind']}.png")).exists()


def fitted(name: str, folder: Path) -> Any:
    """The fit of an example, in short."""
    assert run(example(name), folder, chains=2, warmup=200, draws=200) == 0
    return mercer.open(folder / f"{name}.nc")


@pytest.mark.slow
def test_the_change_of_the_nile_is_found_about_1898(tmp_path: Path) -> None:
    """Cobb (1978): the flow fell after 1898. (With a tail: the years to 1906 are not ruled out.)"""
    at = fitted("nile", tmp_path).idata["posterior"]["at"].values
    assert np.quantile(at, 0.25) > 1896.5 and np.quantile(at, 0.75) < 1900


@pytest.mark.slow
def test_the_rod_is_as_warm_as_its_equation_says(tmp_path: Path) -> None:
    fit = fitted("rod", tmp_path)
    truth = pd.read_csv(tmp_path / "truth.csv")
    part = fit.component("u", {"x": truth["x"]})
    low, high = (part.quantile("u(x)", level) for level in (0.005, 0.995))
    assert np.all((truth["value"] > low) & (truth["value"] < high))
    assert np.max(high - low) < 5.0


@pytest.mark.slow
def test_most_irises_that_were_held_out_are_named_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted("iris", tmp_path)
    share = re.search(r"(\d+) % of 100 rows of species", capsys.readouterr().out)
    assert share is not None and int(share[1]) >= 90


@pytest.mark.slow
def test_the_effect_of_age_is_found_through_the_censoring(tmp_path: Path) -> None:
    fit = fitted("trial", tmp_path)
    truth = pd.read_csv(tmp_path / "truth.csv")
    part = fit.component("f", {"age": truth["age"]})
    low, high = (part.quantile("f(age)", level) for level in (0.005, 0.995))
    assert np.all((truth["value"] > low) & (truth["value"] < high))
    assert np.corrcoef(part.means["f(age)"], truth["value"])[0, 1] > 0.9
