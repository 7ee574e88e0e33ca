"""Arrays with named axes, aligned by the compiler, into the flat rows that engines work on."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array


def flat(value: Any, shape: tuple[int, ...]) -> Array:
    """`value`, broadcast to `shape`, as a vector [prod(shape)]."""
    return jnp.broadcast_to(jnp.asarray(value), shape).reshape(-1)


def vectors(value: Any, shape: tuple[int, ...], width: int, axes: int = 1) -> Array:
    """`value`, whose last axis (or `axes`) holds coordinates, as rows [prod(shape), width]."""
    value = jnp.asarray(value)
    flattened = value.reshape(*value.shape[: value.ndim - axes], width)
    return jnp.broadcast_to(flattened, (*shape, width)).reshape(-1, width)


def unit_vectors(latitude: Any, longitude: Any) -> Array:
    """Degrees into points of the sphere, [..., 3]."""
    north, east = jnp.deg2rad(jnp.asarray(latitude)), jnp.deg2rad(jnp.asarray(longitude))
    ring = jnp.cos(north)
    parts = jnp.broadcast_arrays(ring * jnp.cos(east), ring * jnp.sin(east), jnp.sin(north))
    return jnp.stack(parts, axis=-1)


def flat_code(shape: tuple[int, ...], *parts: tuple[Any, int]) -> Array:
    """Codes of several indices (code, number of labels) as one code [prod(shape)], last fastest."""
    total: Any = 0
    for code, count in parts:
        total = total * count + code
    return flat(total, shape)


def table(value: Any, rows: tuple[int, ...], sums: tuple[int, ...]) -> Array:
    """`value`, with the axes rows and sums, as [prod(rows), prod(sums)]."""
    full = jnp.broadcast_to(jnp.asarray(value), (*rows, *sums))
    return full.reshape(math.prod(rows), math.prod(sums))


def directions(codes: Any, width: int, shape: tuple[int, ...]) -> Array:
    """Unit vectors [prod(shape), width] along the coordinates `codes`."""
    return jnp.eye(width)[flat(codes, shape)]
