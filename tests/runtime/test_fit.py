"""Laws of a fit: the same seed, the conditional law, predictions, and the file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.bind import Bound
from mercer.runtime.methods.map import inverse_root
from mercer.runtime.posterior.archive import open_fit
from mercer.runtime.posterior.fit import Fit
from tests.runtime import fits


def test_groups_have_the_dims_and_labels_of_the_model() -> None:
    posterior = fits.schools().idata["posterior"]
    assert posterior["theta"].dims == ("chain", "draw", "school")
    assert list(posterior["theta"].coords["school"].values) == list("ABCDEFGH")


def test_schools_have_the_moments_of_the_reference() -> None:
    fit = fits.schools()
    theta = fit.idata["posterior"]["theta"].mean(("chain", "draw")).values
    assert np.allclose(theta[:2], [6.15, 4.94], atol=1.2)
    assert np.isclose(fit.idata["posterior"]["mu"].mean(), 4.4, atol=0.8)


def test_same_seed_gives_the_same_draws() -> None:
    short = {"warmup": 20, "draws": 10, "seed": 4}
    first, second = (fits.fitted("eight_schools", fits.SCHOOLS, **short) for _ in range(2))
    for name in ("tau", "theta"):
        assert np.array_equal(first.idata["posterior"][name], second.idata["posterior"][name])


def test_missing_outcome_has_no_log_likelihood_and_is_predicted() -> None:
    fit = fits.regression()
    log_likelihood = fit.idata["log_likelihood"]["y"].values
    assert np.isnan(log_likelihood[..., 7]).all()
    assert np.isfinite(np.delete(log_likelihood, 7, axis=-1)).all()
    assert np.isfinite(fit.idata["posterior_predictive"]["y"].values).all()


def test_component_has_the_mean_of_the_drawn_values() -> None:
    fit = fits.regression()
    drawn = fit.idata["posterior"]["f(x)"]
    shown = fit.component("f")
    error = drawn.std(("chain", "draw")).values / np.sqrt(drawn.chain.size * drawn.draw.size)
    difference = shown.means["f(x)"] - drawn.mean(("chain", "draw")).values
    assert (np.abs(difference) < 5 * error).all()


def test_prediction_far_away_returns_to_the_prior() -> None:
    fit = fits.regression()
    table = fit.predict({"x": [0.0, 1e4]}).table()
    assert list(table.columns) == ["y.mean", "y.sd", "y.q2.5", "y.q97.5"]
    alpha = fit.idata["posterior"]["alpha"].values
    sigma = fit.idata["posterior"]["sigma"].values
    assert np.isclose(table["y.mean"][1], 0, atol=1e-6)
    assert np.isclose(table["y.sd"][1], np.sqrt(np.mean(alpha**2 + sigma)))


def test_new_school_is_drawn_from_its_prior() -> None:
    fit = fits.schools()
    new = fit.predict({"school": ["Z", "A"], "sigma": [1e-6, 1e-6]})
    mu, tau = (fit.idata["posterior"][name].values for name in ("mu", "tau"))
    a = fit.idata["posterior"]["theta"].sel(school="A")
    assert np.isclose(new.means["y"][1], a.mean(), atol=4 * float(a.std()) / np.sqrt(mu.size))
    assert np.isclose(new.means["y"][0], mu.mean(), atol=5 * mu.std() / np.sqrt(mu.size))
    assert np.isclose(new.sds["y"][0], np.sqrt(mu.var() + np.mean(tau**2)), rtol=0.1)


def test_counts_are_predicted_within_their_band() -> None:
    fit = fits.counts()
    table = fit.predict().table()
    k = fits.count_data()["k"]
    assert np.mean((table["k.q2.5"] <= k) & (k <= table["k.q97.5"])) > 0.8


def test_direct_model_agrees_with_least_squares() -> None:
    data = fits.child_data()
    design = np.stack([np.ones(60), data["mom_hs"], data["mom_iq"]], axis=1)
    best = np.linalg.lstsq(design, data["kid_score"], rcond=None)[0]
    posterior = fits.children().idata["posterior"]
    for name, value in zip(("b0", "b_hs", "b_iq"), best, strict=True):
        assert abs(posterior[name].mean() - value) < 0.4 * posterior[name].std()


@pytest.mark.parametrize("method", ["map", "svi"])
def test_normal_approximations_find_the_regression(method: str) -> None:
    fit = fits.fitted("gp_regr", fits.regression_data(), method=method, draws=200)
    reference = fits.regression().idata["posterior"]
    for name in ("rho", "sigma"):
        distance = fit.idata["posterior"][name].mean() - reference[name].mean()
        assert abs(distance) < reference[name].std()
    assert "not the exact one" in fit.diagnostics[0]


def test_flat_direction_of_a_hessian_is_repaired_and_counted() -> None:
    root, repaired = inverse_root(np.diag([4.0, 0.0, -1.0]))
    assert repaired == 2
    assert np.allclose(root @ root.T, np.diag([0.25, 1.0, 1.0]))


def test_saved_fit_predicts_the_same_to_the_last_digit(tmp_path: Path) -> None:
    fit = fits.regression()
    path = fit.save(tmp_path / "fit.nc")
    again = open_fit(path, compile=_compile, bind=fits.rebind("gp_regr"))
    new = {"x": np.linspace(-12, 12, 7)}
    assert fit.predict(new).table().equals(again.predict(new).table())
    assert np.array_equal(fit.idata["posterior"]["f(x)"], again.idata["posterior"]["f(x)"])


@pytest.mark.parametrize("content", [b"", b"no file of ours", None])
def test_foreign_and_truncated_files_are_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "fit.nc"
    if content is None:
        fits.regression().save(path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    with pytest.raises(MercerError, match="M507"):
        open_fit(path, compile=_compile)


def test_unknown_component_is_told_with_a_suggestion() -> None:
    with pytest.raises(MercerError, match="M506"):
        fits.regression().component("g")


def _compile(source: str, settings: Any, sizes: Any) -> tuple[Any, Any]:
    fit: Fit = fits.regression()

    def bound_of(**parts: Any) -> Bound:
        return Bound(needs=fit.bound.needs, dims=fit.bound.dims, **parts)

    return import_module("tests.runtime.programs.gp_regr"), bound_of


def test_pictures_are_written(tmp_path: Path) -> None:
    figures = fits.regression().plot(tmp_path)
    assert {"data y", "component f", "posterior", "trace", "rank"} <= set(figures)
    assert len(list(tmp_path.glob("*.png"))) == len(figures)
