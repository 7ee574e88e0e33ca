"""Laws of what is missing: it is integrated out, or refused by name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy import stats

import mercer
from mercer.runtime.engines.gaussian import Affine, Dense, Gaussian, RandomFunction, Site, Term
from mercer.runtime.engines.sites import rows
from mercer.runtime.methods.density import arguments_of
from mercer.runtime.posterior.groups import one_draw
from mercer.runtime.statements import observed_rows
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

S = np.array([[1.0, 0.6, 0.1], [0.6, 2.0, -0.4], [0.1, -0.4, 0.5]])
VECTORS = """index k = 1..3
data y[n] : Real^k
data S : Covariance(k)
m ~ StudentT(3, 0, 1)
y ~ MultivariateNormal(m, covariance_matrix = S)
"""
LABELS = """data w[n] : Real
data y[n] : Label(c)
index c = ["no", "maybe", "yes"]
b ~ StudentT(3, 0, 1)
p[c] = [0, 0.5, 1]
y ~ Categorical(logits = p * b)
"""


def program_of(text: str, data: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    model = mercer.compile(text)
    program = model.program()
    return program, arguments_of(program, model.bind(data)).all()


def density_of(text: str, data: dict[str, Any], values: dict[str, Any]) -> float:
    program, arguments = program_of(text, data)
    return float(jax.jit(lambda v: log_density(program.model, (), arguments, v)[0])(values))


def test_points_of_numpy_can_be_kept_by_what_is_traced() -> None:
    sites = {"f(x)": Site("f", Points((np.arange(5.0)[:, None],)), size=5)}
    affine = Affine(np.arange(5.0), (Term("f(x)"),), shape=(5,))
    kept = jax.jit(lambda keep: rows(affine, sites, keep).parts[0].site.points.factors[0])
    assert np.array_equal(kept(jnp.array([3, 1]))[:, 0], [3.0, 1.0])
    many = jax.vmap(kept)(jnp.array([[3, 1], [0, 4]]))
    assert np.array_equal(many[..., 0], [[3.0, 1.0], [0.0, 4.0]])


def test_a_vector_seen_in_part_has_the_density_of_that_part() -> None:
    y = np.random.default_rng(0).normal(size=(4, 3))
    y[0, 1], y[1, [0, 2]], y[2] = np.nan, np.nan, np.nan
    expected = stats.t(3).logpdf(0.4)
    each = []
    for row in y:
        seen = np.flatnonzero(~np.isnan(row))
        part = S[np.ix_(seen, seen)]
        deviation = row[seen] - 0.4
        each.append(stats.multivariate_normal(cov=part).logpdf(deviation) if len(seen) else np.nan)
    found = density_of(VECTORS, {"y": y, "S": S}, {"m": jnp.asarray(0.4)})
    assert found == pytest.approx(expected + np.nansum(each), rel=1e-12)
    program, arguments = program_of(VECTORS, {"y": y, "S": S})
    shown = one_draw(program, jax.random.key(0), {"m": jnp.asarray(0.4)}, arguments)
    np.testing.assert_allclose(shown["log_likelihood"]["y"], each, rtol=1e-12)


def test_a_vector_of_another_law_is_there_as_a_whole_or_not_at_all() -> None:
    text = """data y[n] : Simplex(3)
a ~ Gamma(2, 1)
y ~ Dirichlet(a)
"""
    y = np.array([[0.2, 0.3, 0.5], [np.nan, np.nan, np.nan], [0.1, 0.1, 0.8]])
    expected = stats.gamma(2).logpdf(1.5)
    expected += sum(stats.dirichlet([1.5] * 3).logpdf(row) for row in y[[0, 2]])
    assert density_of(text, {"y": y}, {"a": jnp.asarray(1.5)}) == pytest.approx(expected, rel=1e-10)
    y[1, 0] = 0.2
    with pytest.raises(mercer.MercerError, match="a part of y is missing at row 2"):
        program_of(text, {"y": y})


def test_a_missing_label_does_not_count() -> None:
    y = np.array(["no", "", "yes", "maybe"], dtype=object)
    scores = 0.7 * np.array([0, 0.5, 1])
    each = scores - np.log(np.exp(scores).sum())
    expected = stats.t(3).logpdf(0.7) + each.sum()
    found = density_of(LABELS, {"w": np.zeros(4), "y": y}, {"b": jnp.asarray(0.7)})
    assert found == pytest.approx(expected, rel=1e-12)
    program, arguments = program_of(LABELS, {"w": np.zeros(4), "y": y})
    shown = one_draw(program, jax.random.key(0), {"b": jnp.asarray(0.7)}, arguments)
    np.testing.assert_allclose(
        shown["log_likelihood"]["y"], [each[0], np.nan, each[2], each[1]], rtol=1e-12
    )


def test_an_outcome_that_is_missing_altogether_adds_nothing() -> None:
    text = """data t[n] : Real
data y[n], k[n] : Count
b ~ StudentT(3, 0, 1)
y ~ Poisson(exp(b * t))
k ~ Poisson(exp(b))
"""
    t, y = np.arange(3.0), np.array([0.0, 1.0, 3.0])
    found = density_of(text, {"t": t, "y": y, "k": np.full(3, np.nan)}, {"b": jnp.asarray(0.3)})
    expected = stats.t(3).logpdf(0.3) + stats.poisson(np.exp(0.3 * t)).logpmf(y).sum()
    assert found == pytest.approx(expected, rel=1e-12)


def test_draws_with_missing_rows_have_the_conditional_law():
    x = np.linspace(0, 5, 40)[:, None]
    processes = {"f": RandomFunction(RBF(lengthscale=1.0, scale=1.0))}
    sites = {"f(x)": Site("f", Points((jnp.asarray(x),)), 40)}
    values = Affine(0.0, (Term("f(x)"),), (40,))
    y = np.sin(x[:, 0])
    y[3:6] = np.nan
    block = Dense(processes, sites, {"y": (Gaussian(values, 0.1), y, observed_rows(y))})
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.jit(jax.vmap(lambda key: block.draw(key, {"f": values})["f"]))(keys)
    mean, variance = block.condition({}, values)
    np.testing.assert_allclose((draws.mean(0) - mean) / variance**0.5, 0.0, atol=0.06)
    np.testing.assert_allclose(draws.std(0), variance**0.5, rtol=0.05)
