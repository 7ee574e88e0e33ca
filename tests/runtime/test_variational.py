"""Laws of variational inference by minibatches: against closed forms, the collapsed bound, NUTS."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import mercer
from mercer.compiler import variational
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.engines.cholesky import EXACT
from mercer.runtime.engines.evidence import expected_evidence
from mercer.runtime.methods.bound import Sample, natural_target
from mercer.runtime.methods.density import Density, arguments_of
from mercer.runtime.methods.expectation import curvature, positive_part, quadrature
from mercer.runtime.methods.minibatch import Minibatches, shuffled
from mercer.runtime.methods.natural import Natural, divergence, mixed, solved, standard
from mercer.runtime.methods.stochastic import Stochastic

RNG = np.random.default_rng(8)
GAUSSIAN = """
data x[n] : Real^d
data g[n] : Label(group)
data y[n] : Real
level[group] ~ Normal(0, 1)
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 0.5), scale ~ HalfNormal(1)))
noise ~ HalfNormal(0.5)
y ~ Normal(level[g] + f(x), noise)
infer f by Inducing(count = 12)
"""
COUNTS = """
data x[n] : Real
data k[n] : Count
level ~ Normal(0, 1)
f : Real -> Real ~ GP(Matern32(lengthscale = 1, scale = 1))
k ~ Poisson(exp(level + f(x)))
"""
PASSED = """
data x[n] : Real
data k[n] : Bool
level ~ Normal(0, 1)
f : Real -> Real ~ GP(Matern32(lengthscale = 1, scale = 1))
k ~ Bernoulli(logits = level + f(x))
"""
CLASSES = """
data x[n] : Real
data c[n] : Label(kind)
f : Real -> Real^kind ~ GP(RBF(lengthscale = 1, scale = 2))
c ~ Categorical(logits = f(x))
infer f by Inducing(count = 24)
"""
SPREADS = """
data x[n], y[n] : Real
f ~ GP(RBF(lengthscale = 1, scale = 1))
g ~ GP(RBF(lengthscale = 2, scale = 1))
y ~ Normal(f(x), exp(g(x) - 1))
infer f by Inducing(count = 15)
infer g by Inducing(count = 10)
"""


def _rows(n: int = 60) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    x, g = rng.uniform(0, 3, (n, 2)), rng.integers(0, 3, n)
    y = np.sin(2 * x[:, 0]) + 0.5 * g + 0.2 * rng.normal(size=n)
    y[5] = np.nan
    return {"x": x, "g": np.array(["a", "b", "c"])[g], "y": y}


@lru_cache
def _stochastic(batch: int) -> Stochastic:
    """The Gaussian model by minibatches, with inducing points."""
    model = mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = {batch})")
    bound = model.bind(_rows())
    plan = model.plan(bound.sizes)
    assert plan.lane == "variational"
    return Stochastic(model.program(plan), bound, seed=1, batch=batch, rate=0.02)


def _at_points(state: Any) -> Any:
    """A state whose unknowns are as good as known."""
    free = state.free
    return state._replace(free=free._replace(log_sd=jnp.full(free.centre.shape, -40.0)))


def _sample(fit: Stochastic, state: Any, rows: np.ndarray) -> Sample:
    arrays = {**fit.batches.arguments(rows).arrays, **state.points}
    arrays = {k: jnp.asarray(v) for k, v in arrays.items()}
    return Sample(arrays, fit.widths, jnp.ones(len(rows)), jnp.zeros(len(state.free.centre)))


def test_all_rows_and_a_step_of_length_one_give_the_collapsed_bound():
    fit = _stochastic(60)
    state = _at_points(fit.begin())
    q, _ = fit.over_rows(state)
    _, bound = fit.over_rows(state._replace(q=q, law=solved(q)))
    model = mercer.compile(GAUSSIAN)
    data = model.bind(_rows())
    program = model.program(model.plan(data.sizes))
    arguments = arguments_of(program, data)
    arrays = {**arguments.arrays, **state.points}
    density = Density(program, type(arguments)(arrays, arguments.static))
    collapsed = -float(density.value_and_grad(state.free.centre)[0])
    assert bound - float(state.free.entropy) == pytest.approx(collapsed, rel=1e-9)
    once_more, _ = fit.over_rows(state._replace(q=q, law=solved(q)))
    np.testing.assert_allclose(once_more.precision, q.precision, rtol=1e-9)


def test_the_bound_is_largest_at_that_law():
    fit = _stochastic(60)
    state = _at_points(fit.begin())
    q, _ = fit.over_rows(state)
    best = fit.over_rows(state._replace(law=solved(q)))[1]
    for length in (0.5, 0.9):
        near = mixed(standard(fit.functions.size), q, length)
        assert fit.over_rows(state._replace(law=solved(near)))[1] < best


def test_the_gradient_of_minibatches_is_unbiased():
    """Over all batches of one pass the gradients average to that of all rows, term by term."""
    small, whole = _stochastic(20), _stochastic(60)
    state = whole.begin()
    q, _ = whole.over_rows(state)
    law, key = solved(q), jax.random.key(0)

    def slopes(fit: Stochastic, rows: np.ndarray) -> tuple[Any, Natural]:
        sample = _sample(fit, state, rows)
        slopes = jax.jit(fit.functions.slopes)
        _, looks, slope, *others = slopes(state.free, law, sample, key)
        scale = fit.functions.scale
        probes, apart = jax.tree.map(lambda leaf: leaf / scale, others)
        return slope, natural_target(looks, probes, sample.weights, scale, law, apart)

    small.begin()
    order = shuffled(60, 0, 60, 3).reshape(3, 20)
    parts = [slopes(small, rows) for rows in order]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 3, *parts)
    expected = slopes(whole, np.arange(60))
    for a, b in zip(jax.tree.leaves(mean), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)


def test_a_pass_takes_every_row_once_and_is_in_no_order():
    for count in (1, 2, 7, 100, 1000):
        first, second = shuffled(count, 0, 2 * count, 5).reshape(2, count)
        np.testing.assert_array_equal(np.sort(first), np.arange(count))
        np.testing.assert_array_equal(np.sort(second), np.arange(count))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(shuffled(1000, 990, 1010, 5)[:10], first[990:])
    assert abs(stats.spearmanr(first, np.arange(1000)).statistic) < 0.1
    assert not np.array_equal(shuffled(1000, 0, 1000, 6), first)


def test_minibatches_read_only_their_rows_of_a_memory_map(tmp_path):
    data = _rows()
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", data[name])
    mapped = {n: np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in ("x", "y")}
    fit = _stochastic(20)
    bound = type(fit.batches.bound)(
        **{**vars(fit.batches.bound), "arrays": {**fit.batches.bound.arrays, **mapped}}
    )
    rows = np.array([3, 50, 5])
    found = Minibatches(fit.program, bound, fit.batches.summaries).arguments(rows).arrays
    np.testing.assert_array_equal(found["x"], data["x"][rows])
    assert np.isnan(found["y"][2]) and found["y"].shape == (3,)


# --- unknowns of very many entries --------------------------------------------------------------


TILTS = """
data x[n], z[n] : Real
data g[n] : Label(group)
data y[n] : Real
tilt[group] ~ Normal(0, 0.8)
f : Real -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(tilt[g] * z + f(x), 0.4)
infer f by Inducing(count = 8)
"""


COUNTED = TILTS.replace("y[n] : Real", "k[n] : Count").replace(
    "y ~ Normal(tilt[g] * z + f(x), 0.4)", "k ~ Poisson(exp(tilt[g] * z + f(x)))"
)


def _tilts() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    x, z, g = rng.uniform(0, 4, 60), rng.normal(size=60), rng.integers(0, 6, 60)
    eta = np.sin(2 * x) + np.linspace(-1, 1, 6)[g] * z
    y, k = eta + 0.4 * rng.normal(size=60), rng.poisson(np.exp(eta))
    return {"x": x, "z": z, "g": np.array([*"abcdef"])[g], "y": y, "k": k.astype(float)}


def _labelled(monkeypatch: pytest.MonkeyPatch, joint: int) -> Any:
    """A model of six slopes, all rows at once; more than `joint` slopes stand apart."""
    monkeypatch.setattr(variational, "JOINT", joint)
    model = mercer.compile(f"{TILTS}\ninfer SVI(batch = 60)")
    bound = model.bind(_tilts())
    plan = model.plan(bound.sizes)
    return plan, Stochastic(model.program(plan), bound, seed=1, batch=60, rate=0.02)


def test_tilts_that_stand_apart_have_their_means_and_the_precisions_of_each_alone(monkeypatch):
    """Of a Normal law the nearest independent ones have the means, and the precisions of the
    conditionals (Bishop 2006, eq. 10.12)."""
    plan, fit = _labelled(monkeypatch, 1000)
    assert plan.batches.apart == ()
    q = fit.over_rows(fit.begin())[0]
    exact = solved(q)
    plan, fit = _labelled(monkeypatch, 5)
    assert plan.batches.apart == ("tilt",) and "mean field" in " ".join(plan.sentences)
    state = fit.begin()
    for _ in range(100):
        state = fit._settled(state)
    mean, variance = state.law.apart["tilt"]
    np.testing.assert_allclose(mean, exact.mean[-6:], rtol=1e-5)
    np.testing.assert_allclose(1 / variance, np.diag(q.precision)[-6:], rtol=1e-9)
    np.testing.assert_allclose(state.law.mean, exact.mean[:-6], rtol=1e-4, atol=1e-5)
    # Its bound is the lower one.
    best = fit.over_rows(state)[1]
    _, joint = _labelled(monkeypatch, 1000)
    assert best < joint.over_rows(joint.begin()._replace(q=q, law=exact))[1]
    for part in (0.9, 1.1):
        law = state.law._replace(apart={"tilt": (part * mean, variance)})
        assert fit.over_rows(state._replace(law=law))[1] < best


@pytest.mark.slow
def test_tilts_that_stand_apart_are_found_by_minibatches_and_saved(monkeypatch, tmp_path):
    monkeypatch.setattr(variational, "JOINT", 5)
    data = _tilts()
    fits = [
        mercer.compile(f"{text}\ninfer SVI(batch = {batch})").fit(data, seed=1)
        for text, batch in ((TILTS, 60), (TILTS, 15), (COUNTED, 15))
    ]
    new = {"x": [1.0] * 3, "z": [1.0] * 3, "g": ["a", "f", "new"]}
    whole, parts, counts = (fit.predict(new) for fit in fits)
    np.testing.assert_allclose(parts.means["y"], whole.means["y"], atol=0.05)
    np.testing.assert_allclose(parts.sds["y"], whole.sds["y"], rtol=0.05)
    # A slope that was never seen has its prior.
    assert whole.sds["y"][2] ** 2 - whole.sds["y"][0] ** 2 == pytest.approx(0.64, abs=0.1)
    assert counts.means["k"][1] > counts.means["k"][0]
    table = fits[1].predict(new).table()
    assert mercer.open(fits[1].save(tmp_path / "fit.nc")).predict(new).table().equals(table)


# --- expectations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "log_density",
    [
        lambda eta: 3 * eta - jnp.exp(eta),
        lambda eta: -jnp.log1p(jnp.exp(-eta)),
        lambda eta: -3.0 * jnp.log1p((eta - 0.4) ** 2 / 4),
    ],
)
def test_quadrature_is_the_integral(log_density):
    mean, variance = jnp.array([-0.5, 1.0]), jnp.array([0.3, 1.1])
    found = quadrature(log_density, mean, variance)
    for k in range(2):
        law = stats.norm(float(mean[k]), float(variance[k]) ** 0.5)
        expected = integrate.quad(lambda t, law=law: float(log_density(t)) * law.pdf(t), -12, 12)[0]
        assert float(found[k]) == pytest.approx(expected, rel=1e-4)


def _expected(parts, mean, covariance):
    """The expected log density of rows of two functions and two weights, less constants."""
    (x, z, lengthscale), design, residual = parts
    k = jnp.exp(-0.5 * ((x[:, None] - z) / lengthscale) ** 2)
    gram = jnp.exp(-0.5 * ((z[:, None] - z) / lengthscale) ** 2) + 0.1 * jnp.eye(len(z))
    grams, crosses = (gram, 2.0 * gram), (k, 3.0 * k)
    return expected_evidence(grams, crosses, design, residual, mean, covariance, EXACT)


def test_the_expected_evidence_is_its_formula_and_its_gradient_that_of_differences():
    x, z = RNG.normal(size=9), np.linspace(-1, 1, 3)
    design, residual = RNG.normal(size=(9, 2)), RNG.normal(size=9)
    parts = jax.tree.map(jnp.asarray, ((x, z, 0.8), design, residual))
    root = RNG.normal(size=(8, 8)) / 3
    mean, covariance = RNG.normal(size=8), root @ root.T
    value, moments = _expected(parts, mean, covariance)
    k = np.exp(-0.5 * ((x[:, None] - z) / 0.8) ** 2)
    gram = np.exp(-0.5 * ((z[:, None] - z) / 0.8) ** 2) + 0.1 * np.eye(3)
    pairs = ((gram, k), (2 * gram, 3 * k))
    whitened = [cross @ np.linalg.inv(np.linalg.cholesky(g)).T for g, cross in pairs]
    a = np.concatenate([*whitened, design], axis=1)
    error = residual - a @ mean
    rest = np.sum((a @ covariance) * a) - sum(np.sum(w**2) for w in whitened)
    assert float(value) == pytest.approx(-0.5 * (error @ error + rest), rel=1e-10)
    np.testing.assert_allclose(moments.inner, a.T @ a, rtol=1e-10)
    np.testing.assert_allclose(moments.shift, a.T @ residual, rtol=1e-10)

    @jax.jit
    def at(parts, mean, covariance):
        return _expected(parts, mean, covariance)[0]

    start = (parts, jnp.asarray(mean), jnp.asarray(covariance))
    slope = jax.jit(jax.grad(at, argnums=(0, 1, 2)))(*start)
    for number in range(3):
        rng = np.random.default_rng(number)
        direction = jax.tree.map(lambda leaf, r=rng: jnp.asarray(r.normal(size=leaf.shape)), start)
        found = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, slope, direction)))
        ends = [
            at(*jax.tree.map(lambda leaf, by, s=s: leaf + s * 1e-5 * by, start, direction))
            for s in (1, -1)
        ]
        assert float(found) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_the_curvature_of_rows_is_the_hessian_of_each():
    eta = RNG.normal(size=(4, 3))
    label = np.array([0, 2, 1, 1])

    def log_density(at):
        return jax.nn.log_softmax(at["f"])[jnp.arange(4), label]

    found = curvature(log_density, {"f": jnp.asarray(eta)}, {"f": 0})
    p = np.exp(eta) / np.exp(eta).sum(1, keepdims=True)
    expected = np.einsum("bk,kl->bkl", p, np.eye(3)) - np.einsum("bk,bl->bkl", p, p)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(positive_part(found), expected, atol=1e-12)
    assert np.linalg.eigvalsh(positive_part(-found)).min() > -1e-12


def test_the_divergence_of_a_law_from_the_prior_is_that_of_normal_laws():
    root = np.tril(RNG.normal(size=(4, 4))) + 3 * np.eye(4)
    precision, mean = root @ root.T, RNG.normal(size=4)
    q = Natural(jnp.asarray(precision @ mean), jnp.asarray(precision), {})
    covariance = np.linalg.inv(precision)
    expected = 0.5 * (np.trace(covariance) + mean @ mean - 4 - np.linalg.slogdet(covariance)[1])
    assert float(divergence(solved(q))) == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(solved(q).mean, mean, rtol=1e-10)


# --- fits ---------------------------------------------------------------------------------------


def test_a_fit_by_minibatches_is_that_of_the_collapsed_bound():
    collapsed = mercer.compile(GAUSSIAN).fit(_rows(), infer="map", draws=20)
    found = mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = 30)").fit(_rows(), seed=2)
    new = {"x": RNG.uniform(0.2, 2.8, (12, 2)), "g": ["a", "b", "c", "a"] * 3}
    a, b = collapsed.predict(new), found.predict(new)
    assert np.max(np.abs(b.means["y"] - a.means["y"]) / a.sds["y"]) < 0.5
    np.testing.assert_allclose(b.sds["y"], a.sds["y"], rtol=0.25)
    level = found.idata["posterior"]["level"]
    assert level.dims == ("chain", "draw", "group") and float(level.std("draw").min()) > 0
    assert "bound" in found.idata["sample_stats"]


def test_the_same_seed_gives_the_same_law():
    first, second = (
        mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = 30, steps = 30)").fit(_rows(), seed=s)
        for s in (3, 3)
    )
    np.testing.assert_array_equal(first.learned["posterior_mean"], second.learned["posterior_mean"])


def test_a_saved_fit_knows_its_law_and_a_new_group_has_its_prior(tmp_path):
    fit = mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = 30, steps = 200)").fit(_rows(), seed=2)
    new = {"x": [[1.0, 1.0]] * 2, "g": ["a", "new"]}
    table = fit.predict(new).table()
    assert mercer.open(fit.save(tmp_path / "fit.nc")).predict(new).table().equals(table)
    # A level of a group that was never seen is Normal(0, 1), in addition to what f leaves.
    assert table["y.sd"][1] ** 2 == pytest.approx(1.0 + table["y.sd"][0] ** 2, abs=0.25)


def test_predictions_in_blocks_are_those_at_once(monkeypatch):
    from mercer.runtime.posterior import groups, manyrows

    fit = mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = 30, steps = 200)").fit(_rows(), seed=2)
    whole = fit.predict()
    monkeypatch.setattr(groups, "KEPT_BYTES", 1e4)
    monkeypatch.setattr(manyrows, "_LEAST", 25)
    parts = fit.predict()
    np.testing.assert_allclose(parts.means["y"], whole.means["y"], rtol=1e-9)
    np.testing.assert_allclose(parts.sds["y"], whole.sds["y"], rtol=1e-9)
    np.testing.assert_allclose(parts.quantile("y", 0.9), whole.quantile("y", 0.9), rtol=1e-6)
    with pytest.raises(MercerError, match="M515"):
        _ = parts.draws


@pytest.mark.slow
@pytest.mark.parametrize("room", [1e9, 1e4])
def test_a_fit_has_its_pictures_whether_it_keeps_values_at_its_rows_or_not(monkeypatch, room):
    from mercer.runtime.pictures import pictures
    from mercer.runtime.posterior import groups, manyrows
    from mercer.runtime.posterior.drawn import drawn

    monkeypatch.setattr(groups, "KEPT_BYTES", room)
    monkeypatch.setattr(manyrows, "_LEAST", 25)
    fit = mercer.compile(f"{GAUSSIAN}\ninfer SVI(batch = 30, steps = 300)").fit(_rows(), seed=2)
    assert fit.keeps_rows == ("f(x)" in fit.idata["posterior"]) == (room > 1e5)
    assert fit.outcomes() == {"y"} and fit.shape_of("y") == (60,)
    cells = np.array([40, 3, 59])
    values, density = drawn(fit, "y", cells)
    mean, sd = (fit.predict().means["y"][cells], fit.predict().sds["y"][cells])
    np.testing.assert_allclose(values.mean(0), mean, atol=0.4 * np.max(sd))
    assert density is not None and density.shape == values.shape
    names = {picture.name for picture in pictures(fit)}
    assert {"component f", "calibration y", "predictive y", "posterior"} <= names


def _observed(is_count: bool, n: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(6)
    x = np.sort(rng.uniform(0, 6, n))
    if is_count:
        return {"x": x, "k": rng.poisson(np.exp(0.8 + np.sin(x))).astype(float)}
    return {"x": x, "k": (rng.uniform(size=n) < 1 / (1 + np.exp(-3 * np.sin(x)))).astype(float)}


@pytest.mark.slow
@pytest.mark.parametrize("text", [COUNTS, PASSED])
def test_values_have_the_posterior_of_nuts(text):
    """Known hyperparameters: what is compared is the law of the function's values alone."""
    data = _observed(text is COUNTS)
    nuts = mercer.compile(text).fit(data, infer="nuts", chains=4, warmup=300, draws=500)
    found = mercer.compile(f"{text}\ninfer f by Inducing(count = 40)").fit(data, seed=1)
    # The values themselves: of `level + f(x)`, which the data say more of than of its parts.
    a, b = (
        fit.idata["posterior"]["f(x)"] + fit.idata["posterior"]["level"] for fit in (nuts, found)
    )
    mean, sd = a.mean(("chain", "draw")).values, a.std(("chain", "draw")).values
    many = found.idata["posterior"].sizes
    error = sd / np.sqrt(many["chain"] * many["draw"])
    assert np.max(np.abs(b.mean(("chain", "draw")).values - mean) / (0.2 * sd + 4 * error)) < 1
    # The nearest Normal law is a little narrower than a posterior that is not Normal.
    width = b.std(("chain", "draw")).values / sd
    assert 0.75 < np.mean(width) < 1.1


@pytest.mark.slow
def test_classes_are_told_apart():
    rng = np.random.default_rng(1)
    x = rng.uniform(-3, 3, 300)
    scores = np.stack([2 * np.sin(x), x, np.zeros(300)], axis=1)
    c = np.array([rng.choice(3, p=np.exp(s) / np.exp(s).sum()) for s in scores])
    fit = mercer.compile(CLASSES).fit({"x": x, "c": np.array(["u", "v", "w"])[c]}, seed=1)
    grid = np.linspace(-2.5, 2.5, 11)
    found = fit.predict({"x": grid}).probabilities["c"]
    truth = np.stack([2 * np.sin(grid), grid, np.zeros(11)], axis=1)
    truth = np.exp(truth) / np.exp(truth).sum(1, keepdims=True)
    assert np.max(np.abs(found - truth)) < 0.2


@pytest.mark.slow
def test_a_noise_that_varies_is_found():
    rng = np.random.default_rng(3)
    x = rng.uniform(-3, 3, 600)
    sd = np.exp(0.8 * np.sin(x) - 1)
    fit = mercer.compile(SPREADS).fit({"x": x, "y": np.sin(x) + sd * rng.normal(size=600)}, seed=1)
    at = {"x": np.linspace(-2.5, 2.5, 9)}
    found = fit.component("g", at).means["g(x)"]
    np.testing.assert_allclose(found, 0.8 * np.sin(at["x"]), atol=0.35)
