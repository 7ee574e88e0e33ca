"""Wrapped laws of outcomes, in programs: their densities and draws against closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy import stats

import mercer
from mercer.runtime.methods.density import arguments_of

B, S = 0.4, 1.3
"""The unknowns `b` and `s` of every case."""
X = np.array([-1.0, -0.3, 0.2, 0.9, 1.7])
LOW, HIGH = stats.norm(B * X, S).cdf(-0.5), stats.norm(B * X, S).cdf(2.0)
RATE = np.exp(B * X)
FLAG = np.array([1.0, 0.0, 1.0, 0.0, 0.0])


class Case(NamedTuple):
    """A law, values of the outcome, the log density of each row, and quantiles of its draws."""

    law: str
    y: list[float]
    log_density: np.ndarray
    quantile: Callable[[Any], Any] | None
    space: str = "Real"


def normal(y: Any) -> Any:
    return stats.norm(B * X, S).logpdf(y)


REAL = [-0.4, 1.9, 0.3, 0.0, 1.2]
TIMES = [0.4, 1.9, 0.3, 2.0, 1.2]
COUNTS = [1.0, 2.0, 1.0, 4.0, 3.0]
WEIBULL = stats.weibull_min(S, scale=RATE)
CASES = {
    "truncated on both sides": Case(
        "Truncated(Normal(b * x, s), low = -0.5, high = 2)",
        REAL,
        normal(REAL) - np.log(HIGH - LOW),
        lambda p: stats.norm(B * X, S).ppf(LOW + p * (HIGH - LOW)),
        "Interval(-0.5, 2)",
    ),
    "truncated below by data": Case(
        "Truncated(StudentT(4, b * x, s), low = x - 3)",
        REAL,
        stats.t(4, B * X, S).logpdf(REAL) - stats.t(4, B * X, S).logsf(X - 3),
        lambda p: stats.t(4, B * X, S).isf((1 - p) * stats.t(4, B * X, S).sf(X - 3)),
    ),
    "a count truncated at zero": Case(
        "Truncated(Poisson(exp(b * x)), low = 1)",
        COUNTS,
        stats.poisson(RATE).logpmf(COUNTS) - stats.poisson(RATE).logsf(0),
        lambda p: stats.poisson(RATE).ppf(
            stats.poisson(RATE).cdf(0) + p * stats.poisson(RATE).sf(0)
        ),
        "Count",
    ),
    "censored above": Case(
        "Censored(Weibull(exp(b * x), s), above = flag)",
        TIMES,
        np.where(FLAG == 1, WEIBULL.logsf(TIMES), WEIBULL.logpdf(TIMES)),
        WEIBULL.ppf,
        "Positive",
    ),
    "censored on both sides": Case(
        "Censored(Normal(b * x, s), below = x < 0, above = x > 1)",
        REAL,
        np.select(
            [X < 0, X > 1],
            [stats.norm(B * X, S).logcdf(REAL), stats.norm(B * X, S).logsf(REAL)],
            normal(REAL),
        ),
        stats.norm(B * X, S).ppf,
    ),
    "a censored count": Case(
        "Censored(Poisson(exp(b * x)), below = flag)",
        COUNTS,
        np.where(
            FLAG == 1,
            stats.poisson(RATE).logcdf(np.array(COUNTS) - 1),
            stats.poisson(RATE).logpmf(COUNTS),
        ),
        stats.poisson(RATE).ppf,
        "Count",
    ),
    "weighted": Case(
        "Weighted(Normal(b * x, s), 2 + flag)",
        REAL,
        (2 + FLAG) * normal(REAL),
        stats.norm(B * X, S).ppf,
    ),
    "pushed through exp": Case(
        "Normal(b * x, s) |> exp",
        TIMES,
        stats.lognorm(S, scale=RATE).logpdf(TIMES),
        stats.lognorm(S, scale=RATE).ppf,
        "Positive",
    ),
    "pushed through a falling function of data": Case(
        "Normal(b * x, s) |> Falling",
        REAL,
        stats.norm(3 - 2 * B * X, 2 * S).logpdf(REAL),
        stats.norm(3 - 2 * B * X, 2 * S).ppf,
    ),
    "truncated, then pushed": Case(
        "Truncated(Normal(b * x, s), low = -0.5) |> exp",
        TIMES,
        np.where(
            np.log(TIMES) < -0.5,
            -np.inf,
            normal(np.log(TIMES)) - np.log(TIMES) - np.log1p(-LOW),
        ),
        lambda p: np.exp(stats.norm(B * X, S).ppf(LOW + p * (1 - LOW))),
        "Positive",
    ),
}


def text_of(case: Case) -> str:
    return f"""data x[n], flag[n] : Real
data y[n] : {case.space}
b ~ StudentT(5, 0, 1)
s ~ HalfNormal(1)
def Falling(u) = 3 - 2 * u
y ~ {case.law}
""".replace("x[n], flag[n] : Real", "x[n] : Real\ndata flag[n] : Bool")


def arguments(case: Case, y: Any, repeat: int = 1) -> tuple[Any, dict[str, Any]]:
    model = mercer.compile(text_of(case))
    data = {"x": np.tile(X, repeat), "flag": np.tile(FLAG, repeat), "y": y}
    data = {k: v for k, v in data.items() if v is not None}
    bound = model.bind(data, require_outcomes=False)
    program = model.program()
    return program, arguments_of(program, bound).all()


@pytest.mark.parametrize("name", CASES)
def test_the_density_of_a_wrapped_outcome_is_that_of_its_closed_form(name: str) -> None:
    case = CASES[name]
    y = np.array(case.y)
    for missing in (None, 2):
        seen = np.arange(len(y)) != missing
        program, known = arguments(case, np.where(seen, y, np.nan))
        values = {"b": jnp.asarray(B), "s": jnp.asarray(S)}
        found = jax.jit(lambda v, p=program, k=known: log_density(p.model, (), k, v)[0])(values)
        prior = stats.t(5).logpdf(B) + stats.halfnorm().logpdf(S)
        expected = prior + case.log_density[seen].sum()
        assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_draws_of_a_wrapped_outcome_have_the_quantiles_of_its_closed_form(name: str) -> None:
    case, count = CASES[name], 4000
    program, known = arguments(case, None, count)
    law = program.outcomes({}, **known, b=jnp.asarray(B), s=jnp.asarray(S))["y"]
    draws = np.asarray(law.sample(jax.random.key(1))).reshape(count, len(X))
    assert case.quantile is not None
    for p in (0.1, 0.5, 0.9):
        at = case.quantile(p)
        # A share below the quantile: off by 4.5 of its standard deviations once in 150,000.
        below, up_to = np.mean(draws < at, axis=0), np.mean(draws <= at, axis=0)
        error = 4.5 * np.sqrt(p * (1 - p) / count)
        assert (below <= p + error).all() and (up_to >= p - error).all()


def test_predictions_of_a_truncated_outcome_stay_within_its_bounds() -> None:
    case = CASES["truncated on both sides"]
    data = {"x": np.tile(X, 4), "flag": np.tile(FLAG, 4), "y": np.tile(case.y, 4)}
    model = mercer.compile(text_of(case))
    fit = model.fit(data, "map", chains=1, draws=200, progress=False)
    found = fit.predict({"x": [-3.0, 0.0, 3.0], "flag": [0, 0, 0]})
    samples = found.samples["y"]
    assert samples.min() >= -0.5 and samples.max() <= 2.0
    np.testing.assert_allclose(found.means["y"], samples.mean((0, 1)), atol=0.25)
    assert np.isfinite(found.sds["y"]).all()


DEFAULTS = """data x[n] : Real
data y[n] : {space}
f ~ GP(RBF())
y ~ {law}
"""


@pytest.mark.parametrize(
    ("space", "law"),
    [
        ("Real", "Normal(f(x), 1)"),
        ("Count", "Poisson(exp(f(x)))"),
        ("Bool", "Bernoulli(logits = f(x))"),
    ],
)
def test_default_priors_relative_to_an_absent_outcome_take_its_spread_as_one(
    space: str, law: str
) -> None:
    model = mercer.compile(DEFAULTS.format(space=space, law=law))
    x = np.linspace(0.0, 10.0, 7)
    drawn = [model.simulate({"x": x}, seed=s) for s in range(12)]
    scales = np.array([float(d["f.scale"]) for d in drawn])
    lengths = np.log([float(d["f.lengthscale"]) for d in drawn]) - np.log(np.std(x))
    # The mean of 12 half-normals of scale 1, of 12 normals about log(sd(x)): 4 standard errors.
    assert abs(scales.mean() - np.sqrt(2 / np.pi)) < 4 * 0.603 / np.sqrt(12)
    assert abs(lengths.mean()) < 4 / np.sqrt(12)
    assert all(np.isfinite(d["y"]).all() for d in drawn)


def test_a_simulation_without_an_outcome_that_the_model_reduces_says_so() -> None:
    model = mercer.compile("""data x[n], y[n] : Real
level ~ Normal(mean(y), 2 * sd(y))
y ~ Normal(level + x, 1)
""")
    x = np.arange(5.0)
    with pytest.raises(mercer.MercerError, match="the values of y are not there"):
        model.simulate({"x": x})
    assert model.simulate({"x": x, "y": x})["y"].shape == (5,)
