"""Laws of the factorisation and of the Gaussian log density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mercer.runtime.engines.cholesky import (
    EXACT,
    factor,
    inverse_from_factor,
    log_normal,
    solve_triangular,
)


def _problem(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-2, 2, (n, 2)), rng.normal(size=n)


def _gram(parameters, x):
    z = x / jnp.exp(parameters[:2])
    square = jnp.sum((z[:, None] - z) ** 2, -1)
    noise = jnp.exp(2 * parameters[2])
    return jnp.exp(-0.5 * square) + noise * jnp.eye(len(x))


@jax.jit
def _log_density(parameters, x, y):
    return log_normal(_gram(parameters, x), y)[0]


PARAMETERS = jnp.array([0.1, -0.3, -0.7])


def test_value_is_that_of_the_multivariate_normal():
    x, y = _problem(40)
    gram = np.asarray(_gram(PARAMETERS, x))
    expected = multivariate_normal(np.zeros(40), gram).logpdf(y)
    assert _log_density(PARAMETERS, x, y) == pytest.approx(float(expected), rel=1e-11)


@pytest.mark.parametrize("n", [1, 127, 129, 517])
def test_inverse_by_blocks_is_the_inverse(n):
    x, _ = _problem(n)
    gram = _gram(PARAMETERS, x)
    inverse = jax.jit(inverse_from_factor)(jnp.linalg.cholesky(gram))
    np.testing.assert_allclose(inverse @ gram, np.eye(n), atol=1e-11)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-12)


def test_gradient_is_that_of_finite_differences():
    x, y = _problem(150)
    gradient = jax.jit(jax.grad(_log_density))(PARAMETERS, x, y)
    for k, step in enumerate(1e-5 * np.eye(3)):
        ends = _log_density(PARAMETERS + step, x, y) - _log_density(PARAMETERS - step, x, y)
        assert gradient[k] == pytest.approx(float(ends / 2e-5), rel=1e-6), k


def test_gradient_in_the_deviation_is_minus_alpha():
    x, y = _problem(30)
    gram = _gram(PARAMETERS, x)
    gradient = jax.grad(lambda v: log_normal(gram, v)[0])(jnp.asarray(y))
    np.testing.assert_allclose(gradient, -np.linalg.solve(gram, y), rtol=1e-9)


def test_hessian_is_that_of_differences_of_gradients():
    x, y = _problem(140)
    hessian = jax.jit(jax.hessian(_log_density))(PARAMETERS, x, y)
    gradient = jax.jit(jax.grad(_log_density))
    for k, step in enumerate(1e-5 * np.eye(3)):
        ends = gradient(PARAMETERS + step, x, y) - gradient(PARAMETERS - step, x, y)
        np.testing.assert_allclose(hessian[k], ends / 2e-5, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-8)


def test_vmap_is_a_loop():
    x, y = _problem(150)
    many = PARAMETERS + 0.1 * np.random.default_rng(1).normal(size=(4, 3))
    one = jax.value_and_grad(_log_density)
    values, gradients = jax.jit(jax.vmap(one, (0, None, None)))(many, x, y)
    for k, parameters in enumerate(many):
        value, gradient = jax.jit(one)(parameters, x, y)
        assert values[k] == pytest.approx(float(value), rel=1e-12)
        np.testing.assert_allclose(gradients[k], gradient, rtol=1e-8)


def test_a_sound_matrix_gets_no_jitter_and_a_singular_one_the_least_that_works():
    x, _ = _problem(20)
    sound = _gram(PARAMETERS, x)
    assert factor(sound).jitter == 0.0
    singular = jnp.ones((20, 20)) * 7.0
    lower, jitter = factor(singular)
    assert float(jitter) in [pytest.approx(7.0 * level) for level in EXACT[1:]]
    np.testing.assert_allclose(lower @ lower.T, singular + jitter * jnp.eye(20), rtol=1e-12)


def test_jitter_escalates_for_each_member_of_a_batch_alone():
    x, _ = _problem(20)
    batch = jnp.stack([_gram(PARAMETERS, x), jnp.ones((20, 20))])
    jitter = jax.jit(jax.vmap(factor))(batch).jitter
    assert jitter[0] == 0.0 and jitter[1] > 0.0


def test_after_the_last_level_the_density_is_nan():
    indefinite = jnp.diag(jnp.array([1.0, 1.0, -0.5]))
    assert jnp.isnan(log_normal(indefinite, jnp.ones(3))[0])
    assert jnp.isnan(log_normal(jnp.full((3, 3), jnp.nan), jnp.ones(3))[0])


def test_derivative_of_the_factor_is_that_of_finite_differences():
    x, y = _problem(30)

    @jax.jit
    def whitened(parameters):
        return jnp.sum(jnp.sin(factor(_gram(parameters, x)).lower @ y))

    gradient = jax.jit(jax.grad(whitened))(PARAMETERS)
    for k, step in enumerate(1e-5 * np.eye(3)):
        ends = whitened(PARAMETERS + step) - whitened(PARAMETERS - step)
        assert gradient[k] == pytest.approx(float(ends / 2e-5), rel=1e-6), k


def test_triangular_solutions_and_their_derivatives_are_those_of_the_inverse():
    x, y = _problem(9)
    lower = jnp.linalg.cholesky(_gram(PARAMETERS, x))
    for transposed in (False, True):

        def solved(matrix, right, transposed=transposed):
            return solve_triangular(jnp.tril(matrix), right, transposed=transposed)

        def inverted(matrix, right, transposed=transposed):
            inverse = jnp.linalg.inv(jnp.tril(matrix))
            return (inverse.T if transposed else inverse) @ right

        for right in (jnp.asarray(y), jnp.asarray(x)):
            np.testing.assert_allclose(solved(lower, right), inverted(lower, right), rtol=1e-9)
            for argument in (0, 1):
                a, b = (jax.jacrev(f, argument)(lower, right) for f in (solved, inverted))
                np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_triangular_solutions_of_a_batch_are_those_of_its_members(axes):
    x, _ = _problem(9)
    lowers = jnp.stack([jnp.linalg.cholesky(_gram(PARAMETERS + 0.1 * k, x)) for k in range(3)])
    rights = jnp.asarray(np.random.default_rng(2).normal(size=(3, 9, 2)))
    pick = [many if axis == 0 else many[0] for axis, many in zip(axes, (lowers, rights))]
    batch = jax.vmap(solve_triangular, axes)(*pick)
    for k in range(3):
        one = [many[k if axis == 0 else 0] for axis, many in zip(axes, (lowers, rights))]
        np.testing.assert_allclose(batch[k], np.linalg.solve(*one), rtol=1e-10)
