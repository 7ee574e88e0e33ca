"""The law q at its optimum into how far the other unknowns reach about theirs, and how q follows.

With q(v) the best for unknowns theta, the bound is a function of theta alone, L(theta), whose
gradient is the partial one. Where q is held, theta looks narrower than it is: much of what theta
changes, v would make up for. So

    theta ~ N(centre, H^-1),    H = - d2 L / d theta2,    v | theta ~ N(m + J (theta - centre), S),

with J = dm / d theta (linear response: Giordano, Broderick & Jordan 2018). H and J are central
differences, of the gradient and of the best q at points to either side of the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.methods.bound import Bound, Free, Sample
from mercer.runtime.methods.natural import Natural, Normal, mixed, solved

MOST = 30
"""Unknowns up to which this is done: each takes four passes over the rows, with a link far more."""

ROWS = 2**14
"""Rows that stand for all where there are more: of a curvature 1 % is enough."""

_FOLLOWING = 8  # steps in which q follows, where an outcome has a link
_STEP = 0.3  # of a difference, in sds of the law that holds q
_BOUNDS = (1e-3, 0.05)  # of that step, unconstrained
_LEAST = 1e-3  # curvature of the flattest direction, beside the steepest one's


class Response(NamedTuple):
    """`root` [k, k]: lower, its square the covariance of theta; `slope` [p, k]: J."""

    root: np.ndarray
    slope: np.ndarray


class Follower:
    """Differences of one bound over the same rows. `functions`: those of the optimisation;
    `samples`: all rows, with their weights."""

    def __init__(self, functions: Any, bound: Bound, samples: Sequence[Sample], key: Array) -> None:
        self.functions, self.samples, self.key = functions, samples, key
        self.is_closed: bool = functions.is_closed

        def value(centre: Array, free: Free, law: Normal, sample: Sample, share: Array) -> Array:
            free = free._replace(centre=centre)
            expected = bound.expected(free, {}, law.apart, law, sample, key)[0]
            return expected + share * bound.known(free, sample)[1]

        self._slope = jax.jit(jax.grad(value))

    def response(self, free: Free, q: Natural) -> Response | None:
        """None where the centre is no maximum, so that nothing can be said."""
        precision, slope = self.curvature(free, q)
        root = root_of_inverse(precision)
        return None if root is None else Response(root, slope)

    def curvature(self, free: Free, q: Natural) -> tuple[np.ndarray, np.ndarray]:
        """H and J."""
        centre = np.asarray(free.centre)
        steps = np.clip(_STEP * np.exp(np.asarray(free.log_sd)), *_BOUNDS)
        hessian, slope = np.zeros((len(centre), len(centre))), []
        for number, step in enumerate(steps):
            (more, above), (less, below) = (
                self._at(free, q, jnp.asarray(centre + sign * step * np.eye(len(centre))[number]))
                for sign in (1.0, -1.0)
            )
            hessian[number] = (less - more) / (2.0 * step)
            slope.append((above - below) / (2.0 * step))
        return 0.5 * (hessian + hessian.T), np.stack(slope, axis=1)

    def _at(self, free: Free, q: Natural, centre: Array) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of L at a centre, and the mean of the best q there."""
        free = free._replace(centre=centre)
        law = solved(q)
        for _ in range(1 if self.is_closed else _FOLLOWING):
            target = self.functions.prior
            for sample in self.samples:
                part = self.functions.whole(free, law, sample, self.key)[0]
                target = jax.tree.map(jnp.add, target, part)
            q = mixed(q, target, 1.0)
            law = solved(q)
        share = jnp.asarray(1.0 / len(self.samples))
        slopes = [self._slope(centre, free, law, sample, share) for sample in self.samples]
        return np.sum([np.asarray(s) for s in slopes], axis=0), np.asarray(law.mean)


def root_of_inverse(precision: np.ndarray) -> np.ndarray | None:
    """The lower factor of the inverse; None where a direction is not curved downwards."""
    if not np.all(np.isfinite(precision)):
        return None
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(precision)), 1e-300))
    values = np.linalg.eigvalsh(precision / np.outer(scale, scale))
    if values[0] < _LEAST * values[-1] / len(values):
        return None
    inverse = np.linalg.inv(precision)
    return np.linalg.cholesky(0.5 * (inverse + inverse.T))


def following(response: Response, white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far theta is from its centre [draws, k], and the mean of q from its own [draws, p]."""
    shift = white @ response.root.T
    return shift, shift @ response.slope.T
