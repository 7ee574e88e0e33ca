"""Draws of the sampled unknowns turned into the ArviZ groups of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import Array
from numpyro import distributions as dist

from mercer.dsl.spaces import Label
from mercer.runtime.engines.missing import seen_law
from mercer.runtime.engines.terms import Gaussian, Linked
from mercer.runtime.inner import divergences, facts_of, has_laws, passed
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments
from mercer.runtime.methods.draws import Draws
from mercer.runtime.posterior.batches import over_draws
from mercer.runtime.posterior.conditional import (
    Conditional,
    conditional,
    known_of,
    latent_names,
    predictor_names,
)
from mercer.runtime.posterior.containers import container
from mercer.runtime.posterior.reduce import LogMoments, Moments, Reducer, Shares
from mercer.runtime.posterior.statistics import NAMES, SHARES, STATISTICS, is_of_outcomes
from mercer.runtime.progress import Report, silent
from mercer.runtime.through import Drawn

Groups = dict[str, dict[str, np.ndarray]]

KEPT_BYTES = 1e9
"""What the draws of all that follows from the sampled unknowns may take: a fit and its file should
fit into the memory of a laptop several times. Above it, statistics stand for what has many rows."""

_TRACED = " over iterations"

_FEW = 0.01
"""Share of `KEPT_BYTES` up to which a quantity keeps its draws all the same."""


def complete(
    program: ModuleType,
    arguments: Arguments,
    draws: Draws,
    *,
    seed: int,
    labels: Mapping[str, int] | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Groups:
    """The groups posterior, log_likelihood, posterior_predictive and sample_stats, each
    [chain, draw, ...].

    Unknowns integrated out are drawn from their conditional law; exact outcomes get the
    leave-one-out densities of their rows, others their own log densities. The stats are those of
    `draws`, and the jitter of each factorisation. Where all draws would take more than
    `KEPT_BYTES`, what has many rows is in groups of its own instead: `posterior_statistics` and
    so on, [statistic, ...], and `posterior_predictive_shares`, [..., label], for outcomes that
    are labels, whose numbers are in `labels`.
    """
    kept, labels = kept_values(program, draws), labels or {}
    count, budget = draws.chains * draws.draws, KEPT_BYTES

    def compute(key: Array, draw: Mapping[str, Array], arrays: Mapping[str, Array]) -> Any:
        return one_draw(program, key, draw, {**arrays, **arguments.static})

    found = over_draws(
        compute,
        kept,
        dict(arguments.arrays),
        seed=seed + 1,
        count=count,
        size=rows_of(arguments),
        known_by=("complete", program, arguments.key, budget, tuple(sorted(labels.items()))),
        choose=lambda shapes: _kept_of(shapes, count, budget, labels),
        report=report,
        checkpoint=checkpoint,
    )
    shape = (draws.chains, draws.draws)
    groups: Groups = {}
    for group, values in found.items():
        groups[group] = {}
        for name, value in values.items():
            if not isinstance(value, dict):
                groups[group][name] = value.reshape(*shape, *value.shape[1:])
            elif "shares" in value:
                groups.setdefault(group + SHARES, {})[name] = value["shares"]
            else:
                groups.setdefault(group + STATISTICS, {})[name] = np.stack([*value.values()])
    sampled = {k: v.reshape(*shape, *v.shape[1:]) for k, v in kept.items()}
    groups["posterior"] = {**sampled, **groups["posterior"]}
    groups["sample_stats"] = {**draws.stats, **groups["sample_stats"]}
    if draws.traces:
        groups["sample_stats"] |= dict(draws.traces)
    return groups


def _kept_of(shapes: Any, count: int, budget: float, labels: Mapping[str, int]) -> Any:
    """What is kept of each quantity: all draws, or the statistics that its group calls for."""

    def size(shape: Any) -> float:
        return float(np.prod(shape.shape)) * shape.dtype.itemsize * count

    is_small = sum(map(size, jax.tree.leaves(shapes))) <= budget

    def reducer(group: str, name: str, shape: Any) -> Reducer | None:
        if is_small or size(shape) <= _FEW * budget:
            return None
        if group == "posterior_predictive" and name in labels:
            return Shares(labels[name])
        return LogMoments() if group == "log_likelihood" else Moments()

    return {
        group: {name: reducer(group, name, shape) for name, shape in values.items()}
        for group, values in shapes.items()
    }


def complete_without_rows(
    program: ModuleType,
    arguments: Arguments,
    draws: Draws,
    *,
    seed: int,
    report: Report = silent,
) -> Groups:
    """The groups posterior and sample_stats, without what has a value for each row of the data;
    `arguments` are those of a few rows."""
    groups = complete(program, arguments, draws, seed=seed, report=report)
    kept = {
        k: v for k, v in groups["posterior"].items() if program.ROWS not in program.DIMS.get(k, ())
    }
    return {"posterior": kept, "sample_stats": groups["sample_stats"]}


def one_draw(
    program: ModuleType, key: Array, draw: Mapping[str, Array], arguments: Mapping[str, Any]
) -> dict[str, dict[str, Array]]:
    """What follows from one draw of the sampled unknowns, at the data of the fit."""
    known = known_of(program, arguments, draw)
    layered, known, key = _layers(program, key, known)
    law = conditional(program, known, draw)
    if program.INFERENCE.lane in ("variational", "messages"):
        return _one_variational(program, key, draw, known, law, layered)
    gaussian = {k: v for k, v in law.laws.items() if isinstance(v, Gaussian | Linked)}
    exact = {k: q for k, q in law.quantities.items() if k not in law.latent}
    draw_key, noise_key = jax.random.split(key)
    means = {f"mean of {k}": v.mean for k, v in gaussian.items()}
    values = law.draw(draw_key, {**exact, **means})
    at = {k: values[k] for k in exact} | {k: draw[k] for k in law.latent}
    predictive, log_likelihood = {}, {}
    scores = law.exact_block.leave_one_out() if gaussian else {}
    for number, (name, outcome) in enumerate(law.laws.items()):
        own_key = jax.random.fold_in(noise_key, number)
        if isinstance(outcome, Gaussian):
            predictive[name] = values[f"mean of {name}"] + outcome.draw_noise(own_key)
            log_likelihood[name] = scores[name].log_density
        else:
            if isinstance(outcome, Linked):
                outcome = outcome.law(values[f"mean of {name}"])
            predictive[name] = outcome.sample(own_key)
            value = arguments.get(_word(program, name))
            if value is not None:
                log_likelihood[name] = log_density_of(outcome, value)
    definitions = program.definitions({**draw, **at}, **{**known, **_by_word(program, at)})
    definitions = {k: v for k, v in definitions.items() if k not in law.latent}
    return {
        "posterior": {**{k: at[k] for k in exact}, **definitions, **layered},
        "log_likelihood": log_likelihood,
        "posterior_predictive": predictive,
        "sample_stats": law.jitter() | _divergences(program, known),
    }


def _layers(
    program: ModuleType, key: Array, known: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Any], Array]:
    """One joint draw of the layers that have laws of their own, and all that is then known."""
    if not has_laws(program):
        return {}, dict(known), key
    key, own = jax.random.split(key)
    through = Drawn(program, known, own, is_joint=True)
    every = passed(program, known, through)
    drawn = {k: facts for k, facts in facts_of(program).items() if len(facts.law) == 2}
    shown = {k: every[facts.word] for k, facts in drawn.items()}
    return {**shown, **through.grams}, every, key


def _divergences(program: ModuleType, known: Mapping[str, Any]) -> dict[str, Array]:
    """What each layer with a law of its own takes from the bound."""
    return {f"divergence of {owner}": v for owner, v in divergences(program, known).items()}


def _one_variational(
    program: ModuleType,
    key: Array,
    draw: Mapping[str, Array],
    known: Mapping[str, Any],
    law: Conditional,
    layered: Mapping[str, Array],
) -> dict[str, dict[str, Array]]:
    """The same where the Gaussian unknowns have a law of their own: one joint draw of it, and the
    outcomes given that. The densities of rows are those given the draw, not left out."""
    draw_key, noise_key = jax.random.split(key)
    values = law.draw(draw_key, law.quantities, latent=())
    hidden = predictor_names(program)
    at = {k: v for k, v in values.items() if k not in hidden} | dict(layered)
    predictive, log_likelihood = {}, {}
    laws = program.outcomes({k: values[k] for k in law.latent}, **known)
    means = {k: v.mean for k, v in laws.items() if isinstance(v, Gaussian)}
    drawn = law.draw(draw_key, {**law.quantities, **means}, latent=())
    for number, (name, outcome) in enumerate(laws.items()):
        if isinstance(outcome, Gaussian):
            noise = jnp.broadcast_to(outcome.noise, (drawn[name].size,))
            outcome = dist.Normal(drawn[name], jnp.reshape(noise, drawn[name].shape))
        predictive[name] = outcome.sample(jax.random.fold_in(noise_key, number))
        value = known.get(_word(program, name))
        if value is not None:
            log_likelihood[name] = log_density_of(outcome, value)
    definitions = program.definitions({**draw, **at}, **{**known, **_by_word(program, at)})
    return {
        "posterior": {**at, **definitions},
        "log_likelihood": log_likelihood,
        "posterior_predictive": predictive,
        "sample_stats": law.jitter() | _divergences(program, known),
    }


def kept_values(program: ModuleType, draws: Draws) -> dict[str, np.ndarray]:
    """Draws of what has a name in the model, [chain * draw, ...]."""
    named = set(program.NAMES.values()) | set(latent_names(program))
    return {k: v for k, v in draws.flat().items() if k in named}


def rows_of(arguments: Arguments) -> int:
    """The longest axis of the data: the size of the matrices that a draw needs."""
    return max((max(a.shape, default=1) for a in arguments.arrays.values()), default=1)


def inference_data(
    program: ModuleType,
    bound: Any,
    groups: Groups,
    attributes: Mapping[str, Any],
) -> Any:
    """ArviZ's container: InferenceData (0.x) or DataTree (1.x), dims and coords by name."""
    datasets = {name: _group(program, bound, name, v) for name, v in groups.items() if v}
    outcomes = {name for group, v in groups.items() if is_of_outcomes(group) for name in v}
    observed = {k: v for k, v in bound.arrays.items() if k in outcomes}
    constant = {k: v for k, v in bound.arrays.items() if k not in outcomes}
    for name, values in (("observed_data", observed), ("constant_data", constant)):
        if values:
            datasets[name] = dataset({**program.DIMS, **dict(bound.dims)}, bound, values)
    for group in datasets.values():
        group.attrs.update(attributes)
    return container(datasets)


def _group(
    program: ModuleType, bound: Any, name: str, values: Mapping[str, np.ndarray]
) -> xr.Dataset:
    """One group, with dims by name."""
    if name.endswith(STATISTICS):
        found = dataset(program.DIMS, bound, values, leading=("statistic",))
        return found.assign_coords(statistic=list(NAMES[: found.sizes["statistic"]]))
    if name.endswith(SHARES):
        labels = {n.name: n.space.index for n in bound.needs.data if isinstance(n.space, Label)}
        # An outcome over the labels themselves has them twice.
        dims = {k: program.DIMS.get(k, ()) for k in values}
        dims = {k: (*d, labels[k] + "'" * (labels[k] in d)) for k, d in dims.items()}
        return dataset(dims, bound, values)
    if name == "sample_stats" and "iteration" in values:
        traces = {k: v for k, v in values.items() if k.endswith(_TRACED)}
        rest = {k: v for k, v in values.items() if k not in traces and k != "iteration"}
        over = xr.Dataset({k: ("iteration", v) for k, v in traces.items()})
        over = over.assign_coords(iteration=values["iteration"].astype(int))
        return dataset({}, bound, rest, leading=("chain", "draw")).merge(over)
    dims = {} if name == "sample_stats" else program.DIMS
    return dataset(dims, bound, values, leading=("chain", "draw"))


def dataset(
    dims: Mapping[str, tuple[str, ...]],
    bound: Any,
    values: Mapping[str, np.ndarray],
    *,
    leading: tuple[str, ...] = (),
) -> xr.Dataset:
    """Arrays with the dims of the model; labels are the coords, else rows are numbered from 0.

    What is itself a label is its code, and has them all as its attribute `labels`.
    """
    variables, used = {}, {}
    for name, value in values.items():
        value = np.asarray(value)
        own = tuple(dims.get(name, ()))
        if len(own) != value.ndim - len(leading):
            own = tuple(f"{name}_dim_{i}" for i in range(value.ndim - len(leading)))
        own = tuple(f"{d}_" if d in values and d not in bound.labels else d for d in own)
        variables[name] = ((*leading, *own), value, labels_of(bound, name))
        used.update(zip((*leading, *own), value.shape, strict=True))
    coords = {dim: _labels(bound, dim, size) for dim, size in used.items()}
    clash = set(variables) & set(coords)
    variables = {f"{k} (data)" if k in clash else k: v for k, v in variables.items()}
    return xr.Dataset({k: xr.Variable(*v) for k, v in variables.items()}, coords=coords)


def labels_of(bound: Any, name: str) -> dict[str, list[str]]:
    """The labels behind the codes of the data `name`, as an attribute; else nothing."""
    need = bound.needs.of(name)
    if need is None or not isinstance(need.space, Label):
        return {}
    return {"labels": [str(label) for label in bound.labels[need.space.index]]}


def _labels(bound: Any, dim: str, size: int) -> np.ndarray:
    labels = bound.labels.get(dim.rstrip("'"))
    if labels is None or len(labels) != size:
        return np.arange(size)
    labels = np.asarray(labels)
    return labels.astype(str) if labels.dtype == object else labels


def _word(program: ModuleType, name: str) -> str:
    return next((w for w, n in program.NAMES.items() if n == name), name)


def _by_word(program: ModuleType, values: Mapping[str, Any]) -> dict[str, Any]:
    return {_word(program, k): v for k, v in values.items() if k in program.NAMES.values()}


def log_density_of(law: Any, value: Array) -> Array:
    """Log density of each row, NaN where it is missing."""
    value = jnp.asarray(value)
    seen = ~jnp.isnan(value) if jnp.issubdtype(value.dtype, jnp.floating) else value >= 0
    law, rows = seen_law(law, seen)
    density = law.log_prob(jnp.where(seen, value, jnp.ones_like(value)))
    return jnp.where(rows, density, jnp.nan)
