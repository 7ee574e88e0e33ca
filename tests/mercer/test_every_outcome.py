"""Every distribution as an outcome over a sum of a function and effects: drawn, fitted, predicted.

All of them stand in one model, so that one program is compiled for all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import mercer
from mercer.stdlib import catalog

ROWS = 9
LAWS: dict[str, tuple[str, str]] = {
    "Normal": ("Real", "Normal(0.2 * x, exp(eta))"),
    "Cauchy": ("Real", "Cauchy(eta, s)"),
    "StudentT": ("Real", "StudentT(4, eta, exp(h(x)))"),
    "Laplace": ("Real", "Laplace(eta, s)"),
    "Logistic": ("Real", "Logistic(eta, s)"),
    "Gumbel": ("Real", "Gumbel(eta, s)"),
    "SoftLaplace": ("Real", "SoftLaplace(eta, s)"),
    "AsymmetricLaplace": ("Real", "AsymmetricLaplace(eta, s, 2)"),
    "Uniform": ("Real", "Uniform(eta - 99, eta + 99)"),
    "VonMises": ("Circle", "VonMises(eta, s)"),
    "HalfNormal": ("Positive", "HalfNormal(exp(eta))"),
    "HalfCauchy": ("Positive", "HalfCauchy(exp(eta))"),
    "LogNormal": ("Positive", "LogNormal(eta, s)"),
    "Exponential": ("Positive", "Exponential(exp(eta))"),
    "Gamma": ("Positive", "Gamma(s, exp(eta))"),
    "InverseGamma": ("Positive", "InverseGamma(3 + s, exp(eta))"),
    "Chi2": ("Positive", "Chi2(exp(eta))"),
    "Weibull": ("Positive", "Weibull(exp(eta), 0.5 + s)"),
    "Pareto": ("Positive", "Pareto(0.01, exp(eta))"),
    "Gompertz": ("Positive", "Gompertz(0.5, exp(eta))"),
    "LogUniform": ("Positive", "LogUniform(0.001, 99 + exp(eta))"),
    "Beta": ("Unit", "Beta(exp(eta), 1 + s)"),
    "BetaProportion": ("Unit", "BetaProportion(logistic(eta), 3 + s)"),
    "Kumaraswamy": ("Unit", "Kumaraswamy(exp(eta), 1 + s)"),
    "Bernoulli": ("Bool", "Bernoulli(logits = eta)"),
    "Binomial": ("Count", "Binomial(7, probs = logistic(eta))"),
    "Poisson": ("Count", "Poisson(exp(eta))"),
    "NegativeBinomial2": ("Count", "NegativeBinomial2(exp(eta), s)"),
    "NegativeBinomial": ("Count", "NegativeBinomial(2 + s, logits = eta)"),
    "GammaPoisson": ("Count", "GammaPoisson(s, exp(eta))"),
    "BetaBinomial": ("Count", "BetaBinomial(exp(eta), s, 7)"),
    "Geometric": ("Count", "Geometric(logits = eta)"),
    "ZeroInflatedPoisson": ("Count", "ZeroInflatedPoisson(logistic(h(x)), exp(eta))"),
    "DiscreteUniform": ("Count", "DiscreteUniform(0, 40)"),
    "Categorical": ("Label(colour)", "Categorical(logits = score * eta + lift * h(x))"),
    "OrderedLogistic": ("Label(grade)", "OrderedLogistic(eta, cuts)"),
    "Multinomial": ("Count^colour", "Multinomial(5, probs = share)"),
    "DirichletMultinomial": ("Count^colour", "DirichletMultinomial(exp(eta + share), 5)"),
    "MultivariateNormal": ("Real^colour", "MultivariateNormal(score * eta, Sigma)"),
    "MultivariateStudentT": ("Real^colour", "MultivariateStudentT(4, score * eta, root)"),
    "ProjectedNormal": ("Sphere(2)", "ProjectedNormal(way(x))"),
    "Dirichlet": ("Simplex(colour)", "Dirichlet(exp(eta + share))"),
    "LKJ": ("Correlation(colour)", "LKJ(exp(eta))"),
    "Wishart": ("Covariance(colour)", "Wishart(9 + s, Sigma)"),
    "Truncated": ("Positive", "Truncated(Normal(eta, s), low = 0)"),
    "Censored": ("Positive", "Censored(Weibull(exp(eta), 0.5 + s), above = late)"),
    "Weighted": ("Count", "Weighted(Poisson(exp(eta)), 1 + x^2)"),
    "Pushed": ("Positive", "Normal(eta, s) |> exp"),
    "Constant": ("Count", "Poisson(s)"),
}
HEAD = """index colour = ["red", "green", "blue"]
index grade = ["bad", "fair", "good"]
data x[n] : Real
data late[n] : Bool
data g[n] : Label(c)
f ~ GP(RBF(lengthscale = 1, scale ~ HalfNormal(1)))
h : Real -> Real ~ GP(Matern32(lengthscale = 1, scale = 0.5))
b[c] ~ Normal(0, scale ~ HalfNormal(0.5))
s ~ Gamma(4, 4)
score[colour] ~ Normal(0, 1)
lift[colour] ~ Normal(0, 1)
cuts : Ordered(2) ~ Normal(0, 2)
share : Simplex(colour) ~ Dirichlet(2)
Omega : Correlation(colour) ~ LKJ(2)
tau[colour] ~ HalfNormal(1)
root = tau * (colour == colour')
Sigma = tau * Omega * tau[colour'] + 0.1 * (colour == colour')
eta = f(x) + b[g]
"""


def text_of(names: list[str]) -> str:
    lines = [HEAD]
    for name in names:
        space, law = LAWS[name]
        lines.append(f"data y_{name}[n] : {space}\ny_{name} ~ {law}\n")
        if "way(x)" in law:
            lines.append("way : Real -> Real^3 ~ GP(RBF(lengthscale = 1, scale = 1))\n")
    return "".join(lines)


COMMON = ("Binomial", "Multinomial", "Constant")
NAMES = [pytest.param(n, marks=() if n in COMMON else pytest.mark.slow) for n in LAWS]
NO_MOMENTS = ("Cauchy", "HalfCauchy", "Pareto", "Categorical", "OrderedLogistic")


def inputs(rows: int) -> dict[str, Any]:
    x = np.linspace(-2.0, 2.0, rows)
    return {"x": x, "late": x > 1, "g": np.arange(rows) % 3}


@lru_cache
def fitted(names: tuple[str, ...]) -> mercer.Fit:
    """These laws simulated and fitted jointly, roughly; the last row of each is missing."""
    model = mercer.compile(text_of(list(names)))
    truth = model.simulate(inputs(ROWS), seed=5)
    data = inputs(ROWS)
    for name in names:
        values = np.asarray(truth[f"y_{name}"].values)
        is_text = values.dtype.kind in "UO"
        last: Any = [None] if is_text else values[-1:] * np.nan
        data[f"y_{name}"] = (
            [*values[:-1], *last] if is_text else np.concatenate([values[:-1], last])
        )
    return model.fit(data, "MAP(restarts = 1, steps = 5)", chains=1, draws=4, progress=False)


@lru_cache
def predicted(names: tuple[str, ...]) -> Any:
    return fitted(names).predict({**inputs(4), "g": np.array([0, 1, 2, 9])})


def with_others(name: str) -> tuple[str, ...]:
    """The laws that a law is fitted with: a few, or all."""
    return COMMON if name in COMMON else tuple(LAWS)


def test_no_distribution_is_left_out() -> None:
    assert set(catalog.distributions()) - {"Flat"} <= set(LAWS)


@pytest.mark.parametrize("name", NAMES)
def test_an_outcome_has_a_density_at_every_row_that_is_there(name: str) -> None:
    found = fitted(with_others(name)).idata["log_likelihood"][f"y_{name}"].values[0]
    assert np.isfinite(found[:, :-1]).all()
    assert np.isnan(found[:, -1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_an_outcome_is_predicted_at_new_rows_and_at_a_new_label(name: str) -> None:
    new = predicted(with_others(name))
    means, sds, draws = (d[f"y_{name}"] for d in (new.means, new.sds, new.samples))
    assert np.isfinite(draws).all() and draws.shape[2] == 4
    if name not in NO_MOMENTS:
        assert np.isfinite(means).all() and np.isfinite(sds).all()
