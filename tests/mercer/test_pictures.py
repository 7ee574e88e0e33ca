"""Pictures: there is one for everything a fit holds, each can be read, and none stays behind."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import ndtr

import mercer
from mercer.runtime.pictures import Figures, Picture, pictures, plot_fit, save
from mercer.runtime.pictures.kinds import KINDS, PictureNotice
from mercer.runtime.pictures.study import Study
from mercer.runtime.pictures.style import dots, figure, style
from mercer.runtime.pictures.unknowns import draw_caterpillar, draw_forest
from mercer.runtime.posterior.pit import foretold_ranks
from tests.mercer import seen
from tests.mercer.seen import OF_CURVES, OF_EVERYTHING


@pytest.fixture(scope="module")
def every() -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures(seen.everything())}


@pytest.fixture(scope="module")
def curves() -> dict[str, Picture]:
    return {picture.name: picture for picture in pictures(seen.curves())}


def test_everything_in_a_fit_has_a_picture(
    every: dict[str, Picture], curves: dict[str, Picture]
) -> None:
    assert set(every) == OF_EVERYTHING
    assert set(curves) == OF_CURVES


@pytest.mark.parametrize("name", sorted(OF_EVERYTHING))
def test_a_picture_can_be_read(name: str, every: dict[str, Picture]) -> None:
    is_readable(every[name].figure)


@pytest.mark.parametrize("name", sorted(OF_CURVES))
def test_a_picture_of_functions_can_be_read(name: str, curves: dict[str, Picture]) -> None:
    is_readable(curves[name].figure)


def is_readable(figure: Figure) -> None:
    assert seen.meeting(figure) == []
    assert seen.outside(figure) == []
    width, height = figure.get_size_inches()
    assert 3 <= width <= 13 and 1.5 <= height <= 13
    panels = [a for a in figure.axes if a.get_label() != "<colorbar>"]
    assert any(a.get_xlabel() for a in panels)
    assert all(text.get_fontsize() >= 8 for text in seen.texts(figure))


def test_axes_are_named_with_the_units_of_the_model(
    every: dict[str, Picture], curves: dict[str, Picture]
) -> None:
    def said(picture: Picture) -> str:
        return " ".join(" ".join(t.get_text().split()) for t in seen.texts(picture.figure))

    assert "x (hours since the start)" in said(every["data y"])
    assert "y (price in $ of $10)" in said(every["data y"])
    assert "noise (a scale)" in said(every["posterior"])
    assert "t (decimal year)" in said(curves["component f"])


def test_names_of_the_data_are_no_formulas(every: dict[str, Picture]) -> None:
    words = [word for word in seen.texts(every["forest slope"].figure) if "$" in word.get_text()]
    assert [word.get_text() for word in words] == ["$a_b$"]
    assert not words[0].get_parse_math()


@pytest.mark.parametrize("count", [1, 3, 12, 31, 60, 61, 300, 3000])
def test_a_forest_has_a_sane_size_at_any_number_of_labels(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = seen.everything()
    draws = np.random.default_rng(0).normal(size=(2, 25, count)) + np.arange(count)
    study = Study(fit)
    names = np.array([f"label {i}" for i in range(count)], dtype=object)
    study.posterior = study.posterior.assign({"many": (("chain", "draw", "s_many"), draws)})
    monkeypatch.setattr(study, "labels", lambda dim, size=None: names.tolist())
    with style():
        figure = (draw_forest if count <= 60 else draw_caterpillar)(study, "many")
    is_readable(figure)


def test_an_outcome_is_drawn_over_its_inputs_by_its_space(every: dict[str, Picture]) -> None:
    panels = {name: len(every[f"data {name}"].figure.axes) for name in ("y", "k", "warm", "rough")}
    assert panels == {"y": 3, "k": 1, "warm": 4, "rough": 1}  # maps have their colour bars
    strips = every["data mark"].figure.axes[0]
    assert {"bad", "fair", "good"} <= set(strips.get_legend_handles_labels()[1])


def test_a_curve_is_the_posterior_of_the_function() -> None:
    fit = seen.curves()
    study = Study(fit)
    values = study.values("f(t)")
    assert values is not None
    (panel,) = values.rows.panels
    asked = fit.component("f", {"t": panel.points[0]})
    np.testing.assert_allclose(values.mean[panel.index], asked.means["f(t)"], atol=1e-9)
    for level in (0.025, 0.5, 0.975):
        np.testing.assert_allclose(values.quantile(level), asked.quantile("f(t)", level), atol=1e-7)


def test_ranks_of_a_gaussian_process_are_those_of_each_row_left_out() -> None:
    fit = seen.curves()
    arrays = fit.bound.arrays

    def gap(values: np.ndarray) -> np.ndarray:
        return np.subtract.outer(values, values) ** 2

    t, same = arrays["t"], np.equal.outer(arrays["place"], arrays["place"])
    covariance = np.exp(-gap(t) / 2) + 0.25 * same * np.exp(-gap(t) / 8)
    covariance += np.exp(-(gap(arrays["a"]) + gap(arrays["b"])) / 2) + 0.09 * np.eye(len(t))
    y, expected = arrays["y"], []
    for row in range(len(y)):
        rest = np.delete(np.arange(len(y)), row)
        weight = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, row])
        sd = np.sqrt(covariance[row, row] - weight @ covariance[rest, row])
        expected.append(ndtr((y[row] - weight @ y[rest]) / sd))
    np.testing.assert_allclose(foretold_ranks(fit, "y", y), expected, atol=1e-7)


def test_ranks_of_censored_rows_are_drawn_from_what_the_true_values_may_be() -> None:
    fit, y = seen.curves(), seen.curves().bound.arrays["y"]
    plain = foretold_ranks(fit, "y", y)
    above = np.arange(len(y)) % 2 == 0
    ranks = foretold_ranks(fit, "y", y, censored=(~above, above))
    assert (ranks[above] >= plain[above]).all() and (ranks[~above] <= plain[~above]).all()
    assert np.ptp(ranks - plain) > 0.1


def test_the_table_gives_one_picture_of_a_kind_for_a_subject(every: dict[str, Picture]) -> None:
    fit = seen.everything()
    study = Study(fit)
    fitting = [
        f"{kind.name} {outcome}"
        for kind in KINDS
        for outcome in study.outcomes
        if kind.of == "outcome" and kind.fits(study, outcome)
    ]
    assert len(fitting) > len(set(fitting))  # several rows would do: the first one draws
    assert set(fitting) <= set(every)


def test_figures_need_no_display_and_go_with_their_last_reference() -> None:
    figures = plot_fit(seen.curves())
    assert isinstance(figures, Figures) and plt.get_fignums() == []
    assert all(type(figure.canvas) is FigureCanvasAgg for figure in figures.values())
    kept = [weakref.ref(figure) for figure in figures.values()]
    del figures
    gc.collect()
    assert [ref() for ref in kept] == [None] * len(OF_CURVES)


def test_a_picture_that_fails_is_missing_alone_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(study: Study, name: str) -> Figure:
        raise ZeroDivisionError("of no use")

    broken = [replace(k, draw=fails) if k.name == "predictive" else k for k in KINDS]
    monkeypatch.setattr("mercer.runtime.pictures.kinds.KINDS", tuple(broken))
    with pytest.warns(PictureNotice, match="no picture `predictive y`: ZeroDivisionError: of no"):
        found = plot_fit(seen.curves())
    assert set(found) == OF_CURVES - {"predictive y"}


def test_very_many_points_are_counted_in_a_grid() -> None:
    """None is lost: the counts of the hexagons are those of the points."""
    x, y = np.random.default_rng(0).normal(size=(2, 20_000))
    y[::10] = np.nan
    axes = figure(4, 3).subplots()
    dots(axes, x, y, "o", "data")
    (grid,) = axes.collections
    assert not any(len(line.get_xdata()) for line in axes.lines)
    assert np.asarray(grid.get_array()).sum() == 18_000
    assert len(np.asarray(grid.get_array())) < 4100


def test_a_column_that_only_censors_splits_no_picture() -> None:
    text = """data a[n], b[n] : Real
data time[n] : Positive
data died[n] : Bool
rate ~ Normal(0, 1)
time ~ Censored(Weibull(exp(rate * a * b), 1), above = 1 - died)
"""
    model = mercer.compile(text)
    assert model.program().INPUTS == {"time": ("a", "b")}


def test_names_that_are_one_to_a_file_system_give_two_files(
    tmp_path: Path, curves: dict[str, Picture]
) -> None:
    figure = curves["data y"].figure
    paths = save([Picture("f(x)", "", figure), Picture("f[x]", "", figure)], tmp_path / "new")
    assert [path.name for path in paths] == ["f_x_.png", "f_x__2.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.slow
def test_what_cannot_be_asked_at_new_rows_is_drawn_at_its_data() -> None:
    text = """data x[n], y[n] : Real
b[n] ~ Flat()
y ~ StudentT(4, b * x, 1)
"""
    x = np.linspace(0, 1, 12)
    fit = mercer.compile(text).fit({"x": x, "y": x}, chains=1, warmup=5, draws=6)
    figure = fit.plot()["data y"]
    line = next(line for line in figure.axes[0].lines if line.get_label() == "mean")
    np.testing.assert_array_equal(line.get_xdata(), x)
