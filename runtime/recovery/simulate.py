"""A program and its inputs turned into one draw of all that the model names, outcomes included."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from jax import Array
from numpyro.handlers import seed, trace

from mercer.runtime.data.newlabels import without_outcomes
from mercer.runtime.methods.density import Arguments
from mercer.runtime.posterior.conditional import known_of


def simulate(program: ModuleType, arguments: Arguments, key: Array) -> dict[str, np.ndarray]:
    """Unknowns from their priors, and the outcomes and definitions that follow from them.

    What the plan integrates out is drawn jointly with the outcomes, so that they are made of the
    very values that are given. An outcome among the `arguments` is not used.
    """
    inputs = without_outcomes(program, arguments.all())
    sites = trace(seed(program.model, key)).get_trace(**inputs)
    kinds = ("sample", "deterministic")
    values = {k: site["value"] for k, site in sites.items() if site["type"] in kinds}
    values = {k: v for k, v in values.items() if k in program.DIMS}
    values |= program.definitions(values, **known_of(program, inputs, values))
    return {name: np.asarray(value) for name, value in values.items()}
