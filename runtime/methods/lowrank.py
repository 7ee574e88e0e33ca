"""A Normal law over very many numbers, with correlations in a few directions alone.

    x = m + s e + L z,    e [p] and z [r] standard Normal,    covariance S^2 + L L'

With r = 0 there are no correlations. Draws, the entropy and its slopes take time p r^2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float


class LowRank(NamedTuple):
    """`mean` and `log_sd` [p], `factor` [p, r]."""

    mean: Array
    log_sd: Array
    factor: Array

    @classmethod
    def about(
        cls, mean: Float[Array, " p"], *, sd: float, rank: int, random: np.random.Generator
    ) -> LowRank:
        """A narrow law to begin with; what is shared is small, and not 0, where the slope of any
        objective is 0 on average."""
        shared = 0.1 * sd * random.normal(size=(mean.size, rank))
        return cls(mean, jnp.full_like(mean, np.log(sd)), jnp.asarray(shared, mean.dtype))

    def draw(self, key: Array) -> Float[Array, " p"]:
        own, shared = jax.random.split(key)
        point = self.mean + jnp.exp(self.log_sd) * jax.random.normal(own, self.mean.shape)
        return point + self.factor @ jax.random.normal(shared, (self.factor.shape[1],))

    def entropy(self) -> Float[Array, ""]:
        """But for a constant: log det(S^2 + L L') / 2, by det(S)^2 det(I + W' W), W = L / s."""
        scaled = self.factor / jnp.exp(self.log_sd)[:, None]
        inner = jnp.eye(scaled.shape[1]) + scaled.T @ scaled
        return jnp.sum(self.log_sd) + 0.5 * jnp.linalg.slogdet(inner)[1]

    def points(self, count: int, random: np.random.Generator) -> Float[np.ndarray, "count p"]:
        """Draws of NumPy's generator."""
        mean, log_sd, factor = (np.asarray(part) for part in self)
        own = np.exp(log_sd) * random.normal(size=(count, mean.size))
        return mean + own + random.normal(size=(count, factor.shape[1])) @ factor.T
