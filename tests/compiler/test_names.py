"""What a model calls its things does not change what it says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mercer.compiler.check import compile_front
from mercer.model import Model
from tests.reference.generator import generate
from tests.reference.programs import Program

WORDS = (  # of the emitted program, of NumPyro's signatures, of Python, of the library
    "k s at np jnp known laws places wanted model prepare self rng_key init_params lambda class "
    "None flat table observe Dense Points Site y_keep taken Normal Gamma HalfNormal LogNormal"
).split()


def renamed(text: str, first: int) -> tuple[str, dict[str, str]]:
    """The text with its own names exchanged for `WORDS[first:]`, and what became of each."""
    typed = compile_front(text)
    declared = {*typed.data, *typed.unknowns, *typed.functions, *typed.definitions, *typed.indices}
    own = sorted(n for n in declared if "." not in n)
    new = dict(zip(own, WORDS[first:], strict=False))
    return re.sub(r"(?<![\w.])[A-Za-z_]\w*", lambda m: new.get(m[0], m[0]), text), new


@pytest.mark.parametrize(("seed", "first"), [(8, 9), (31, 0)])
def test_names_of_the_program_are_ordinary_names_in_a_model(seed: int, first: int) -> None:
    text, data, values = generate(seed)
    other, new = renamed(text, first)
    before, after = Program(text, data), Program(other, {new[k]: v for k, v in data.items()})
    rng = np.random.default_rng(seed)
    given = {
        k: rng.normal(size=shape) if k.endswith(".whitened") else values[k]
        for k, shape in before.sampled().items()
    }
    moved = {re.sub(r"^\w+", lambda m: new[m[0]], k): v for k, v in given.items()}
    found, expected = after.log_density(moved), before.log_density(given)
    assert float(found) == pytest.approx(float(expected), rel=1e-12), other


def test_an_unknown_may_have_the_name_of_its_distribution() -> None:
    typed = compile_front("""
data y[n] : Real
Gamma ~ Gamma(2, rate ~ Gamma(1, 1))
Beta ~ Truncated(Normal(Gamma, 1), 0, 9)
RBF[k] ~ Normal(0, 1)
index k = 1..2
Normal ~ GP(2 * RBF(lengthscale = Gamma) + RBF(lengthscale ~ Gamma(2, 1)))
y ~ Normal(RBF[1] + Normal(y0), exp(Beta))
data y0[n] : Real
""")
    assert set(typed.unknowns) >= {"Gamma", "Beta", "RBF"}
    assert set(typed.functions) == {"Normal"}


def test_an_index_that_only_a_domain_has_may_be_called_as_the_program_calls_its_own() -> None:
    x, kind = np.repeat([0.0, 0.5, 1.0], 2), np.tile(["a", "b"], 3)
    laws = []
    for index in ("k", "kinds"):
        model = Model.from_text(f"""
data x[n], y[n] : Real
data kind[n] : Label({index})
f : (time: Real, kind: Label({index})) -> Real ~ GP(
    RBF(lengthscale = 1)[time] * Coregion(weights ~ Normal(0, 1), kappa ~ HalfNormal(1))[kind]
)
y ~ Normal(f(x, kind), 0.1)
""")
        laws.append(model.simulate({"x": x, "kind": kind}, seed=3)["y"].values)
    assert np.array_equal(*laws)


def test_a_column_may_be_called_as_the_program_calls_the_rows_that_are_there() -> None:
    x = np.linspace(0.0, 3.0, 8)
    y = np.where(np.arange(8) == 3, np.nan, np.sin(x))
    told = []
    for name in ("y_keep", "z"):
        model = Model.from_text(f"""
data {name}[n], y[n] : Real
f ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(f({name}) + {name} - mean({name}), 0.1)
""")
        fit = model.fit({name: x, "y": y}, "map", chains=1, draws=5, progress=False)
        told.append(fit.predict({name: [0.5, 9.0]}).means["y"])
    np.testing.assert_allclose(*told, rtol=1e-12)
    assert told[0][1] == pytest.approx(9.0 - x.mean(), abs=1e-3)
