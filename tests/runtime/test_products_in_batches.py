"""Laws of products of random functions whose rows are taken a few at a time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mercer
from mercer.runtime.methods.bound import PAIRS, Probe, _by_draws, _View
from mercer.runtime.methods.natural import standard_law

TEXT = """data x[n], z[n] : Real
data y[n] : Count
u : Real -> Real ~ GP(Matern32())
v : Real -> Real ~ GP(Matern32())
core : Real * Real -> Real ~ Multilinear()
level ~ Normal(0, 2)
y ~ Poisson(exp(level + core(u(x), v(z))))
"""
OUTCOMES = {
    "counts": ("", "Poisson(exp(level + core(u(x), v(z))))", "Count"),
    "numbers": ("noise ~ HalfNormal(1)\n", "Normal(level + core(u(x), v(z)), noise)", "Real"),
}


def truth(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 1.0 + np.sin(2 * x) * (0.4 + 0.4 * z)


def made(kind: str, count: int) -> tuple[str, dict[str, Any], Any]:
    """A model, data of it, and what is expected where the predictor is known."""
    rng = np.random.default_rng(4)
    x, z = rng.uniform(0, 3, (2, count)).round(1)
    eta = truth(x, z)
    y = rng.poisson(np.exp(eta)) if kind == "counts" else eta + 0.3 * rng.normal(size=count)
    more, law, space = OUTCOMES[kind]
    text = TEXT.replace(OUTCOMES["counts"][1], law).replace("y[n] : Count", f"y[n] : {space}")
    return text + more, {"x": x, "z": z, "y": y}, np.exp if kind == "counts" else np.asarray


def grid() -> dict[str, np.ndarray]:
    x, z = np.meshgrid(np.linspace(0.05, 2.95, 9), np.linspace(0.05, 2.95, 9))
    return {"x": x.ravel(), "z": z.ravel()}


def test_a_variance_that_inducing_points_leave_over_has_the_slope_that_price_says() -> None:
    # log p = -c eta^2 / 2: the slope by a variance is -c / 2, also where there is none.
    weight, size = jnp.array([2.0, 3.0, 5.0]), 2
    features = jnp.asarray(np.random.default_rng(0).normal(size=(3, size)))

    def expected(rest: Any) -> Any:
        nothing = jnp.zeros(3)
        view = _View(features, nothing, nothing, rest + jnp.sum(features**2, axis=1), rest)
        at = {"eta": jnp.zeros(3)}
        density, _ = _by_draws(
            lambda at: -0.5 * weight * at["eta"] ** 2,
            {"eta": view},
            at,
            {"eta": 0},
            standard_law(size),
            Probe(jnp.zeros(()), jnp.zeros(())),
            jax.random.key(PAIRS),
            0,
        )
        return jnp.sum(density)

    for rest in (jnp.zeros(3), jnp.array([0.0, 1e-14, 0.5])):
        np.testing.assert_allclose(jax.grad(expected)(rest), -0.5 * weight, rtol=1e-12)


def test_the_plan_takes_products_in_batches_where_rows_are_many() -> None:
    text, data, _ = made("counts", 30)
    model = mercer.compile(text)
    plan = model.plan({"n": 1_000_000})
    assert plan.method == "svi" and plan.batches is not None
    assert plan.batches.multiplied == {"core.weights": True, "u": False, "v": False}
    assert model.plan(model.bind(data).sizes).batches is None


@pytest.mark.parametrize("kind", ["counts", pytest.param("numbers", marks=pytest.mark.slow)])
def test_a_product_is_found_from_batches_of_rows(kind: str) -> None:
    text, data, expected = made(kind, 600)
    fit = mercer.compile(f"{text}infer SVI(batch = 200, steps = 250)\n").fit(data, progress=False)
    new = grid()
    known = expected(truth(new["x"], new["z"]))
    error = fit.predict(new).means["y"] - known
    assert np.sqrt(np.mean(error**2)) < 0.2 * known.std()
