"""Calibration by simulation (Talts et al. 2018): the truth has a uniform rank among the draws.

Unknowns and data are drawn together from the model's own prior, the model is fitted to the data,
and the truth is ranked among thinned draws. If simulation, plan, program and sampler all mean the
same joint law, every rank is equally likely; a wrong density, Jacobian, conditional draw or
adaptation bends the histogram. Each quantity is tested by chi-square at a false alarm rate of 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

import mercer

pytestmark = pytest.mark.slow

SIMULATIONS = 200
KEPT, THIN = 19, 20
"""Draws that are ranked, and how far apart: NUTS forgets in fewer, so they count as independent."""
BINS = 10
"""Of two ranks each: 20 simulations expected in a bin, enough for the law of chi-square."""
FALSE_ALARM = 1e-4

ROWS = 24
X = np.linspace(-3.0, 3.0, ROWS)
LEFT_OUT = 9

EXACT = """data x[n], y[n] : Real
lengthscale ~ LogNormal(0, 0.5)
scale ~ HalfNormal(1)
noise ~ HalfNormal(0.5)
f ~ GP(RBF(lengthscale = lengthscale, scale = scale))
y ~ Normal(f(x), noise)
"""
LATENT = """data x[n] : Real
data y[n] : Count
level ~ Normal(0, 0.5)
lengthscale ~ LogNormal(0, 0.5)
scale ~ HalfNormal(1)
f ~ GP(Matern52(lengthscale = lengthscale, scale = scale))
y ~ Poisson(exp(level + f(x)))
"""

Truths = dict[str, np.ndarray]
"""By quantity: [simulation]."""
Draws = dict[str, np.ndarray]
"""By quantity: [simulation, kept draw]."""
Watched = dict[str, tuple[str, str, int | None]]
"""Group, variable and row of each quantity; a variable of one number has no row."""

OUTCOME = f"y[{LEFT_OUT}], left out"
VALUES = ("f(x)[0]", "f(x)[12]")


@pytest.fixture(scope="module")
def exact() -> tuple[Truths, Draws]:
    """The exact lane; one outcome is missing, so that its prediction is ranked too."""
    watched: Watched = {k: ("posterior", k, None) for k in ("lengthscale", "scale", "noise")}
    watched[VALUES[1]] = ("posterior", "f(x)", 12)
    watched[OUTCOME] = ("posterior_predictive", "y", LEFT_OUT)

    def hidden(y: np.ndarray) -> np.ndarray:
        return np.where(np.arange(ROWS) == LEFT_OUT, np.nan, y)

    return simulated(EXACT, watched, hidden)


@pytest.fixture(scope="module")
def latent() -> tuple[Truths, Draws]:
    """The latent lane: the values of the function are sampled, whitened."""
    watched: Watched = {k: ("posterior", k, None) for k in ("level", "lengthscale", "scale")}
    watched |= {VALUES[0]: ("posterior", "f(x)", 0), VALUES[1]: ("posterior", "f(x)", 12)}
    return simulated(LATENT, watched, lambda y: y)


@pytest.mark.parametrize("quantity", ["lengthscale", "scale", "noise", VALUES[1], OUTCOME])
def test_exact_inference_is_calibrated(exact: tuple[Truths, Draws], quantity: str) -> None:
    truths, draws = exact
    assert_uniform(ranks(truths[quantity], draws[quantity]))


@pytest.mark.parametrize("quantity", ["level", "lengthscale", "scale", *VALUES])
def test_latent_inference_is_calibrated(latent: tuple[Truths, Draws], quantity: str) -> None:
    truths, draws = latent
    assert_uniform(ranks(truths[quantity], draws[quantity]))


def test_another_noise_than_the_noted_one_is_found_out(exact: tuple[Truths, Draws]) -> None:
    """As if the simulator wrote noise down 1.1 times as large as that of its data."""
    truths, draws = exact
    assert chance(ranks(1.1 * truths["noise"], draws["noise"])) < FALSE_ALARM


def test_too_narrow_a_posterior_is_found_out(latent: tuple[Truths, Draws]) -> None:
    truths, draws = latent
    centre = draws["f(x)[12]"].mean(-1, keepdims=True)
    narrow = centre + 0.5 * (draws["f(x)[12]"] - centre)
    assert chance(ranks(truths["f(x)[12]"], narrow)) < FALSE_ALARM


def test_a_biased_posterior_is_found_out(latent: tuple[Truths, Draws]) -> None:
    truths, draws = latent
    shifted = draws["level"] + draws["level"].std(-1, keepdims=True)
    assert chance(ranks(truths["level"], shifted)) < FALSE_ALARM


def simulated(
    text: str, watched: Watched, hide: Callable[[np.ndarray], np.ndarray]
) -> tuple[Truths, Draws]:
    """Truth and kept draws of every watched quantity, over all simulations."""
    model = mercer.compile(text)
    truths: dict[str, list[float]] = {name: [] for name in watched}
    draws: dict[str, list[np.ndarray]] = {name: [] for name in watched}
    for number in range(1, SIMULATIONS + 1):
        truth = model.simulate({"x": X}, seed=number)
        fit = model.fit(
            {"x": X, "y": hide(truth["y"].values)},
            "nuts",
            seed=number,
            chains=1,
            warmup=200,
            draws=KEPT * THIN,
            progress=False,
        )
        for name, (group, variable, row) in watched.items():
            at = () if row is None else (row,)
            truths[name].append(float(truth[variable].values[at]))
            draws[name].append(fit.idata[group][variable].values[(0, slice(None), *at)][::THIN])
    return (
        {name: np.array(values) for name, values in truths.items()},
        {name: np.array(values) for name, values in draws.items()},
    )


def ranks(truth: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """How many of the kept draws lie below the truth: 0 to KEPT, [simulation]."""
    return np.sum(draws < truth[:, None], axis=-1)


def chance(ranks: np.ndarray) -> float:
    """The chance of a histogram at least so uneven, were the ranks uniform (chi-square)."""
    counts = np.bincount(ranks * BINS // (KEPT + 1), minlength=BINS)
    return float(stats.chisquare(counts).pvalue)


def assert_uniform(ranks: np.ndarray) -> None:
    counts = np.bincount(ranks, minlength=KEPT + 1)
    assert chance(ranks) > FALSE_ALARM, f"simulations at each rank: {counts.tolist()}"
