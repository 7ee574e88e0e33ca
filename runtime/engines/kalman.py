"""A chain of linear Gaussian states with scalar observations into its likelihood and smoother.

    x_i = A_i x_{i-1} + N(0, Q_i),    z_i = h_i' x_i + N(0, 1 / precision_i),    x_0 = 0

for i = 1 .. M, in O(M). A chain may hold many: where A_i = 0, one begins, with covariance Q_i.
Several columns of values [q] share the covariances. What is observed nowhere has precision 0.

The M nodes are laid out as `blocks` lanes of `length` nodes each, and three passes walk all lanes
at once: the first finds for each block its last state as a linear function of its first, and what
its values say of the first (an element in the sense of Sarkka & Garcia-Fernandez 2021); a short
scan, or on an accelerator an associative one, over the blocks gives what each begins with and what
the later ones say of its end; then the filter, and the adjoint recursions of Bryson & Frazier,

    r = d log density / d predicted mean,    N = - its derivative,

which invert no covariance, so that states without noise are no special case. The gradient is the
exact score, from r and N and the filter (Koopman & Shephard 1992): nothing is differentiated.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines import lanes
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


def layout(count: int) -> Layout:
    """Blocks such that lanes are wide enough for vector units, and passes short."""
    if _is_parallel():
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


class Filtered(NamedTuple):
    """`mean` [d, q, L, B] and `covariance` [d, d, L, B] given all values up to the node itself;
    `before_*` the same of the node before. `white` [q, L, B]: innovations over their standard
    deviation; `log_growth` [L, B]: log of the innovation's variance times the precision."""

    before_mean: Array
    before_covariance: Array
    mean: Array
    covariance: Array
    white: Array
    log_growth: Array


class Smoothed(NamedTuple):
    """`pull` [q, L, B]: value less its mean given all values; `push` [L, B]: diagonal of the
    inverse of the covariance of all values. `r` [d, q, L, B], `n` [d, d, L, B] as above: given all
    values the state has mean m + P r and covariance P - P n P, m and P being predicted."""

    pull: Array
    push: Array
    r: Array
    n: Array


# --- the public verbs -----------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def grams(chain: Chain, values: Array, group: Array, groups: int) -> tuple[Array, Array]:
    """Z' C^-1 Z [groups, q, q] of the values [q, L, B] in each group [L, B] of whole chains, and
    log |C| + sum of the logs of the precisions that are not 0; C is the covariance of all values.
    """
    found = run_filter(chain, values)
    return grams_of(found, group, groups), jnp.sum(found.log_growth)


def _grams_forward(chain: Chain, values: Array, group: Array, groups: int) -> Any:
    elements = block_elements(chain, values)
    found = _filter(chain, values, *_starts(elements))
    ends = _ends(elements, found)
    kept = (chain, values, group, found.before_mean, found.before_covariance, ends)
    return (grams_of(found, group, groups), jnp.sum(found.log_growth)), kept


def _grams_backward(groups: int, kept: Any, cotangents: Any) -> Any:
    chain, values, group, mean, covariance, ends = kept
    of_grams, of_growth = cotangents
    weights = -(of_grams + jnp.swapaxes(of_grams, 1, 2))  # F = -tr(W S) / 2 - w log |.| / 2
    own = weights[0][..., None] if groups == 1 else jnp.moveaxis(weights, 0, -1)
    slopes = _score(chain, values, group, (mean, covariance), ends, own, -2.0 * of_growth)
    return (*slopes, None)


grams.defvjp(_grams_forward, _grams_backward)


def run_filter(chain: Chain, values: Array) -> Filtered:
    """The Kalman filter: each node given all up to it. `values` [q, L, B]."""
    return _filter(chain, values, *_starts(block_elements(chain, values)))


def run_smoother(chain: Chain, values: Array) -> tuple[Filtered, Smoothed]:
    """The filter, and the smoother: each node given all values."""
    elements = block_elements(chain, values)
    found = _filter(chain, values, *_starts(elements))
    return found, _smoother(chain, values, found, _ends(elements, found))


def simulate(transitions: Blocks, shocks: Array) -> Array:
    """x_i = A_i x_{i-1} + shock_i of `shocks` [d, L, B]: states of the prior, [d, L, B]."""
    size, blocks = shocks.shape[0], shocks.shape[-1]
    zero = jnp.zeros((size, blocks), shocks.dtype)

    def one(carry: Any, given: Any) -> Any:
        reach, state = carry
        a, shock = given
        return (advanced(a, reach), advanced(a, state[:, None])[:, 0] + shock), None

    given = (_stepwise(transitions), _stepwise(shocks))
    start = (lanes.eye(size, zero[:, None]), zero)
    (reach, ends), _ = lax.scan(one, start, given)

    def over_blocks(state: Array, block: Any) -> Any:
        f, end = block
        return f @ state + end, state

    moved = (jnp.moveaxis(reach, -1, 0), jnp.moveaxis(ends, -1, 0))
    if _is_parallel():

        def joined(a: Any, b: Any) -> Any:
            return b[0] @ a[0], (b[0] @ a[1][..., None])[..., 0] + b[1]

        after = lax.associative_scan(joined, moved)[1]
        starts = jnp.concatenate([jnp.zeros_like(after[:1]), after[:-1]])
    else:
        starts = lax.scan(over_blocks, zero[:, 0], moved)[1]

    def again(state: Array, given: Any) -> Any:
        a, shock = given
        state = advanced(a, state[:, None])[:, 0] + shock
        return state, state

    return jnp.moveaxis(lax.scan(again, starts.T, given)[1], 0, -2)


# --- elements: a block as a whole ----------------------------------------------------------------


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
    size, blocks = _size(chain), values.shape[-1]
    zero = jnp.zeros((size, size, blocks), values.dtype)
    none = jnp.zeros((size, values.shape[0], blocks), values.dtype)

    def one(element: Element, given: Any) -> Any:
        a, q, h, precision, value = given
        f, g = advanced(a, element.f), advanced(a, element.g)
        p = _with_noise(_sandwich(a, element.p), q)
        gain, growth = _gain(p, h, precision)
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
    return lax.scan(one, start, _steps(chain, values))[0]


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


def _starts(elements: Element) -> tuple[Array, Array]:
    """Mean [d, q, B] and covariance of the state before each block, given all before it."""
    if _is_parallel():
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


def _ends(elements: Element, found: Filtered) -> tuple[Array, Array]:
    """r [d, q, B] and N, by the filtered state at the end of each block, of all after it."""
    if _is_parallel():
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
    mean, covariance = found.mean[..., -1, :], found.covariance[..., -1, :]
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


# --- passes over all lanes ------------------------------------------------------------------------


def _filter(chain: Chain, values: Array, mean: Array, covariance: Array) -> Filtered:
    def one(state: Any, given: Any) -> Any:
        a, q, h, precision, value = given
        mean, p = advanced(a, state[0]), _with_noise(_sandwich(a, state[1]), q)
        gain, growth = _gain(p, h, precision)
        weight = precision / growth
        left = value - jnp.sum(h[:, None] * mean, axis=0)
        after = (
            mean + gain[:, None] * (weight * left),
            p - gain[:, None] * (weight * gain),
        )
        # The root of 0, of what is not observed, has no derivative.
        is_seen = precision > 0
        white = jnp.where(is_seen, jnp.sqrt(jnp.where(is_seen, weight, 1.0)) * left, 0.0)
        return after, (*state, *after, white, growth)

    found = lax.scan(one, (mean, covariance), _steps(chain, values))[1]
    mean_before, covariance_before, mean, covariance, white, growth = found
    return Filtered(
        jnp.moveaxis(mean_before, 0, -2),
        jnp.moveaxis(covariance_before, 0, -2),
        jnp.moveaxis(mean, 0, -2),
        jnp.moveaxis(covariance, 0, -2),
        jnp.moveaxis(white, 0, -2),
        jnp.log(growth),
    )


class _Adjoint(NamedTuple):
    """What one step of the adjoint recursion knows of a node."""

    r: Array
    n: Array
    gain: Array
    growth: Array
    pull: Array
    push: Array
    spread: Array  # variance of h' x given all values
    mean: Array  # predicted
    covariance: Array
    left: Array


def _adjoint(state: Any, given: Any) -> _Adjoint:
    """r and N by the predicted state of a node, from those by its filtered state."""
    (r, n), ((a, q, h, precision, value), mean, covariance) = state, given
    mean, p = advanced(a, mean), _with_noise(_sandwich(a, covariance), q)
    gain, growth = _gain(p, h, precision)
    weight = precision / growth
    left = value - jnp.sum(h[:, None] * mean, axis=0)
    pull = (left - jnp.sum(gain[:, None] * r, axis=0)) / growth
    inner = jnp.sum(n * gain, axis=1)  # N P h
    twice = jnp.sum(gain * inner, axis=0)
    push = weight + weight**2 * twice
    sum_ = h[:, None] * (weight * inner) + (weight * inner)[:, None] * h
    return _Adjoint(
        r + h[:, None] * (precision * pull),
        n - sum_ + h[:, None] * h * push,
        gain,
        growth,
        pull,
        push,
        (jnp.sum(h * gain, axis=0) - twice / growth) / growth,
        mean,
        p,
        left,
    )


def _smoother(chain: Chain, values: Array, found: Filtered, ends: Any) -> Smoothed:
    def one(state: Any, given: Any) -> Any:
        at = _adjoint(state, given)
        return _back(given[0][0], at.r, at.n), (at.pull, at.push, at.r, at.n)

    given = (_steps(chain, values), *_stepwise((found.before_mean, found.before_covariance)))
    pull, push, r, n = lax.scan(one, ends, given, reverse=True)[1]
    return Smoothed(jnp.moveaxis(pull, 0, -2), push, jnp.moveaxis(r, 0, -2), jnp.moveaxis(n, 0, -2))


def _score(
    chain: Chain,
    values: Array,
    group: Array,
    before: tuple[Array, Array],
    ends: Any,
    weights: Array,
    of_growth: Array,
) -> tuple[Chain, Array]:
    """Slopes of -tr(W S) / 2 - w log |.| / 2 by chain and values; `weights` W [q, q, groups]."""
    same_loading = chain.loading.shape[1:] == (1, 1)

    def one(state: Any, given: Any) -> Any:
        node, mean, covariance, own = given
        a, _, h, precision, _ = node
        at = _adjoint(state, (node, mean, covariance))
        w = weights[..., own] if weights.shape[-1] > 1 else weights
        rw = times(at.r, w)
        slope = 0.5 * (times(rw, transposed(at.r)) - of_growth * at.n)
        moved = advanced(a, covariance)
        by_a, by_q, start = [], [], 0
        for block in a:
            stop = start + block.shape[0]
            full = times(rw[start:stop], transposed(mean)[:, start:stop])
            by_a.append(full + 2.0 * times(slope[start:stop], moved[:, start:stop]))
            by_q.append(slope[start:stop, start:stop])
            start = stop
        pw = jnp.sum(at.pull[:, None] * w, axis=0)  # [q, B]
        by_precision = -0.5 * (of_growth * at.spread + jnp.sum(pw * at.pull, axis=0))
        slopes = (tuple(by_a), tuple(by_q), by_precision, -precision * pw)
        if not same_loading:
            slopes = (*slopes, _by_loading(at, state, h, precision, w, of_growth))
        return _back(a, at.r, at.n), slopes

    given = (_steps(chain, values), *_stepwise(before), _stepwise(group))
    found = lax.scan(one, ends, given, reverse=True)[1]
    by_a, by_q, by_precision, by_values = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -2), found[:4])
    by_loading = jnp.zeros_like(chain.loading)
    if not same_loading:
        by_loading = jnp.moveaxis(found[4], 0, -2)
    return Chain(by_a, by_q, by_loading, by_precision), by_values


def _by_loading(
    at: _Adjoint, state: Any, h: Array, precision: Array, w: Array, of_growth: Array
) -> Array:
    """The slope by h, which enters by the gain, the innovation and its variance."""
    r, n = state  # by the filtered state
    weight = precision / at.growth
    rw, pull = times(r, w), precision * at.pull
    by_variance = 0.5 * (jnp.sum(pull * jnp.sum(w * pull, axis=1), axis=0) - of_growth * at.push)
    curved = 0.5 * (times(rw, transposed(r)) - of_growth * n)
    by_gain = jnp.sum(rw * (weight * at.left), axis=1)
    by_gain = by_gain - 2.0 * weight * jnp.sum(curved * at.gain, axis=1)
    moved = jnp.sum(at.covariance * by_gain, axis=1)
    return (
        2.0 * by_variance * at.gain + moved + jnp.sum(at.mean * jnp.sum(w * pull, axis=1), axis=1)
    )


# --- steps ----------------------------------------------------------------------------------------


def _steps(chain: Chain, values: Array) -> Any:
    """What a scan over the nodes of all lanes reads at each step."""
    loading = jnp.broadcast_to(chain.loading, (*chain.loading.shape[:1], *values.shape[1:]))
    if chain.loading.shape[1:] == (1, 1):
        loading = jnp.broadcast_to(
            chain.loading[None, :, 0], (values.shape[1], len(chain.loading), 1)
        )
    else:
        loading = _stepwise(loading)
    return (
        *_stepwise((chain.transitions, chain.noises)),
        loading,
        *_stepwise((chain.precision, values)),
    )


def _stepwise(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.moveaxis(x, -2, 0), tree)


def _size(chain: Chain) -> int:
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


def _sandwich(blocks: Blocks, p: Array) -> Array:
    """A P A'."""
    return advanced(blocks, transposed(advanced(blocks, p)))


def _with_noise(p: Array, blocks: Blocks) -> Array:
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
    return _with_noise(_sandwich(transitions, p), noises)


def _back(blocks: Blocks, r: Array, n: Array) -> tuple[Array, Array]:
    """A' r and A' N A: by the filtered state of the node before."""
    turned = tuple(transposed(block) for block in blocks)
    return advanced(turned, r), _sandwich(turned, n)


def _gain(p: Array, h: Array, precision: Array) -> tuple[Array, Array]:
    """P h [d, B], and the innovation's variance in units of the noise's, 1 + precision h' P h."""
    gain = jnp.sum(p * h, axis=1)
    return gain, 1.0 + precision * jnp.sum(h * gain, axis=0)


def grams_of(found: Filtered, group: Array, groups: int) -> Array:
    white = found.white
    if groups == 1:
        flat = white.reshape(white.shape[0], -1)
        return (flat @ flat.T)[None]
    square = white[:, None] * white  # [q, q, L, B]
    sums = jax.ops.segment_sum(
        jnp.moveaxis(square, (0, 1), (-2, -1)).reshape(-1, *square.shape[:2]),
        group.reshape(-1),
        groups,
    )
    return sums


def _is_parallel() -> bool:
    """Whether the backend works best on all blocks at once."""
    return jax.default_backend() != "cpu"
