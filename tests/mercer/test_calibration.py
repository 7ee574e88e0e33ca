"""Calibration by simulation (Talts et al. 2018): the truth has a uniform rank among the draws.

Unknowns and data are drawn together from the model's own prior, the model is fitted to the data,
and the truth is ranked among thinned draws. If simulation, plan, program and sampler all mean the
same joint law, every rank is equally likely; a wrong density, Jacobian, conditional draw or
adaptation bends the histogram. Each quantity is tested at a false alarm rate of 1e-4.
"""

from __future__ import annotations

import numpy as np
import pytest

import mercer
from mercer.runtime.recovery import ranks
from mercer.runtime.recovery.calibration import Calibration

pytestmark = pytest.mark.slow

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
OUTCOME = f"y[{LEFT_OUT}], missing"
VALUES = ("f(x)[0]", "f(x)[12]")


@pytest.fixture(scope="module")
def exact() -> Calibration:
    """The exact lane; one outcome is missing, so that its prediction is ranked too."""
    y = np.where(np.arange(ROWS) == LEFT_OUT, np.nan, 0.0)
    return mercer.compile(EXACT).recover({"x": X, "y": y}, seed=1, processes=2)


@pytest.fixture(scope="module")
def latent() -> Calibration:
    """The latent lane: the values of the function are sampled, whitened."""
    return mercer.compile(LATENT).recover({"x": X}, seed=1, processes=2)


@pytest.mark.parametrize("quantity", ["lengthscale", "scale", "noise", VALUES[1], OUTCOME])
def test_exact_inference_is_calibrated(exact: Calibration, quantity: str) -> None:
    assert_uniform(exact, quantity)


@pytest.mark.parametrize("quantity", ["level", "lengthscale", "scale", *VALUES])
def test_latent_inference_is_calibrated(latent: Calibration, quantity: str) -> None:
    assert_uniform(latent, quantity)


def test_another_noise_than_the_noted_one_is_found_out(exact: Calibration) -> None:
    """As if the simulator wrote noise down 1.1 times as large as that of its data."""
    truth, draws = of(exact, "noise")
    assert least_chance(1.1 * truth, draws) < FALSE_ALARM


def test_too_narrow_a_posterior_is_found_out(latent: Calibration) -> None:
    truth, draws = of(latent, VALUES[1])
    centre = draws.mean(-1, keepdims=True)
    assert least_chance(truth, centre + 0.5 * (draws - centre)) < FALSE_ALARM


def test_a_biased_posterior_is_found_out(latent: Calibration) -> None:
    truth, draws = of(latent, "level")
    assert least_chance(truth, draws + draws.std(-1, keepdims=True)) < FALSE_ALARM


def test_a_normal_law_about_the_mode_is_found_out() -> None:
    """Laplace's approximation of one positive number, given three draws around zero."""
    text = "data y[n] : Real\nsigma ~ HalfNormal(1)\ny ~ Normal(0, sigma)\n"
    found = mercer.compile(text).recover(
        {"n": [0, 1, 2]}, infer="map", simulations=600, false_alarm=0.001, seed=1, processes=2
    )
    assert not found.is_right and found.failed == ("sigma",)


def of(calibration: Calibration, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """Truths [simulation] and draws [simulation, draw] of a quantity."""
    place = calibration.quantities.index(quantity)
    return calibration.truths[:, place], calibration.draws[:, place]


def least_chance(truth: np.ndarray, draws: np.ndarray) -> float:
    """The smaller chance of the two tests."""
    kept = draws.shape[-1]
    found = ranks.rank(truth, draws.T, np.random.default_rng(0))
    return min(ranks.uneven(found, kept), ranks.strayed(found, kept))


def assert_uniform(calibration: Calibration, quantity: str) -> None:
    place = calibration.quantities.index(quantity)
    counts = np.bincount(calibration.ranks[:, place], minlength=calibration.kept + 1)
    assert not calibration.unfitted
    assert calibration.chances[place].min() > FALSE_ALARM, f"simulations at each rank: {counts}"
