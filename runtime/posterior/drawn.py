"""A fit turned into some draws of an outcome at some of its rows: enough to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.methods.infer import takes_batches, with_learned
from mercer.runtime.posterior.batches import over_draws
from mercer.runtime.posterior.blocks import cut
from mercer.runtime.posterior.conditional import latent_names
from mercer.runtime.posterior.containers import group_names
from mercer.runtime.posterior.groups import one_draw, rows_of
from mercer.runtime.posterior.manyrows import taken_apart

if TYPE_CHECKING:
    from mercer.runtime.posterior.fit import Fit

DRAWS = (60, 400)
"""At least and at most."""
_ROWS_OF_DRAWS = 1e8
"""Rows times draws that are computed again where the fit has none."""
_GROUPS = ("posterior_predictive", "log_likelihood")


def drawn(fit: Fit, outcome: str, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Outcomes made by the fitted model, joint over the `cells`, and the log density of the data
    there given the same draws, [draw, cell] each; None where cells have no density of their own.

    `cells`: places in the outcome as one flat vector. Taken from the fit, or drawn again where it
    has only statistics.
    """
    kept = [_kept(fit, group, outcome, cells) for group in _GROUPS]
    if kept[0] is not None and (kept[1] is not None or not _has_statistics(fit, outcome)):
        return kept[0], kept[1]
    found = _again(fit, outcome, cells)
    return found["posterior_predictive"], found.get("log_likelihood")


def few_draws(fit: Fit) -> int:
    """How many draws to compute again: fewer where there are many rows."""
    return int(np.clip(_ROWS_OF_DRAWS / rows_of(fit.arguments), *DRAWS))


def _kept(fit: Fit, group: str, outcome: str, cells: np.ndarray) -> np.ndarray | None:
    if group not in group_names(fit.idata) or outcome not in fit.idata[group].data_vars:
        return None
    values = fit.idata[group][outcome].values
    size = int(np.prod(values.shape[2:]))
    if cells.size and cells.max() >= size:
        return None  # rows that have one density for several numbers
    step = max(values.shape[0] * values.shape[1] // DRAWS[1], 1)
    few = values[:, ::step]
    return few.reshape(few.shape[0] * few.shape[1], size)[:, cells]


def _has_statistics(fit: Fit, outcome: str) -> bool:
    return outcome in fit.statistics("log_likelihood")


def _again(fit: Fit, outcome: str, cells: np.ndarray) -> dict[str, np.ndarray]:
    few = fit.thinned(few_draws(fit))
    size = int(np.prod(fit.shape_of(outcome)))
    arguments, places = fit.arguments, cells
    if takes_batches(fit.program):
        # Its arguments are of a few rows; given its law the others are not needed.
        shape = tuple(fit.shape_of(outcome))
        axis = fit.program.DIMS[outcome].index(fit.program.ROWS)
        at = np.unravel_index(cells, shape)
        rows, at_row = np.unique(at[axis], return_inverse=True)
        bound = cut(fit.bound, {fit.program.ROWS: rows})
        arguments = with_learned(fit.program, fit.arguments_at(bound), fit.arguments)
        shape = (*shape[:axis], len(rows), *shape[axis + 1 :])
        at = (*at[:axis], at_row, *at[axis + 1 :])
        size, places = int(np.prod(shape)), np.ravel_multi_index(at, shape)
    elif _are_rows_free(fit, outcome):
        (dim,) = fit.program.DIMS[outcome]
        arguments = fit.arguments_at(cut(fit.bound, {dim: cells}))
        size, places = len(cells), np.arange(len(cells))

    def compute(key: Array, draw: Any, arrays: Any) -> dict[str, Array]:
        groups = one_draw(fit.program, key, draw, {**arrays[0], **arguments.static})
        values = {g: groups[g][outcome] for g in _GROUPS if outcome in groups[g]}
        return {g: jnp.ravel(v)[arrays[1]] for g, v in values.items() if v.size == size}

    return over_draws(
        compute,
        few.draws(),
        (dict(arguments.arrays), places),
        seed=int(fit.settings["seed"]) + 3,
        count=few.sampled.chains * few.sampled.draws,
        size=rows_of(arguments),
        known_by=("drawn", fit.program, arguments.key, outcome),
    )


def _are_rows_free(fit: Fit, outcome: str) -> bool:
    """Whether the rows of an outcome are independent given the sampled unknowns, none of which is
    theirs: then they can be drawn without the others."""
    dims, program = tuple(fit.program.DIMS.get(outcome, ())), fit.program
    is_sampled = program.ENGINE is None and not latent_names(program)
    is_shared = all(not set(program.DIMS.get(name, ())) & set(dims) for name in fit.draws())
    apart = taken_apart(fit.bound, program.DIMS, fit.rowwise)
    return is_sampled and is_shared and len(dims) == 1 and dims[0] in apart
