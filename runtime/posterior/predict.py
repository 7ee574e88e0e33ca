"""Posterior draws and new rows turned into predictions: laws at each row, mixed over the draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import Array
from numpyro.distributions import Normal

from mercer.dsl.spaces import Label
from mercer.runtime.data.newlabels import Rows, component_keys, early_of
from mercer.runtime.engines.terms import Affine, Gaussian, Linked
from mercer.runtime.inner import facts_of, has_laws, passed
from mercer.runtime.methods.density import Arguments, identifiers
from mercer.runtime.posterior.batches import over_draws
from mercer.runtime.posterior.conditional import Conditional, conditional, known_of
from mercer.runtime.posterior.groups import dataset, log_density_of, rows_of
from mercer.runtime.posterior.mixture import mixture_quantile
from mercer.runtime.posterior.statistics import shares_of, statistics_of
from mercer.runtime.posterior.tabulate import table
from mercer.runtime.through import Continued, Drawn, Recorded

NEW = "new: "


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predictions at rows. `means`, `sds`: by name, each of the shape of its outcome.

    `samples[name]`: draws [chain, draw, ...], noise included, each row from its own law; `draws`
    has them joint over the rows. `probabilities[name]`: of each label, labels last.
    `expected[name]`: what each posterior draw expects, [chain * draw, ...], the mean, or for labels
    their probabilities.
    `normals[name]`: mean and sd [chain * draw, ...] of what is normal given the unknowns.
    `densities[name]`: of outcomes that were given, their log density [chain * draw, ...] at each
    draw.
    Where all draws would be too many, `samples`, `expected`, `normals` and `draws` raise
    MercerError M515, and `quantiles` gives the quantiles.
    """

    bound: Any
    dims: Mapping[str, tuple[str, ...]]
    means: Mapping[str, np.ndarray]
    sds: Mapping[str, np.ndarray]
    samples: Mapping[str, np.ndarray]
    probabilities: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    normals: Mapping[str, tuple[np.ndarray, np.ndarray]]
    joint: Callable[[], Mapping[str, np.ndarray]]
    quantiles: Callable[[str, float], np.ndarray] | None = None
    densities: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Joint draws over all rows, as an xarray Dataset."""
        return dataset(self.dims, self.bound, self.joint(), leading=("chain", "draw"))

    def quantile(self, name: str, level: float) -> np.ndarray:
        """A quantile of the mixture over the posterior draws, [...]: exact for normal laws."""
        if self.quantiles is not None:
            return self.quantiles(name, level)
        if name in self.normals:
            return mixture_quantile(*self.normals[name], level)
        return np.quantile(self.samples[name], level, axis=(0, 1))

    def density(self, name: str) -> np.ndarray:
        """The log density [...] of an outcome that the new rows came with, each row by itself: of
        the mixture over the posterior draws. NaN where it is missing."""
        if name not in self.densities:
            known = ", ".join(self.densities) or "no outcome"
            raise ValueError(
                f"name: an outcome given at these rows ({known}) is wanted, got {name!r}"
            )
        each = self.densities[name]
        return np.logaddexp.reduce(each, axis=0) - np.log(len(each))

    def table(self, *, quantiles: tuple[float, ...] = (0.025, 0.975)) -> Any:
        """A pandas table, a row for each new point: `y.mean`, `y.sd`, `y.q2.5`, `y.q97.5`, ..."""
        return table(self, quantiles)

    def _repr_html_(self) -> str:
        """The table, as a notebook shows it."""
        from mercer.dsl.html import table as html_table

        rows = self.table()
        head = [str(column) for column in rows.columns]
        cells = ((i, *row) for i, row in enumerate(rows.itertuples(index=False, name=None)))
        return html_table(("", *head), cells)

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
    parts: tuple[str, ...] = (),
    outcomes: bool = True,
) -> Prediction:
    """Outcomes at new rows, and the values of `parts`, functions or finite unknowns, there.

    `draws`: [chain * draw, ...] of the sampled unknowns, `shape` = (chains, draws).
    """

    def run(is_joint: bool) -> Any:
        def compute(key: Array, draw: Mapping[str, Array], arrays: Any) -> Any:
            fit, new = arrays
            place = _Place(
                program, {**fit, **fit_arguments.static}, {**new, **new_arguments.static}
            )
            return _one(place, key, draw, rows, is_joint, parts, outcomes)

        return over_draws(
            compute,
            draws,
            (dict(fit_arguments.arrays), dict(new_arguments.arrays)),
            seed=seed + 2,
            count=shape[0] * shape[1],
            size=rows_of(fit_arguments) + rows_of(new_arguments),
            known_by=(
                *("predict", program, fit_arguments.key, new_arguments.key),
                *(rows.key, parts, outcomes, is_joint),
            ),
        )

    found = run(False)
    labels = _label_outcomes(bound)
    means, sds, samples, probabilities, expected, normals = {}, {}, {}, {}, {}, {}
    densities = {name: law.density for name, law in found.items() if law.density is not None}
    for name, (mean, variance, sample, probability, is_normal, _) in found.items():
        means[name] = mean.mean(axis=0)
        # The law of total variance over the posterior draws.
        sds[name] = np.sqrt(variance.mean(axis=0) + mean.var(axis=0))
        samples[name] = sample.reshape(*shape, *sample.shape[1:])
        expected[name] = mean
        if name in labels and probability is not None:
            expected[name] = probability
            probabilities[name] = probability.mean(axis=0)
        if is_normal.all():
            normals[name] = (mean, np.sqrt(variance))

    def joint() -> Mapping[str, np.ndarray]:
        return {n: v.value.reshape(*shape, *v.value.shape[1:]) for n, v in run(True).items()}

    dims = dict(program.DIMS)
    return Prediction(
        bound,
        dims,
        means,
        sds,
        samples,
        probabilities,
        expected,
        normals,
        joint,
        densities=densities,
    )


def prediction_of(idata: Any, bound: Any, dims: Mapping[str, tuple[str, ...]]) -> Prediction:
    """Outcomes and components at the data of a fit, by the Normals of their mean and sd, and by
    the shares of labels."""
    normals = statistics_of(idata, "posterior") | statistics_of(idata, "posterior_predictive")
    shares = shares_of(idata, "posterior_predictive")
    codes = {k: np.arange(v.shape[-1]) for k, v in shares.items()}

    def joint() -> Mapping[str, np.ndarray]:
        raise ValueError("draws: this fit has statistics of its rows; fit.predict draws at rows")

    return Prediction(
        bound=bound,
        dims=dims,
        means={k: mean for k, (mean, _) in normals.items()}
        | {k: share @ codes[k] for k, share in shares.items()},
        sds={k: sd for k, (_, sd) in normals.items()},
        samples={},
        expected={k: mean[None] for k, (mean, _) in normals.items()}
        | {k: share[None] for k, share in shares.items()},
        probabilities=shares,
        normals={k: (mean[None], sd[None]) for k, (mean, sd) in normals.items()},
        joint=joint,
    )


class _Law(NamedTuple):
    """What one posterior draw says of a quantity: moments, a draw of it, label probabilities, and
    the log density of what was observed, where it is known."""

    mean: Any
    variance: Any
    value: Any
    probability: Any
    is_normal: Any
    density: Any = None


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
    parts: tuple[str, ...],
    outcomes: bool,
) -> dict[str, _Law]:
    """The law of each quantity, given one draw."""
    program = place.program
    label_key, value_key, noise_key = jax.random.split(key, 3)
    layer_key = jax.random.fold_in(key, 3)
    early = _early(place, value_key, draw, rows, is_joint)
    new_draw, merged_draw = rows.extended(program, label_key, draw, place.new, early)
    known = known_of(program, place.new, new_draw)
    fit_known = known_of(program, place.fit, draw)
    known, fit_known, moments = _layered(program, layer_key, known, fit_known, is_joint)
    every = rows.inputs(program, place.fit, place.new)
    processes = program.processes(**known_of(program, every, merged_draw))
    sites = program.sites(**known)
    merged = rows.merged(program, processes)
    law = conditional(program, fit_known, draw, processes=processes, merged=merged)
    new_sites = {NEW + k: merged.new_site(s) for k, s in sites.items()}

    def moved(affine: Affine) -> Affine:
        return merged.new(affine, sites, NEW)

    quantities = {k: moved(q) for k, q in program.quantities(**known).items()}
    chosen = {k for part in parts for k in component_keys(part, sites, quantities)}
    shown = {k: q for k, q in quantities.items() if k in chosen}
    shown = {k: q for k, q in shown.items() if k not in moments}
    result = _values(law, value_key, shown, new_sites, is_joint)
    facts = facts_of(program)
    for layer, (mean, variance) in moments.items():
        if facts[layer].owner in parts or layer in parts:
            result[layer] = _Law(mean, variance, known[facts[layer].word], None, jnp.asarray(True))
    if not outcomes:
        return result
    latent = {k: quantities[k] for k in law.latent if k not in moments}
    at = {k: v.value for k, v in _values(law, value_key, latent, new_sites, is_joint).items()}
    laws = program.outcomes({**at, **early}, **known)
    gaussian = {k: v for k, v in laws.items() if isinstance(v, Gaussian | Linked)}
    means = {k: moved(v.mean) for k, v in gaussian.items()}
    latent_values = _values(law, value_key, means, new_sites, is_joint)
    words = identifiers(program)
    for number, (name, outcome) in enumerate(laws.items()):
        own_key = jax.random.fold_in(noise_key, number)
        if isinstance(outcome, Linked):
            outcome = outcome.law(latent_values[name].value)
            result[name] = _moments(outcome, own_key)
        elif name in gaussian:
            mean, variance, value, *_ = latent_values[name]
            value = value + outcome.draw_noise(own_key)
            spread = variance + outcome.noise_variance
            result[name] = _Law(mean, spread, value, None, jnp.asarray(True))
            outcome = Normal(mean, jnp.sqrt(spread))
        else:
            result[name] = _moments(outcome, own_key)
        seen = place.new.get(str(words.get(name, name)))
        if seen is not None:
            result[name] = result[name]._replace(density=log_density_of(outcome, seen))
    return result


def _layered(
    program: ModuleType,
    key: Array,
    known: Mapping[str, Any],
    fit_known: Mapping[str, Any],
    is_joint: bool,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, tuple[Array, Array]]]:
    """What is known at the new rows and at those of the fit, with the layers; and the mean and
    variance of each layer at the new rows, given those inside it."""
    if has_laws(program):
        through: Any = Drawn(program, known, key, is_joint=is_joint)
        of_fit: Any = Drawn(program, fit_known, key)
    else:
        of_fit = Recorded(program, fit_known)
        through = None
    fit_known = passed(program, fit_known, of_fit)
    through = through or Continued(of_fit, key, is_joint=is_joint)
    known = passed(program, known, through)
    return known, fit_known, through.moments


def _early(
    place: _Place, key: Array, draw: Mapping[str, Array], rows: Rows, is_joint: bool
) -> dict[str, Array]:
    """The values of functions at the new rows that the priors of new entries need."""
    program = place.program
    keys = early_of(program)
    if not keys:
        return {}
    new_draw, merged_draw = rows.extended(program, key, draw, place.new, None)
    known = known_of(program, place.new, new_draw)
    every = rows.inputs(program, place.fit, place.new)
    processes = program.processes(**known_of(program, every, merged_draw))
    sites, quantities = program.sites(**known), program.quantities(**known)
    merged = rows.merged(program, processes)
    fit_known = known_of(program, place.fit, draw)
    law = conditional(program, fit_known, draw, processes=processes, merged=merged)
    new_sites = {NEW + k: merged.new_site(s) for k, s in sites.items()}
    wanted = {k: merged.new(quantities[k], sites, NEW) for k in keys}
    return {k: v.value for k, v in _values(law, key, wanted, new_sites, is_joint).items()}


def _values(
    law: Conditional, key: Array, quantities: Mapping[str, Affine], sites: Any, is_joint: bool
) -> dict[str, _Law]:
    """The laws of affine vectors, with a draw: joint, or each row from its own law."""
    if not quantities:
        return {}
    joint = law.draw(key, quantities, sites=sites) if is_joint else {}
    result: dict[str, _Law] = {}
    for number, (name, affine) in enumerate(quantities.items()):
        mean, variance = law.condition(name, affine, sites)
        normal = jax.random.normal(jax.random.fold_in(key, number), mean.shape)
        value = joint[name] if is_joint else mean + jnp.sqrt(variance) * normal
        result[name] = _Law(mean, variance, value, None, jnp.asarray(True))
    return result


def _moments(law: Any, key: Array) -> _Law:
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
    return _Law(mean, variance, sample, probability, jnp.asarray(False))


def _label_outcomes(bound: Any) -> set[str]:
    return {n.name for n in bound.needs.data if n.is_outcome and isinstance(n.space, Label)}
