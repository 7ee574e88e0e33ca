"""A chain of linear Gaussian states, laid out in lanes, into the pieces of one step along it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.lanes import times, transposed

Blocks = tuple[Array, ...]
"""A block-diagonal matrix, by its blocks [k, k, *]."""


class Layout(NamedTuple):
    """`count` nodes as `blocks` lanes of `length` nodes; node b * length + l is at [l, b]."""

    count: int
    length: int
    blocks: int

    def lay(self, values: Array, fill: Any = 0) -> Array:
        """[*, count] as [*, length, blocks], filled up at the end."""
        values = jnp.asarray(values)
        missing = self.length * self.blocks - self.count
        if missing:
            tail = jnp.full((*values.shape[:-1], missing), fill, values.dtype)
            values = jnp.concatenate([values, tail], axis=-1)
        return jnp.swapaxes(values.reshape(*values.shape[:-1], self.blocks, self.length), -1, -2)

    def flat(self, values: Array) -> Array:
        """[*, length, blocks] as [*, count]."""
        values = jnp.swapaxes(values, -1, -2)
        return values.reshape(*values.shape[:-2], -1)[..., : self.count]


def layout_of(count: int) -> Layout:
    """Blocks such that lanes are wide enough for vector units, and passes short."""
    if is_parallel():
        length = max(1, min(32, count))
    else:
        length = max(1, math.ceil(count / max(1.0, 0.9 * math.sqrt(count))))
    return Layout(count, length, math.ceil(count / length))


class Chain(NamedTuple):
    """States of size d, in a layout. `transitions`, `noises`: A and Q by blocks [k, k, L, B];
    `loading` [d, L, B], or [d, 1, 1] where it is the same everywhere; `precision` [L, B]."""

    transitions: Blocks
    noises: Blocks
    loading: Array
    precision: Array


def steps(chain: Chain, values: Array) -> Any:
    """What a scan over the nodes of all lanes reads at each step."""
    loading = jnp.broadcast_to(chain.loading, (*chain.loading.shape[:1], *values.shape[1:]))
    if chain.loading.shape[1:] == (1, 1):
        loading = jnp.broadcast_to(
            chain.loading[None, :, 0], (values.shape[1], len(chain.loading), 1)
        )
    else:
        loading = stepwise(loading)
    return (
        *stepwise((chain.transitions, chain.noises)),
        loading,
        *stepwise((chain.precision, values)),
    )


def stepwise(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.moveaxis(x, -2, 0), tree)


def size_of(chain: Chain) -> int:
    return sum(block.shape[0] for block in chain.transitions)


def advanced(blocks: Blocks, x: Array) -> Array:
    """A x, [d, e, B]."""
    if len(blocks) == 1:
        return times(blocks[0], x)
    parts, start = [], 0
    for block in blocks:
        stop = start + block.shape[0]
        parts.append(times(block, x[start:stop]))
        start = stop
    return jnp.concatenate(parts)


def sandwich(blocks: Blocks, p: Array) -> Array:
    """A P A'."""
    return advanced(blocks, transposed(advanced(blocks, p)))


def with_noise(p: Array, blocks: Blocks) -> Array:
    if len(blocks) == 1:
        return p + blocks[0]
    rows, start, size = [], 0, p.shape[0]
    for block in blocks:
        stop = start + block.shape[0]
        own = p[start:stop, start:stop] + block
        rows.append(jnp.concatenate([p[start:stop, :start], own, p[start:stop, stop:size]], axis=1))
        start = stop
    return jnp.concatenate(rows)


def predicted(transitions: Blocks, noises: Blocks, p: Array) -> Array:
    """A P A' + Q."""
    return with_noise(sandwich(transitions, p), noises)


def back(blocks: Blocks, r: Array, n: Array) -> tuple[Array, Array]:
    """A' r and A' N A: by the filtered state of the node before."""
    turned = tuple(transposed(block) for block in blocks)
    return advanced(turned, r), sandwich(turned, n)


def gain_of(p: Array, h: Array, precision: Array) -> tuple[Array, Array]:
    """P h [d, B], and the innovation's variance in units of the noise's, 1 + precision h' P h."""
    gain = jnp.sum(p * h, axis=1)
    return gain, 1.0 + precision * jnp.sum(h * gain, axis=0)


def is_parallel() -> bool:
    """Whether the backend works best on all blocks at once."""
    return jax.default_backend() != "cpu"
