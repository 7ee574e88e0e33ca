"""Each observation turned into its rank among what the fit foretells for it without it.

The probability integral transform, leaving one out. A draw of the posterior given all rows counts
for row i by 1 / p(y_i | the draw, other rows), as that is how much less likely it is without the
row; weights above the mean times the root of their number are cut there (Ionides 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtr

from mercer.runtime.engines.frames import law_values, placed
from mercer.runtime.engines.terms import Gaussian
from mercer.runtime.posterior.batches import over_draws
from mercer.runtime.posterior.conditional import conditional, known_of
from mercer.runtime.posterior.drawn import drawn, few_draws
from mercer.runtime.posterior.groups import rows_of
from mercer.runtime.through import at_means

if TYPE_CHECKING:
    from mercer.runtime.posterior.fit import Fit


def foretold_ranks(
    fit: Fit,
    outcome: str,
    values: np.ndarray,
    *,
    cells: np.ndarray | None = None,
    censored: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """P(an outcome at the row < its value | the other rows) of every row that has one, in [0, 1].

    Or only of the `cells`, places in the values as one flat vector: memory goes with their number.

    Where the outcome is discrete, ties are broken at random, and where a true value is only known
    to lie below or above the one recorded (`censored`), its rank is drawn from all that it may
    have: so calibrated ranks are uniform there too. `values`: the data, NaN where missing.
    """
    law = fit.laws.get(outcome)
    if isinstance(law, Gaussian) and law.frames is not None:
        inside = law_values(law, np.nan_to_num(values))[0]
        values = np.where(np.isfinite(values), placed(law, inside, None), np.nan)
    flat = np.asarray(values, float).ravel()
    cells = np.arange(flat.size) if cells is None else cells
    cells = cells[np.isfinite(flat[cells])]
    lower, upper = _bounds(fit, outcome, flat[cells], cells)
    if censored is not None:
        below, above = (part.ravel()[cells] for part in censored)
        lower, upper = np.where(below, 0.0, lower), np.where(above, 1.0, upper)
    return lower + np.random.default_rng(seed).uniform(size=lower.shape) * (upper - lower)


def _bounds(
    fit: Fit, outcome: str, values: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The probability below each value, and up to it: one number where the law is continuous."""
    exact = _left_out(fit, outcome, cells)
    if exact is not None:
        log_density, mean, sd = exact
        rank = np.sum(_weights(log_density) * ndtr((values - mean) / sd), axis=0)
        return rank, rank
    made_up, log_density = drawn(fit, outcome, cells)
    if log_density is None:
        weights = np.full(made_up.shape, 1 / len(made_up))  # rows that have only one density
    else:
        weights = _weights(log_density)
    lower = np.sum(weights * (made_up < values), axis=0)
    return lower, lower + np.sum(weights * (made_up == values), axis=0)


def _left_out(fit: Fit, outcome: str, cells: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Log density, mean and sd of each cell given the others, [draw, cell]; None where not normal.

    Some hundred draws: a rank is known to some hundredths.
    """
    if not isinstance(fit.laws.get(outcome), Gaussian):
        return None
    few = fit.thinned(few_draws(fit))

    def compute(key: Array, draw: Any, arrays: Any) -> Any:
        known = known_of(fit.program, {**arrays[0], **fit.arguments.static}, draw)
        known = at_means(fit.program, known)
        found = conditional(fit.program, known, draw).exact_block.leave_one_out()[outcome]
        return tuple(jnp.ravel(part)[arrays[1]] for part in found)

    return over_draws(
        compute,
        few.draws(),
        (dict(fit.arguments.arrays), cells),
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
