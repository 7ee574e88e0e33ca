"""Distributions into truncated, ordered, censored, weighted and transformed ones, renormalised.

Laws are made by `mercer.stdlib.laws`; these are the NumPyro classes behind it, each written from
the distribution function of the law that it wraps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln
from jax.typing import ArrayLike
from numpyro import distributions as dist
from numpyro.distributions import constraints
from numpyro.util import is_prng_key

from mercer.stdlib.tails import bisected, draw_between, log_between, log_cdf, log_survival


class Wrapped(dist.Distribution):
    """A law made from another, `base`; draws have the base's shape."""

    pytree_data_fields: tuple[str, ...] = ("base",)

    def __init__(self, base: dist.Distribution, *parameters: Any) -> None:
        self.base = base
        shape = jnp.broadcast_shapes(base.batch_shape, *(jnp.shape(p) for p in parameters))
        super().__init__(shape, base.event_shape)

    @property
    def support(self) -> Any:
        return self.base.support

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> ArrayLike:
        return self._expanded().sample(key, sample_shape)

    def log_prob(self, value: Any) -> ArrayLike:
        raise NotImplementedError

    def _expanded(self) -> dist.Distribution:
        return self.base.expand(self.batch_shape)


class TruncatedLaw(Wrapped):
    """`base` given low <= draw <= high, by its distribution function."""

    pytree_data_fields = ("low", "high")

    def __init__(self, base: dist.Distribution, low: Any, high: Any) -> None:
        self.low, self.high = low, high
        super().__init__(base, *(b for b in (low, high) if b is not None))

    @property
    def support(self) -> Any:
        return _bounded(self.base, self.low, self.high)

    def log_prob(self, value: Any) -> Array:
        inside = jnp.ones(jnp.shape(value), bool)
        if self.low is not None:
            inside = inside & (value >= self.low)
        if self.high is not None:
            inside = inside & (value <= self.high)
        density = self.base.log_prob(value) - log_between(self.base, self.low, self.high)
        return jnp.where(inside, density, -jnp.inf)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        assert is_prng_key(key)
        shape = sample_shape + self.batch_shape
        return draw_between(self.base, self.low, self.high, jax.random.uniform(key, shape), shape)


class ShareLaw(Wrapped):
    """How far between `low` and `high` a draw of `base` lies, given that it lies there."""

    pytree_data_fields = ("low", "high")

    def __init__(self, base: dist.Distribution, low: Any, high: Any) -> None:
        self.low, self.high = low, high
        super().__init__(base, low, high)

    @property
    def support(self) -> Any:
        return constraints.unit_interval

    def log_prob(self, value: Any) -> Array:
        wide = self.high - self.low
        return jnp.asarray(self.base.log_prob(self.low + wide * value)) + jnp.log(wide)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> ArrayLike:
        return (super().sample(key, sample_shape) - self.low) / (self.high - self.low)


class OrderedLaw(Wrapped):
    """`size` independent draws of `base`, sorted: the density of the draws times size!."""

    pytree_aux_fields = ("size",)

    def __init__(self, base: dist.Distribution, size: int) -> None:
        self.base, self.size = base, size
        dist.Distribution.__init__(self, base.batch_shape, (size,))

    @property
    def support(self) -> Any:
        return constraints.ordered_vector

    def log_prob(self, value: Any) -> Array:
        each = self.base.log_prob(jnp.moveaxis(value, -1, 0))
        return jnp.sum(each, axis=0) + gammaln(self.size + 1.0)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        draws = self.base.sample(key, (self.size, *sample_shape))
        return jnp.sort(jnp.moveaxis(draws, 0, -1), axis=-1)


class ZeroSumLaw(Wrapped):
    """`size` draws of a Normal around 0 given that they add to zero; one for each of its batch.

    NumPyro's own has no batches. The density is that along the plane of sum 0.
    """

    pytree_aux_fields = ("size",)

    def __init__(self, base: dist.Normal, size: int) -> None:
        self.base, self.size = base, size
        dist.Distribution.__init__(self, base.batch_shape, (size,))

    @property
    def support(self) -> Any:
        return constraints.zero_sum(1)

    def log_prob(self, value: Any) -> Array:
        scale = jnp.asarray(cast(Any, self.base).scale)
        each = self.size - 1
        squares = jnp.sum(value**2, axis=-1) / scale**2
        return -0.5 * squares - each * (jnp.log(scale) + 0.5 * jnp.log(2.0 * jnp.pi))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = sample_shape + self.batch_shape + (self.size,)
        drawn = jax.random.normal(key, shape)
        scale = jnp.asarray(cast(Any, self.base).scale)[..., None]
        return scale * (drawn - jnp.mean(drawn, axis=-1, keepdims=True))


class CensoredLaw(Wrapped):
    """What was recorded of a draw: itself, or (`below`, `above`) a bound that it lies beyond.

    A draw of this law is the true value: which records a new study would censor is not known.
    """

    pytree_data_fields = ("below", "above")

    def __init__(self, base: dist.Distribution, below: Any, above: Any) -> None:
        self.below, self.above = below, above
        super().__init__(base, *(c for c in (below, above) if c is not None))

    def log_prob(self, value: Any) -> ArrayLike:
        density = self.base.log_prob(value)
        if self.below is not None:
            step = 1 if self.base.is_discrete else 0
            tail = log_cdf(self.base, value - step)
            density = jnp.where(jnp.asarray(self.below, bool), tail, density)
        if self.above is not None:
            tail = log_survival(self.base, value)
            density = jnp.where(jnp.asarray(self.above, bool), tail, density)
        return density


class WeightedLaw(Wrapped):
    """The density to the power `weight`: an outcome that counts `weight` times."""

    pytree_data_fields = ("weight",)

    def __init__(self, base: dist.Distribution, weight: Any) -> None:
        self.weight = weight
        super().__init__(base, weight)

    def log_prob(self, value: Any) -> Array:
        return self.weight * self.base.log_prob(value)


class PushedLaw(Wrapped):
    """The law of g(draw) for an increasing or decreasing function g of numbers, by its slope.

    `inverse` None: g is inverted by bisection, and Newton steps from there carry derivatives of
    first and second order with respect to whatever g depends on.
    """

    pytree_aux_fields = ("forward", "inverse", "_support")

    def __init__(
        self,
        base: dist.Distribution,
        forward: Callable[[Any], Any],
        inverse: Callable[[Any], Any] | None,
        support: Any,
    ) -> None:
        self.forward, self.inverse, self._support = forward, inverse, support
        shape = jax.eval_shape(forward, jnp.zeros(base.batch_shape)).shape
        self.base = base
        dist.Distribution.__init__(self, shape, base.event_shape)

    @property
    def support(self) -> Any:
        return self._support

    def log_prob(self, value: Any) -> ArrayLike:
        before = self._inverted(value) if self.inverse is None else self.inverse(value)
        _, slope = _with_slope(self.forward, before)
        return self.base.log_prob(before) - jnp.log(jnp.abs(slope))

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self.forward(super().sample(key, sample_shape))

    def _inverted(self, value: Any) -> Array:
        shape = jnp.broadcast_shapes(jnp.shape(value), self.batch_shape)
        value = jnp.broadcast_to(jnp.asarray(value, float), shape)
        frozen = jax.lax.stop_gradient(value)
        # g is asked within the support of the draw only: a log has no value below 0.
        lowest = jax.lax.stop_gradient(getattr(self.base.support, "lower_bound", -jnp.inf))
        highest = jax.lax.stop_gradient(getattr(self.base.support, "upper_bound", jnp.inf))
        first, second = (self.forward(jnp.broadcast_to(x, shape)) for x in _inside(lowest, highest))
        rises = second > first

        def is_beyond(x: Array) -> Array:
            y = jax.lax.stop_gradient(self.forward(jnp.minimum(x, highest)))
            return jnp.where(rises, y >= frozen, y <= frozen) | (x >= highest)

        before = jax.lax.stop_gradient(bisected(is_beyond, shape, lowest))
        for _ in range(2):
            image, slope = _with_slope(self.forward, before)
            before = before - (image - value) / slope
        return before


def _inside(low: Any, high: Any) -> tuple[Array, Array]:
    """Two numbers between ends that may be infinite, the smaller first."""
    low, high = jnp.asarray(low, float), jnp.asarray(high, float)
    has_low, has_high = jnp.isfinite(low), jnp.isfinite(high)
    start = jnp.where(has_low, low, jnp.where(has_high, high - 3.0, -2.0))
    width = jnp.where(has_low & has_high, high - low, 3.0)
    return start + width / 3.0, start + 2.0 * width / 3.0


def _with_slope(function: Callable[[Any], Any], x: Array) -> tuple[Array, Array]:
    return jax.jvp(function, (x,), (jnp.ones_like(x),))


def _bounded(base: dist.Distribution, low: Any, high: Any) -> Any:
    """The part of the base's support between the bounds, as a NumPyro constraint."""
    ends = [(low, "lower_bound", jnp.maximum), (high, "upper_bound", jnp.minimum)]
    bounds = []
    for bound, name, tighter in ends:
        own = getattr(base.support, name, None)
        if bound is None or own is None:
            bounds.append(own if bound is None else bound)
        else:
            bounds.append(tighter(bound, own))
    match base.is_discrete, bounds[0] is None, bounds[1] is None:
        case True, False, True:
            return constraints.integer_greater_than(bounds[0])
        case True, _, _:
            return constraints.integer_interval(bounds[0], bounds[1])
        case _, True, True:
            return constraints.real
        case _, False, True:
            return constraints.greater_than(bounds[0])
        case _, True, False:
            return constraints.less_than(bounds[1])
        case _:
            return constraints.interval(bounds[0], bounds[1])
