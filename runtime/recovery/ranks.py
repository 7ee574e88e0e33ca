"""Ranks of the truth among posterior draws turned into the chance that they are uniform.

If unknowns and data come from the prior and the posterior is right, the truth is one more draw of
it: its rank among L draws that are independent given the data is uniform on 0, ..., L (Talts et
al. 2018, theorem 1).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

_EXPECTED = 5.0
"""Simulations expected in a bin at least: below, the law of chi-square is not to be trusted."""


def rank(truth: np.ndarray, draws: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How many of `draws` [draw, ...] lie below `truth` [...]: 0 to the number of draws.

    Among equals (counts, labels) the place is drawn, so that ranks of discrete values are uniform.
    """
    below = np.sum(draws < truth, axis=0)
    return below + random.integers(0, np.sum(draws == truth, axis=0) + 1)


def uneven(ranks: np.ndarray, kept: int) -> float:
    """The chance of a histogram at least so uneven, were `ranks` in 0..`kept` uniform: chi-square.

    Neighbouring ranks share a bin where there would be too few simulations in each.
    """
    bins = bins_of(len(ranks), kept)
    counts = np.bincount(ranks * bins // (kept + 1), minlength=bins)
    return float(stats.chisquare(counts).pvalue) if bins > 1 else 1.0


def bins_of(simulations: int, kept: int) -> int:
    """Bins of equally many ranks, with enough simulations in each."""
    sizes = [b for b in range(1, kept + 2) if (kept + 1) % b == 0]
    return max((b for b in sizes if simulations / b >= _EXPECTED), default=1)


def ecdf_counts(ranks: np.ndarray, kept: int) -> np.ndarray:
    """How many ranks are at most 0, 1, ..., `kept` - 1, [kept]."""
    return np.cumsum(np.bincount(ranks, minlength=kept + 1))[:-1]


def strayed(ranks: np.ndarray, kept: int) -> float:
    """The chance that uniform ranks leave the diagonal so far at any point of their ECDF.

    The smallest two-sided tail probability over the points is compared with its own law
    (Säilynoja, Bürkner & Vehtari 2022, section 2.2).
    """
    count = len(ranks)
    tails = _tails(count, kept)
    least = min(tails[point, c] for point, c in enumerate(ecdf_counts(ranks, kept)))
    return max(0.0, 1.0 - _inside(count, kept, float(least)))


@lru_cache(maxsize=64)
def ecdf_band(simulations: int, kept: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest counts [kept] that a band holds at all points at once.

    Uniform ranks stay inside everywhere with probability `level` at least; the band is the set of
    counts whose two-sided tail probability exceeds one number, the same at every point.
    """
    least, most = 1e-16, 1.0
    edge = float(
        np.asarray(brentq(lambda t: _inside(simulations, kept, t) - level, least, most, xtol=1e-12))
    )
    # The probability falls in steps: the root lies on one, and just below it the level is kept.
    edge = edge if _inside(simulations, kept, edge) >= level else edge * (1.0 - 1e-6)
    is_inside = _tails(simulations, kept) > edge
    low = is_inside.argmax(axis=1)
    high = is_inside.shape[1] - 1 - is_inside[:, ::-1].argmax(axis=1)
    return low, high


@lru_cache(maxsize=64)
def _tails(simulations: int, kept: int) -> np.ndarray:
    """Two-sided tail probability of each count at each point, [kept, simulations + 1]."""
    counts = np.arange(simulations + 1)
    law = stats.binom(simulations, (np.arange(1, kept + 1) / (kept + 1))[:, None])
    return np.minimum(1.0, 2.0 * np.minimum(law.cdf(counts), law.sf(counts - 1)))


def _inside(simulations: int, kept: int, edge: float) -> float:
    """The probability that all counts have tail probabilities above `edge`.

    The counts are a Markov chain: of the simulations above one point, each lies below the next
    with the same probability (algorithm 2 of Säilynoja et al.).
    """
    tails, counts = _tails(simulations, kept), np.arange(simulations + 1)
    places, weights = np.array([0]), np.array([1.0])
    for point in range(kept):
        step = 1.0 / (kept + 1 - point)
        inside = counts[tails[point] > edge]
        moves = stats.binom.pmf(inside[:, None] - places, simulations - places, step)
        places, weights = inside, moves @ weights
    return float(weights.sum())
