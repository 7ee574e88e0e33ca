"""A convolution with a stride into those of its kind that XLA is fast at on a CPU.

Channels go last: in any other order XLA has no fast convolution inside a loop on a CPU, and is
forty times as slow there. There are no strides, of whose gradient it makes another seven times:
the cells that a step leaps over become channels. Filters wider than the grid that they make cost
it ten times as much as a matrix product over what each cell reads, which they become.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def convolved(
    values: Float[Array, "n c h w"], filters: Float[Array, "o c k k"], stride: int
) -> Float[Array, "n o a b"]:
    """One cell for `stride` of the values each way, 0 outside; filters as wide to both sides.

    ValueError: the stride does not divide the sides.
    """
    height, width = values.shape[-2:]
    if height % stride or width % stride:
        raise ValueError(f"stride: one that divides {height} and {width} is wanted, got {stride}")
    wide = filters.shape[-1]
    before = (wide - stride) // 2
    taps = -(-wide // stride)  # of cells of the grid that is made
    filled = jnp.pad(
        jnp.transpose(filters, (2, 3, 1, 0)),
        ((0, taps * stride - wide), (0, taps * stride - wide), (0, 0), (0, 0)),
    )
    margin = (before, taps * stride - stride - before)
    images = jnp.moveaxis(values, 1, 3)
    is_whole = before % stride == 0
    if not is_whole:
        images = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
        margin = (0, 0)
    blocks = _cells_as_channels(images, stride, axis=1)
    kernel = _cells_as_channels(filled, stride, axis=0)
    margin = (margin[0] // stride, margin[1] // stride)
    if taps > min(height, width) // stride:
        found = _as_product(blocks, kernel, margin)
    else:
        found = jax.lax.conv_general_dilated(
            blocks,
            kernel,
            (1, 1),
            (margin, margin),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    return jnp.moveaxis(found, 3, 1)


def _as_product(
    images: Float[Array, "n h w c"], kernel: Float[Array, "k k c o"], margin: tuple[int, int]
) -> Float[Array, "n a b o"]:
    padded = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
    taps = kernel.shape[0]
    down, across = (side - taps + 1 for side in padded.shape[1:3])
    reads = [padded[:, a : a + down, b : b + across] for a in range(taps) for b in range(taps)]
    return jnp.concatenate(reads, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _cells_as_channels(values: Array, side: int, *, axis: int) -> Array:
    """Blocks of side x side cells, along `axis` and the next, as one cell of more channels, which
    stand in the axis after these."""
    if side == 1:
        return values
    height, width, channels = values.shape[axis : axis + 3]
    lead, rest = values.shape[:axis], values.shape[axis + 3 :]
    blocks = values.reshape(*lead, height // side, side, width // side, side, channels, *rest)
    within = jnp.moveaxis(blocks, axis + 2, axis + 1)
    return within.reshape(*lead, height // side, width // side, side**2 * channels, *rest)
