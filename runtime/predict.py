"""Posterior draws and new rows turned into predictions: laws at each row, mixed over the draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import Array

from mercer.dsl.spaces import Label
from mercer.runtime.batches import over_draws
from mercer.runtime.conditional import Conditional, conditional, known_of
from mercer.runtime.density import Arguments
from mercer.runtime.newlabels import Rows, component_keys
from mercer.runtime.posterior import dataset, rows_of
from mercer.runtime.tabulate import table
from mercer.runtime.terms import Affine, Gaussian

NEW = "new: "


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions at rows. `means`, `sds`: by name, each of the shape of its outcome.

    `samples[name]`: draws [chain, draw, ...], noise included, each row from its own law; `draws`
    has them joint over the rows. `probabilities[name]`: of each label, labels last.
    """

    bound: Any
    dims: Mapping[str, tuple[str, ...]]
    means: Mapping[str, np.ndarray]
    sds: Mapping[str, np.ndarray]
    samples: Mapping[str, np.ndarray]
    probabilities: Mapping[str, np.ndarray]
    joint: Callable[[], Mapping[str, np.ndarray]]

    @cached_property
    def draws(self) -> xr.Dataset:
        """Joint draws over all rows, as an xarray Dataset."""
        return dataset(self.dims, self.bound, self.joint(), leading=("chain", "draw"))

    def quantile(self, name: str, level: float) -> np.ndarray:
        """A quantile of the mixture over the posterior draws."""
        return np.quantile(self.samples[name], level, axis=(0, 1))

    def table(self, *, quantiles: tuple[float, ...] = (0.025, 0.975)) -> Any:
        """A pandas table, a row for each new point: `y.mean`, `y.sd`, `y.q2.5`, `y.q97.5`, ..."""
        return table(self, quantiles)

    def __repr__(self) -> str:
        return f"<Prediction of {', '.join(self.means)}>"


def predict(
    program: ModuleType,
    fit_arguments: Arguments,
    new_arguments: Arguments,
    draws: Mapping[str, np.ndarray],
    rows: Rows,
    *,
    shape: tuple[int, int],
    seed: int,
    bound: Any,
    only: str | None = None,
) -> Prediction:
    """Outcomes at new rows, or with `only` the values of one function or finite unknown there.

    `draws`: [chain * draw, ...] of the sampled unknowns, `shape` = (chains, draws).
    """

    def run(is_joint: bool) -> Any:
        def compute(key: Array, draw: Mapping[str, Array], arrays: Any) -> Any:
            fit, new = arrays
            place = _Place(
                program, {**fit, **fit_arguments.static}, {**new, **new_arguments.static}
            )
            return _one(place, key, draw, rows, is_joint, only)

        return over_draws(
            compute,
            draws,
            (dict(fit_arguments.arrays), dict(new_arguments.arrays)),
            seed=seed + 2,
            count=shape[0] * shape[1],
            size=rows_of(fit_arguments) + rows_of(new_arguments),
        )

    found = run(False)
    labels = _label_outcomes(bound)
    means, sds, samples, probabilities = {}, {}, {}, {}
    for name, (mean, variance, sample, probability) in found.items():
        means[name] = mean.mean(axis=0)
        # The law of total variance over the posterior draws.
        sds[name] = np.sqrt(variance.mean(axis=0) + mean.var(axis=0))
        samples[name] = sample.reshape(*shape, *sample.shape[1:])
        if name in labels and probability is not None:
            probabilities[name] = probability.mean(axis=0)

    def joint() -> Mapping[str, np.ndarray]:
        return {n: v[2].reshape(*shape, *v[2].shape[1:]) for n, v in run(True).items()}

    return Prediction(bound, dict(program.DIMS), means, sds, samples, probabilities, joint)


@dataclass(frozen=True, eq=False)
class _Place:
    program: ModuleType
    fit: Mapping[str, Any]
    new: Mapping[str, Any]


def _one(
    place: _Place,
    key: Array,
    draw: Mapping[str, Array],
    rows: Rows,
    is_joint: bool,
    only: str | None,
) -> dict[str, tuple[Array, Array, Array, Array | None]]:
    """Mean, variance, a draw, and label probabilities of each quantity, given one draw."""
    program = place.program
    label_key, value_key, noise_key = jax.random.split(key, 3)
    new_draw, merged_draw = rows.extended(program, label_key, draw, place.new)
    known = known_of(program, place.new, new_draw)
    fit_known = known_of(program, place.fit, draw)
    every = rows.inputs(program, place.fit, place.new)
    processes = program.processes(**known_of(program, every, merged_draw))
    sites = program.sites(**known)
    merged = rows.merged(program, processes)
    law = conditional(program, fit_known, draw, processes=processes, merged=merged)
    new_sites = {NEW + k: merged.new_site(s) for k, s in sites.items()}

    def moved(affine: Affine) -> Affine:
        return merged.new(affine, sites, NEW)

    quantities = {k: moved(q) for k, q in program.quantities(**known).items()}
    latent = {k: quantities[k] for k in law.latent}
    if only is not None:
        chosen = {
            k: q for k, q in quantities.items() if k in component_keys(only, sites, quantities)
        }
        return _values(law, value_key, chosen, new_sites, is_joint)
    at = {k: v[2] for k, v in _values(law, value_key, latent, new_sites, is_joint).items()}
    laws = program.outcomes(at, **known)
    gaussian = {k: v for k, v in laws.items() if isinstance(v, Gaussian)}
    means = {k: moved(v.mean) for k, v in gaussian.items()}
    result: dict[str, Any] = {}
    latent_values = _values(law, value_key, means, new_sites, is_joint)
    for number, (name, outcome) in enumerate(laws.items()):
        own_key = jax.random.fold_in(noise_key, number)
        if name in gaussian:
            mean, variance, value, _ = latent_values[name]
            noise = jnp.reshape(jnp.broadcast_to(outcome.noise, (mean.size,)), mean.shape)
            value = value + noise * jax.random.normal(own_key, mean.shape)
            result[name] = (mean, variance + noise**2, value, None)
        else:
            result[name] = _moments(outcome, own_key)
    return result


def _values(
    law: Conditional, key: Array, quantities: Mapping[str, Affine], sites: Any, is_joint: bool
) -> dict[str, tuple[Array, Array, Array, Array | None]]:
    """Mean, variance and a draw of affine vectors: joint, or each row from its own law."""
    if not quantities:
        return {}
    joint = law.draw(key, quantities, sites=sites) if is_joint else {}
    result: dict[str, tuple[Array, Array, Array, Array | None]] = {}
    for number, (name, affine) in enumerate(quantities.items()):
        mean, variance = law.condition(name, affine, sites)
        normal = jax.random.normal(jax.random.fold_in(key, number), mean.shape)
        value = joint[name] if is_joint else mean + jnp.sqrt(variance) * normal
        result[name] = (mean, variance, value, None)
    return result


def _moments(law: Any, key: Array) -> tuple[Array, Array, Array, Array | None]:
    sample = law.sample(key)
    try:
        mean, variance = law.mean, law.variance
    except NotImplementedError:
        # One draw for each posterior draw: unbiased, if noisier than the law's own mean.
        mean, variance = sample.astype(float), jnp.zeros(sample.shape)
    if mean.shape != sample.shape:
        mean, variance = sample.astype(float), jnp.zeros(sample.shape)
    probability = getattr(law, "probs", None)
    if probability is not None and jnp.ndim(probability) != sample.ndim + 1:
        probability = jnp.stack([1 - mean, mean], -1) if law.support.is_discrete else None
    return mean, variance, sample, probability


def _label_outcomes(bound: Any) -> set[str]:
    return {n.name for n in bound.needs.data if n.is_outcome and isinstance(n.space, Label)}
