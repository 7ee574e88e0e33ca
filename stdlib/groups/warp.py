"""Images and elements of a group of the plane into the images moved: (g f)(y) = f(g^-1 y).

About the centre of the image, by bilinear interpolation, 0 outside. A point of the plane is (x, y)
with x to the right and y upwards, in pixels. A quarter turn only moves pixels.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float


def places(height: int, width: int) -> np.ndarray:
    """The points (x, y) of all pixels about the centre, [height, width, 2]."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    return np.stack([columns - (width - 1) / 2, (height - 1) / 2 - rows], axis=-1)


def moved(
    images: Float[Array, "... h w"],
    linear: Float[Array, "2 2"],
    shift: Float[Array, " 2"] | None = None,
) -> Float[Array, "... h w"]:
    """The images under x -> linear x + shift."""
    height, width = images.shape[-2:]
    p, q, r, s = (linear[i, j] for i in (0, 1) for j in (0, 1))
    back = jnp.stack([jnp.stack([s, -q]), jnp.stack([-r, p])]) / (p * s - q * r)
    points = jnp.asarray(places(height, width))
    points = points if shift is None else points - shift
    source = points @ back.T
    return interpolated(images, (height - 1) / 2 - source[..., 1], source[..., 0] + (width - 1) / 2)


def interpolated(
    images: Float[Array, "... h w"], rows: Float[Array, "a b"], columns: Float[Array, "a b"]
) -> Float[Array, "... a b"]:
    """The images at places between pixels; 0 outside."""
    height, width = images.shape[-2:]
    top, left = jnp.floor(rows), jnp.floor(columns)
    total = jnp.zeros((*images.shape[:-2], *rows.shape), images.dtype)
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            share = (1.0 - jnp.abs(rows - row)) * (1.0 - jnp.abs(columns - column))
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = (
                jnp.clip(row, 0, height - 1).astype(int),
                jnp.clip(column, 0, width - 1).astype(int),
            )
            weight = jnp.where(inside, share, 0.0).astype(images.dtype)
            total = total + weight * images[..., at[0], at[1]]
    return total


def centred(images: Float[Array, "... h w"]) -> Float[Array, "... h w"]:
    """Each image with its centre of mass in the middle; an empty one stays as it is.

    The shift is a whole number of pixels, so that nothing is blurred.
    """
    height, width = images.shape[-2:]
    mass = jnp.sum(images, axis=(-2, -1))
    safe = jnp.where(mass > 0, mass, 1.0)
    rows = jnp.sum(images * jnp.arange(height)[:, None], axis=(-2, -1)) / safe
    columns = jnp.sum(images * jnp.arange(width), axis=(-2, -1)) / safe
    down = jnp.where(mass > 0, jnp.round(rows - (height - 1) / 2), 0).astype(int)
    right = jnp.where(mass > 0, jnp.round(columns - (width - 1) / 2), 0).astype(int)
    row = jnp.arange(height) + down[..., None]
    column = jnp.arange(width) + right[..., None]
    has_row, has_column = (row >= 0) & (row < height), (column >= 0) & (column < width)
    rows_at = jnp.clip(row, 0, height - 1)[..., :, None]
    columns_at = jnp.clip(column, 0, width - 1)[..., None, :]
    taken = jnp.take_along_axis(images, jnp.broadcast_to(rows_at, images.shape), axis=-2)
    taken = jnp.take_along_axis(taken, jnp.broadcast_to(columns_at, images.shape), axis=-1)
    return jnp.where(has_row[..., :, None] & has_column[..., None, :], taken, 0.0)
