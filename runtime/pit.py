"""Each observation turned into its rank among what the fit foretells for it without it.

The probability integral transform, leaving one out. A draw of the posterior given all rows counts
for row i by 1 / p(y_i | the draw, other rows), as that is how much less likely it is without the
row; weights above the mean times the root of their number are cut there (Ionides 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array
from scipy.special import ndtr

from mercer.runtime.batches import over_draws
from mercer.runtime.conditional import conditional, known_of
from mercer.runtime.posterior import rows_of
from mercer.runtime.terms import Gaussian

if TYPE_CHECKING:
    from mercer.runtime.fit import Fit

_DRAWS = 300
"""Posterior draws behind a rank: it is known to some hundredths."""


def foretold_ranks(
    fit: Fit,
    outcome: str,
    values: np.ndarray,
    *,
    censored: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """P(an outcome at the row < its value | the other rows) of every row that has one, in [0, 1].

    Where the outcome is discrete, ties are broken at random, and where a true value is only known
    to lie below or above the one recorded (`censored`), its rank is drawn from all that it may
    have: so calibrated ranks are uniform there too. `values`: the data, NaN where missing.
    """
    flat = np.asarray(values, float).ravel()
    keep = np.isfinite(flat)
    lower, upper = _bounds(fit, outcome, flat, keep)
    if censored is not None:
        below, above = (part.ravel()[keep] for part in censored)
        lower, upper = np.where(below, 0.0, lower), np.where(above, 1.0, upper)
    return lower + np.random.default_rng(seed).uniform(size=lower.shape) * (upper - lower)


def _bounds(
    fit: Fit, outcome: str, flat: np.ndarray, keep: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The probability below each value, and up to it: one number where the law is continuous."""
    exact = _left_out(fit, outcome)
    if exact is not None:
        log_density, mean, sd = (part.reshape(len(part), -1)[:, keep] for part in exact)
        rank = np.sum(_weights(log_density) * ndtr((flat[keep] - mean) / sd), axis=0)
        return rank, rank
    log_density = _draws_of(fit, "log_likelihood", outcome)
    made_up = _draws_of(fit, "posterior_predictive", outcome)[:, keep]
    if log_density is None or log_density.shape[1] != flat.size:
        weights = np.full(made_up.shape, 1 / len(made_up))  # rows that have only one density
    else:
        weights = _weights(log_density[:, keep])
    lower = np.sum(weights * (made_up < flat[keep]), axis=0)
    return lower, lower + np.sum(weights * (made_up == flat[keep]), axis=0)


def _draws_of(fit: Fit, group: str, outcome: str) -> Any:
    found = fit.idata[group]
    if outcome not in found.data_vars:
        return None
    values = np.asarray(found[outcome].values)
    return values.reshape(values.shape[0] * values.shape[1], -1)


def _left_out(fit: Fit, outcome: str) -> tuple[np.ndarray, ...] | None:
    """Log density, mean and sd of each row given the others, [draw, row]; None where not normal."""
    if not isinstance(fit.laws[outcome], Gaussian):
        return None
    few = fit.thinned(_DRAWS)

    def compute(key: Array, draw: Any, arrays: Any) -> Any:
        known = known_of(fit.program, {**arrays, **fit.arguments.static}, draw)
        return tuple(conditional(fit.program, known, draw).exact_block.leave_one_out()[outcome])

    return over_draws(
        compute,
        few.draws(),
        dict(fit.arguments.arrays),
        seed=0,
        count=few.sampled.chains * few.sampled.draws,
        size=rows_of(fit.arguments),
        known_by=("left out", fit.program, fit.arguments.key, outcome),
    )


def _weights(log_density: np.ndarray) -> np.ndarray:
    """Importance weights of the draws for each row, [draw, row], that sum to 1 over the draws."""
    raw = np.exp(np.min(log_density, axis=0) - log_density)
    cut = np.minimum(raw, raw.mean(axis=0) * np.sqrt(len(raw)))
    return cut / cut.sum(axis=0)
