"""Trials over several labels into laws of their counts that can be drawn inside a program.

NumPyro's draws need to know the largest number of trials when a program is compiled. These take
one label after another: how many of the trials that are left fall to it is Binomial.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from numpyro import distributions as dist


class Counts(dist.MultinomialProbs):
    """NumPyro's multinomial law, with draws for numbers of trials that are not constants."""

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        return _successive(key, self.probs, self.total_count, sample_shape + self.batch_shape)


class DirichletCounts(dist.DirichletMultinomial):
    """The same with probabilities from a Dirichlet law."""

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        own, trials = jax.random.split(key)
        probs = jnp.asarray(self._dirichlet.sample(own, sample_shape))
        return _successive(trials, probs, self.total_count, sample_shape + self.batch_shape)


def _successive(key: Any, probs: Any, trials: Any, shape: tuple[int, ...]) -> Array:
    left = jnp.broadcast_to(jnp.asarray(trials, float), shape)
    rest, drawn = jnp.ones(shape), []
    keys = jax.random.split(key, probs.shape[-1] - 1)
    for label, own in enumerate(keys):
        share = jnp.clip(probs[..., label] / jnp.maximum(rest, 1e-300), 0.0, 1.0)
        here = jax.random.binomial(own, left, jnp.broadcast_to(share, shape))
        drawn.append(here)
        left, rest = left - here, rest - probs[..., label]
    return jnp.stack([*drawn, left], axis=-1).astype(int)
