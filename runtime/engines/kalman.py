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

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines import lanes
from mercer.runtime.engines.chain import (
    Blocks,
    Chain,
    advanced,
    back,
    gain_of,
    is_parallel,
    sandwich,
    steps,
    stepwise,
    with_noise,
)
from mercer.runtime.engines.lanes import times, transposed
from mercer.runtime.engines.stretches import Element, block_elements, ends_of, starts_of


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
    found = _filter(chain, values, *starts_of(elements))
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
    return _filter(chain, values, *starts_of(block_elements(chain, values)))


def run_smoother(chain: Chain, values: Array) -> tuple[Filtered, Smoothed]:
    """The filter, and the smoother: each node given all values."""
    elements = block_elements(chain, values)
    found = _filter(chain, values, *starts_of(elements))
    return found, _smoother(chain, values, found, _ends(elements, found))


def simulate(transitions: Blocks, shocks: Array) -> Array:
    """x_i = A_i x_{i-1} + shock_i of `shocks` [d, L, B]: states of the prior, [d, L, B]."""
    size, blocks = shocks.shape[0], shocks.shape[-1]
    zero = jnp.zeros((size, blocks), shocks.dtype)

    def one(carry: Any, given: Any) -> Any:
        reach, state = carry
        a, shock = given
        return (advanced(a, reach), advanced(a, state[:, None])[:, 0] + shock), None

    given = (stepwise(transitions), stepwise(shocks))
    start = (lanes.eye(size, zero[:, None]), zero)
    (reach, ends), _ = lax.scan(one, start, given)

    def over_blocks(state: Array, block: Any) -> Any:
        f, end = block
        return f @ state + end, state

    moved = (jnp.moveaxis(reach, -1, 0), jnp.moveaxis(ends, -1, 0))
    if is_parallel():

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


def _ends(elements: Element, found: Filtered) -> tuple[Array, Array]:
    return ends_of(elements, found.mean[..., -1, :], found.covariance[..., -1, :])


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


# --- passes over all lanes ------------------------------------------------------------------------


def _filter(chain: Chain, values: Array, mean: Array, covariance: Array) -> Filtered:
    def one(state: Any, given: Any) -> Any:
        a, q, h, precision, value = given
        mean, p = advanced(a, state[0]), with_noise(sandwich(a, state[1]), q)
        gain, growth = gain_of(p, h, precision)
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

    found = lax.scan(one, (mean, covariance), steps(chain, values))[1]
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
    mean, p = advanced(a, mean), with_noise(sandwich(a, covariance), q)
    gain, growth = gain_of(p, h, precision)
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
        return back(given[0][0], at.r, at.n), (at.pull, at.push, at.r, at.n)

    given = (steps(chain, values), *stepwise((found.before_mean, found.before_covariance)))
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
        return back(a, at.r, at.n), slopes

    given = (steps(chain, values), *stepwise(before), stepwise(group))
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
