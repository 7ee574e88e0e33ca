"""Laws of covariances on circles, spheres and rotations: series, symmetries, addition theorems."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre, sph_harm_y

from mercer.stdlib.algebra import PerLabel
from mercer.stdlib.homogeneous import Circle, Rotations, Sphere, zonal
from mercer.stdlib.kernels import RBF, Heat, Matern, Matern12, Matern32, Matern52
from mercer.stdlib.points import Points, covariance, variance
from mercer.stdlib.spaces import DEGREES

RNG = np.random.default_rng(8)
PERIOD = 24.0
HOURS = np.sort(RNG.uniform(-30, 30, 12))


def on_sphere(count, dimension=2):
    points = RNG.normal(size=(count, dimension + 1))
    return points / np.linalg.norm(points, axis=1)[:, None]


def rotations(count):
    return Rotation.random(count, random_state=3).as_matrix()


covariances = jax.jit(covariance)


def gram(kernel, space, x, z=None):
    left = Points((jnp.asarray(x).reshape(len(x), -1),))
    right = left if z is None else Points((jnp.asarray(z).reshape(len(z), -1),))
    return np.asarray(covariances(kernel.on(space=space), left, right))


SPACES = [
    pytest.param(Circle(PERIOD), HOURS, id="circle"),
    pytest.param(Sphere(2), on_sphere(20), id="sphere"),
    pytest.param(Sphere(3), on_sphere(20, 3), id="sphere of three dimensions"),
    pytest.param(Rotations(2), [np.eye(2), -np.eye(2), [[0, -1], [1, 0]]], id="SO(2)"),
    pytest.param(Rotations(3), rotations(20), id="SO(3)"),
]
KERNELS = [
    RBF(lengthscale=0.7, scale=1.3),
    Heat(time=0.3, scale=1.3),
    Matern12(lengthscale=0.9, scale=1.3),
    Matern52(lengthscale=0.9, scale=1.3),
    Matern(nu=1.1, lengthscale=0.9, scale=1.3),
]


@pytest.mark.parametrize(("space", "points"), SPACES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.word.entry.name)
def test_a_covariance_is_positive_definite_with_one_variance_everywhere(
    kernel, space, points
) -> None:
    matrix = gram(kernel, space, points)
    np.testing.assert_allclose(np.diag(matrix), 1.3**2, rtol=1e-10)
    assert np.linalg.eigvalsh(matrix).min() > -1e-11
    rows = Points((jnp.asarray(points, float).reshape(len(points), -1),))
    np.testing.assert_allclose(variance(kernel.on(space=space), rows), 1.3**2, rtol=1e-10)


# --- circle -----------------------------------------------------------------------------------


def fourier(density, gap):
    """The sum over 20,000 waves of a circle, over its value at 0."""
    degree = np.arange(1, 20001)
    weights = 2 * density(2 * np.pi * degree / PERIOD)
    first = density(0.0)
    waves = np.cos(np.multiply.outer(gap, 2 * np.pi * degree / PERIOD)) @ weights
    return (first + waves) / (first + weights.sum())


@pytest.mark.parametrize("length", [0.6, 3.0, 5.9, 6.1, 20.0, 200.0])
@pytest.mark.parametrize(
    ("kernel", "smoothness"),
    [(Matern12, 0.5), (Matern32, 1.5), (Matern52, 2.5), (RBF, math.inf)],
    ids=lambda v: getattr(getattr(v, "entry", None), "name", ""),
)
def test_a_kernel_on_the_circle_has_the_fourier_coefficients_of_its_spectral_density(
    kernel, smoothness, length
) -> None:
    def density(frequency):
        if smoothness == math.inf:
            return np.exp(-0.5 * (length * frequency) ** 2)
        return (2 * smoothness / length**2 + frequency**2) ** (-smoothness - 0.5)

    found = gram(kernel(lengthscale=length), Circle(PERIOD), HOURS)
    wanted = fourier(density, np.subtract.outer(HOURS, HOURS))
    # The share of the variance in the waves left out: that of 1 / (rate^2 + degree^2) for Matern12.
    beyond = 2 * PERIOD / (2 * np.pi * length) / (np.pi * 20_000)
    np.testing.assert_allclose(found, wanted, atol=2 * beyond if smoothness == 0.5 else 1e-9)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.word.entry.name)
def test_a_function_on_the_circle_returns_after_its_period(kernel) -> None:
    there = gram(kernel, Circle(PERIOD), HOURS, HOURS + 3 * PERIOD)
    np.testing.assert_allclose(there, gram(kernel, Circle(PERIOD), HOURS), atol=1e-10)


def test_matern_and_heat_have_the_closed_forms_of_their_namesakes() -> None:
    pairs = [
        (Matern(nu=0.5, lengthscale=2.0), Matern12(lengthscale=2.0)),
        (Matern(nu=2.5, lengthscale=2.0), Matern52(lengthscale=2.0)),
        (Heat(time=4.5), RBF(lengthscale=3.0)),
    ]
    for one, other in pairs:
        found = gram(one, Circle(PERIOD), HOURS)
        np.testing.assert_allclose(found, gram(other, Circle(PERIOD), HOURS), rtol=1e-12)


def test_a_matern_of_any_smoothness_on_the_circle_is_its_fourier_series() -> None:
    found = gram(Matern(nu=2.2, lengthscale=5.0), Circle(PERIOD), HOURS)
    wanted = fourier(lambda w: (4.4 / 25 + w**2) ** -2.7, np.subtract.outer(HOURS, HOURS))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_on_a_long_circle_a_kernel_is_that_of_the_line() -> None:
    points = Points((jnp.asarray(HOURS)[:, None],))
    for kernel in (Matern32(lengthscale=2.0), RBF(lengthscale=2.0)):
        line = covariance(kernel, points, points)
        np.testing.assert_allclose(gram(kernel, Circle(1000.0), HOURS), line, atol=1e-12)


def test_slopes_on_the_circle_are_exact_where_points_meet() -> None:
    kernel = Matern52(lengthscale=3.0).on(space=Circle(PERIOD))

    def value(x, z):
        return covariance(kernel, Points((x[None, None],)), Points((z[None, None],)))[0, 0]

    value = jax.jit(value)
    both = jax.jit(jax.grad(jax.grad(value), argnums=1))
    step = 1e-3
    for x, z in ((5.0, 5.0), (5.0, 29.0), (5.0, 7.5)):
        x, z = jnp.array(x), jnp.array(z)
        ends = [value(x + s * step, z + t * step) * s * t for s in (1, -1) for t in (1, -1)]
        assert both(x, z) == pytest.approx(float(sum(ends)) / (4 * step**2), rel=1e-5)


# --- spheres ----------------------------------------------------------------------------------


def test_a_kernel_on_the_sphere_is_the_sum_over_its_spherical_harmonics() -> None:
    """The addition theorem, against the harmonics of SciPy, to degree 60 of a smooth kernel."""
    points = on_sphere(15)
    polar, azimuth = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    total, trace = np.zeros((15, 15)), 0.0
    for degree in range(61):
        variance_ = (5.0 / 0.6**2 + degree * (degree + 1)) ** -3.5
        waves = np.stack(
            [sph_harm_y(degree, m, polar, azimuth) for m in range(-degree, degree + 1)], axis=1
        )
        total += variance_ * np.real(waves @ waves.conj().T) * 4 * np.pi
        trace += variance_ * (2 * degree + 1)
    found = gram(Matern52(lengthscale=0.6), Sphere(2), points)
    np.testing.assert_allclose(found, total / trace, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.word.entry.name)
def test_turning_the_sphere_changes_nothing(kernel) -> None:
    points, turn = on_sphere(12), rotations(1)[0]
    turned = gram(kernel, Sphere(2), points @ turn.T)
    np.testing.assert_allclose(turned, gram(kernel, Sphere(2), points), atol=1e-11)


def test_a_small_patch_of_the_sphere_is_flat() -> None:
    """The difference falls with the square of the size of the patch."""
    shape, errors = RNG.normal(size=(10, 2)), []
    for size in (0.2, 0.1):
        points = np.concatenate([size * shape, np.ones((10, 1))], axis=1)
        points /= np.linalg.norm(points, axis=1)[:, None]
        rows, kernel = Points((jnp.asarray(size * shape),)), Matern52(lengthscale=size)
        flat = covariance(kernel, rows, rows)
        errors.append(np.abs(gram(kernel, Sphere(2), points) - flat).max())
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.02


def test_what_lies_beside_the_sphere_is_the_point_below_it() -> None:
    points = on_sphere(6)
    kernel = Matern32(lengthscale=0.5)
    np.testing.assert_allclose(
        gram(kernel, Sphere(2), 1.7 * points), gram(kernel, Sphere(2), points), atol=1e-12
    )


# --- rotations --------------------------------------------------------------------------------


def test_a_kernel_on_rotations_is_the_sum_of_their_characters() -> None:
    turns = rotations(12)
    angle = np.arccos(np.clip((np.einsum("iab,jab->ij", turns, turns) - 1) / 2, -1, 1))
    angle = np.where(angle < 1e-7, 1e-7, angle)
    total, trace = np.zeros((12, 12)), 0.0
    for degree in range(DEGREES + 1):
        variance_ = (3.0 / 0.8**2 + degree * (degree + 1)) ** -3.0
        total += variance_ * (2 * degree + 1) * np.sin((degree + 0.5) * angle) / np.sin(angle / 2)
        trace += variance_ * (2 * degree + 1) ** 2
    found = gram(Matern32(lengthscale=0.8), Rotations(3), turns)
    np.testing.assert_allclose(found, total / trace, atol=1e-8)


@pytest.mark.parametrize("side", ["left", "right"])
def test_turning_all_rotations_by_one_changes_nothing(side) -> None:
    turns, by = rotations(9)[:8], rotations(9)[8]
    moved = by @ turns if side == "left" else turns @ by
    kernel = Matern32(lengthscale=0.8)
    found = gram(kernel, Rotations(3), moved)
    np.testing.assert_allclose(found, gram(kernel, Rotations(3), turns), atol=1e-11)


# --- the series -------------------------------------------------------------------------------


def test_zonal_sums_and_their_slopes_are_those_of_legendre_polynomials() -> None:
    coefficients = RNG.normal(size=9) / np.arange(1, 10) ** 2
    at = np.array([-1.0, -0.3, 0.4, 1.0])
    wanted = sum(c * eval_legendre(k, at) for k, c in enumerate(coefficients))
    np.testing.assert_allclose(zonal(jnp.asarray(coefficients), at, 0.5), wanted, atol=1e-13)

    own = np.polynomial.legendre.Legendre(coefficients)

    def value(t):
        return zonal(jnp.asarray(coefficients), t, 0.5)

    for order in (1, 2, 3):
        value = jax.grad(value)
        found = jax.jit(jax.vmap(value))(at)
        np.testing.assert_allclose(found, own.deriv(order)(at), rtol=1e-10)


@pytest.mark.parametrize(("space", "points"), SPACES[1:])
def test_the_gradient_in_the_lengthscale_is_that_of_finite_differences(space, points) -> None:
    def value(length):
        rows = Points((jnp.asarray(points, float).reshape(len(points), -1),))
        kernel = Matern32(lengthscale=length).on(space=space)
        return jnp.sum(jnp.sin(covariance(kernel, rows, rows)))

    ends = [float(value(0.8 + s * 1e-5)) for s in (1, -1)]
    assert jax.jit(jax.grad(value))(0.8) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_each_label_may_have_a_lengthscale_of_its_own() -> None:
    points, lengths = on_sphere(8), jnp.array([0.4, 1.5])
    labels = jnp.arange(8) % 2
    rows = Points((jnp.asarray(points),), labels=labels)
    both = covariance(Matern32(lengthscale=PerLabel(lengths)).on(space=Sphere(2)), rows, rows)
    for label, length in enumerate(lengths):
        own = np.flatnonzero(labels == label)
        alone = gram(Matern32(lengthscale=length), Sphere(2), points[own])
        np.testing.assert_allclose(both[np.ix_(own, own)], alone, atol=1e-12)
