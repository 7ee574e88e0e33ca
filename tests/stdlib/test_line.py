"""Laws of kernels on the line as linear systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.special import gammainc

from mercer.stdlib.kernels import (
    RBF,
    Brownian,
    Constant,
    Cosine,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
)
from mercer.stdlib.kernels.stationary import TRUNCATION, harmonics, left_out
from mercer.stdlib.line import gamma_tail, matern, systems
from mercer.stdlib.points import Directional, PerLabel, Points, covariance

KERNELS = {
    "Matern12": Matern12(lengthscale=0.8, scale=1.3),
    "Matern32": Matern32(lengthscale=0.8, scale=1.3),
    "Matern52": Matern52(lengthscale=0.8, scale=1.3),
    "Brownian, from a point inside": Brownian(start=0.4, scale=1.3),
    "Cosine": Cosine(period=1.7, scale=1.3),
    "Linear": Linear(scale=1.3, centre=0.5),
    "Constant": Constant(scale=1.3),
    "Polynomial": Polynomial(degree=3, lengthscale=2.0, offset=0.7, scale=1.3),
    "Periodic": Periodic(period=1.7, lengthscale=0.8, scale=1.3),
    "a sum": Matern32(lengthscale=0.8) + 0.5 * Matern12(lengthscale=2.0) + Constant(scale=2.0),
    "a product": Matern32(lengthscale=0.8) * Cosine(period=1.7),
    "a product of what changes in time": Brownian(start=-3.0) * Matern52(lengthscale=1.0),
    "a product over a sum": (Matern12(lengthscale=0.5) + Linear(scale=0.3))
    * Matern32(lengthscale=1.0),
    "a power": Matern32(lengthscale=0.8) ** 2,
}
TIMES = np.array([-1.3, -0.2, 0.0, 0.4, 0.4, 1.1, 2.9])
STEPS = np.array([1e-4, 1e-2, 0.3, 2.0, 9.0])


def _covariance(found, orders=(0, 0)):
    """h(t)' A(s, t) P(s) h(s) of the systems beside one another, for s before t."""
    n = len(TIMES)
    total = np.zeros((n, n))
    first, second = (jnp.asarray(x) for x in np.meshgrid(TIMES, TIMES, indexing="ij"))
    early, late = jnp.minimum(first, second), jnp.maximum(first, second)
    for system in found:
        a, _ = system.step(early, late)

        def wide(h):
            h = jnp.asarray(h)
            return h[:, None, None] if h.ndim == 1 else h

        # Of the one of the two that is late, and of the other.
        is_late = first >= second
        left, right = (system.loading(first, orders[0]), system.loading(second, orders[1]))
        h_late = jnp.where(is_late, wide(left), wide(right))
        h_early = jnp.where(is_late, wide(right), wide(left))
        total += np.einsum("i...,ij...,jk...,k...->...", h_late, a, system.marginal(early), h_early)
    return total


@pytest.mark.parametrize("name", KERNELS)
def test_a_system_has_the_covariance_of_its_kernel(name: str) -> None:
    points = Points((jnp.asarray(TIMES)[:, None],))
    expected = covariance(KERNELS[name], points, points)
    tolerance = 2 * TRUNCATION * 1.3**2 if "Periodic" in name else 1e-12
    found = _covariance(systems(KERNELS[name]))
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=1e-12)


@pytest.mark.parametrize("name", ["Matern32", "Matern52", "Cosine", "Linear", "Polynomial"])
def test_derivatives_are_parts_of_the_state(name: str) -> None:
    points = Points((jnp.asarray(TIMES)[:, None],))
    slope = Points((jnp.asarray(TIMES)[:, None],), operators=(Directional(jnp.ones((7, 1))),))
    for orders, left in (((1, 0), points), ((1, 1), slope)):
        expected = covariance(KERNELS[name], slope, left)
        found = _covariance(systems(KERNELS[name]), orders)
        np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("name", KERNELS)
def test_the_noise_of_a_step_is_what_the_prior_gains(name: str) -> None:
    early = jnp.asarray(np.repeat(TIMES, len(STEPS)))
    late = early + jnp.asarray(np.tile(STEPS, len(TIMES)))
    for system in systems(KERNELS[name]):
        a, q = (np.moveaxis(np.asarray(x), -1, 0) for x in system.step(early, late))
        before, after = (np.moveaxis(np.asarray(system.marginal(t)), -1, 0) for t in (early, late))
        expected = after - a @ before @ np.swapaxes(a, 1, 2)
        np.testing.assert_allclose(q, expected, atol=1e-12 * np.abs(after).max())


@pytest.mark.parametrize("order", [0, 1, 2])
def test_matern_is_the_matrix_exponential_and_solves_lyapunov(order: int) -> None:
    rate = np.sqrt(2 * order + 1) / 0.7
    size = order + 1
    drift = np.eye(size, k=1)
    drift[-1] = [-c for c in np.poly1d([1.0, rate]).__pow__(size).coeffs[1:][::-1]]
    system = matern(0.7, order)
    a, _ = system.step(jnp.zeros(5), jnp.asarray(STEPS))
    for k, step in enumerate(STEPS):
        np.testing.assert_allclose(a[..., k], expm(drift * step), atol=1e-12 * rate**order)
    p = np.asarray(system.marginal(jnp.zeros(())))
    diffusion = -(drift @ p + p @ drift.T)
    white = np.zeros((size, size))
    white[-1, -1] = diffusion[-1, -1]
    np.testing.assert_allclose(solve_continuous_lyapunov(drift, -white), p, atol=1e-11 * rate**4)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_incomplete_gamma_function_keeps_its_digits_and_its_slope(k: int) -> None:
    x = np.array([1e-6, 1e-3, 0.1, 0.9, 1.1, 5.0, 60.0])
    np.testing.assert_allclose(gamma_tail(k, jnp.asarray(x)), gammainc(k, x), rtol=1e-12)
    slope = jax.vmap(jax.grad(lambda v: gamma_tail(k, v)))(jnp.asarray(x))
    step = 1e-5 * x
    expected = (gammainc(k, x + step) - gammainc(k, x - step)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-20)


@pytest.mark.parametrize("lengthscale", [0.3, 0.5, 1.0, 3.0])
def test_a_series_of_waves_leaves_out_what_it_says(lengthscale: float) -> None:
    order = harmonics(lengthscale)
    assert (
        left_out(order, lengthscale) <= TRUNCATION < left_out(order - 1, lengthscale) or order == 1
    )
    lag = jnp.linspace(0.0, 1.0, 41)[:, None]
    kernel = Periodic(period=1.0, lengthscale=lengthscale)
    (system,) = systems(kernel)
    assert system.size == 2 * order + 1
    h = system.loading(lag[:, 0], 0)
    p = system.marginal(jnp.zeros(()))
    found = h[:, 0] @ p @ h
    expected = covariance(kernel, Points((lag[:1],)), Points((lag,)))[0]
    assert np.max(np.abs(found - expected)) < 2 * TRUNCATION


def test_arguments_may_differ_between_copies() -> None:
    kernel = Matern32(lengthscale=PerLabel(jnp.array([0.5, 2.0])), scale=1.0)
    (system,) = systems(kernel, jnp.array([1, 0]))
    a, _ = system.step(jnp.zeros(2), jnp.ones(2))
    for k, lengthscale in enumerate((2.0, 0.5)):
        (alone,) = systems(Matern32(lengthscale=lengthscale, scale=1.0))
        one, _ = alone.step(jnp.zeros(()), jnp.ones(()))
        np.testing.assert_allclose(a[..., k], one, rtol=1e-14)


def test_a_kernel_without_finite_state_is_named() -> None:
    with pytest.raises(ValueError, match="RBF has no finite state"):
        systems(RBF(lengthscale=1.0))
