"""The models of `tests/models` that have an engine: simulated, fitted, and read a second time.

A simulation gives the data; a short fit must give finite values of all that the model names; the
emitted program must have the density of the reference interpreter at random points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mercer
from tests.compiler.test_programs import MODELS, NAMES, REFUSED
from tests.reference.programs import Program, reference_log_density

N, GROUPS = 8, 3
RNG = np.random.default_rng(11)
X = RNG.normal(size=(N, 2))
T = np.sort(RNG.uniform(0, 4, N))
CODES = np.arange(N) % GROUPS
CLOUD = RNG.normal(size=(40, 3))
CLOUD /= np.linalg.norm(CLOUD, axis=1)[:, None]
FIELD = {"cloud": CLOUD, "x": CLOUD[:N]}
CHILDREN = {"mom_hs": CODES % 2, "mom_iq": 100 + 15 * T}

INPUTS: dict[str, dict[str, Any]] = {
    "co2": {"t": 1990 + T},
    "deep_gp": {"x": X},
    "digits": {"image": RNG.uniform(size=(N, 28, 28))},
    "eight_schools": {"sigma": 1 + T},
    "field": FIELD,
    "gp_pois_regr": {"x": T},
    "gp_regr": {"x": T},
    "kernel_machine": {"x": X},
    "kidscore": CHILDREN,
    "logearn_interaction": {"height": T, "male": CODES % 2},
    "rod": {"x": T, "rod": np.linspace(0, 4, 4)},
    "swing": {"year": T, "state": CODES},
    "tucker": {"lat": T, "lon": X[:, 0], "time": X[:, 1]},
    "gallery/additive": {"x": X, "t": T},
    "gallery/bradley_terry": {"winner": CODES, "loser": (CODES + 1) % GROUPS},
    "gallery/bym2": {"a": np.arange(N), "b": (np.arange(N) + 1) % N, "exposure": 1 + T},
    "gallery/change_point": {"x": X, "t": T},
    "gallery/coregional": {"x": T},
    "gallery/currents": {"lon": X[:, 0], "lat": X[:, 1]},
    "gallery/election": {
        "age": CODES,
        "edu": CODES[::-1],
        "state": CODES,
        "region": np.array([0, 1, 1]),
        "black": CODES == 0,
        "female": CODES == 1,
        "prev": T,
    },
    "gallery/field_by_animal": FIELD | {"animal": CODES},
    "gallery/horseshoe": {"x": X},
    "gallery/kidscore_z": CHILDREN,
    "gallery/latent_inputs": {},
    "gallery/ordinal_gp": {"x": X},
    "gallery/radon": {
        "county": CODES,
        "basement": CODES % 2,
        "uranium": np.array([0.1, 0.7, -0.4]),
    },
    "gallery/radon_correlated": {"county": CODES, "x": T},
    "gallery/relational": {},
    "gallery/space_time": {"site": X, "day": T, "kind": CODES},
    "gallery/survival": {"died": CODES != 0, "ward": CODES, "x": X},
    "gallery/tucker_groups": {"lat": X[:, 0], "time": T, "station": CODES},
    "gallery/warped": {"x": X},
}
"""The data of each model that no distribution draws."""

NOT_DRAWN = ("digits", "kidscore", "logearn_interaction", "gallery/kidscore_z", "swing")
"""Models whose priors have no draws, or draws outside the space of the data, or none of labels."""
GIVEN: dict[str, dict[str, Any]] = {
    "digits": {"digit": CODES},
    "kidscore": {"kid_score": 60 + 20 * RNG.normal(size=N)},
    "logearn_interaction": {"earn": np.exp(9 + RNG.normal(size=N))},
    "gallery/kidscore_z": {"kid_score": 60 + 20 * RNG.normal(size=N)},
    "swing": {"share": RNG.uniform(0.2, 0.8, N)},
    "gallery/latent_inputs": {"y": RNG.normal(size=(N, 2))},
    "gallery/relational": {"tie": RNG.integers(0, 2, (4, 4))},
    "gallery/coregional": {"y": RNG.normal(size=(N, 2))},
    "gallery/additive": {"y": RNG.normal(size=(N, 2))},
}
"""Outcomes where a simulation is not asked for, or must be told how many coordinates there are."""

RUNNABLE = [name for name in NAMES if name not in REFUSED]
QUICK = ("gallery/survival",)
PARAMETERS = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in RUNNABLE]
METHODS = {"digits": "MAP(epochs = 1)", "kernel_machine": "map"}
"""Of models that are not for NUTS."""
NOT_READ = ("digits", "field", "kernel_machine", "gallery/bym2", "gallery/field_by_animal")
"""Models that the interpreter cannot read, as it knows no shapes, images or Gram matrices: tests of
their own hold their densities against another engine and closed forms."""


def data_of(name: str, model: mercer.Model) -> dict[str, Any]:
    """Inputs with outcomes that the model itself has drawn, where it can."""
    data = {**INPUTS[name], **GIVEN.get(name, {})}
    if name in NOT_DRAWN:
        return data
    drawn = model.simulate(data, seed=4)
    outcomes = set(model.typed.observations) & set(model.typed.data)
    return data | {n: np.asarray(drawn[n].values) for n in outcomes}


def test_every_model_that_runs_has_data_here() -> None:
    assert sorted(INPUTS) == sorted(RUNNABLE)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_is_simulated_and_fitted(name: str) -> None:
    model = mercer.load(MODELS / f"{name}.mercer")
    method = METHODS.get(name, "nuts")
    few = {"chains": 1, "draws": 10} | ({"warmup": 15} if method == "nuts" else {})
    fit = model.fit(data_of(name, model), method, progress=False, **few)
    for group in ("posterior", "posterior_predictive"):
        for variable, values in fit.idata[group].data_vars.items():
            assert np.isfinite(np.asarray(values.values, float)).all(), variable
    assert set(model.typed.unknowns) <= set(fit.idata["posterior"].data_vars)


@pytest.mark.parametrize("name", [p for p in PARAMETERS if p.values[0] not in NOT_READ])
def test_its_program_has_the_density_that_the_interpreter_reads(name: str) -> None:
    path = MODELS / f"{name}.mercer"
    text, model = path.read_text(encoding="utf-8"), mercer.load(path)
    bound = model.bind(data_of(name, model))
    data = {}
    for need in bound.needs.data:  # axes as declared, labels as codes
        axes = [need.order.index(d) for d in need.dims]
        data[need.name] = np.transpose(np.asarray(bound.arrays[need.name], float), axes)
    program = Program(text, data)
    for seed in range(3):
        values = program.start(seed)
        found = float(program.log_density(values))
        assert found == pytest.approx(reference_log_density(program, values), rel=1e-7, abs=1e-7)
