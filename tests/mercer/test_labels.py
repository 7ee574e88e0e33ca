"""Labels through the whole road: written in a model, several at once, and new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mercer

STATES = ["Ohio", "Texas", "Utah"]
EFFECTS = """data y[n] : Real
data state[n] : Label(s)
b[s] ~ Normal(0, 3)
more = b["Texas"] - b["Ohio"]
y ~ Normal(b[state] + b["{label}"], 0.01)
"""


def effects(label: str = "Texas") -> dict[str, Any]:
    truth = np.array([1.0, -2.0, 0.5])
    codes = np.arange(30) % 3
    return {"state": [STATES[c] for c in codes], "y": truth[codes] - 2.0}


def fitted(text: str, data: Any) -> Any:
    return mercer.compile(text).fit(data, "map", chains=1, draws=40, progress=False)


def test_a_written_label_is_the_entry_of_that_label_of_the_data() -> None:
    fit = fitted(EFFECTS.format(label="Texas"), effects())
    means = fit.idata["posterior"]["b"].mean(("chain", "draw"))
    assert float(means.sel(s="Texas")) == pytest.approx(-2.0, abs=0.02)
    more = fit.idata["posterior"]["more"]
    b = fit.idata["posterior"]["b"]
    difference = b.sel(s="Texas") - b.sel(s="Ohio")
    np.testing.assert_allclose(more, difference, rtol=1e-12)
    told = fit.predict({"state": ["Utah"]}).means["y"]
    assert told == pytest.approx([-1.5], abs=0.02)


def test_a_written_label_that_the_data_do_not_have_is_told_with_the_nearest() -> None:
    with pytest.raises(mercer.MercerError) as caught:
        fitted(EFFECTS.format(label="Texs"), effects())
    (found,) = caught.value.diagnostics
    assert found.code == "M409" and found.span is not None and found.span.line == 5
    assert found.problem == "there is no label Texs in s"
    assert found.mend == "did you mean Texas?"


def test_the_jaxpr_of_a_model_with_a_written_label_needs_no_data() -> None:
    assert "lambda" in mercer.compile(EFFECTS.format(label="Texas")).show("jaxpr")


CURVES = """data t[n], w[n], y[n] : Real
data g[n] : Label(s)
data h[n] : Label(m)
f[s, m] : Real -> Real ~ GP(RBF(lengthscale[s] ~ LogNormal(0, 0.3), scale = 1))
slope ~ Normal(0, 1)
y ~ Normal(f[g, h](t) + 0 * slope * w, 0.1)
"""


def test_a_function_of_two_indices_keeps_its_copies_at_new_labels_of_either() -> None:
    rng = np.random.default_rng(0)
    g, h, t = rng.integers(0, 3, 60), rng.integers(0, 2, 60), rng.uniform(0, 3, 60)
    level = np.array([[0.3, -0.6], [0.9, 1.2], [-1.2, 1.5]])
    data = {
        "t": t,
        "w": t,
        "y": level[g, h],
        "g": np.array(list("abc"))[g],
        "h": np.array(list("xy"))[h],
    }
    fit = fitted(CURVES, data)
    new = {"t": [1.0] * 6, "w": [1.0] * 6, "g": list("abcabd"), "h": list("xyyzwx")}
    found = fit.predict(new)
    np.testing.assert_allclose(found.means["y"][:3], [0.3, 1.2, 1.5], atol=0.15)
    np.testing.assert_allclose(found.means["y"][3:], 0.0, atol=1e-12)
    np.testing.assert_allclose(found.sds["y"][3:], np.hypot(1.0, 0.1), rtol=1e-9)
    new.pop("w")
    shown = fit.component("f", new)
    np.testing.assert_allclose(shown.means["f[g, h](t)"], found.means["y"], rtol=1e-9)


TABLE = """data t[m] : Real
data y[s, m] : Real
f[s] : Real -> Real ~ GP(RBF(lengthscale = 1, scale[s] ~ LogNormal(0, 0.3)))
y ~ Normal(f(t), 0.1)
"""
LABELLED = """data t[m] : Real
data y[s, m] : Real
f : (time: Real, one: Label(s)) -> Real ~ GP(
    RBF(lengthscale = 1, scale = 1)[time] * Coregion(weights ~ Normal(0, 0.1), kappa = 1)[one])
y ~ Normal(f(t, s), 0.1)
"""


@pytest.mark.parametrize("text", [TABLE, LABELLED])
def test_rows_with_labels_meet_their_functions_by_label(text: str) -> None:
    t = np.linspace(0, 2, 9)
    level = np.array([[0.5], [-1.0], [1.5]])
    data = {"t": t, "s": ["a", "b", "c"], "y": level + 0 * t}
    new = {"t": [1.0, 1.5], "s": ["d", "c", "a"]}
    means = fitted(text, data).predict(new).means["y"]
    np.testing.assert_allclose(means[1:], [[1.5, 1.5], [0.5, 0.5]], atol=0.1)
    np.testing.assert_allclose(means[0], 0.0, atol=0.4)


def test_a_component_needs_only_the_columns_that_it_has() -> None:
    text = """data t[n], y[n] : Real
data g[n] : Label(s)
data u[s] : Real
f ~ GP(RBF(scale = 1))
b[s] ~ Normal(u, 0.5)
y ~ Normal(f(t) + b[g], 0.1)
"""
    t = np.linspace(0, 3, 12)
    data = {"t": t, "g": list("abc") * 4, "s": list("abc"), "u": [0.0, 1.0, 2.0], "y": np.sin(t)}
    fit = fitted(text, data)
    means = fit.component("f", {"t": t[:5]}).means["f(t)"]
    np.testing.assert_allclose(means, fit.component("f").means["f(t)"][:5], rtol=1e-8)
    with pytest.raises(mercer.MercerError, match="the data have no column t"):
        fit.component("f", {"g": ["a", "b"]})
    with pytest.raises(mercer.MercerError, match="the data have no column g"):
        fit.predict({"t": [1.0]})


GRADES = """index c = ["bad", "fair", "good"]
data x[n] : Real
data grade[n] : Label(c)
b[c] ~ Normal(0, 3)
grade ~ Categorical(logits = b * x)
"""


def test_a_simulation_holds_labels_and_the_groups_of_a_fit_say_which_their_codes_mean(
    tmp_path: Path,
) -> None:
    x = np.linspace(-1.0, 2.0, 12)
    drawn = mercer.compile(GRADES).simulate({"x": x})["grade"].values
    assert len(set(drawn)) > 1 and set(drawn) <= {"bad", "fair", "good"}
    fit = fitted(GRADES, {"x": x, "grade": drawn})
    fit.save(tmp_path / "fit.nc")
    for found in (fit, mercer.open(tmp_path / "fit.nc")):
        codes = found.idata["observed_data"]["grade"]
        assert np.asarray(codes.attrs["labels"])[codes.values].tolist() == drawn.tolist()
        for values in (found.idata["posterior_predictive"], found.predict({"x": [0.5]}).draws):
            assert values["grade"].attrs["labels"] == ["bad", "fair", "good"]


ADDED = """data x[n] : Real^part
data y[n] : Real
f[part] : Real -> Real ~ GP(RBF(lengthscale[part] ~ LogNormal(0, 1), scale = 1))
y ~ Normal(sum(f(x), part), 0.1)
"""


def test_functions_of_each_coordinate_are_found_again_with_and_without_names() -> None:
    x = np.random.default_rng(0).normal(size=(20, 2))
    y = np.sin(x[:, 0]) + x[:, 1]
    model = mercer.compile(ADDED)
    names = {"lon": x[:, 0], "lat": x[:, 1], "y": y}
    settings: dict[str, Any] = {"chains": 1, "draws": 4, "progress": False}
    named = model.fit(names, "map", columns={"x": ["lon", "lat"]}, **settings)
    plain = model.fit({"x": x, "y": y}, "map", **settings)
    new = np.array([[0.0, 1.0], [1.0, 0.0]])
    wanted = np.sin(new[:, 0]) + new[:, 1]
    for fit, given in ((named, {"x": new}), (named, names), (plain, {"x": new})):
        means = fit.predict(given).means["y"]
        np.testing.assert_allclose(means, y if given is names else wanted, atol=0.3)
    with pytest.raises(mercer.MercerError, match="3 coordinates part, but the fit had 2"):
        plain.predict({"x": np.ones((2, 3))})


SHARED = """data t[n], y[n] : Real
data g[n] : Label(s)
f[s] : Real -> Real ~ GP(Matern12(lengthscale = 2, scale = 1))
trend : Real -> Real ~ GP(Matern12(lengthscale = 4, scale = 0.7))
y ~ Normal(f[g](t) + trend(t), 0.3)
infer f by {engine}()
"""


@pytest.mark.slow
def test_copies_that_share_a_trend_are_along_the_line_what_they_are_together() -> None:
    rng = np.random.default_rng(2)
    t, g = rng.uniform(0, 9, 40), np.array(list("abc"))[rng.integers(0, 3, 40)]
    y = np.sin(t) + (g == "a")
    y[3] = np.nan
    new = {"t": [1.0, 1.0, 4.2, 12.0, -1.0], "g": list("bdadc")}
    dense, markov = (
        fitted(SHARED.format(engine=engine), {"t": t, "g": g, "y": y})
        for engine in ("Exact", "Kalman")
    )
    expected, found = dense.predict(new), markov.predict(new)
    np.testing.assert_allclose(found.means["y"], expected.means["y"], atol=1e-9)
    np.testing.assert_allclose(found.sds["y"], expected.sds["y"], rtol=1e-9)
    parts = [fit.component("trend", {"t": new["t"]}) for fit in (dense, markov)]
    np.testing.assert_allclose(parts[1].means["trend(t)"], parts[0].means["trend(t)"], atol=1e-9)
