"""A law of vectors and what was seen of each into the law of that part."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from numpyro import distributions as dist
from numpyro.distributions import constraints

from mercer.runtime.engines.cholesky import log_normal


def filled(value: Any, keep: Any) -> tuple[Array, Array]:
    """An outcome with a value of its support where it was not seen, and where it was seen."""
    value = jnp.asarray(value)
    if keep is None:
        return value, jnp.ones(value.shape, bool)
    seen = jnp.zeros(value.size, bool).at[keep].set(True).reshape(value.shape)
    return jnp.where(seen, value, value.reshape(-1)[keep[0]]), seen


def seen_law(law: Any, seen: Array) -> tuple[Any, Array]:
    """The law of the seen entries [*rows, *coordinates], and the rows of which some are seen.

    A Normal vector is known by any of its coordinates, others only as a whole.
    """
    if not law.event_dim:
        return law, seen
    axes = tuple(range(-law.event_dim, 0))
    base = law.base_dist if isinstance(law, dist.ExpandedDistribution) else law
    if isinstance(base, dist.MultivariateNormal):
        return SeenNormal(base.loc, base.covariance_matrix, seen), seen.any(axes)
    return law, seen.all(axes)


class SeenNormal(dist.Distribution):
    """The coordinates `seen` [*rows, k] of vectors of Normal(loc, covariance); the others of a
    value are not looked at."""

    support: Any = constraints.real_vector
    pytree_data_fields = ("loc", "covariance", "seen")

    def __init__(self, loc: Any, covariance: Any, seen: Array) -> None:
        self.loc, self.covariance, self.seen = loc, covariance, seen
        super().__init__(seen.shape[:-1], seen.shape[-1:])

    def log_prob(self, value: Any) -> Array:
        """What is not seen has deviation 0 and variance 1 instead, independent of the rest."""
        size = self.seen.shape[-1]
        both = self.seen[..., :, None] & self.seen[..., None, :]
        covariance = jnp.where(both, self.covariance, jnp.eye(size)).reshape(-1, size, size)
        deviation = jnp.where(self.seen, value - self.loc, 0.0).reshape(-1, size)
        density = jax.vmap(lambda c, d: log_normal(c, d)[0])(covariance, deviation)
        unseen = jnp.sum(~self.seen, axis=-1)
        return density.reshape(self.batch_shape) + 0.5 * jnp.log(2 * jnp.pi) * unseen

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Any:
        raise NotImplementedError("what was seen is not drawn")
