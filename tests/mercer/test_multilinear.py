"""Laws of `Multilinear` as a layer: over data, over functions, and beside message passing."""

from __future__ import annotations

import numpy as np
import pytest

import mercer
from mercer.dsl.diagnostic import MercerError

RNG = np.random.default_rng(5)
X, Z = RNG.normal(size=(2, 30))
Y = 1.5 * X * Z + 0.3 * RNG.normal(size=30)

TUCKER = """data x[n], z[n], y[n] : Real
u : Real -> Real^2 ~ GP(Matern32())
v : Real -> Real^3 ~ GP(Matern12())
core : Real^2 * Real^3 -> Real ~ Multilinear()
noise ~ HalfNormal(1)
y ~ Normal(core(u(x), v(z)), noise)
"""


def test_a_map_of_fixed_factors_is_the_regression_in_closed_form() -> None:
    model = mercer.compile(
        "data x[n], z[n], y[n] : Real\nf : Real * Real -> Real ~ Multilinear()\n"
        "y ~ Normal(f(x, z), 0.3)\n"
    )
    assert model.plan().engine_name == "WeightSpace"
    fit = model.fit({"x": X, "z": Z, "y": Y}, chains=4, draws=500, progress=False)
    product = X * Z
    precision = product @ product / 0.3**2 + 1.0
    mean, sd = product @ Y / 0.3**2 / precision, precision**-0.5
    drawn = fit.idata.posterior["f.weights"].values
    assert abs(drawn.mean() - mean) < 4 * sd / np.sqrt(2000)
    told = fit.predict({"x": [2.0], "z": [-1.0]})
    assert told.means["y"][0] == pytest.approx(-2.0 * mean, rel=1e-9)
    assert told.sds["y"][0] == pytest.approx(np.sqrt(4 * sd**2 + 0.3**2), rel=1e-9)


def test_a_diagonal_map_has_a_weight_for_each_position() -> None:
    text = TUCKER.replace("Real^3", "Real^2").replace(
        "Multilinear()", "Multilinear(diagonal = true)"
    )
    model = mercer.compile(text)
    assert model.typed.unknowns["core.weights"].type.dims == ("2",)
    fixed = text.replace("diagonal = true", "diagonal = true, weights = 1")
    assert "core.weights" not in mercer.compile(fixed).typed.unknowns


def test_ranks_may_differ_between_modes() -> None:
    model = mercer.compile(TUCKER)
    assert model.typed.unknowns["core.weights"].type.dims == ("2", "3")
    plan = model.plan()
    assert plan.method == "messages" and not plan.engine_name
    said = "\n".join(plan.sentences)
    assert "u(x): 2 functions together" in said and "state of 4 numbers" in said


def test_a_product_written_out_is_the_same_as_a_diagonal_map() -> None:
    text = TUCKER.replace("Real^3", "Real^2").replace("core(u(x), v(z))", "sum(u(x) * v(z), k)")
    text = text.replace("Real^2", "Real^k").replace(
        "core : Real^k * Real^k -> Real ~ Multilinear()\n", "index k = 1..2\n"
    )
    assert mercer.compile(text).plan().method == "messages"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("Normal(core(u(x), v(z)), noise)", "StudentT(4, core(u(x), v(z)), noise)"), "not Normal"),
        (("core(u(x), v(z))", "core(u(x), v(z)) * noise"), "multiplies it and is not Gaussian"),
        (("core(u(x), v(z))", "core(u(x), v(z)) + core(u(z), v(x))"), "is in it twice"),
        (
            (
                "v : Real -> Real^3 ~ GP(Matern12())",
                "v : Real -> Real^3 ~ GP(Matern12(lengthscale = noise))",
            ),
            "shared",
        ),
    ],
)
def test_what_messages_cannot_be_passed_in_is_told(change: tuple[str, str], why: str) -> None:
    text = TUCKER.replace(*change)
    assert text != TUCKER
    with pytest.raises(MercerError) as caught:
        mercer.compile(text).plan(infer="messages")
    assert [d.code for d in caught.value.diagnostics] == ["M321"]
    assert why in str(caught.value.diagnostics[0].why)
    assert mercer.compile(text).plan(infer="nuts").method == "nuts"


def test_one_function_for_each_label_is_no_factor_that_is_summed_over() -> None:
    text = """data x[n], z[n], y[n] : Real
index k = 1..2
u[k] : Real -> Real ~ GP(Matern32(lengthscale[k] ~ LogNormal(0, 1)))
v[k] : Real -> Real ~ GP(Matern32())
y ~ Normal(sum(u(x) * v(z), k), 1)
"""
    with pytest.raises(MercerError) as caught:
        mercer.compile(text).plan(infer="messages")
    assert "a function to `Real^k` would do" in str(caught.value.diagnostics[0].why)
    assert mercer.compile(text).plan().method == "nuts"


ADDED = """data x[n], z[n], y[n] : Real
a ~ Normal(0, 1)
f : Real -> Real ~ GP(Matern32())
g : Real -> Real ~ GP(Matern12())
y ~ Normal(a * f(x) + g(z), 1)
"""


def test_functions_may_be_added_to_a_product() -> None:
    level = "w : Real -> Real ~ GP(Matern12())\n"
    plan = mercer.compile(TUCKER.replace("Normal(core", "Normal(w(x) + core") + level).plan()
    assert plan.method == "messages"
    assert "multiplied and w added in y" in plan.sentences[0]
    assert mercer.compile(ADDED).plan(infer="messages").method == "messages"
    assert mercer.compile(ADDED).plan().method == "nuts"  # given a, the rest is integrated out


@pytest.mark.slow
def test_messages_and_sampling_agree_on_the_function() -> None:
    rng = np.random.default_rng(2)
    x, z = rng.uniform(0, 2, (2, 40)).round(1)
    y = np.sin(2 * x) * (1 + 0.5 * z) + 0.1 * rng.normal(size=40)
    text = TUCKER.replace("Real^2", "Real").replace("Real^3", "Real")
    data, new = {"x": x, "z": z, "y": y}, {"x": np.linspace(0.1, 1.9, 20), "z": np.full(20, 1.0)}
    passed = mercer.compile(text).fit(data, "messages", chains=4, draws=500, progress=False)
    sampled = mercer.compile(text).fit(
        data, "nuts", chains=2, warmup=300, draws=200, progress=False
    )
    a, b = passed.predict(new), sampled.predict(new)
    scale = np.std(np.sin(2 * x) * (1 + 0.5 * z))
    assert np.max(np.abs(a.means["y"] - b.means["y"])) < 0.1 * scale
