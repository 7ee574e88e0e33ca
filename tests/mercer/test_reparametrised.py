"""Unknowns drawn by way of others: the rule, the names that a posterior has, columns with gaps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import mercer

EFFECTS = """data x[n] : Real
data g[n] : Label(c)
data k[n] : Count
tau ~ HalfNormal(1)
b[c] ~ Normal(0.3, tau)
f ~ GP(RBF(lengthscale = 1, scale = 0.5))
k ~ Poisson(exp(b[g] + f(x)))
"""
GAPS = """data x[n], y[n] : Real
mu ~ Normal(0, 1)
s ~ HalfNormal(1)
x ~ Normal(mu, s)
f ~ GP(RBF(lengthscale = 1, scale = 0.1))
y ~ Normal(2 * x + f(x), 0.2)
"""
N = 12
X = np.linspace(-1.5, 1.5, N)


def ways(text: str, sizes: dict[str, int] | None = None) -> dict[str, str]:
    return {step.name: step.how for step in mercer.compile(text).plan(sizes).steps}


def test_effects_are_non_centred_where_each_has_few_rows() -> None:
    assert ways(EFFECTS)["b"] == "non-centred"
    assert ways(EFFECTS, {"n": 60, "c": 20})["b"] == "non-centred"
    assert ways(EFFECTS, {"n": 60, "c": 2})["b"] == "plain"
    assert ways(EFFECTS, {"n": 60, "c": 2})["tau"] == "plain"


def test_the_plan_says_so_and_why() -> None:
    found = mercer.compile(EFFECTS).plan({"n": 60, "c": 20}).sentences
    assert any("non-centred" in s and "fewer than 30 rows: b." in s for s in found)


def test_entries_with_a_scale_each_are_always_non_centred() -> None:
    text = """data x[n] : Real^d
data y[n] : Bool
lambda[d] ~ HalfCauchy(1)
beta[d] ~ Normal(0, lambda)
y ~ Bernoulli(logits = sum(x * beta, d))
"""
    assert ways(text, {"n": 10_000, "d": 2})["beta"] == "non-centred"


def test_what_has_a_scale_that_is_known_is_drawn_as_it_stands() -> None:
    text = EFFECTS.replace("tau ~ HalfNormal(1)\n", "").replace("tau", "0.5")
    assert ways(text)["b"] == "plain"


@lru_cache
def effects() -> mercer.Fit:
    data = {"x": X, "g": np.arange(N) % 4, "k": np.arange(N) % 3}
    return mercer.compile(EFFECTS).fit(data, "map", chains=1, draws=20, progress=False)


def test_a_posterior_has_the_names_of_the_model() -> None:
    posterior = effects().idata["posterior"]
    assert set(posterior.data_vars) == {"tau", "b", "f(x)"}
    assert posterior["b"].dims == ("chain", "draw", "c")


def test_a_new_label_is_drawn_beside_a_function_that_was_sampled() -> None:
    new = effects().predict({"x": [0.1, 0.2, 0.3], "g": [1, 7, 7]})
    assert np.isfinite(new.means["k"]).all() and np.isfinite(new.samples["k"]).all()


@lru_cache
def gaps() -> tuple[mercer.Fit, Any, Any]:
    rng = np.random.default_rng(3)
    x = 0.4 + 0.8 * rng.normal(size=N)
    y = 2 * x + 0.2 * rng.normal(size=N)
    seen = np.where(np.arange(N) < 3, np.nan, x)
    data = {"x": seen, "y": y}
    fit = mercer.compile(GAPS).fit(data, "map", chains=1, draws=200, progress=False)
    return fit, x, seen


def test_missing_entries_of_a_column_are_unknowns_that_the_outcome_informs() -> None:
    fit, x, seen = gaps()
    draws = fit.idata["posterior"]["x"].values[0]
    np.testing.assert_allclose(draws[:, 3:], np.broadcast_to(seen[3:], (200, N - 3)), atol=1e-12)
    spread = draws[:, :3].std(axis=0)
    assert (spread > 1e-3).all() and (spread < 0.5).all()
    assert (np.abs(draws[:, :3].mean(axis=0) - x[:3]) < 5 * spread).all()


def test_only_what_was_seen_of_a_column_counts_as_seen() -> None:
    density = gaps()[0].idata["log_likelihood"]["x"].values[0]
    assert np.isnan(density[:, :3]).all() and np.isfinite(density[:, 3:]).all()


def test_new_rows_may_bring_the_column_or_leave_it_out() -> None:
    fit, *_ = gaps()
    given = fit.predict({"x": [0.5, 1.0], "y": [np.nan, np.nan]})
    left_out = fit.predict({"x": [0.5, np.nan], "y": [np.nan, np.nan]})
    assert given.sds["y"][0] == pytest.approx(left_out.sds["y"][0], rel=0.3)
    assert left_out.sds["y"][1] > 3 * given.sds["y"][1]


def test_a_gap_in_a_column_of_counts_is_refused_by_name() -> None:
    text = """data k[n] : Count
data y[n] : Real
rate ~ Gamma(2, 1)
k ~ Poisson(rate)
y ~ Normal(rate * k, 1)
"""
    with pytest.raises(mercer.MercerError, match="imputing `k`"):
        data = {"k": [1, np.nan, 2], "y": [0.1, 0.2, 0.3]}
        mercer.compile(text).fit(data, "map", chains=1, draws=4, progress=False)


def test_columns_that_need_one_another_are_refused() -> None:
    text = """data x[n], z[n] : Real
x ~ Normal(z, 1)
z ~ Normal(x, s)
s ~ HalfNormal(1)
"""
    with pytest.raises(mercer.MercerError, match="in a circle"):
        mercer.compile(text).plan()


@pytest.mark.slow
def test_new_entries_follow_the_function_that_their_prior_is_about() -> None:
    """Log rates of rows scatter about a function; at a new row the function says where."""
    text = """data t[n] : Real
data k[n] : Count
h ~ GP(RBF(lengthscale = 1, scale = 2))
z[n] ~ Normal(h(t), 0.1)
k ~ Poisson(exp(z))
"""
    t = np.linspace(-2.0, 2.0, 15)
    data = {"t": t, "k": np.round(np.exp(2 + 1.5 * t))}
    fit = mercer.compile(text).fit(data, "map", chains=1, draws=60, progress=False)
    new = fit.predict({"t": [-1.5, 0.0, 1.5]})
    ratio = np.log(new.means["k"] / np.exp(2 + 1.5 * np.array([-1.5, 0.0, 1.5])))
    assert (np.abs(ratio) < 0.5).all()
