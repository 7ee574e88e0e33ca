"""Normal laws, one for each posterior draw, turned into the quantiles of their mixture.

Exact up to the tolerance, so that a band is as smooth as its mean; quantiles of one draw from
each law would be ragged.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

_AT_ONCE = 4_000_000  # numbers; bounds the memory of one step
_TOLERANCE = 1e-9  # of the width of the mixture
_STEPS = 80


def mixture_quantile(means: np.ndarray, sds: np.ndarray, level: float) -> np.ndarray:
    """The quantile `level` at each point [...] of equally likely normal laws [draws, ...].

    Raises ValueError where `level` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: a number between 0 and 1 is wanted, got {level}")
    draws, shape = len(means), means.shape[1:]
    flat = means.reshape(draws, -1), np.broadcast_to(sds, means.shape).reshape(draws, -1)
    width = max(1, _AT_ONCE // draws)
    parts = [
        _quantile(flat[0][:, i : i + width], flat[1][:, i : i + width], level)
        for i in range(0, flat[0].shape[1], width)
    ]
    return np.concatenate(parts).reshape(shape) if parts else np.zeros(shape)


def _quantile(means: np.ndarray, sds: np.ndarray, level: float) -> np.ndarray:
    """Newton's method, kept inside a bracket: no component's quantile lies beyond it."""
    each = means + ndtri(level) * sds
    low, high = each.min(0), each.max(0)
    total = np.sqrt((sds**2).mean(0) + means.var(0))
    point = np.clip(means.mean(0) + ndtri(level) * total, low, high)
    sds = np.maximum(sds, 1e-12 * np.where(total > 0, total, 1.0))
    for _ in range(_STEPS):
        scaled = (point - means) / sds
        excess = ndtr(scaled).mean(0) - level
        density = (np.exp(-0.5 * scaled**2) / sds).mean(0) / np.sqrt(2 * np.pi)
        low, high = np.where(excess < 0, point, low), np.where(excess > 0, point, high)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            newton = point - excess / density
        inside = (newton >= low) & (newton <= high)  # false of NaN
        following = np.where(excess == 0, point, np.where(inside, newton, 0.5 * (low + high)))
        moved, point = np.abs(following - point), following
        if not np.any(moved > _TOLERANCE * total):
            break
    return point
