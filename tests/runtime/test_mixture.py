"""Quantiles of mixtures of normal laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mercer.runtime.posterior import mixture
from mercer.runtime.posterior.mixture import mixture_quantile


@pytest.mark.parametrize("level", [0.001, 0.025, 0.5, 0.9, 0.975])
def test_the_mixture_has_that_much_below_its_quantile(level, monkeypatch):
    monkeypatch.setattr(mixture, "_AT_ONCE", 700)  # so that points come in several parts
    rng = np.random.default_rng(1)
    means = rng.normal(size=(200, 4, 3)) * np.array([1.0, 30.0, 0.0])
    sds = np.exp(rng.normal(size=(200, 4, 3)))
    found = mixture_quantile(means, sds, level)
    assert found.shape == (4, 3)
    np.testing.assert_allclose(norm.cdf(found, means, sds).mean(0), level, atol=1e-8)


def test_one_law_and_laws_without_width():
    one = mixture_quantile(np.array([[2.0]]), np.array([[3.0]]), 0.975)
    np.testing.assert_allclose(one, norm.ppf(0.975, 2, 3), rtol=1e-9)
    points = np.arange(100.0)[:, None]
    assert 89 <= mixture_quantile(points, np.zeros((100, 1)), 0.9)[0] <= 90
    np.testing.assert_array_equal(mixture_quantile(np.full((5, 2), 7.0), np.zeros((5, 2)), 0.3), 7)


def test_far_apart_modes_are_bracketed():
    means = np.array([[-1e6], [1e6], [1e6]])
    found = mixture_quantile(means, np.ones((3, 1)), 0.25)
    np.testing.assert_allclose(found, -1e6 + norm.ppf(0.75), rtol=1e-9)


def test_a_level_is_between_none_and_all():
    with pytest.raises(ValueError, match="between 0 and 1"):
        mixture_quantile(np.zeros((2, 1)), np.ones((2, 1)), 1.0)
