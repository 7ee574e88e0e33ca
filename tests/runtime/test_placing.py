"""Laws of where inducing points are: chosen greedily, learned with the unknowns, kept."""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import lapack

import mercer
from mercer.runtime.engines.greedy import greedy_choice
from mercer.runtime.engines.terms import RandomFunction
from mercer.stdlib.kernels import RBF, Linear, Matern32
from mercer.stdlib.points import Points

RNG = np.random.default_rng(5)
X = RNG.uniform(0, 4, (60, 2))
GROUPED = """
data x[n] : Real^d
data g[n] : Label(group)
data y[n] : Real
level[group] ~ Normal(0, 1)
f[group] ~ GP(RBF(lengthscale ~ LogNormal(0, 1), scale ~ HalfNormal(1)))
noise ~ HalfNormal(0.5)
y ~ Normal(level[g] + f[g](x), noise)
"""


def test_greedy_choice_takes_the_pivots_of_a_cholesky_factorisation():
    # The linear part makes no two variances equal, so that every pivot is settled.
    kernel = RBF(lengthscale=1.0, scale=jnp.array(1.5)) + Linear(scale=0.1, centre=0.0)
    chosen = greedy_choice(RandomFunction(kernel), Points((jnp.asarray(X),)), 25)
    distance = np.sum((X[:, None] - X) ** 2, -1)
    gram = 1.5**2 * np.exp(-0.5 * distance) + 0.01 * X @ X.T
    np.testing.assert_array_equal(chosen, lapack.dpstrf(gram, lower=1)[1][:25] - 1)


def test_duplicates_and_constant_columns_are_chosen_once():
    x = np.repeat(np.arange(4.0), 5)[:, None] * np.array([[1.0, 0.0]])
    points = Points((jnp.asarray(x),))
    chosen = greedy_choice(RandomFunction(Matern32(lengthscale=1.0, scale=1.0)), points, 12)
    assert sorted(x[chosen, 0]) == [0.0, 1.0, 2.0, 3.0]


def test_copies_and_outputs_are_chosen_among_too():
    x, codes = np.tile(X[:10], (2, 1)), np.repeat([0, 1], 10)
    kernel = Matern32(lengthscale=0.3, scale=1.0)
    apart = Points((jnp.asarray(x),), labels=jnp.asarray(codes))
    assert set(codes[greedy_choice(RandomFunction(kernel), apart, 12)]) == {0, 1}
    alike = RandomFunction(kernel, jnp.array([[1.0, 1.0], [1.0, 1.0]]))
    same = Points((jnp.asarray(x),), output=jnp.asarray(codes))
    assert len(greedy_choice(alike, same, 20)) == 10  # the outputs are one function


def _data(n=120):
    rng = np.random.default_rng(2)
    x, g = rng.uniform(0, 3, (n, 2)), rng.integers(0, 2, n)
    y = np.sin(2 * x[:, 0]) + (g - 0.5) * x[:, 1] + 0.1 * rng.normal(size=n)
    y[3] = np.nan
    return {"x.1": x[:, 0], "x.2": x[:, 1], "g": np.array(["a", "b"])[g], "y": y}


@lru_cache
def _fit(infer: str):
    model = mercer.compile(f"{GROUPED}\ninfer f by {infer}")
    return model.fit(_data(), infer="map", draws=25, seed=3)


def test_a_fit_through_inducing_points_is_that_of_the_exact_engine():
    exact, sparse = _fit("Exact()"), _fit("Inducing(count = 40)")
    for name in ("f.lengthscale", "f.scale", "noise"):
        a, b = exact.idata["posterior"][name], sparse.idata["posterior"][name]
        assert abs(float(a.mean() - b.mean())) < float(a.std())
    new = {k: v[:20] for k, v in _data().items() if k != "y"} | {"x.1": np.linspace(0.1, 2.9, 20)}
    a, b = exact.predict(new), sparse.predict(new)
    np.testing.assert_allclose(b.means["y"], a.means["y"], atol=0.15)
    np.testing.assert_allclose(b.sds["y"], a.sds["y"], rtol=0.15)


def test_the_bound_and_what_is_unexplained_are_told():
    fit = _fit("Inducing(count = 40)")
    stats = fit.idata["sample_stats"]
    assert np.isfinite(stats["bound"]).all() and (stats["unexplained"] < 0.1).all()
    said = [s for s in fit.diagnostics if "inducing points" in s]
    assert said and f"{float(stats['bound'].mean()):.2f}" in said[0]


def test_learned_points_lie_elsewhere_than_the_data_and_labels_stay_labels():
    learned = _fit("Inducing(count = 40)").learned
    x = np.stack([_data()["x.1"], _data()["x.2"]], axis=1)
    distance = np.abs(learned["f_inducing"][:, None] - x).max(-1).min(-1)
    assert (distance > 1e-6).mean() > 0.5
    assert set(np.asarray(learned["f_inducing_copies"])) == {0, 1}


def test_a_saved_fit_predicts_with_the_points_that_it_learned(tmp_path):
    fit = _fit("Inducing(count = 40)")
    again = mercer.open(fit.save(tmp_path / "fit.nc"))
    new = {"x.1": [0.5, 2.0, 1.0], "x.2": [1.0, 1.0, 2.0], "g": ["a", "b", "new"]}
    table = again.predict(new).table()
    assert fit.predict(new).table().equals(table)
    assert table["y.sd"][2] > 2 * table["y.sd"][0]  # nothing is known of a new group


def test_more_points_than_distinct_rows_are_not_taken():
    data = {k: np.concatenate([v[:10]] * 3) for k, v in _data().items()}
    model = mercer.compile(f"{GROUPED}\ninfer f by Inducing(count = 25)")
    fit = model.fit(data, infer="map", draws=5)
    assert len(fit.learned["f_inducing"]) == 10
    assert np.isfinite(fit.idata["posterior"]["f[g](x)"]).all()


def test_points_that_are_given_are_held_where_they_are():
    text = GROUPED.replace("data y[n]", "data z[m] : Real^d\ndata y[n]")
    model = mercer.compile(f"{text}\ninfer f by Inducing(at = z)")
    z = np.stack(np.meshgrid(np.linspace(0, 3, 4), np.linspace(0, 3, 4)), -1).reshape(-1, 2)
    rows = {k: v for k, v in _data().items() if not k.startswith("x")}
    x = np.stack([_data()["x.1"], _data()["x.2"]], axis=1)
    fit = model.fit({**rows, "x": x, "z": z}, infer="map", draws=10)
    assert not fit.learned
    assert 0 < float(fit.idata["sample_stats"]["unexplained"].mean()) < 0.5
    with pytest.raises(mercer.MercerError, match="M321"):
        mercer.compile(f"{text}\ninfer f by Inducing(at = y)").plan()
