"""Far tails of distribution functions, and truncated laws that live there, against SciPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats

from mercer.stdlib.tails import log_cdf, log_survival
from mercer.stdlib.wrapped import CensoredLaw, TruncatedLaw

LAWS: dict[str, tuple[dist.Distribution, Any, list[float]]] = {
    "Normal": (dist.Normal(1.0, 2.0), stats.norm(1, 2), [-60, -9, 0, 19, 70]),
    "LogNormal": (dist.LogNormal(0.5, 0.6), stats.lognorm(0.6, scale=np.exp(0.5)), [1e-3, 1, 900]),
    "HalfNormal": (dist.HalfNormal(2.0), stats.halfnorm(0, 2), [0.01, 3, 60]),
    "HalfCauchy": (dist.HalfCauchy(2.0), stats.halfcauchy(0, 2), [0.01, 3, 1e9]),
    "Cauchy": (dist.Cauchy(1.0, 2.0), stats.cauchy(1, 2), [-1e9, 0, 3, 1e9]),
    "StudentT": (dist.StudentT(4.0, 1.0, 2.0), stats.t(4, 1, 2), [-1e5, 0, 3, 1e5]),
    "Laplace": (dist.Laplace(1.0, 2.0), stats.laplace(1, 2), [-300, 0, 3, 300]),
    "Logistic": (dist.Logistic(1.0, 2.0), stats.logistic(1, 2), [-300, 0, 3, 300]),
    "Gumbel": (dist.Gumbel(1.0, 2.0), stats.gumbel_r(1, 2), [-9, 0, 3, 300]),
    "Weibull": (dist.Weibull(2.0, 1.5), stats.weibull_min(1.5, scale=2), [1e-9, 1, 40]),
    "Gompertz": (dist.Gompertz(0.5, 0.3), stats.gompertz(0.5, scale=1 / 0.3), [1e-9, 1, 20]),
    "Exponential": (dist.Exponential(0.5), stats.expon(scale=2), [1e-9, 1, 600]),
    "Pareto": (dist.Pareto(2.0, 3.0), stats.pareto(3, scale=2), [2.5, 9, 1e9]),
    "Gamma": (dist.Gamma(3.0, 2.0), stats.gamma(3, scale=0.5), [1e-6, 1, 90]),
    "InverseGamma": (dist.InverseGamma(3.0, 2.0), stats.invgamma(3, scale=2), [0.02, 1, 1e5]),
    "Beta": (dist.Beta(2.0, 5.0), stats.beta(2, 5), [1e-6, 0.3, 0.9999]),
    "Poisson": (dist.Poisson(3.0), stats.poisson(3), [0, 3, 60]),
    "NegativeBinomial2": (dist.NegativeBinomial2(3.0, 2.0), stats.nbinom(2, 0.4), [0, 3, 300]),
}
"""NumPyro's law, SciPy's, and places from one tail to the other."""


@pytest.mark.parametrize("name", LAWS)
def test_both_tails_are_those_of_scipy_however_far(name: str) -> None:
    law, known, places = LAWS[name]
    at = np.array(places, float)
    np.testing.assert_allclose(log_survival(law, at), known.logsf(at), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(log_cdf(law, at), known.logcdf(at), rtol=1e-9, atol=1e-13)


BOUNDS = [(0.0, None), (None, 0.0), (0.0, 2.0), (-2.0, 0.5)]


@pytest.mark.parametrize("loc", [-30.0, -9.0, -0.5, 0.7, 9.0, 30.0])
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_a_truncated_density_is_right_where_almost_nothing_is_left(
    loc: float, bounds: tuple[float | None, float | None]
) -> None:
    low, high = bounds
    ends = [-np.inf if low is None else low - loc, np.inf if high is None else high - loc]
    value = 0.25 if high != 0.0 else -0.25
    known = stats.truncnorm(*ends, loc=loc)

    def density(mean: Any) -> jax.Array:
        return TruncatedLaw(dist.Normal(mean, 1.0), low, high).log_prob(value)

    assert float(density(loc)) == pytest.approx(known.logpdf(value), rel=1e-9)
    # The score of a truncated Normal in its location: the value less its mean.
    assert float(jax.grad(density)(loc)) == pytest.approx(value - known.mean(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("loc", [-12.0, 0.5, 12.0])
def test_draws_of_a_truncated_law_fill_what_is_left(loc: float) -> None:
    law = TruncatedLaw(dist.Normal(loc, 1.0), 0.0, 2.0)
    drawn = np.asarray(law.sample(jax.random.key(0), (4000,)))
    known = stats.truncnorm(-loc, 2.0 - loc, loc=loc)
    assert stats.kstest(drawn, known.cdf).pvalue > 1e-4


def test_counts_above_a_bound_far_from_their_mean_keep_their_density() -> None:
    law = TruncatedLaw(dist.Poisson(1e-3), 4, None)
    known = stats.poisson(1e-3)
    assert float(law.log_prob(5)) == pytest.approx(known.logpmf(5) - known.logsf(3), rel=1e-9)
    assert np.all(np.asarray(law.sample(jax.random.key(1), (50,))) >= 4)


def test_slopes_stay_finite_where_a_probability_is_rounded_to_nothing() -> None:
    def total(mean: Any) -> jax.Array:
        inner = TruncatedLaw(dist.StudentT(60.0, mean, 0.1), -2.0, 3.0)
        late = CensoredLaw(dist.Gamma(3.0, jnp.exp(mean)), None, True)
        return inner.log_prob(1.0) + late.log_prob(40.0)

    for mean in (-300.0, -3.0, 0.5, 5.0, 300.0):
        assert np.isfinite(float(jax.grad(total)(mean))), mean
