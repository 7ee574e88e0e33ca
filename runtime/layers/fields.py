"""Images into functions on an affine group, these into further ones, and at last into numbers.

    lift     F(x, h)  = |det h|^-1 int f(y) k(h^-1 (y - x)) dy
    convolve F'(x, h) = int int F(y, j) k(h^-1 (y - x), h^-1 j) dy dmu(j) / |det j|

(Mironenco & Forre 2024; mu the Haar measure). A feature map is an array [row, sample, channel,
height, width]: its values at the cells of a grid and at the sampled elements of the group, which
belong to the layer that makes the map, and are those at which the next layer reads it. The
integral over the plane is a sum over cells, which makes it an ordinary convolution, with filters
that a coordinate network gives.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from mercer.runtime.layers.convolution import convolved
from mercer.runtime.layers.coordinate import Weights, coordinate_network
from mercer.runtime.layers.held import given_features, noted
from mercer.runtime.layers.layer import Layer

GAIN = 8.0
"""What smooth images lose under kernels without a mean, beside images of independent pixels: with
it the fields of digits have values of about unit size, as activations want them."""

WAVES = 5.0
"""Cells, at least, of the unit in which kernels are told where they are: their waves are then
longer than two cells, however short the kernel is. A kernel of shorter waves may have any values
between its cells, and commutes with the grid's own turns alone.
"""

ROWS = 128
"""Images at a time: what all layers make of them fits into the memory of a laptop."""


def lift(
    images: Float[Array, "n *c h w"], weights: Weights, layer: Layer
) -> Float[Array, "n s o a b"]:
    """Images [n, h, w] or [n, c, h, w] as a feature map; the values of the kernel are [o, c]."""
    images = images[:, None] if images.ndim == 3 else images
    reads = _reads_of_lift(layer)
    kernel = _kernel(reads, weights, images.dtype, layer)  # [s, k, k, o, c]
    samples, k, _, outputs, inputs = kernel.shape
    filters = jnp.moveaxis(kernel, (3, 4), (1, 2)).reshape(samples * outputs, inputs, k, k)
    return convolved(images, filters, layer.stride).reshape(
        len(images), samples, outputs, *_grid(images, layer)
    )


def convolve(
    field: Float[Array, "n j c h w"], weights: Weights, layer: Layer, *, of: Layer
) -> Float[Array, "n s o a b"]:
    """A feature map that the layer `of` has made, convolved over the affine group."""
    rows, read, inputs = field.shape[:3]
    reads = _reads_of_convolution(layer, of)
    kernel = _kernel(reads, weights, field.dtype, layer)  # [s, j, k, k, o, c]
    samples, _, k, _, outputs, _ = kernel.shape
    filters = jnp.transpose(kernel, (0, 4, 1, 5, 2, 3))
    filters = filters.reshape(samples * outputs, read * inputs, k, k)
    flat = field.reshape(rows, read * inputs, *field.shape[3:])
    made = convolved(flat, filters, layer.stride)
    return made.reshape(rows, samples, outputs, *_grid(field, layer))


def pooled(field: Float[Array, "n s c h w"], of: Layer) -> Float[Array, "n c"]:
    """The mean over the affine group, by its Haar measure dx dmu(h) / |det h|, times the root of
    how many values it is of: the mean of independent values of unit size then has unit size."""
    weights = jnp.asarray(_haar(of), field.dtype)
    cells = field.shape[3] * field.shape[4]
    return jnp.einsum("nschw,s->nc", field, weights) * (field.shape[1] / cells) ** 0.5


def peak(field: Float[Array, "n s c h w"]) -> Float[Array, "n c"]:
    """The largest value over the affine group."""
    return jnp.max(field, axis=(1, 3, 4))


def normalized(field: Float[Array, "n s c h w"], of: Layer) -> Float[Array, "n s c h w"]:
    """Mean 0 and mean square 1 over the affine group and the channels of each row's map."""
    count = field.shape[2] * field.shape[3] * field.shape[4]
    weights = jnp.asarray(_haar(of) / count, field.dtype)
    mean = jnp.einsum("nschw,s->n", field, weights)[:, None, None, None, None]
    square = jnp.einsum("nschw,s->n", (field - mean) ** 2, weights)[:, None, None, None, None]
    return (field - mean) / jnp.sqrt(square + 1e-6)


def by_rows(compute: Callable[[Array], Array], images: Array, *, depth: int = 2) -> Array:
    """`compute` of images [..., *image], a few at a time, in single precision.

    `depth`: how many axes an image has. What lies between the layers is not kept for the gradient,
    but made again: it would take a hundred times the memory of the images.
    """
    if (known := given_features()) is not None:
        return known
    lead, image = images.shape[: images.ndim - depth], images.shape[images.ndim - depth :]
    flat = images.reshape(-1, *image).astype(jnp.float32)
    rows = len(flat)
    if rows <= ROWS:
        found = compute(flat)
    else:
        blocks = -(-rows // ROWS)
        padded = jnp.pad(flat, ((0, blocks * ROWS - rows), *((0, 0) for _ in image)))
        each = jax.lax.map(jax.checkpoint(compute), padded.reshape(blocks, ROWS, *image))
        found = each.reshape(blocks * ROWS, *each.shape[2:])[:rows]
    return noted(found.reshape(*lead, *found.shape[1:]).astype(images.dtype))


class _Reads(NamedTuple):
    """`points` at which the coordinate network is asked, and the `factor` of its values."""

    points: np.ndarray
    factor: np.ndarray


@lru_cache(maxsize=64)
def _reads_of_lift(layer: Layer) -> _Reads:
    """[s, k, k, 2] and [s, k, k]."""
    there = _own_places(layer)
    weight = layer.window(there) / layer.sampled.determinants[:, None, None]
    return _Reads(there / _unit(layer), weight)


@lru_cache(maxsize=64)
def _reads_of_convolution(layer: Layer, of: Layer) -> _Reads:
    """[s, j, k, k, 2 + q] and [s, j, k, k]."""
    onto, read = layer.sampled, of.sampled
    there = _own_places(layer)
    between = np.linalg.inv(onto.elements)[:, None] @ read.elements
    with jax.ensure_compile_time_eval():  # these are numbers, also where a program is traced
        features = np.asarray(onto.group.features(jnp.asarray(between)))
    shape = (onto.count, read.count, *there.shape[1:3])
    points = np.concatenate(
        [
            np.broadcast_to(there[:, None] / _unit(layer), (*shape, 2)),
            np.broadcast_to(features[:, :, None, None], (*shape, features.shape[-1])),
        ],
        axis=-1,
    )
    measure = read.weights / read.determinants
    weight = layer.window(there)[:, None] * measure[:, None, None]
    return _Reads(points, np.broadcast_to(weight, shape))


def _unit(layer: Layer) -> float:
    return max(layer.radius, WAVES)


def _own_places(layer: Layer) -> np.ndarray:
    """h^-1 (y - x) for each sample and each place that is read, [s, k, k, 2]."""
    back = np.linalg.inv(layer.sampled.elements)
    return np.einsum("sij,abj->sabi", back, layer.offsets())


def _kernel(reads: _Reads, weights: Weights, dtype: jnp.dtype, layer: Layer) -> Array:
    """The values of a kernel times what they count in the integral.

    Its mean over what it reads is taken off: a layer answers to what varies. A smooth kernel has
    most of its square in the mean, so that each channel of a field would be of one sign everywhere,
    `relu` would do nothing, and the mean of a field would be that of the image and no more.
    """
    own = [tuple(jnp.asarray(part, dtype) for part in pair) for pair in weights]
    values = coordinate_network(jnp.asarray(reads.points, dtype), own)
    over = tuple(range(1, reads.factor.ndim))
    share = jnp.asarray(reads.factor / reads.factor.sum(axis=over, keepdims=True), dtype)
    mean = jnp.sum(values * share[..., None, None], axis=over, keepdims=True)
    inputs = values.shape[-1]
    factor = jnp.asarray(GAIN * reads.factor / (inputs * layer.size) ** 0.5, dtype)
    return factor[..., None, None] * (values - mean)


def _haar(of: Layer) -> np.ndarray:
    found = of.sampled.weights / of.sampled.determinants
    return found / found.sum()


def _grid(values: Array, layer: Layer) -> tuple[int, int]:
    return values.shape[-2] // layer.stride, values.shape[-1] // layer.stride
