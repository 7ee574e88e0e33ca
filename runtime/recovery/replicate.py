"""A program and its inputs turned into a truth and draws of it: data simulated, then fitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import jax
import numpy as np
import xarray as xr

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Count, Label
from mercer.runtime.cache import use_cache
from mercer.runtime.data.needs import DataNeed
from mercer.runtime.inference import Method
from mercer.runtime.methods.density import arguments_of
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.infer import at_all_rows, infer, settings_of
from mercer.runtime.posterior.groups import complete, dataset
from mercer.runtime.recovery.simulate import simulate


@dataclass(frozen=True, eq=False)
class Study:
    """What all replicates of a calibration share.

    `program` is fitted; `simulator` is drawn from, and approximates nothing. `bound`: the inputs,
    and outcomes whose missing cells stay missing. `summaries`: what is taken from the data once,
    the scales of default priors among it. `left_out`: names that are no unknowns. `settings` are
    those of `method`; of its `draws`, `kept` are ranked, evenly spaced. At most `entries` entries
    of each array are.
    """

    program: ModuleType
    simulator: ModuleType
    bound: Any
    summaries: Mapping[str, Any]
    method: Method
    settings: Mapping[str, Any]
    kept: int
    entries: int
    left_out: Collection[str] = ()


@dataclass(frozen=True)
class Replicate:
    """By quantity: its value in a simulation, and draws [kept] of it given the simulated data."""

    truth: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    diverged: int = 0


def replicate(study: Study, seed: int) -> Replicate:
    """Simulates, fits and thins. Raises MercerError where the simulated data cannot be fitted."""
    use_cache()
    # Two streams: numbers that made the truth must not move the sampler too.
    truth_seed, fit_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(2))
    program, simulator = study.program, study.simulator
    arguments = arguments_of(simulator, study.bound, summaries=study.summaries)
    truth = simulate(simulator, arguments, jax.random.key(truth_seed))
    data, hidden = _simulated(study, truth)
    bound = replace(study.bound, arrays={**study.bound.arrays, **data})
    fitted = infer(
        program,
        bound,
        method=study.method,
        settings=study.settings,
        seed=fit_seed,
        summaries=study.summaries,
    )
    thinned = _thinned(fitted.draws, study.kept)
    every = at_all_rows(program, bound, fitted, study.summaries)
    groups = complete(program, every, thinned, seed=fit_seed)
    own = dict(program.DIMS)
    drawn = dataset(own, bound, groups["posterior"], leading=("chain", "draw"))
    foretold = dataset(
        own, bound, groups.get("posterior_predictive", {}), leading=("chain", "draw")
    )
    true = dataset(own, bound, truth)
    truths: dict[str, float] = {}
    draws: dict[str, np.ndarray] = {}
    for name in drawn.data_vars:
        if name in true and name not in study.left_out:
            for place in _entries(true[name], study.entries):
                _note(truths, draws, _title(true[name], place), true[name], drawn[name], place)
    for name, is_hidden in hidden.items():
        for place in _spaced([tuple(p) for p in np.argwhere(is_hidden)], study.entries):
            title = f"{_title(true[name], place)}, missing"
            _note(truths, draws, title, true[name], foretold[name], place)
    diverged = int(np.sum(fitted.draws.stats.get("diverging", 0)))
    return Replicate(truths, draws, diverged)


def settings_for(program: ModuleType, method: Method, **options: Any) -> dict[str, Any]:
    """The settings of a fit by one chain."""
    return settings_of(program, method, {**options, "chains": 1})


def _simulated(
    study: Study, truth: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The outcomes as data, and where they stay missing."""
    data, hidden = {}, {}
    for need in study.bound.needs.data:
        if not need.is_outcome:
            continue
        is_label = isinstance(need.space, Label)
        values = np.array(truth[need.name], int if is_label else float)
        _check_possible(need, values)
        given = study.bound.arrays.get(need.name)
        if given is not None:
            gap = given < 0 if is_label else np.isnan(given)
            if gap.any():
                hidden[need.name] = gap
                values[gap] = -1 if is_label else np.nan
        data[need.name] = values
    return data, hidden


def _check_possible(need: DataNeed, values: np.ndarray) -> None:
    """A prior may reach where numbers overflow; counts then come out negative."""
    if np.isfinite(values).all() and not (isinstance(need.space, Count) and (values < 0).any()):
        return
    problem = f"the prior draws values of {need.name} that are too large for a number"
    mend = "give narrower priors: `simulate` shows what the model expects"
    raise MercerError([Diagnostic("M607", problem, need.span, mend=mend)])


def _thinned(draws: Draws, kept: int) -> Draws:
    step = draws.draws // kept
    values = {k: v[:, step - 1 :: step][:, :kept] for k, v in draws.values.items()}
    return Draws(values, draws.chains, kept)


def _note(
    truths: dict[str, float],
    draws: dict[str, np.ndarray],
    title: str,
    true: xr.DataArray,
    drawn: xr.DataArray,
    place: tuple[int, ...],
) -> None:
    truths[title] = float(true.values[place])
    draws[title] = np.asarray(drawn.values[(0, slice(None), *place)], float)


def _entries(values: xr.DataArray, most: int) -> list[tuple[int, ...]]:
    """Some entries of an array; of a square matrix over k and k' those below the diagonal first,
    as it is symmetric, and the diagonal of a correlation matrix never moves."""
    places = list(np.ndindex(values.shape))
    dims = [str(dim) for dim in values.dims]
    if len(dims) > 1 and dims[-1].rstrip("'") == dims[-2].rstrip("'"):
        below = [p for p in places if p[-2] > p[-1]]
        places = below + [p for p in places if p[-2] == p[-1]]
    return _spaced(places, most)


def _spaced(places: list[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    """At most `most` of `places`, from the first to the last."""
    if not places:
        return []
    chosen = np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)
    return [places[i] for i in chosen]


def _title(values: xr.DataArray, place: tuple[int, ...]) -> str:
    labels = [str(values[dim].values[i]) for dim, i in zip(values.dims, place, strict=True)]
    return f"{values.name}[{', '.join(labels)}]" if labels else str(values.name)
