"""The Python front door: models as values, and fits that come back as they were."""

from pathlib import Path

import numpy as np
import pytest

import mercer
from mercer.runtime.posterior.fit import Fit

LINE = """data x[n], y[n] : Real
b     ~ Normal(0, 1)
sigma ~ HalfNormal(1)
y ~ Normal(b * x, sigma)
"""
X = np.linspace(-1.0, 1.0, 21)
DATA = {"x": X, "y": 0.7 * X + 0.1 * np.cos(9.0 * X)}


@pytest.fixture(scope="module")
def fit() -> Fit:
    return mercer.compile(LINE, "line.mercer").fit(
        DATA, "nuts", seed=3, chains=2, warmup=100, draws=100, progress=False
    )


def test_all_mistakes_of_a_text_come_as_one_error() -> None:
    with pytest.raises(mercer.MercerError) as caught:
        mercer.compile("data y[n] : Real\nmu ~ Nromal(0, 1)\ny ~ Normal(m, 1)\n")
    assert [d.span.line for d in caught.value.diagnostics if d.span] == [2, 3]
    assert "<model>:2:6" in str(caught.value)


def test_misuse_of_the_api_names_the_argument() -> None:
    model = mercer.compile(LINE)
    with pytest.raises(mercer.MercerError, match="there is no inference method `x`"):
        model.fit(DATA, "x")
    with pytest.raises(
        ValueError, match=r"^infer: one of auto, nuts, map, svi, messages, or METHOD"
    ):
        model.fit(DATA, "")
    with pytest.raises(ValueError, match=r"^chains: a whole number >= 1 is wanted, got 0"):
        model.fit(DATA, chains=0)
    with pytest.raises(ValueError, match=r"^text: a string is wanted, got PosixPath"):
        mercer.compile(Path("line.mercer"))  # the wrong type is meant


def test_the_source_is_what_the_program_is_made_of() -> None:
    model = mercer.compile(LINE, "line.mercer")
    program = model.program()
    assert callable(program.model) and callable(program.prepare)
    assert "# line 3" in model.source


def test_a_used_file_lies_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "parts.mercer").write_text("def Rough(l) = Matern12(lengthscale = l)\n")
    (tmp_path / "model.mercer").write_text(
        'use "parts.mercer"\ndata x[n], y[n] : Real\nf ~ GP(Rough(2))\ny ~ Normal(f(x), 1)\n'
    )
    model = mercer.load(tmp_path / "model.mercer")
    assert "Matern12" in model.source
    again = mercer.Model.from_sources(
        model.name, {s.name: s.text for s in model.typed.sources.values()}
    )
    assert again.source == model.source


def test_the_fit_recovers_a_line(fit: Fit) -> None:
    slope = fit.idata["posterior"]["b"].values
    assert slope.shape == (2, 100)
    precise = np.sum(DATA["x"] * DATA["y"]) / np.sum(DATA["x"] ** 2)
    assert abs(slope.mean() - precise) < 0.05


def test_the_same_seed_gives_the_same_draws(fit: Fit) -> None:
    again = mercer.compile(LINE, "line.mercer").fit(
        DATA, "nuts", seed=3, chains=2, warmup=100, draws=100, progress=False
    )
    for name in ("b", "sigma"):
        np.testing.assert_array_equal(again.idata["posterior"][name], fit.idata["posterior"][name])


def test_a_fit_opened_again_predicts_the_same_to_the_last_digit(
    fit: Fit,
    tmp_path: Path,
) -> None:
    fit.save(tmp_path / "line.nc")
    new = {"x": [0.25, 2.0]}
    opened = mercer.open(tmp_path / "line.nc")
    first, second = fit.predict(new).table(), opened.predict(new).table()
    assert list(first.columns) == ["y.mean", "y.sd", "y.q2.5", "y.q97.5"]
    np.testing.assert_array_equal(first.to_numpy(), second.to_numpy())


def test_a_simulation_has_the_rows_of_its_inputs_and_its_seed() -> None:
    model = mercer.compile(LINE, "line.mercer")
    first = model.simulate({"x": X}, seed=1)
    assert first["y"].shape == X.shape
    assert float(first["sigma"]) > 0 and np.isfinite(float(first["b"]))
    np.testing.assert_array_equal(first["y"], model.simulate({"x": X}, seed=1)["y"])
    assert not np.array_equal(first["y"], model.simulate({"x": X}, seed=2)["y"])


def test_a_simulated_outcome_is_made_of_the_simulated_unknowns() -> None:
    text = """data t[n], y[n] : Real
data g[n] : Label(c)
f ~ GP(RBF(lengthscale = 1, scale = 1), mean = 2)
b[c] ~ Normal(0, scale ~ HalfNormal(1))
total[n] = 3 * f(t) + b[g]
y ~ Normal(total, 1e-6)
"""
    drawn = mercer.compile(text).simulate({"t": X, "g": np.arange(21) % 3}, seed=4)
    assert set(drawn.data_vars) == {"b", "b.scale", "f(t)", "total", "y"}
    assert drawn["b"].dims == ("c",) and drawn["f(t)"].dims == ("n",)
    made = 3 * drawn["f(t)"].values + drawn["b"].values[np.arange(21) % 3]
    np.testing.assert_allclose(drawn["total"], made, rtol=1e-12)
    np.testing.assert_allclose(drawn["y"], made, atol=1e-4)


def test_a_definition_has_its_index_where_it_is_the_same_at_all_rows() -> None:
    text = """data y[n] : Bool
level ~ Normal(0, 1)
mu[n] = level
y ~ Bernoulli(logits = mu)
"""
    drawn = mercer.compile(text).simulate({"n": np.arange(5)}, seed=4)
    assert drawn["mu"].dims == ("n",)
    np.testing.assert_array_equal(drawn["mu"], np.full(5, float(drawn["level"])))


def test_an_explanation_with_data_has_the_numbers_of_default_priors() -> None:
    x, y = np.array([0.0, 1.0, 4.0, 7.0]), np.array([2.0, 9.0, np.nan, 4.0])
    model = mercer.compile("data x[n], y[n] : Real\nf ~ GP(RBF())\ny ~ Normal(f(x), 1)\n")
    lines = [line.strip() for line in model.explain({"x": x, "y": y}).splitlines()]
    assert f"f.lengthscale ~ LogNormal(log({np.std(x):.4g}), 1)" in lines
    assert f"f.scale ~ HalfNormal({np.nanstd(y):.4g})" in lines
    assert "Default priors, relative to these data:" not in model.explain()
