"""Calibration by simulation of models across outcomes: every truth has a uniform rank.

What is fitted is drawn from the model's own prior, so that any mistake in a density, in a change of
numbers or in a conditional draw bends the ranks (Talts et al. 2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mercer

pytestmark = pytest.mark.slow

SIMULATIONS, FALSE_ALARM = 150, 0.001
"""Of all quantities of a model together, once in a thousand."""
N = 16
X = np.linspace(-2.0, 2.0, N)
G = np.arange(N) % 4

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "yes or no with labelled effects, non-centred": (
        """data x[n] : Real
data g[n] : Label(c)
data y[n] : Bool
tau ~ HalfNormal(1)
slope ~ Normal(0, 1)
b[c] ~ Normal(0, tau)
y ~ Bernoulli(logits = slope * x + b[g])
""",
        {"x": X, "g": G},
    ),
    "overdispersed counts about a function": (
        """data x[n] : Real
data y[n] : Count
size ~ Gamma(3, 1)
scale ~ HalfNormal(1)
f ~ GP(RBF(lengthscale = 1, scale = scale), mean = 0.5)
y ~ NegativeBinomial2(exp(f(x)), size)
""",
        {"x": X},
    ),
    "grades": (
        """index grade = ["bad", "fair", "good"]
data x[n] : Real
data y[n] : Label(grade)
slope ~ Normal(0, 1)
cuts : Ordered(2) ~ Normal(0, 1.5)
y ~ OrderedLogistic(slope * x, cuts)
""",
        {"x": X},
    ),
    "heavy tails, functions in location and scale": (
        """data x[n] : Real
data y[n] : Real
f ~ GP(RBF(lengthscale ~ LogNormal(0, 0.4), scale = 1))
h ~ GP(Matern32(lengthscale = 1.5, scale = 0.5))
y ~ StudentT(5, f(x), 0.4 * exp(h(x)))
""",
        {"x": X},
    ),
    "waiting times with an end that is unknown": (
        """data x[n] : Real
data y[n] : Positive
top ~ LogNormal(0, 0.5)
part : Interval(0, top) ~ Normal(0.5, 0.5)
shape ~ Gamma(4, 2)
y ~ Gamma(shape, exp(part * x + top))
""",
        {"x": X},
    ),
    "one of three labels": (
        """index colour = ["red", "green", "blue"]
data x[n] : Real
data y[n] : Label(colour)
level[colour] ~ Normal(0, 1)
slope[colour] ~ Normal(0, scale ~ HalfNormal(1))
y ~ Categorical(logits = level + slope * x)
""",
        {"x": X},
    ),
    "correlated effects": (
        """index part = ["level", "slope"]
data x[n], y[n] : Real
data g[n] : Label(c)
Omega : Correlation(part) ~ LKJ(2)
tau[part] ~ HalfNormal(1)
b[c] : Real^part ~ MultivariateNormal(0, tau * Omega * tau[part'])
own = b[g]
y ~ Normal(own["level"] + own["slope"] * x, 0.4)
""",
        {"x": X, "g": G},
    ),
    "counts over inputs that were measured badly": (
        """data seen[n] : Real
data y[n] : Count
true[n] ~ Normal(0, 1)
f : Real -> Real ~ GP(RBF(lengthscale = 1, scale ~ HalfNormal(1)))
seen ~ Normal(true, 0.3)
y ~ Poisson(exp(f(true)))
""",
        {"n": np.arange(10)},
    ),
    "shares": (
        """data x[n] : Real
data y[n] : Unit
slope ~ Normal(0, 1)
level ~ Normal(0, 1)
firm ~ Gamma(4, 0.5)
y ~ BetaProportion(logistic(level + slope * x), firm)
""",
        {"x": X},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_calibrated(name: str) -> None:
    text, data = MODELS[name]
    found = mercer.compile(text).recover(
        data, infer="nuts", simulations=SIMULATIONS, false_alarm=FALSE_ALARM, seed=3, progress=False
    )
    assert not found.unfitted
    assert found.is_right, found.failed
