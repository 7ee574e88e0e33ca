"""Points of a random function into the few that explain most of it: greedy conditional variance.

The next inducing point is always where the variance given those chosen so far is largest, which is
a Cholesky factorisation of the prior covariance with pivoting (Burt, Rasmussen & van der Wilk
2020, section 4). On the host, O(n m^2), one column of the covariance at a time.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.engines.sites import site_covariance, site_variance
from mercer.runtime.engines.terms import RandomFunction, Site
from mercer.stdlib.points import Points

_ALIKE = 1e-6
"""Relative to the largest conditional variance: what is so close to it is as good, and the first is
taken. Rounding would choose among points that lie symmetrically, one way on one device and another
on two."""

_NOTHING = 1e-10
"""Conditional variance, relative to the largest prior variance, that is no reason for a point."""


def greedy_choice(process: RandomFunction, points: Points, count: int) -> np.ndarray:
    """The places of at most `count` of the points, in the order in which they were chosen.

    Fewer where the rest is explained to rounding: duplicates, and functions smoother than the
    points are dense.
    """
    variance = np.array(_variance(process, points))
    total = len(variance)
    count = min(count, total)
    root = np.empty((count, total))
    least = _NOTHING * float(np.max(variance, initial=0.0))
    chosen: list[int] = []
    for step in range(count):
        place = int(np.argmax(variance >= (1.0 - _ALIKE) * np.max(variance)))
        if not variance[place] > least:
            break
        column = np.array(_column(process, points, place))
        column -= root[:step, place] @ root[:step]
        root[step] = column / np.sqrt(variance[place])
        variance = np.maximum(variance - root[step] ** 2, 0.0)
        variance[place] = 0.0
        chosen.append(place)
    return np.array(chosen, int)


@jax.jit
def _variance(process: RandomFunction, points: Points) -> Array:
    return site_variance({"f": process}, _site(points))


@jax.jit
def _column(process: RandomFunction, points: Points, place: int) -> Array:
    """Covariance [n] of all points with one of them."""
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[place][None], points)
    matrix = site_covariance({"f": process}, _site(points), _site(one))
    assert matrix is not None
    return matrix[:, 0]


def _site(points: Points) -> Site:
    return Site("f", points, len(points.factors[0]))
