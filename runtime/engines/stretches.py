"""Stretches of a chain, each as a whole, into what its blocks begin and end with.

The last state of a stretch is a linear function of the state before it, with noise; what its
values say of that state is a quadratic (Sarkka & Garcia-Fernandez 2021). A short scan over the
blocks, or on an accelerator an associative one, joins them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines import lanes
from mercer.runtime.engines.chain import (
    Chain,
    advanced,
    gain_of,
    is_parallel,
    sandwich,
    size_of,
    steps,
    with_noise,
)
from mercer.runtime.engines.lanes import times, transposed


class Element(NamedTuple):
    """The last state of a stretch of nodes given the state before it, x: N(F x + g, P); and what
    its values say of x: exp(-x' J x / 2 + x' eta), eta for each column."""

    f: Array  # [d, d, B]
    g: Array  # [d, q, B]
    p: Array  # [d, d, B]
    j: Array  # [d, d, B]
    eta: Array  # [d, q, B]


def block_elements(chain: Chain, values: Array) -> Element:
    """The element of each block."""
    size, blocks = size_of(chain), values.shape[-1]
    zero = jnp.zeros((size, size, blocks), values.dtype)
    none = jnp.zeros((size, values.shape[0], blocks), values.dtype)

    def one(element: Element, given: Any) -> Any:
        a, q, h, precision, value = given
        f, g = advanced(a, element.f), advanced(a, element.g)
        p = with_noise(sandwich(a, element.p), q)
        gain, growth = gain_of(p, h, precision)
        weight = precision / growth
        seen = jnp.sum(h[:, None] * f, axis=0)  # h' F
        left = value - jnp.sum(h[:, None] * g, axis=0)
        weighted, pulled = weight * seen, weight * left
        return Element(
            f - gain[:, None] * weighted,
            g + gain[:, None] * pulled,
            p - gain[:, None] * (weight * gain),
            element.j + seen[:, None] * weighted,
            element.eta + seen[:, None] * pulled,
        ), None

    start = Element(lanes.eye(size, zero), none, zero, zero, none)
    return lax.scan(one, start, steps(chain, values))[0]


def combined(a: Element, b: Element) -> Element:
    """The element of `a` and, after it, `b`."""
    size = a.p.shape[0]
    root = lanes.root(a.p)
    inside = lanes.eye(size, a.p) + times(transposed(root), times(b.j, root))
    half, _ = lanes.solved(inside, transposed(root))
    covariance = times(root, half)  # (P^-1 + J)^-1 of the state between, given `b` and x
    n = _known_information(b.j, a.p)
    kept = lanes.eye(size, a.p) - times(a.p, n)  # (I + P J)^-1
    left = b.eta - times(b.j, a.g)
    return Element(
        times(b.f, times(kept, a.f)),
        times(b.f, a.g + times(covariance, left)) + b.g,
        lanes.symmetric(times(b.f, times(covariance, transposed(b.f)))) + b.p,
        a.j + times(transposed(a.f), times(n, a.f)),
        a.eta + times(transposed(a.f), times(transposed(kept), left)),
    )


def _known_information(j: Array, p: Array) -> Array:
    """(I + J P)^-1 J, without the cancellation of J - J (P^-1 + J)^-1 J where J is large."""
    root = lanes.root(j)
    inside = lanes.eye(j.shape[0], j) + times(transposed(root), times(p, root))
    return times(root, lanes.solved(inside, transposed(root))[0])


def starts_of(elements: Element) -> tuple[Array, Array]:
    """Mean [d, q, B] and covariance of the state before each block, given all before it."""
    if is_parallel():
        # Of the element from the very beginning, where the state is 0.
        before = lax.associative_scan(_on_axis_zero, _by_block(elements))
        mean, covariance = (jnp.moveaxis(x, 0, -1) for x in (before.g, before.p))
        pad = ((0, 0), (0, 0), (1, 0))
        return jnp.pad(mean[..., :-1], pad), jnp.pad(covariance[..., :-1], pad)

    def one(state: Any, block: Element) -> Any:
        mean, covariance = state
        root = lanes.root(covariance)
        inside = lanes.eye(len(root), root) + root.T @ block.j @ root
        half, _ = lanes.solved(inside, root.T)
        middle = mean + root @ (half @ (block.eta - block.j @ mean))
        after = lanes.symmetric(block.f @ (root @ half) @ block.f.T) + block.p
        return (block.f @ middle + block.g, after), state

    zero = (jnp.zeros_like(elements.g[..., 0]), jnp.zeros_like(elements.p[..., 0]))
    starts = lax.scan(one, zero, _by_block(elements))[1]
    return jnp.moveaxis(starts[0], 0, -1), jnp.moveaxis(starts[1], 0, -1)


def ends_of(elements: Element, mean: Array, covariance: Array) -> tuple[Array, Array]:
    """r [d, q, B] and N of all after each block, by the filtered state at its end: mean [d, q, B]
    and covariance."""
    if is_parallel():
        after = lax.associative_scan(_backwards, _by_block(elements), reverse=True)
        j, eta = (jnp.moveaxis(x, 0, -1) for x in (after.j, after.eta))
        pad = ((0, 0), (0, 0), (0, 1))
        j, eta = jnp.pad(j[..., 1:], pad), jnp.pad(eta[..., 1:], pad)
    else:

        def one(state: Any, block: Element) -> Any:
            j, eta = state
            n = _known_information(j, block.p)
            left = eta - j @ block.g
            left = left - n @ (block.p @ left)
            return (block.j + block.f.T @ n @ block.f, block.eta + block.f.T @ left), state

        zero = (jnp.zeros_like(elements.j[..., 0]), jnp.zeros_like(elements.eta[..., 0]))
        after = lax.scan(one, zero, _by_block(elements), reverse=True)[1]
        j, eta = jnp.moveaxis(after[0], 0, -1), jnp.moveaxis(after[1], 0, -1)
    root = lanes.root(j)
    inside = lanes.eye(j.shape[0], j) + times(transposed(root), times(covariance, root))
    # eta = root z: the information is as much as `z` observed through `root` with variance 1.
    left = lanes.forward(root, eta) - times(transposed(root), mean)
    both = lanes.solved(inside, jnp.concatenate([left, transposed(root)], axis=1))[0]
    columns = left.shape[1]
    return times(root, both[:, :columns]), lanes.symmetric(times(root, both[:, columns:]))


def _by_block(elements: Element) -> Element:
    return Element(*(jnp.moveaxis(part, -1, 0) for part in elements))


def _on_axis_zero(a: Element, b: Element) -> Element:
    last = (Element(*(jnp.moveaxis(x, 0, -1) for x in e)) for e in (a, b))
    return _by_block(combined(*last))


def _backwards(a: Element, b: Element) -> Element:
    return _on_axis_zero(b, a)  # `reverse` hands the later one first
