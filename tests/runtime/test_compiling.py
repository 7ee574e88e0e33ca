"""Programs that compile quickly compute what those of `jax.jit` compute."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.compiling import normal_numbers, options, quick_jit
from mercer.runtime.engines.cholesky import diagonal_of, log_normal

POINTS = np.random.default_rng(0).normal(size=(40, 2))


def evidence(lengthscale, points):
    square = jnp.sum((points[:, None] - points) ** 2, axis=-1)
    covariance = jnp.exp(-0.5 * square / lengthscale**2) + 0.1 * jnp.eye(len(points))
    return log_normal(covariance, points[:, 0])[0]


def test_a_density_and_its_slope_are_those_of_jax() -> None:
    function = jax.value_and_grad(evidence)
    quick, plain = quick_jit(function)(0.7, POINTS), jax.jit(function)(0.7, POINTS)
    np.testing.assert_allclose(quick, plain, rtol=1e-11)


def test_normal_numbers_are_those_that_jax_draws_by_the_seed() -> None:
    drawn = jax.random.normal(jax.random.key(5), (7, 3))
    np.testing.assert_allclose(normal_numbers((7, 3))(np.asarray(5)), drawn, rtol=1e-14)


def test_a_version_of_xla_that_does_not_know_the_options_is_asked_for_none(monkeypatch) -> None:
    monkeypatch.setattr("mercer.runtime.compiling._QUICK", {"no_such_word": 1})
    options.cache_clear()
    try:
        assert options() == {}
        assert float(quick_jit(jnp.sum)(POINTS)) == pytest.approx(POINTS.sum())
    finally:
        options.cache_clear()


def test_the_diagonal_and_its_derivative_are_those_of_the_matrix() -> None:
    matrix = np.random.default_rng(1).normal(size=(5, 5))
    np.testing.assert_array_equal(diagonal_of(jnp.asarray(matrix)), np.diagonal(matrix))
    slope = jax.grad(lambda m: jnp.sum(diagonal_of(m) ** 3))(jnp.asarray(matrix))
    np.testing.assert_allclose(slope, np.diag(3 * np.diagonal(matrix) ** 2), rtol=1e-14)
