"""Laws of kernels averaged over a group."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mercer.stdlib.groups.warp import moved
from mercer.stdlib.kernels import RBF, Invariant
from mercer.stdlib.points import Points, covariance, variance


def test_an_averaged_kernel_of_images_is_positive_semi_definite_and_symmetric() -> None:
    images = np.random.default_rng(0).uniform(size=(12, 5, 5)).reshape(12, 25)
    kernel = Invariant(RBF(lengthscale=2.0), over="GL(2)", angle=0.7, samples=5, image=(5, 5))
    points = Points((jnp.asarray(images),))
    gram = np.asarray(covariance(kernel, points, points))
    np.testing.assert_allclose(gram, gram.T, atol=1e-13)
    assert np.linalg.eigvalsh(gram).min() > -1e-12
    np.testing.assert_allclose(variance(kernel, points), np.diag(gram), rtol=1e-10)


def test_an_averaged_kernel_does_not_change_under_its_sampled_rotations() -> None:
    """The samples of the whole circle are half-way between a subgroup and itself turned: a turn by
    an eighth sends them to themselves."""
    x = np.random.default_rng(1).normal(size=(6, 2))
    kernel = Invariant(RBF(lengthscale=0.8), over="SO(2)", samples=8)
    angle = 2 * np.pi / 8
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    here, there = Points((jnp.asarray(x),)), Points((jnp.asarray(x @ turn.T),))
    gram = covariance(kernel, here, here)
    np.testing.assert_allclose(covariance(kernel, there, here), gram, atol=1e-12)
    assert float(jnp.abs(covariance(RBF(lengthscale=0.8), there, here) - gram).max()) > 0.1


def test_of_no_range_it_is_the_kernel_itself() -> None:
    images = jnp.asarray(np.random.default_rng(2).uniform(size=(4, 16)))
    points, inner = Points((images,)), RBF(lengthscale=1.5, scale=2.0)
    kernel = Invariant(inner, over="SL(2)", angle=0.0, strain=0.0, samples=3, image=(4, 4))
    np.testing.assert_allclose(
        covariance(kernel, points, points), covariance(inner, points, points), rtol=1e-12
    )


def test_it_is_the_covariance_of_averaged_functions() -> None:
    images = np.random.default_rng(3).uniform(size=(3, 6, 6))
    kernel = Invariant(RBF(lengthscale=2.0), over="SO(2)", angle=0.4, samples=3, image=(6, 6))
    elements, weights = kernel.elements()
    every = jnp.concatenate([moved(jnp.asarray(images), g).reshape(3, -1) for g in elements])
    each = covariance(RBF(lengthscale=2.0), Points((every,)), Points((every,)))
    wanted = np.einsum("i,iajb,j->ab", weights, np.asarray(each).reshape(3, 3, 3, 3), weights)
    points = Points((jnp.asarray(images.reshape(3, -1)),))
    np.testing.assert_allclose(covariance(kernel, points, points), wanted, rtol=1e-12)


def test_its_range_has_a_gradient_that_differences_confirm() -> None:
    points = Points((jnp.asarray(np.random.default_rng(4).normal(size=(5, 2))),))

    def total(angle: jax.Array) -> jax.Array:
        kernel = Invariant(RBF(lengthscale=0.7), over="GL(2)", angle=angle, strain=angle / 4)
        return jnp.sum(covariance(kernel, points, points) ** 2)

    step = 1e-5
    ahead, behind = (float(total(jnp.asarray(0.6 + s))) for s in (step, -step))
    slope = float(jax.grad(total)(jnp.asarray(0.6)))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-6)


def test_rotations_of_space_leave_distances_from_the_origin() -> None:
    kernel = Invariant(RBF(lengthscale=1.0), over="SO(3)", samples=200)
    x = Points((jnp.eye(3),))
    gram = np.asarray(covariance(kernel, x, x))
    assert np.ptp(gram) < 0.05 * gram.mean()
