"""Where draws would be too many, their statistics are those of the draws, and a fit works on."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

import mercer
from mercer.compiler.rowwise import rowwise
from mercer.report import report_of
from mercer.runtime.engines.gaussian import Dense, Markov
from mercer.runtime.methods import checkpoint
from mercer.runtime.methods.checkpoint import begin
from mercer.runtime.posterior import groups
from mercer.runtime.posterior.batches import over_draws
from mercer.runtime.posterior.containers import group_names
from mercer.runtime.posterior.drawn import drawn
from mercer.runtime.posterior.fit import Fit
from mercer.runtime.posterior.manyrows import draws_at_once
from mercer.runtime.posterior.pit import foretold_ranks
from mercer.runtime.posterior.reduce import LogMoments, Moments, Shares
from tests.runtime.fits import fitted, regression, regression_data

LABELS = """index kind = ["a", "b", "c"]
data x[n] : Real
data y[n] : Label(kind)
b[kind] ~ Normal(0, 1)
y ~ Categorical(logits = b * x)
"""


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for the draws of a hundred numbers."""
    monkeypatch.setattr(groups, "KEPT_BYTES", 1e5)


@pytest.fixture(scope="module")
def bounded() -> Fit:
    """The fit of `regression()`, but for its draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "KEPT_BYTES", 1e5)
        return fitted("gp_regr", regression_data())


def values_of(key, draw, arrays):
    noise = jax.random.normal(key, (3,))
    return {"a": 1e6 + draw["a"] * noise, "b": -draw["a"] * noise**2, "c": (noise > 0).astype(int)}


def folded(count: int, **options):
    draws = {"a": np.linspace(0.1, 2, count)}
    reducers = {"a": Moments(), "b": LogMoments(), "c": Shares(2)}
    options = {"seed": 0, "count": count, "size": 3, **options}
    every = over_draws(values_of, draws, {}, **options)
    options["choose"] = lambda shapes: reducers
    return every, over_draws(values_of, draws, {}, **options)


@pytest.mark.parametrize("count", [1, 7, 600])
def test_statistics_are_those_of_the_draws(count: int) -> None:
    every, found = folded(count)
    np.testing.assert_allclose(found["a"]["mean"], every["a"].mean(0), rtol=1e-14)
    np.testing.assert_allclose(found["a"]["sd"], every["a"].std(0), rtol=1e-9)
    log_mean = logsumexp(every["b"], axis=0) - np.log(count)
    np.testing.assert_allclose(found["b"]["log_mean_exp"], log_mean, rtol=1e-12)
    np.testing.assert_allclose(found["b"]["sd"], every["b"].std(0), rtol=1e-9)
    shares = np.stack([(every["c"] == k).mean(0) for k in range(2)], -1)
    np.testing.assert_allclose(found["c"]["shares"], shares, rtol=1e-14)


def test_batches_of_draws_give_what_single_draws_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an accelerator, where several draws are computed at once."""
    _, single = folded(600)
    monkeypatch.setattr("mercer.runtime.posterior.batches.jax.default_backend", lambda: "gpu")
    every, found = folded(600)
    np.testing.assert_allclose(found["a"]["sd"], every["a"].std(0), rtol=1e-9)
    for name, statistics in found.items():
        for kind, value in statistics.items():
            np.testing.assert_allclose(value, single[name][kind], rtol=1e-9)


def test_the_sums_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for workers in (1, 3):
        monkeypatch.setattr("mercer.runtime.threads.workers", lambda workers=workers: workers)
        found.append(folded(600)[1])
    first, second = (jax.tree.leaves(one) for one in found)
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]


def test_the_rows_of_a_fit_have_the_statistics_of_its_draws(bounded: Fit) -> None:
    whole = regression().idata
    for group in ("posterior", "posterior_predictive", "log_likelihood"):
        found = bounded.idata[f"{group}_statistics"]
        assert list(found["statistic"].values)[:2] == ["mean", "sd"] and found.data_vars
        for name, value in found.data_vars.items():
            draws = whole[group][name]
            assert value.dims == ("statistic", *draws.dims[2:])
            expected = draws.values.reshape(-1, *draws.shape[2:])
            np.testing.assert_allclose(value.sel(statistic="mean"), expected.mean(0), rtol=1e-9)
            np.testing.assert_allclose(value.sel(statistic="sd"), expected.std(0), rtol=1e-7)
    pointwise = bounded.idata["log_likelihood_statistics"]["y"].sel(statistic="log_mean_exp")
    each = whole["log_likelihood"]["y"].values.reshape(-1, 25)
    np.testing.assert_allclose(pointwise, logsumexp(each, axis=0) - np.log(300), rtol=1e-9)
    assert np.isnan(pointwise[7]) and np.isfinite(np.delete(pointwise.values, 7)).all()


def test_what_is_small_keeps_its_draws(bounded: Fit) -> None:
    posterior_draws, whole = bounded.idata["posterior"], regression().idata["posterior"]
    numbers = [name for name, v in whole.data_vars.items() if v.ndim == 2]
    assert numbers and set(numbers) <= set(posterior_draws.data_vars)
    for name in numbers:
        np.testing.assert_array_equal(posterior_draws[name], whole[name])
    assert "f(x)" not in posterior_draws and "log_likelihood" not in bounded.idata


def test_a_fit_says_that_it_has_statistics_and_how_to_get_draws(bounded: Fit) -> None:
    (told,) = (s for s in bounded.diagnostics if "statistics" in s)
    assert "f(x), y" in told or "y, f(x)" in told
    assert "fit.predict" in told and "posterior_statistics" in told
    assert not any("statistics" in s for s in regression().diagnostics)


def test_summary_predictions_and_pictures_work_without_the_draws(bounded: Fit) -> None:
    whole = regression()
    table = bounded.summary()
    assert list(table.index) == list(whole.summary().index)
    assert table["mean"].equals(whole.summary()["mean"])
    with pytest.raises(ValueError, match=r"of f\(x\) this fit has no draws, but statistics"):
        bounded.summary(["f(x)"])
    new = {"x": [0.5, 1.5]}
    np.testing.assert_array_equal(
        bounded.predict(new).samples["y"], whole.predict(new).samples["y"]
    )
    assert bounded.plot().keys() == whole.plot().keys()


def test_a_band_of_statistics_is_close_to_that_of_the_draws(bounded: Fit) -> None:
    """A Normal of the mean and sd of a mixture of Normals of like sd has nearly its quantiles."""
    shown, whole = bounded.everything(), regression().everything()
    for level in (0.025, 0.975):
        width = whole.quantile("y", 0.975) - whole.quantile("y", 0.025)
        gap = shown.quantile("y", level) - whole.quantile("y", level)
        assert np.max(np.abs(gap / width)) < 0.1
    with pytest.raises(ValueError, match=r"fit\.predict"):
        _ = shown.draws


def test_a_saved_fit_keeps_its_statistics(little_room: None, tmp_path: Path) -> None:
    model = mercer.compile(LABELS)
    data = {"x": np.linspace(-3, 3, 200), "y": ["a", "b"] * 50 + ["b", "c"] * 50}
    fit = model.fit(data, "map", chains=2, draws=50, progress=False)
    fit.save(tmp_path / "fit.nc")
    opened = mercer.open(tmp_path / "fit.nc")
    shares = opened.idata["posterior_predictive_shares"]["y"]
    assert shares.dims == ("n", "kind") and list(shares["kind"].values) == ["a", "b", "c"]
    np.testing.assert_array_equal(shares, fit.idata["posterior_predictive_shares"]["y"])
    np.testing.assert_allclose(shares.sum("kind"), 1.0, rtol=1e-12)
    expected = fit.predict({"x": data["x"]}).probabilities["y"]
    # Shares among 100 draws against their probabilities: 5 standard errors, at most 0.05 each.
    assert np.max(np.abs(shares.values - expected)) < 0.25
    assert np.abs((shares.values - expected).mean(0)).max() < 0.02
    assert opened.diagnostics == fit.diagnostics
    assert opened.outcomes() == {"y"} and "forest b" in opened.plot()


def test_statistics_go_on_from_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    _, whole = folded(600)
    path, reported = tmp_path / "fit.partial", []

    class Ended(BaseException):
        pass

    def report(text="", share=None, *, done=None, unit=""):
        reported.append(done)
        if len(reported) % 12 == 0:
            raise Ended

    draws = {"a": np.linspace(0.1, 2, 600)}
    reducers = {"a": Moments(), "b": LogMoments(), "c": Shares(2)}
    while True:
        kept = begin(path, {}, resume=path.exists())
        try:
            found = over_draws(
                values_of, draws, {}, seed=0, count=600, size=3,
                choose=lambda shapes: reducers, report=report, checkpoint=kept,
            )  # fmt: skip
        except Ended:
            continue
        break
    assert len(reported) > 50
    first, second = (jax.tree.leaves(one) for one in (found, whole))
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]


CURVE = """data x[n] : Real
data g[n] : Label(group)
data y[n] : Real
data yes[n] : Bool
data kind[n] : Label(k)
a ~ Normal(0, 1)
b[group] ~ Normal(0, 1)
c[k] ~ Normal(0, 1)
s ~ HalfNormal(1)
mu = a + b[g] * x
y ~ Normal(mu, s)
yes ~ Bernoulli(logits = a * x)
kind ~ Categorical(logits = c * x)
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    x = random.uniform(-1, 1, 400)
    return {
        "x": x,
        "g": np.array(["p", "q"])[np.arange(400) % 2],
        "y": x + random.normal(size=400),
        "yes": random.uniform(size=400) < 0.5,
        "kind": np.array(["u", "v", "w"])[random.integers(0, 3, 400)],
    }


@pytest.fixture(scope="module")
def whole(rows: dict[str, np.ndarray]) -> Fit:
    return mercer.compile(CURVE).fit(rows, "map", chains=2, draws=40, progress=False)


@pytest.fixture(scope="module")
def few(rows: dict[str, np.ndarray]) -> Fit:
    """The same fit with statistics in place of the draws of its rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "KEPT_BYTES", 2e5)
        return mercer.compile(CURVE).fit(rows, "map", chains=2, draws=40, progress=False)


def test_a_fit_of_statistics_has_all_pictures_of_one_of_draws(few: Fit, whole: Fit) -> None:
    assert "posterior_predictive" not in group_names(few.idata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = set(whole.plot())
        page = report_of(few)
    assert page.count("<img") == len(names) and all(name in page for name in names)


def test_draws_made_again_at_some_rows_are_those_of_the_fit(few: Fit, whole: Fit) -> None:
    """Of another seed, so up to chance: means of 80 draws at 400 rows, and log densities."""
    cells = np.arange(0, 400, 3)
    again, kept = drawn(few, "y", cells), drawn(whole, "y", cells)
    assert again[0].shape == kept[0].shape and again[1] is not None and kept[1] is not None
    np.testing.assert_allclose(again[1], kept[1], rtol=1e-9)
    np.testing.assert_array_equal(
        kept[0], whole.idata["posterior_predictive"]["y"].values.reshape(80, 400)[:, cells]
    )
    error = kept[0].std() * np.sqrt(2 / kept[0].size)
    assert abs(again[0].mean() - kept[0].mean()) < 5 * error
    _, density = drawn(few, "yes", cells)
    np.testing.assert_allclose(density, drawn(whole, "yes", cells)[1], rtol=1e-9)


def test_rows_that_are_free_are_drawn_without_the_others(
    rows: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the fit took a mean over all rows: a row has the density that it had there."""
    text = CURVE.replace("mu = a + b[g] * x", "mu = a + b[g] * (x - mean(x))")
    text = text.replace("Normal(mu, s)", "StudentT(4, mu, s)")
    model, found = mercer.compile(text), []
    for room in (1e9, 2e5):
        monkeypatch.setattr(groups, "KEPT_BYTES", room)
        found.append(model.fit(rows, "map", chains=2, draws=40, progress=False))
    cells = np.array([0, 17, 18, 399])
    for outcome in ("y", "yes", "kind"):
        kept, again = (drawn(fit, outcome, cells) for fit in found)
        assert again[0].shape == (80, 4) and again[1] is not None
        np.testing.assert_allclose(again[1], kept[1], rtol=1e-9)


def test_ranks_of_some_rows_are_those_rows_of_all_ranks(few: Fit, whole: Fit) -> None:
    values = whole.bound.arrays["y"]
    cells = np.array([3, 50, 399])
    every = foretold_ranks(whole, "y", values)
    assert len(foretold_ranks(few, "y", values, cells=cells)) == 3
    exact = fitted("gp_regr", regression_data())
    seen = np.asarray(exact.bound.arrays["y"])
    of_all = foretold_ranks(exact, "y", seen)
    places = np.flatnonzero(np.isfinite(seen))
    of_some = foretold_ranks(exact, "y", seen, cells=places[[0, 5, 9]])
    np.testing.assert_allclose(of_some, of_all[[0, 5, 9]], rtol=1e-12)
    assert len(every) == 400


def test_a_prediction_in_blocks_is_that_in_one_piece(
    whole: Fit, rows: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {name: np.tile(rows[name], 4)[:1403] for name in ("x", "g")}
    new["g"][::7] = "new"
    one = whole.predict(new)
    table = one.table(quantiles=(0.1, 0.5))
    monkeypatch.setattr(groups, "KEPT_BYTES", 1e6)
    blocks = whole.predict(new)
    seen = new["g"] != "new"  # at a new label each block draws anew
    for name in ("y", "yes", "kind"):
        np.testing.assert_allclose(blocks.means[name][seen], one.means[name][seen], rtol=1e-12)
    np.testing.assert_allclose(blocks.sds["y"][seen], one.sds["y"][seen], rtol=1e-9)
    np.testing.assert_allclose(blocks.probabilities["kind"], one.probabilities["kind"], rtol=1e-12)
    for level in (0.1, 0.5, 0.975):
        found = blocks.quantile("y", level)
        np.testing.assert_allclose(found[seen], one.quantile("y", level)[seen], rtol=1e-8)
    assert list(blocks.table(quantiles=(0.1, 0.5)).columns) == list(table.columns)
    parts = [*whole.tables(new)]
    assert len(parts) == 3 and [len(p) for p in parts] == [500, 500, 403]
    joined = np.concatenate([p["y.mean"] for p in parts])
    np.testing.assert_allclose(joined[seen], one.means["y"][seen], rtol=1e-12)


def test_draws_of_too_many_rows_are_refused_with_what_to_do(
    whole: Fit, rows: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "KEPT_BYTES", 1e5)
    found = whole.predict({name: np.tile(rows[name], 4) for name in ("x", "g")})
    assert "y" not in found.samples and len(found.samples) == 0
    for asked in (lambda: found.draws, lambda: found.samples["y"]):
        with pytest.raises(mercer.MercerError, match=r"M515.*(?s:.)*fit\.thinned"):
            asked()


def test_rows_that_the_model_joins_are_not_taken_apart() -> None:
    def rowwise_of(text: str) -> set[str]:
        return set(rowwise(mercer.compile(text).typed))

    data = "data x[n], y[n] : Real\n"
    assert rowwise_of(f"{data}b ~ Normal(0, 1)\ny ~ Normal(b * (x - mean(x)), 1)\n") == {"n"}
    assert rowwise_of(f"{data}z[n] ~ Normal(0, 1)\ny ~ Normal(z, 1)\n") == {"n"}
    assert rowwise_of(f"{data}z[n] ~ Normal(0, 1)\ny ~ Normal(z - mean(z), 1)\n") == set()
    assert rowwise_of(f"{data}b ~ Normal(0, 1)\ny ~ Normal(b * y[n - 1] else 0, 1)\n") == set()
    assert rowwise_of(CURVE) == {"n"}


def test_blocks_along_a_line_go_through_the_fit_no_more_often_than_one_piece() -> None:
    bound = SimpleNamespace(sizes={"n": 1000})
    line, dense = SimpleNamespace(ENGINE=Markov), SimpleNamespace(ENGINE=Dense)
    assert draws_at_once(line, bound, ["n"], 300, 400) * 4 == 400
    assert draws_at_once(line, bound, ["n"], 10, 400) == 20
    assert draws_at_once(dense, bound, ["n"], 10, 400) == 400
