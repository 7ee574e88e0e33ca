"""A distribution and what a model says about it into the law of one copy or outcome, renormalised.

sigma : Positive ~ Normal(0, 1)        conditioned(dist.Normal(0, 1), "Positive")
mu : Ordered(k) ~ Normal(0, 2)         conditioned(dist.Normal(0, 2), "Ordered", shape=(3,))
b : Interval(0, a) ~ Flat()            flat_prior("Interval", low=0, high=a)
y ~ Censored(Weibull(s, c), above = b) censored(dist.Weibull(s, c), above=b)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import constraints

from mercer.stdlib import catalog
from mercer.stdlib.counts import Counts, DirichletCounts
from mercer.stdlib.wrapped import (
    CensoredLaw,
    OrderedLaw,
    PushedLaw,
    ShareLaw,
    TruncatedLaw,
    WeightedLaw,
    ZeroSumLaw,
)

Shape = tuple[int, ...]

_COUNTS = {"Multinomial": Counts, "DirichletMultinomial": DirichletCounts}

_EVENT_DIMS = {"Ordered": 1, "ZeroSum": 1, "Simplex": 1, "Correlation": 2, "Covariance": 2}


def conditioned(
    law: dist.Distribution, space: str, *, low: Any = None, high: Any = None, shape: Shape = ()
) -> dist.Distribution:
    """`law` given that the draw lies in `space`, with a density that integrates to 1.

    `low`, `high`: the ends of an Interval. `shape`, for spaces of vectors: copies, then the
    vector's own dims. ValueError: the law cannot be conditioned so.
    """
    match space:
        case "Positive":
            return law if _support_of(law) in ("Positive", "Unit") else truncated(law, low=0.0)
        case "Unit":
            return law if _support_of(law) == "Unit" else truncated(law, low=0.0, high=1.0)
        case "Interval":
            return truncated(law, low=low, high=high)
        case "Ordered":
            return OrderedLaw(_alike(law, space, shape), shape[-1])
        case "ZeroSum":
            base = _alike(law, space, shape)
            if not isinstance(base, dist.Normal):
                raise ValueError(
                    f"only a Normal is known given that its sum is 0, not {_name(law)}"
                )
            scale = jnp.broadcast_to(jnp.asarray(base.scale), shape[:-1])
            return ZeroSumLaw(dist.Normal(0.0, scale), shape[-1])
        case "Simplex" | "Correlation" | "Covariance":
            raise ValueError(f"{_name(law)} is no distribution on {space}")
        case _:
            return law


def truncated(law: dist.Distribution, low: Any = None, high: Any = None) -> dist.Distribution:
    """`law` given low <= draw <= high; an end left out is where the law ends.

    ValueError: the distribution function of the law is not known.
    """
    if low is None and high is None:
        return law
    if isinstance(law, dist.Uniform):
        lowest, highest = cast(tuple[Any, Any], (law.low, law.high))
        lowest = lowest if low is None else jnp.maximum(lowest, low)
        highest = highest if high is None else jnp.minimum(highest, high)
        return dist.Uniform(lowest, highest)
    if high is None and _is_zero(low) and _is_zero(getattr(law, "loc", None)):
        if isinstance(law, dist.Normal):
            return dist.HalfNormal(law.scale)
        if isinstance(law, dist.Cauchy):
            return dist.HalfCauchy(law.scale)
    _need_distribution_function(law, "truncated")
    return TruncatedLaw(law, low, high)


def censored(law: dist.Distribution, below: Any = None, above: Any = None) -> dist.Distribution:
    """What is recorded of a draw: where `below` (`above`), only that it lies below (above)."""
    if below is None and above is None:
        return law
    _need_distribution_function(law, "censored")
    return CensoredLaw(law, below, above)


def weighted(law: dist.Distribution, weight: Any) -> dist.Distribution:
    """An outcome that counts `weight` times."""
    return WeightedLaw(law, weight)


def pushed(
    law: dist.Distribution,
    forward: Callable[[Any], Any],
    inverse: Callable[[Any], Any] | None = None,
    *,
    space: str = "Real",
) -> dist.Distribution:
    """The law of `forward(draw)`, for a monotone elementwise function with values in `space`."""
    return PushedLaw(law, forward, inverse, _constraint(space, None, None))


def flat_prior(
    space: str, *, low: Any = None, high: Any = None, shape: Shape = ()
) -> dist.Distribution:
    """Density 1 on a space: proper on Unit alone, and without draws elsewhere.

    `shape`: copies, then the dims of the space itself.
    """
    if space == "Unit":
        return dist.Uniform(0.0, 1.0).expand(shape)
    split = len(shape) - _EVENT_DIMS.get(space, 0)
    return dist.ImproperUniform(_constraint(space, low, high), shape[:split], shape[split:])


def share_of(law: dist.Distribution | None, low: Any, high: Any) -> dist.Distribution:
    """The law of (draw - low) / (high - low), given that `law` draws between its ends.

    None: density 1 between the ends, so that the share has the density high - low.
    """
    if law is None:
        return ShareLaw(dist.ImproperUniform(constraints.real, (), ()), low, high)
    return ShareLaw(truncated(law, low=low, high=high), low, high)


def vector_law(name: str, *, shape: Shape, size: int, **arguments: Any) -> dist.Distribution:
    """The distribution `name` of vectors or matrices of `size`, one for each cell of `shape`.

    An argument has no axes at all, or those of `shape` first and its own coordinates after them;
    a vector argument without coordinates has the same value at all of them.
    """
    entry = catalog.distributions()[name]
    made = {}
    for key, value in arguments.items():
        parameter = entry.parameter(key)
        if parameter is None:
            raise ValueError(f"{name} has no argument {key!r}")
        kind = int if parameter.space == "Count" else float
        made[key] = _with_coordinates(jnp.asarray(value, kind), parameter.space, shape, size)
    if name == "LKJ":
        made = {"dimension": size, **made}
    if name == "Multinomial" and "logits" in made:
        made["probs"] = jax.nn.softmax(made.pop("logits"), axis=-1)
    law = (_COUNTS.get(name) or getattr(dist, name))(**made)
    return law.expand(shape) if shape else law


def _with_coordinates(value: Any, space: str, shape: Shape, size: int) -> Any:
    wanted = 1 if space.endswith("^k") or space in ("Simplex(k)", "Ordered(k)") else 0
    own = value.ndim - len(shape) if value.ndim else 0
    if wanted == 1 and own == 0:
        return jnp.broadcast_to(value[..., None], (*value.shape, size))
    return value


def _constraint(space: str, low: Any, high: Any) -> Any:
    match space:
        case "Positive":
            return constraints.positive
        case "Unit":
            return constraints.unit_interval
        case "Interval":
            # Without its ends (an outcome, already checked) nothing follows from the space.
            if low is None or high is None:
                return constraints.real
            return constraints.interval(low, high)
        case "Circle":
            return constraints.circular
        case "Ordered":
            return constraints.ordered_vector
        case "ZeroSum":
            return constraints.zero_sum(1)
        case "Simplex":
            return constraints.simplex
        case "Correlation":
            return constraints.corr_matrix
        case "Covariance":
            return constraints.positive_definite
        case "Real":
            return constraints.real
        case _:
            raise ValueError(f"no density 1 on the space {space!r}")


def _alike(law: dist.Distribution, space: str, shape: Shape) -> dist.Distribution:
    """The law of one coordinate, over the copies; all coordinates must have the same one."""
    if not shape:
        raise ValueError(f"shape must say how many coordinates the point of {space} has")
    batch = law.batch_shape
    if len(batch) == len(shape) and batch[-1] != 1:
        raise ValueError(
            f"the coordinates of {space} must have one prior: else its normalisation is unknown"
        )
    if len(batch) == len(shape):
        parameters = {k: jnp.reshape(v, jnp.shape(v)[:-1]) if jnp.ndim(v) == len(shape) else v
                      for k, v in law.get_args().items()}  # fmt: skip
        law = type(law)(**parameters)
    return law.expand(shape[:-1]) if space == "Ordered" and shape[:-1] else law


def _need_distribution_function(law: dist.Distribution, word: str) -> None:
    try:
        law.cdf(jnp.ones(law.batch_shape))
    except NotImplementedError:
        problem = f"{_name(law)} cannot be {word}: its distribution function is not known"
        raise ValueError(problem) from None


def _support_of(law: dist.Distribution) -> str:
    entry = catalog.distributions().get(_name(law))
    return entry.support if entry is not None else ""


def _name(law: dist.Distribution) -> str:
    return type(law).__name__


def _is_zero(value: Any) -> bool:
    # Only what is known to be 0 while tracing: a half law is then exact and cheaper.
    return isinstance(value, int | float) and value == 0
