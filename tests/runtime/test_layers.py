"""Laws of equivariant layers: symmetry, convergence to the integrals, and the kernel network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.layers import Layer, by_rows, convolve, lift, normalized, peak, pooled
from mercer.runtime.layers.coordinate import coordinate_network
from mercer.runtime.layers.fields import GAIN, WAVES
from mercer.stdlib.groups import named
from mercer.stdlib.groups.warp import centred, moved


def _weights(inputs: int, values: tuple[int, ...], seed: int, hidden: int = 12) -> list:
    random = np.random.default_rng(seed)
    sizes = (inputs, hidden, hidden)
    parts = [(random.normal(size=(a, b)), random.normal(size=b)) for a, b in pairwise(sizes)]
    return [*parts, (random.normal(size=(hidden, *values)),)]


def _images(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Smooth blobs in the middle, so that interpolation loses little."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    total = np.zeros((count, side, side))
    for _ in range(4):
        x, y = random.normal(scale=side / 8, size=(2, count, 1, 1))
        total += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (side / 12) ** 2))
    return total


def _network(group: str, *, stride: int, samples: int = 4) -> tuple[Callable, Layer]:
    first = Layer(group, samples, 1, radius=1.8, stride=stride)
    second = Layer(group, samples, 2, radius=1.5, stride=1)
    lifting = _weights(2, (3, 1), 0)
    mixing = _weights(2 + named(group).feature_count, (4, 3), 1)

    def fields(images: jax.Array) -> jax.Array:
        field = jax.nn.relu(normalized(lift(images, lifting, first), first))
        return convolve(field, mixing, second, of=first)

    return jax.jit(fields), second


@pytest.mark.parametrize(("group", "stride"), [("SO(2)", 1), ("GL(2)", 2)])
def test_untrained_layers_commute_with_the_quarter_turns_to_rounding(
    group: str, stride: int
) -> None:
    fields, layer = _network(group, stride=stride)
    images = np.random.default_rng(3).uniform(size=(2, 8, 8))  # rough: only the grid's own turns
    field = np.asarray(fields(images))
    turned = np.asarray(fields(np.rot90(images, axes=(1, 2)).copy()))
    # (r F)(x, h) = F(r^-1 x, r^-1 h): the plane turns, and the samples of an orbit move by one.
    elements = layer.sampled.elements
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    before = [int(np.flatnonzero((elements == turn.T @ h).all((1, 2)))[0]) for h in elements]
    wanted = np.rot90(field, axes=(3, 4))[:, before]
    np.testing.assert_allclose(turned, wanted, rtol=0, atol=1e-12 * np.abs(field).max())
    for words in (pooled(turned, layer), peak(turned)):
        assert words.shape == (2, 4)
    np.testing.assert_allclose(pooled(turned, layer), pooled(field, layer), rtol=1e-11)
    np.testing.assert_allclose(peak(turned), peak(field), rtol=1e-11)


def test_a_layer_is_linear_in_its_input() -> None:
    layer, weights = Layer("SO(2)", 4, 1, radius=1.5), _weights(2, (2, 3), 0)
    a, b = np.random.default_rng(0).normal(size=(2, 1, 3, 6, 6))
    together = lift(jnp.asarray(2.0 * a - b), weights, layer)
    apart = 2.0 * lift(jnp.asarray(a), weights, layer) - lift(jnp.asarray(b), weights, layer)
    np.testing.assert_allclose(together, apart, atol=1e-12)


@pytest.mark.parametrize(("stride", "side"), [(1, 3), (2, 6), (3, 9)])
def test_a_lifted_image_is_the_sum_over_pixels_that_its_formula_says(
    stride: int, side: int
) -> None:
    """|det h|^-1 sum_y f(y) k(h^-1 (y - x)), pixel by pixel, k without its mean."""
    layer, weights = Layer("GL(2)", 4, 5, radius=1.7, stride=stride), _weights(2, (2, 1), 2)
    image = np.random.default_rng(1).normal(size=(side, side))
    found = np.asarray(lift(jnp.asarray(image[None]), weights, layer))[0]  # [s, o, cells, cells]
    rows, columns = np.mgrid[:side, :side]
    middle = (stride - 1) / 2

    def kernel(h: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there = offsets @ np.linalg.inv(h).T
        values = coordinate_network(jnp.asarray(there / WAVES), weights)[..., 0]
        return np.asarray(values), layer.window(there)[..., None]

    for s, h in enumerate(layer.sampled.elements):
        values, window = kernel(h, layer.offsets())
        mean = np.sum(values * window, axis=(0, 1)) / window.sum()
        for a in range(side // stride):
            for b in range(side // stride):
                across, down = stride * b + middle, stride * a + middle
                offsets = np.stack([columns - across, down - rows], -1)
                values, window = kernel(h, offsets)
                wanted = np.einsum("ab,abo->o", image, window * (values - mean))
                wanted *= GAIN / layer.size**0.5 / np.linalg.det(h)
                np.testing.assert_allclose(found[s, :, a, b], wanted, atol=1e-11)


@pytest.mark.slow
def test_the_equivariance_error_falls_with_the_samples_to_what_pixels_leave() -> None:
    images = jnp.asarray(_images(4, 32))
    turn = jnp.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    lifting, mixing = _weights(2, (2, 1), 0), _weights(4, (3, 2), 1)

    def error(samples: int, finer: float) -> float:
        first = Layer("SO(2)", samples, 1, radius=4.0 * finer)
        second = Layer("SO(2)", samples, 2, radius=3.0 * finer)

        def value(x: jax.Array) -> jax.Array:
            field = jax.nn.relu(lift(x, lifting, first))
            return pooled(jax.nn.relu(convolve(field, mixing, second, of=first)), second)

        here, there = value(images), value(moved(images, turn))
        return float(jnp.linalg.norm(there - here) / jnp.linalg.norm(here))

    few, many, finer = error(4, 1.0), error(16, 1.0), error(16, 1.5)
    assert many < 0.4 * few
    assert finer < many < 0.01  # the rest is that of the grid, and less where that is finer


def test_the_kernel_network_keeps_the_size_of_its_values() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    sizes = [
        float(jnp.std(coordinate_network(jnp.asarray(points), _weights(2, (20,), s, hidden=40))))
        for s in range(4)
    ]
    assert 0.7 < np.mean(sizes) < 1.8  # one part is the network's, one its bias


def test_many_rows_go_in_blocks_that_change_nothing() -> None:
    layer, weights = Layer("SO(2)", 4, 1, radius=1.5), _weights(2, (2, 1), 0)
    images = np.random.default_rng(4).uniform(size=(2, 150, 4, 4))

    def compute(x: jax.Array) -> jax.Array:
        return pooled(jax.nn.relu(lift(x, weights, layer)), layer)

    whole = by_rows(compute, jnp.asarray(images))
    alone = by_rows(compute, jnp.asarray(images[1, 140:]))
    assert whole.shape == (2, 150, 2) and whole.dtype == jnp.float64
    np.testing.assert_allclose(whole[1, 140:], alone, rtol=1e-5)
    np.testing.assert_allclose(alone, compute(jnp.asarray(images[1, 140:])), rtol=2e-5)


def test_normalized_maps_have_mean_0_and_mean_square_1_over_the_group() -> None:
    fields, layer = _network("GL(2)", stride=2)
    field = normalized(jnp.asarray(fields(_images(2, 8))), layer)
    scale = (field.shape[3] * field.shape[4] * field.shape[1]) ** 0.5
    np.testing.assert_allclose(pooled(field, layer).mean(1), 0.0, atol=1e-10)
    np.testing.assert_allclose(pooled(field**2, layer).mean(1) / scale, 1.0, rtol=1e-4)


def test_a_stride_that_does_not_divide_the_grid_is_named() -> None:
    with pytest.raises(ValueError, match="stride: one that divides 7 and 7 is wanted, got 2"):
        lift(jnp.zeros((1, 7, 7)), _weights(2, (2, 1), 0), Layer("SO(2)", 4, 1, stride=2))


def test_a_quarter_turn_moves_pixels_and_a_centred_image_stays_so() -> None:
    image = np.random.default_rng(2).uniform(size=(3, 5, 5))
    turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(moved(jnp.asarray(image), turn), np.rot90(image, axes=(1, 2)))
    blob = np.zeros((1, 9, 9))
    blob[0, 1:4, 5:8] = 1.0
    middle = np.zeros((1, 9, 9))
    middle[0, 3:6, 3:6] = 1.0
    np.testing.assert_array_equal(centred(jnp.asarray(blob)), middle)
    np.testing.assert_array_equal(centred(jnp.asarray(middle)), middle)
    np.testing.assert_array_equal(centred(jnp.zeros((1, 9, 9))), np.zeros((1, 9, 9)))
