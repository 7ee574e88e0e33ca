"""Derivatives and integrals of Gaussian processes: closed forms, differences, exact at x = z."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from mercer.stdlib.kernels import (
    RBF,
    Brownian,
    Coregion,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
)
from mercer.stdlib.operators import Directional, Integrate, Laplace
from mercer.stdlib.points import PerLabel, Points, covariance, variance

L = 0.7
LINE = jnp.array([[-0.4], [0.1], [0.1], [0.9]])
ONES = jnp.ones((4, 1))
F = Points((LINE,))
D = Points((LINE,), operators=(Directional(ONES),))
DELTA = Points((LINE,), operators=(Laplace(),))


@pytest.mark.parametrize("word, second", [(RBF, 1.0), (Matern32, 3.0), (Matern52, 5.0 / 3.0)])
def test_variance_of_a_derivative_at_one_point_is_exact(word, second):
    np.testing.assert_allclose(variance(word(lengthscale=L), D), second / L**2, rtol=1e-14)
    matrix = covariance(word(lengthscale=L), D, D)
    np.testing.assert_allclose(matrix[1, 2], second / L**2, rtol=1e-14)


@pytest.mark.parametrize("word, fourth", [(RBF, 3.0), (Matern52, 25.0)])
def test_variance_of_a_laplacian_at_one_point_is_exact(word, fourth):
    np.testing.assert_allclose(variance(word(lengthscale=L), DELTA), fourth / L**4, rtol=1e-13)


def test_variance_of_a_laplacian_in_the_plane_is_exact():
    place = Points((jnp.array([[0.3, -0.2]]),), operators=(Laplace(),))
    # Sums over pairs of coordinates of the fourth derivatives of exp(-|r|^2 / 2): 3 + 1 + 1 + 3.
    np.testing.assert_allclose(variance(RBF(lengthscale=L), place), 8.0 / L**4, rtol=1e-13)


def test_derivatives_of_rbf_are_hermite_polynomials():
    r = (LINE - LINE.T) / L
    k = np.exp(-0.5 * r**2)
    kernel = RBF(lengthscale=L)
    np.testing.assert_allclose(covariance(kernel, D, F), -r * k / L, atol=1e-14)
    np.testing.assert_allclose(covariance(kernel, F, D), r * k / L, atol=1e-14)
    np.testing.assert_allclose(covariance(kernel, D, D), (1 - r**2) * k / L**2, atol=1e-13)
    np.testing.assert_allclose(covariance(kernel, DELTA, F), (r**2 - 1) * k / L**2, atol=1e-13)
    fourth = (r**4 - 6 * r**2 + 3) * k / L**4
    np.testing.assert_allclose(covariance(kernel, DELTA, DELTA), fourth, atol=1e-12)


@pytest.mark.parametrize("kernel", [
    RBF(lengthscale=L), Matern32(lengthscale=L), Matern52(lengthscale=L),
    Periodic(period=1.3, lengthscale=0.9), Linear(scale=2.0),
    2.0 * RBF(lengthscale=L) * Linear() + Matern52(lengthscale=0.5) ** 2,
], ids=["RBF", "Matern32", "Matern52", "Periodic", "Linear", "algebra"])  # fmt: skip
def test_derivatives_are_limits_of_differences(kernel):
    h = 1e-4
    up, down = Points((LINE + h,)), Points((LINE - h,))
    first = (covariance(kernel, up, F) - covariance(kernel, down, F)) / (2 * h)
    # A Matern32 has a kink in its third derivative at 0: central differences are of order h there.
    np.testing.assert_allclose(covariance(kernel, D, F), first, atol=2e-3)
    corners = {(a, b): covariance(kernel, p, q) for a, p in ((1, up), (-1, down))
               for b, q in ((1, up), (-1, down))}  # fmt: skip
    mixed = sum(a * b * matrix for (a, b), matrix in corners.items()) / (4 * h**2)
    np.testing.assert_allclose(covariance(kernel, D, D), mixed, atol=5e-3)


@pytest.mark.parametrize("word", [RBF, Matern32, Matern52])
def test_function_and_gradient_are_jointly_positive_definite(word):
    x = np.random.default_rng(0).normal(size=(5, 2))
    kernel = word(lengthscale=jnp.array([0.5, 1.5]))
    rows = [Points((jnp.asarray(x),))]
    for axis in range(2):
        direction = jnp.asarray(np.eye(2)[[axis] * 5])
        rows.append(Points((jnp.asarray(x),), operators=(Directional(direction),)))
    joint = np.block([[np.asarray(covariance(kernel, a, b)) for b in rows] for a in rows])
    np.testing.assert_allclose(joint, joint.T, atol=1e-12)
    assert np.linalg.eigvalsh(joint).min() > 0


@pytest.mark.parametrize("word", [RBF, Matern32, Matern52])
@pytest.mark.parametrize("sites", [D, DELTA], ids=["D", "Laplacian"])
def test_gradients_through_derivatives_are_finite_and_scale_as_they_must(word, sites):
    if word is Matern32 and sites is DELTA:
        sites = D
    order = 2 if sites is D else 4

    def at_zero(lengthscale):
        return covariance(word(lengthscale=lengthscale), sites, sites)[1, 2]

    gradient = jax.grad(at_zero)(L)
    np.testing.assert_allclose(gradient, -order * at_zero(L) / L, rtol=1e-12)

    def total(x):
        points = sites._replace(factors=(x,))
        return jnp.sum(covariance(word(lengthscale=L), points, points))

    assert np.all(np.isfinite(jax.grad(total)(LINE)))


def test_partial_derivatives_act_on_their_factor_and_copy():
    kernel = RBF(lengthscale=PerLabel(jnp.array([0.5, 2.0]))).on(factor=1) * Coregion(
        weights=jnp.array([[1.0], [0.5]]), kappa=jnp.zeros(2)
    ).on(factor=0)
    kinds, times, labels = jnp.array([0, 1, 1]), jnp.array([0.2, 0.2, 0.7]), jnp.array([0, 1, 1])
    points = Points((kinds, times), labels, operators=(Directional(jnp.ones((3, 1)), factor=1),))
    expected = np.array([1.0, 0.25, 0.25]) / np.array([0.25, 4.0, 4.0])
    np.testing.assert_allclose(variance(kernel, points), expected, rtol=1e-13)
    matrix = covariance(kernel, points, points)
    np.testing.assert_allclose(np.diag(matrix), expected, rtol=1e-13)
    assert matrix[0, 1] == 0.0


def test_a_column_of_whole_numbers_can_be_differentiated():
    whole = D._replace(factors=(jnp.array([[0], [1], [2], [5]]),))
    np.testing.assert_allclose(variance(RBF(lengthscale=2.0), whole), 0.25, rtol=1e-14)


def integral(low, high):
    ends = Integrate(jnp.asarray([low]), jnp.asarray([high]))
    return Points((jnp.zeros((1, 1)),), operators=(ends,))


@pytest.mark.parametrize("width", [1.0, 10.0, 40.0])
def test_integral_of_rbf_is_exact_up_to_forty_lengthscales(width):
    kernel, whole = RBF(lengthscale=1.0), integral(0.0, width)
    a = width / np.sqrt(2)
    exact = 2 * (np.exp(-(a**2)) - 1) + width * np.sqrt(2 * np.pi) * erf(a)
    np.testing.assert_allclose(variance(kernel, whole), exact, rtol=1e-8)
    one = covariance(kernel, whole, Points((jnp.array([[0.3]]),)))[0, 0]
    expected = np.sqrt(np.pi / 2) * (erf((width - 0.3) / np.sqrt(2)) + erf(0.3 / np.sqrt(2)))
    np.testing.assert_allclose(one, expected, rtol=1e-8)


@pytest.mark.parametrize("word, tolerance", [(Matern52, 1e-6), (Matern32, 1e-4), (Matern12, 1e-2)])
def test_integral_of_a_matern_is_as_exact_as_documented(word, tolerance):
    kernel = word(lengthscale=1.0)

    nodes, weights = np.polynomial.legendre.leggauss(80)
    r = 5.0 * (nodes + 1.0)
    along = covariance(kernel, Points((jnp.zeros((1, 1)),)), Points((jnp.asarray(r)[:, None],)))[0]
    exact = np.sum(5.0 * weights * 2.0 * (10.0 - r) * along)
    np.testing.assert_allclose(variance(kernel, integral(0.0, 10.0)), exact, rtol=tolerance)


def test_integral_of_brownian_motion_has_variance_one_third():
    np.testing.assert_allclose(variance(Brownian(scale=1.0), integral(0.0, 1.0)), 1 / 3, rtol=1e-3)


def test_integral_of_a_derivative_is_a_difference():
    kernel = RBF(lengthscale=L)
    ends = Integrate(jnp.array([0.2]), jnp.array([1.1]))
    whole = Points((jnp.zeros((1, 1)),), operators=(Directional(jnp.ones((1, 1))), ends))
    upper = covariance(kernel, Points((jnp.array([[1.1]]),)), F)
    lower = covariance(kernel, Points((jnp.array([[0.2]]),)), F)
    np.testing.assert_allclose(covariance(kernel, whole, F), upper - lower, rtol=1e-10)


def test_nothing_follows_an_integral():
    ends = Integrate(jnp.zeros(4), jnp.ones(4))
    with pytest.raises(ValueError, match="no operator may follow"):
        covariance(RBF(lengthscale=1.0), Points((LINE,), operators=(ends, Laplace())), F)
