"""Arrays with named axes, aligned by the compiler, into the flat rows that engines work on."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array


def flat(value: Any, shape: tuple[int, ...]) -> Array:
    """`value`, broadcast to `shape`, as a vector [prod(shape)]."""
    return jnp.broadcast_to(jnp.asarray(value), shape).reshape(-1)


def vectors(value: Any, shape: tuple[int, ...], width: int) -> Array:
    """`value`, whose last axis holds coordinates, as rows [prod(shape), width]."""
    return jnp.broadcast_to(jnp.asarray(value), (*shape, width)).reshape(-1, width)


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
