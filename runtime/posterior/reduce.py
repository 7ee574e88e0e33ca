"""Values that come draw by draw turned into statistics over the draws, in a memory of their size.

A reducer works in two places. Inside compiled code it takes batches of draws into a small state,
so that no more than one batch is ever there; outside, the states of several parts of the draws are
merged, in the order of the draws, so that the sums do not depend on which thread was first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import logsumexp

State = Mapping[str, Any]


class Reducer(Protocol):
    """Statistics over draws of an array. All states are dicts of arrays."""

    def start(self, shape: tuple[int, ...]) -> State:
        """The state before any draw, for values of a shape."""
        ...

    def add(self, state: State, values: Array) -> State:
        """The state after a batch of draws more, [batch, ...]. Traced."""
        ...

    def merge(self, state: State, other: State) -> State:
        """The state after the draws of both. Of NumPy arrays."""
        ...

    def result(self, state: State) -> dict[str, np.ndarray]:
        """The statistics by name."""
        ...


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation over the draws.

    Merged as in Chan, Golub & LeVeque (1983), equation 2.1: no difference of large sums is taken.
    """

    def start(self, shape: tuple[int, ...]) -> State:
        return {"count": jnp.zeros(()), "mean": jnp.zeros(shape), "squares": jnp.zeros(shape)}

    def add(self, state: State, values: Array) -> State:
        values = jnp.asarray(values, float)
        mean = jnp.mean(values, axis=0)
        batch = {
            "count": jnp.asarray(float(values.shape[0])),
            "mean": mean,
            "squares": jnp.sum((values - mean) ** 2, axis=0),
        }
        return self.merge(state, batch)

    def merge(self, state: State, other: State) -> State:
        count = state["count"] + other["count"]
        step = other["mean"] - state["mean"]
        share = other["count"] / count
        return {
            "count": count,
            "mean": state["mean"] + share * step,
            "squares": state["squares"] + other["squares"] + state["count"] * share * step**2,
        }

    def result(self, state: State) -> dict[str, np.ndarray]:
        sd = np.sqrt(state["squares"] / state["count"])
        return {"mean": np.asarray(state["mean"]), "sd": np.asarray(sd)}


@dataclass(frozen=True)
class LogMoments:
    """Mean and standard deviation of log densities, and the log of the mean density."""

    def start(self, shape: tuple[int, ...]) -> State:
        return {**Moments().start(shape), "total": jnp.full(shape, -jnp.inf)}

    def add(self, state: State, values: Array) -> State:
        total = jnp.logaddexp(state["total"], logsumexp(values, axis=0))
        return {**Moments().add(state, values), "total": total}

    def merge(self, state: State, other: State) -> State:
        with np.errstate(invalid="ignore"):  # a missing row stays NaN
            total = np.logaddexp(state["total"], other["total"])
        return {**Moments().merge(state, other), "total": total}

    def result(self, state: State) -> dict[str, np.ndarray]:
        log_mean = np.asarray(state["total"] - np.log(state["count"]))
        return {**Moments().result(state), "log_mean_exp": log_mean}


@dataclass(frozen=True)
class Shares:
    """The share of the draws that each of `labels` codes has, codes last."""

    labels: int

    def start(self, shape: tuple[int, ...]) -> State:
        return {"count": jnp.zeros(()), "shares": jnp.zeros((*shape, self.labels))}

    def add(self, state: State, values: Array) -> State:
        found = jax.nn.one_hot(values, self.labels, dtype=float).sum(axis=0)
        return {
            "count": state["count"] + values.shape[0],
            "shares": state["shares"] + found,
        }

    def merge(self, state: State, other: State) -> State:
        return {k: state[k] + other[k] for k in state}

    def result(self, state: State) -> dict[str, np.ndarray]:
        return {"shares": np.asarray(state["shares"] / state["count"])}
