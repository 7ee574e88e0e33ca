"""The statements of an emitted program that are more than one line of NumPyro."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jax import Array
from numpyro.distributions import ImproperUniform, biject_to
from numpyro.distributions.constraints import real

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.engines import whitened
from mercer.runtime.engines.missing import filled, seen_law
from mercer.runtime.engines.sites import apply, rows
from mercer.runtime.engines.terms import Affine, Process, Site


def sample_whitened(
    processes: Mapping[str, Process],
    sites: Mapping[str, Site],
    quantities: Mapping[str, Affine],
) -> dict[str, Array]:
    """Values of random functions at their points, inside a NumPyro model.

    What NUTS moves is a standard normal for each function (`NAME.whitened`); the value, prior mean
    included, is kept under the name of the site.
    """
    values = values_at(whitened.sample(processes, sites), sites, quantities)
    return {k: jnp.asarray(numpyro.deterministic(k, value)) for k, value in values.items()}


def values_at(
    at: Mapping[str, Array], sites: Mapping[str, Site], quantities: Mapping[str, Affine]
) -> dict[str, Array]:
    """Affine quantities at given zero-mean values of their sites, each of its shape."""
    result = {}
    for name, quantity in quantities.items():
        target = rows(quantity, sites)
        total = target.constant
        for term, part in zip(quantity.terms, target.parts, strict=True):
            total = total + apply(part, at[term.site])
        result[name] = total.reshape(quantity.shape)
    return result


def observe_each(name: str, law: Any, value: Any, keep: Any = None) -> None:
    """One outcome whose rows are independent given the rest; what is missing does not count."""
    if value is None or keep is None:
        numpyro.sample(name, law, obs=value)
        return
    if not len(keep):
        return
    value, seen = filled(value, keep)
    law, rows = seen_law(law, seen)
    numpyro.sample(name, law.mask(rows), obs=value)


def sample_missing(name: str, law: Any, value: Any, keep: Any) -> Array:
    """A column of which only the rows `keep` were seen (None: all): the others are unknowns.

    What is moved is `NAME.missing`, one real number for each. Of a column that is None all is
    drawn. Raises MercerError where an entry of a column of whole numbers or labels is missing.
    """
    if value is None:
        return jnp.asarray(numpyro.sample(name, law))
    value = jnp.asarray(value)
    if keep is not None:
        if law.support.is_discrete:
            raise _no_number(name)
        gap = jnp.ones(value.size, bool).at[keep].set(False)
        gaps = jnp.nonzero(gap, size=value.size - len(keep))[0]
        gap = gap.reshape(value.shape)
        free = numpyro.sample(f"{name}.missing", ImproperUniform(real, gaps.shape, ()))
        free = jnp.zeros(value.size).at[gaps].set(free).reshape(value.shape)
        onto = biject_to(law.support)
        drawn = onto(free)
        slope = onto.log_abs_det_jacobian(free, drawn)
        numpyro.factor(f"{name}.slope", jnp.sum(jnp.where(gap, slope, 0.0)))
        value = jnp.where(gap, drawn, value)
    numpyro.factor(f"{name}.density", jnp.sum(law.log_prob(value)))
    return jnp.asarray(numpyro.deterministic(name, value))


def _no_number(name: str) -> MercerError:
    problem = f"imputing `{name}`, whose values are whole numbers or labels, has no engine yet"
    mend = f"leave out the rows without {name}"
    return MercerError([Diagnostic("M310", problem, mend=mend)])


def observed_rows(
    value: Any, *, is_label: bool = False, whole: str = "", is_tangent: bool = False
) -> Any:
    """The positions of what is not missing, in flat order; None: all, or no outcome.

    `is_label`: the values are codes, and -1 is none. `whole`: the name of an outcome whose rows are
    vectors, each there as a whole or not at all; `is_tangent`: to a surface. Raises MercerError
    where one is there in part.
    """
    if value is None:
        return None
    value = np.asarray(value, float)
    seen = value >= 0 if is_label else np.isfinite(value)
    if whole and seen.ndim and (seen.any(-1) != seen.all(-1)).any():
        row = np.argwhere(seen.any(-1) != seen.all(-1))[0]
        problem = f"a part of {whole} is missing at row {', '.join(str(i + 1) for i in row)}"
        why = "of its distribution only the density of whole vectors is known"
        mend = "leave out the whole row, or use MultivariateNormal"
        if is_tangent:
            why = "its tangential part is known only of the whole vector"
            mend = "leave out the whole row, or declare it as a vector of the space around"
        raise MercerError([Diagnostic("M405", problem, why=why, mend=mend)])
    return None if seen.all() else np.flatnonzero(seen)
