"""Laws of convergence where factors have no order and no sign of their own."""

from __future__ import annotations

import numpy as np
import xarray as xr

import mercer
from mercer.factors import identified
from mercer.runtime.methods.draws import Draws
from mercer.runtime.posterior.diagnose import diagnose, mixing

MODEL = """data x[n], z[n], y[n] : Real
u : Real -> Real^2 ~ GP(Matern32())
v : Real -> Real^2 ~ GP(Matern32())
core : Real^2 * Real^2 -> Real ~ Multilinear(diagonal = true, weights = 1)
noise ~ HalfNormal(1)
y ~ Normal(core(u(x), v(z)), noise)
"""
DRAWS, ROWS = 200, 30


def chains(*, is_other: bool = False) -> tuple[Draws, xr.Dataset]:
    """Two chains of the same law, but for the order and the signs of the components in one of them;
    `is_other`: of another law, too."""
    rng = np.random.default_rng(3)
    truth = {"u(x)": rng.normal(size=(ROWS, 2)), "v(z)": rng.normal(size=(ROWS, 2))}
    found = {k: t + 0.05 * rng.normal(size=(2, DRAWS, ROWS, 2)) for k, t in truth.items()}
    for value in found.values():
        value[1] = -value[1][..., ::-1]
    if is_other:
        found["v(z)"][1, :, :10] += 1.0
    values = {
        "u.whitened": found["u(x)"].reshape(2, DRAWS, -1),
        "v.whitened": found["v(z)"].reshape(2, DRAWS, -1),
        "noise": 1.0 + 0.1 * rng.normal(size=(2, DRAWS)),
    }
    posterior = xr.Dataset({k: (("chain", "draw", "n", "2"), v) for k, v in found.items()})
    return Draws(values, 2, DRAWS), posterior


def judged(draws: Draws, posterior: xr.Dataset) -> Draws:
    typed = mercer.compile(MODEL).typed
    return Draws(identified(typed, draws.values, posterior), draws.chains, draws.draws)


def test_components_in_another_order_are_no_disagreement_of_chains() -> None:
    draws, posterior = chains()
    said = " ".join(diagnose(draws, method="nuts"))
    assert "R-hat exceeds 1.01 for" in said and "u.whitened" in said
    found = judged(draws, posterior)
    assert set(found.values) == {"noise", "u(x)", "v(z)"}
    rhat, _ = mixing(found)
    assert max(float(value.max()) for value in rhat.values()) < 1.05


def test_chains_that_differ_in_their_factors_are_told_by_the_names_of_these() -> None:
    said = " ".join(diagnose(judged(*chains(is_other=True)), method="nuts"))
    assert "R-hat exceeds 1.01 for" in said and "v(z)" in said and "whitened" not in said


def test_without_draws_of_the_factors_sampled_values_are_judged() -> None:
    draws, posterior = chains()
    typed = mercer.compile(MODEL).typed
    assert identified(typed, draws.values, posterior[["u(x)"]]).keys() == draws.values.keys()
