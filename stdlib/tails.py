"""Distributions into the logarithms of their tails, and draws between bounds far out in one.

`1 - cdf` is 0 from eight standard deviations on, where a truncated or censored density still needs
the logarithm of what is left: each law has its own way to it, the rest the distribution function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import betainc, gammainc, gammaincc, log_ndtr
from numpyro import distributions as dist

TINY = 1e-300  # a probability below is taken as this: its logarithm stays finite, its slope 0


def log_survival(law: dist.Distribution, value: Any) -> Array:
    """log P(draw > value), without cancellation where the law allows it."""
    own = cast(Any, law)  # its parameters, whose types NumPyro leaves open
    match law:
        case dist.Normal() | dist.Cauchy() | dist.StudentT() | dist.Laplace() | dist.Logistic():
            return log_cdf(law, 2.0 * own.loc - value)
        case dist.LogNormal():
            return log_ndtr((own.loc - jnp.log(value)) / own.scale)
        case dist.HalfNormal():
            return jnp.log(2.0) + log_ndtr(-value / own.scale)
        case dist.HalfCauchy():
            return jnp.log(2.0 / jnp.pi * jnp.arctan2(own.scale, value))
        case dist.Weibull():
            return -((value / own.scale) ** own.concentration)
        case dist.Gompertz():
            return -own.concentration * jnp.expm1(own.rate * value)
        case dist.Exponential():
            return -own.rate * value
        case dist.Pareto():
            return -own.alpha * jnp.log(jnp.maximum(value / own.scale, 1.0))
        case dist.Gumbel():
            return _log1mexp(log_cdf(law, value))
        case dist.Gamma():
            return _log(gammaincc(own.concentration, own.rate * value))
        case dist.InverseGamma():
            return _log(gammainc(own.concentration, own.rate / value))
        case dist.Beta():
            return _log(betainc(own.concentration0, own.concentration1, 1.0 - value))
        case dist.Poisson():
            return _log(gammainc(jnp.maximum(jnp.floor(value) + 1.0, TINY), own.rate))
        case dist.GammaPoisson():
            above = jnp.maximum(jnp.floor(value) + 1.0, TINY)
            return _log(betainc(above, own.concentration, 1.0 / (1.0 + own.rate)))
        case _:
            largest = 1.0 - jnp.finfo(jnp.result_type(float)).eps
            return jnp.log1p(-jnp.clip(own.cdf(value), 0.0, largest))


def log_cdf(law: dist.Distribution, value: Any) -> Array:
    """log P(draw <= value), without cancellation where the law allows it."""
    own = cast(Any, law)
    match law:
        case dist.Normal():
            return log_ndtr((value - own.loc) / own.scale)
        case dist.LogNormal():
            return log_ndtr((jnp.log(value) - own.loc) / own.scale)
        case dist.Logistic():
            return jax.nn.log_sigmoid((value - own.loc) / own.scale)
        case dist.Laplace():
            away = jnp.abs(value - own.loc) / own.scale
            is_below = value < own.loc
            return jnp.where(is_below, jnp.log(0.5) - away, jnp.log1p(-0.5 * jnp.exp(-away)))
        case dist.Cauchy():
            return jnp.log(jnp.arctan2(own.scale, own.loc - value) / jnp.pi)
        case dist.Gumbel():
            return -jnp.exp((own.loc - value) / own.scale)
        case dist.InverseGamma():
            return _log(gammaincc(own.concentration, own.rate / value))
        case dist.Weibull() | dist.Gompertz() | dist.Exponential() | dist.Pareto():
            return _log1mexp(log_survival(law, value))
        case _:
            return _log(own.cdf(value))


def log_between(law: dist.Distribution, low: Any, high: Any) -> Array:
    """log P(low <= draw <= high); None is no bound. Measured from the nearer tail."""
    below = None if low is None else _before(law, low)
    if below is None:
        return log_cdf(law, high) if high is not None else jnp.zeros(law.batch_shape)
    # Below its support a distribution function may be anything in NumPyro.
    lowest = getattr(law.support, "lower_bound", None)
    is_all = jnp.zeros((), bool) if lowest is None else below < lowest
    inner = below if lowest is None else jnp.where(is_all, lowest, below)
    above = jnp.where(is_all, 0.0, log_survival(law, inner))
    if high is None:
        return above
    until = log_cdf(law, high)
    is_upper = above < until
    upper = above + _log1mexp(jnp.where(is_upper, log_survival(law, high) - above, -1.0))
    under = jnp.where(is_all | is_upper, -1.0, log_cdf(law, inner) - until)
    lower = until + jnp.where(is_all, 0.0, _log1mexp(under))
    return jnp.where(is_upper, upper, lower)


def draw_between(
    law: dist.Distribution, low: Any, high: Any, uniform: Array, shape: tuple[int, ...]
) -> Array:
    """The draws of `law` between the bounds at `uniform` numbers from 0 to 1, of `shape`."""
    below = 0.0 if low is None else jnp.exp(log_cdf(law, _before(law, low)))
    lowest = getattr(law.support, "lower_bound", None)
    if low is not None and lowest is not None:
        below = jnp.where(_before(law, low) < lowest, 0.0, below)
    until = 1.0 if high is None else jnp.exp(log_cdf(law, high))
    drawn = quantile(law, below + uniform * (until - below))
    if low is not None and not law.is_discrete:
        end = 0.0 if high is None else jnp.exp(log_survival(law, high))
        left = end + uniform * (jnp.exp(log_survival(law, low)) - end)
        aim = jnp.log(jnp.maximum(left, TINY))
        far = bisected(lambda x: log_survival(law, x) <= aim, shape, low)
        drawn = jnp.where(jnp.asarray(below) > 0.5, far, drawn)
    return jnp.clip(drawn, low, high)


def quantile(law: dist.Distribution, probability: Array) -> Array:
    """The inverse of the distribution function, by bisection where NumPyro has none."""
    try:
        return law.icdf(probability)
    except (NotImplementedError, ImportError):  # NumPyro's own may need TensorFlow Probability
        pass
    lowest = getattr(law.support, "lower_bound", -jnp.inf)
    shape = jnp.broadcast_shapes(jnp.shape(probability), law.batch_shape)
    start = lowest - 0.5 if law.is_discrete else lowest
    found = bisected(lambda x: law.cdf(jnp.maximum(x, lowest)) >= probability, shape, start)
    return jnp.round(found).astype(int) if law.is_discrete else found


def bisected(is_beyond: Callable[[Array], Array], shape: tuple[int, ...], lowest: Any) -> Array:
    """The number from which on `is_beyond` holds; 100 halvings, numbers up to 1e26 either way."""

    def number(v: Array) -> Array:
        # Dense near the start (or 0), wide at the ends.
        finite = jnp.isfinite(lowest)
        start = jnp.where(finite, lowest, 0.0)
        return start + jnp.where(finite, jnp.expm1(60.0 * v), jnp.sinh(60.0 * (2.0 * v - 1.0)))

    def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2.0
        beyond = is_beyond(number(middle))
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    ends = (jnp.zeros(shape), jnp.ones(shape))
    return number(jax.lax.fori_loop(0, 100, halve, ends)[1])


def _before(law: dist.Distribution, low: Any) -> Any:
    """What a draw of at least `low` lies above: a whole number itself counts."""
    return low - 1 if law.is_discrete else low


def _log(probability: Any) -> Array:
    return jnp.log(jnp.maximum(probability, TINY))


def _log1mexp(x: Any) -> Array:
    """log(1 - exp(x)) for x <= 0, with a finite slope at 0."""
    return jnp.log(-jnp.expm1(jnp.minimum(x, -TINY)))
