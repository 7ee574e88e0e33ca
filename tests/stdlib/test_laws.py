"""Laws of laws: what a space or a bound leaves of a density integrates to 1."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import distributions as dist
from scipy import stats

from mercer.stdlib.laws import (
    censored,
    conditioned,
    flat_prior,
    pushed,
    truncated,
    vector_law,
    weighted,
)


def mass(law, low, high):
    nodes, weights = np.polynomial.legendre.leggauss(300)
    values = (high + low) / 2 + (high - low) / 2 * nodes
    return float(np.sum(weights * np.exp(law.log_prob(values))) * (high - low) / 2)


def mass_of_the_positive(law):
    """v = t / (1 - t), in pieces so that an end inside of them does no harm."""
    total, nodes, weights = 0.0, *np.polynomial.legendre.leggauss(100)
    ends = [0.0, 1e-4, 0.01, 0.1 / 1.1, 0.3, 0.5, 0.75, 0.9, 0.99, 0.9999, 1 - 1e-7]
    for low, high in pairwise(ends):
        t = (high + low) / 2 + (high - low) / 2 * nodes
        density = np.exp(law.log_prob(t / (1 - t))) / (1 - t) ** 2
        inside = law.support(t / (1 - t))
        total += float(np.sum(weights * np.where(inside, density, 0.0)) * (high - low) / 2)
    return total


CONTINUOUS = [
    dist.Normal(0.7, 1.1), dist.StudentT(4.0, 0.2, 1.0), dist.Cauchy(0.5, 0.7),
    dist.Laplace(0.1, 1.0), dist.Logistic(0.2, 0.5), dist.Gumbel(0.1, 0.8), dist.Gamma(2.0, 1.5),
    dist.InverseGamma(3.0, 2.0), dist.LogNormal(0.0, 0.6), dist.Weibull(1.2, 1.7),
    dist.Exponential(0.8), dist.HalfNormal(1.0), dist.HalfCauchy(1.0), dist.Beta(2.0, 3.0),
    dist.Uniform(-1.0, 3.0),
]  # fmt: skip


@pytest.mark.parametrize("law", CONTINUOUS, ids=lambda law: type(law).__name__)
def test_conditioning_on_an_interval_leaves_mass_one(law):
    law = conditioned(law, "Interval", low=0.2, high=0.9)
    assert mass(law, 0.2, 0.9) == pytest.approx(1.0, abs=1e-7)
    draws = law.sample(jax.random.key(0), (500,))
    assert np.all((draws >= 0.2) & (draws <= 0.9))


@pytest.mark.parametrize("law", CONTINUOUS, ids=lambda law: type(law).__name__)
def test_conditioning_on_positive_numbers_leaves_mass_one(law):
    law = conditioned(law, "Positive")
    assert mass_of_the_positive(law) == pytest.approx(1.0, abs=1e-6)


def test_a_normal_around_zero_is_half_normal_on_positive_numbers():
    law = conditioned(dist.Normal(0.0, 2.0), "Positive")
    assert law.log_prob(1.3) == pytest.approx(float(dist.HalfNormal(2.0).log_prob(1.3)), rel=1e-14)
    traced = jax.jit(lambda loc: conditioned(dist.Normal(loc, 2.0), "Positive").log_prob(1.3))(0.0)
    assert traced == pytest.approx(float(law.log_prob(1.3)), rel=1e-12)


def test_a_truncated_count_sums_to_one_and_is_drawn_with_its_probabilities():
    law = truncated(dist.Poisson(3.0), low=1, high=6)
    counts = np.arange(1, 7)
    probabilities = np.exp(law.log_prob(counts))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    draws = np.asarray(law.sample(jax.random.key(1), (4000,)))
    frequencies = np.bincount(draws, minlength=7)[1:]
    assert stats.chisquare(frequencies, 4000 * probabilities).pvalue > 1e-4


def test_ordered_draws_have_the_density_of_a_sorted_sample():
    law = conditioned(dist.Normal(0.0, 1.0), "Ordered", shape=(2,))
    assert law.event_shape == (2,)
    # x = low end, y - x = gap: Gauss-Legendre on the square of both.
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x, gap = 7.0 * nodes[:, None], 5.0 * (nodes + 1.0)
    pairs = jnp.stack(jnp.broadcast_arrays(x, x + gap), axis=-1)
    total = np.sum(np.exp(law.log_prob(pairs)) * np.outer(weights, weights)) * 7.0 * 5.0
    assert total == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.diff(law.sample(jax.random.key(0), (50,)), axis=-1) >= 0)


def test_ordered_refuses_priors_that_differ_between_coordinates():
    with pytest.raises(ValueError, match="one prior"):
        conditioned(dist.Normal(jnp.array([0.0, 1.0]), 1.0), "Ordered", shape=(2,))


def test_zero_sum_normals_are_normals_given_their_sum():
    law = conditioned(dist.Normal(0.3, 2.0), "ZeroSum", shape=(3,))
    draws = np.asarray(law.sample(jax.random.key(0), (20000,)))
    np.testing.assert_allclose(draws.sum(-1), 0.0, atol=1e-10)
    expected = 4.0 * (np.eye(3) - np.ones((3, 3)) / 3)
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.15)


def test_what_has_no_distribution_function_is_refused_by_name():
    with pytest.raises(ValueError, match="VonMises cannot be truncated"):
        truncated(dist.VonMises(0.0, 1.0), low=0.0)
    with pytest.raises(ValueError, match="Normal is no distribution on Simplex"):
        conditioned(dist.Normal(0.0, 1.0), "Simplex", shape=(3,))


@pytest.mark.parametrize("law", CONTINUOUS, ids=lambda law: type(law).__name__)
def test_censored_records_have_the_probability_of_what_they_say(law):
    y = jnp.array([0.5, 0.5, 0.5])
    below, above = jnp.array([1, 0, 0]), jnp.array([0, 1, 0])
    got = censored(law, below=below, above=above).log_prob(y)
    cdf = law.cdf(0.5)
    expected = [jnp.log(cdf), jnp.log1p(-cdf), law.log_prob(0.5)]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_a_record_far_in_the_tail_has_a_finite_gradient():
    def density(loc):
        law = censored(dist.Normal(loc, 1.0), jnp.array([1, 0]), jnp.array([0, 1]))
        return law.log_prob(jnp.array([-50.0, 50.0])).sum()

    assert np.isfinite(jax.grad(density)(0.0))


def test_weights_repeat_an_outcome():
    law = weighted(dist.Normal(0.0, 1.0), jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(
        law.log_prob(0.4), np.array([1, 3]) * dist.Normal(0.0, 1.0).log_prob(0.4)
    )


def test_functions_that_are_not_defined_everywhere_are_inverted_where_the_law_lies():
    """log of a log-normal is normal, the square root of a uniform number has the density 2y, and
    the log of the odds of a uniform number is logistic."""
    y = jnp.array([0.2, 0.5, 0.9])
    law = pushed(dist.LogNormal(0.3, 0.7), jnp.log)
    np.testing.assert_allclose(law.log_prob(y), dist.Normal(0.3, 0.7).log_prob(y), rtol=1e-9)
    law = pushed(dist.Uniform(0.0, 1.0), jnp.sqrt, space="Unit")
    np.testing.assert_allclose(law.log_prob(y), jnp.log(2 * y), rtol=1e-9)
    law = pushed(dist.Beta(1.0, 1.0), lambda p: jnp.log(p / (1 - p)))
    np.testing.assert_allclose(law.log_prob(y), dist.Logistic().log_prob(y), rtol=1e-9)


def test_exp_of_a_normal_is_log_normal():
    expected = float(dist.LogNormal(0.2, 0.5).log_prob(2.0))
    for inverse in (jnp.log, None):
        law = pushed(dist.Normal(0.2, 0.5), jnp.exp, inverse, space="Positive")
        assert law.log_prob(2.0) == pytest.approx(expected, rel=1e-12)


def test_a_function_without_inverse_has_right_derivatives_of_two_orders():
    def density(a):
        law = pushed(dist.Normal(0.0, 0.5), lambda z: jnp.exp(z + a * jnp.tanh(z)))
        return law.log_prob(2.0)

    step = 1e-5
    slope = jax.grad(density)
    first = float(density(0.7 + step) - density(0.7 - step)) / (2 * step)
    second = float(slope(0.7 + step) - slope(0.7 - step)) / (2 * step)
    assert slope(0.7) == pytest.approx(first, rel=1e-7)
    assert jax.hessian(density)(0.7) == pytest.approx(second, rel=1e-7)


def test_a_decreasing_function_keeps_mass_one():
    law = pushed(dist.Normal(0.0, 0.5), lambda z: -jnp.sinh(z))
    assert mass(law, -12.0, 12.0) == pytest.approx(1.0, abs=1e-7)


def test_flat_priors_have_density_one_and_can_be_sampled_under_a_likelihood():
    def model():
        a = numpyro.sample("a", flat_prior("Interval", low=0.0, high=1.0))
        numpyro.sample("b", flat_prior("Interval", low=0.0, high=1.0 - a))
        x = numpyro.sample("x", flat_prior("Real", shape=(2,)))
        numpyro.sample("cuts", flat_prior("Ordered", shape=(2, 3)))
        numpyro.sample("p", flat_prior("Simplex", shape=(2, 3)))
        s = numpyro.sample("s", flat_prior("Positive"))
        numpyro.factor("likelihood", -jnp.sum(x**2) - s)

    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(model), num_warmup=10, num_samples=10, progress_bar=False
    )
    sampler.run(jax.random.key(0))
    draws = sampler.get_samples()
    assert np.all(draws["b"] <= 1 - draws["a"])
    assert draws["p"].shape == (10, 2, 3)
    assert np.all(np.diff(draws["cuts"]) > 0)
    assert flat_prior("Positive").log_prob(3.0) == 0.0


def test_vector_laws_take_their_size_from_the_model():
    law = vector_law("Dirichlet", shape=(2,), size=4, concentration=1.0)
    assert law.batch_shape == (2,) and law.event_shape == (4,)
    own = vector_law("Dirichlet", shape=(2,), size=3, concentration=jnp.array([1.0, 5.0]))
    np.testing.assert_allclose(own.mean, 1 / 3)
    assert vector_law("LKJ", shape=(), size=3, concentration=2.0).event_shape == (3, 3)
