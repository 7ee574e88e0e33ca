"""Laws of Normal laws with correlations in a few directions, and of inference by them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import mercer
from mercer.runtime.methods.lowrank import LowRank


def _law(rank: int) -> LowRank:
    random = np.random.default_rng(0)
    mean, log_sd, factor = (random.normal(size=s) for s in ((5,), (5,), (5, rank)))
    return LowRank(jnp.asarray(mean), jnp.asarray(log_sd), jnp.asarray(factor))


def _covariance(law: LowRank) -> np.ndarray:
    factor = np.asarray(law.factor)
    return np.diag(np.exp(2.0 * np.asarray(law.log_sd))) + factor @ factor.T


def test_the_entropy_is_half_the_log_determinant_of_the_covariance() -> None:
    for rank in (0, 2):
        law = _law(rank)
        wanted = 0.5 * np.linalg.slogdet(_covariance(law))[1]
        np.testing.assert_allclose(law.entropy(), wanted, rtol=1e-12)


def test_draws_of_both_generators_have_the_mean_and_the_covariance() -> None:
    law, count = _law(2), 100_000
    by_jax = jax.vmap(law.draw)(jax.random.split(jax.random.key(1), count))
    for points in (np.asarray(by_jax), law.points(count, np.random.default_rng(2))):
        wanted = _covariance(law)
        size = np.sqrt(np.diag(wanted))
        np.testing.assert_array_less(np.abs(points.mean(0) - law.mean), 5 * size / count**0.5)
        off = np.abs(np.cov(points.T) - wanted) / np.outer(size, size)
        assert off.max() < 5 * (2.0 / count) ** 0.5


def test_inference_of_rank_one_finds_a_correlation() -> None:
    """Two unknowns of which the rows know the sum: their correlation is close to -1."""
    text = """data y[n] : Real
a ~ Logistic(0, 1)
b ~ Logistic(0, 1)
y ~ Normal(a + b, 0.5)
infer SVI(steps = 1500, rate = 0.03, rank = 1)
"""
    rows = {"y": np.random.default_rng(3).normal(1.0, 0.5, 40)}
    fit = mercer.compile(text).fit(rows, progress=False)
    assert any("with correlations of rank 1" in note for note in fit.diagnostics)
    a, b = (fit.idata["posterior"][name].values.ravel() for name in "ab")
    assert np.corrcoef(a, b)[0, 1] < -0.9
