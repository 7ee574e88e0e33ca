"""Laws of Laplace's approximation of a block: closed forms, quadrature, engines, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.integrate import quad

import mercer
from mercer.runtime.methods.density import Density, arguments_of

X = np.array([0.0, 0.4, 1.1, 1.9, 2.5, 3.1])
COUNTS = np.array([1.0, 0.0, 2.0, 4.0, 1.0, 3.0])
HEAD = """data x[n] : Real
data g[n] : Label(c)
data y[n] : {space}
rho ~ LogNormal(0, 0.5)
tau ~ HalfNormal(1)
f ~ GP({kernel}(lengthscale = rho, scale = 1.2), mean = 0.3)
b[c] ~ Normal(0, tau)
y ~ {law}
"""
GROUPS = np.array([0, 1, 0, 1, 1, 0])


def text_of(space: str, law: str, kernel: str = "Matern32", infer: str = "f by Laplace()") -> str:
    return HEAD.format(space=space, law=law, kernel=kernel) + (f"infer {infer}\n" if infer else "")


def density_of(text: str, data: dict[str, Any]) -> Density:
    model = mercer.compile(text)
    bound = model.bind(data)
    program = model.program(model.plan(bound.sizes))
    return Density(program, arguments_of(program, bound))


def value(density: Density, flat: Any) -> float:
    return -float(density.value_and_grad(flat)[0])


def covariance(rho: float, tau: float) -> np.ndarray:
    r = np.sqrt(3) * np.abs(np.subtract.outer(X, X)) / rho
    return 1.44 * (1 + r) * np.exp(-r) + tau**2 * np.equal.outer(GROUPS, GROUPS)


AT = np.array([0.2, -0.3])
"""log rho and log tau, the unconstrained unknowns in the order of the program."""


def log_prior(flat: np.ndarray) -> float:
    rho, tau = np.exp(flat)
    prior = stats.lognorm(0.5).logpdf(rho) + stats.halfnorm().logpdf(tau)
    return float(prior + flat.sum())


def by_hand(flat: np.ndarray, log_law: Any, curvature: Any) -> float:
    """log q(y) from the mode that SciPy finds: the textbook's formula, all matrices dense."""
    k, mean = covariance(*np.exp(flat)), np.full(len(X), 0.3)
    precision = np.linalg.inv(k)

    def energy(eta: np.ndarray) -> float:
        return float(-log_law(eta).sum() + 0.5 * (eta - mean) @ precision @ (eta - mean))

    mode = optimize.minimize(energy, mean, method="BFGS", options={"gtol": 1e-9}).x
    sign, determinant = np.linalg.slogdet(np.eye(len(X)) + k * curvature(mode))
    assert sign > 0
    return -energy(mode) - 0.5 * determinant


CASES = {
    "Poisson": (
        "Count",
        "Poisson(2 * exp(f(x) + b[g]))",
        COUNTS,
        lambda eta: stats.poisson(2 * np.exp(eta)).logpmf(COUNTS),
        lambda eta: 2 * np.exp(eta),
    ),
    "Bernoulli": (
        "Bool",
        "Bernoulli(logits = f(x) + b[g])",
        COUNTS % 2,
        lambda eta: stats.bernoulli(1 / (1 + np.exp(-eta))).logpmf(COUNTS % 2),
        lambda eta: 1 / (2 + np.exp(eta) + np.exp(-eta)),
    ),
    "Weibull": (
        "Positive",
        "Weibull(exp(f(x) + b[g]), 1.5)",
        COUNTS + 0.5,
        lambda eta: stats.weibull_min(1.5, scale=np.exp(eta)).logpdf(COUNTS + 0.5),
        lambda eta: 2.25 * ((COUNTS + 0.5) * np.exp(-eta)) ** 1.5,
    ),
}


@pytest.mark.parametrize(
    "name",
    ["Poisson", *(pytest.param(n, marks=pytest.mark.slow) for n in ("Bernoulli", "Weibull"))],
)
def test_the_density_is_that_of_the_textbook_at_the_mode(name: str) -> None:
    space, law, y, log_law, curvature = CASES[name]
    density = density_of(text_of(space, law), {"x": X, "g": GROUPS, "y": y})
    expected = log_prior(AT) + by_hand(AT, log_law, curvature)
    assert value(density, AT) == pytest.approx(expected, rel=1e-8)


def test_gradients_go_through_the_mode_as_finite_differences_do() -> None:
    space, law, y, *_ = CASES["Bernoulli"]
    density = density_of(text_of(space, law), {"x": X, "g": GROUPS, "y": y})
    gradient = -np.asarray(density.value_and_grad(AT)[1])
    step = 1e-3
    for i, unit in enumerate(np.eye(2)):
        near, far = (
            value(density, AT + k * step * unit) - value(density, AT - k * step * unit)
            for k in (1, 2)
        )
        assert gradient[i] == pytest.approx((8 * near - far) / (12 * step), rel=1e-7, abs=1e-9)


def test_a_normal_predictor_of_a_lognormal_is_integrated_out_exactly() -> None:
    y = COUNTS + 0.5
    about = density_of(
        text_of("Positive", "LogNormal(f(x) + b[g], 0.4)"), {"x": X, "g": GROUPS, "y": y}
    )
    exact = density_of(
        text_of("Real", "Normal(f(x) + b[g], 0.4)", infer=""),
        {"x": X, "g": GROUPS, "y": np.log(y)},
    )
    assert value(about, AT) == pytest.approx(value(exact, AT) - np.log(y).sum(), rel=1e-10)


@pytest.mark.slow
def test_what_is_missing_counts_for_nothing() -> None:
    space, law, y, *_ = CASES["Poisson"]
    holes, keep = np.where(np.arange(6) == 2, np.nan, y), np.arange(6) != 2
    data = {"x": X[keep], "g": GROUPS[keep], "y": y[keep]}
    text = text_of(space, law)
    left_out = value(density_of(text, data), AT)
    missing = value(density_of(text, {"x": X, "g": GROUPS, "y": holes}), AT)
    assert missing == pytest.approx(left_out, rel=1e-10)


@pytest.mark.slow
def test_it_is_the_density_where_one_row_is_nearly_normal() -> None:
    """A large count: what the mode's Normal law leaves out is of the order of 1 / count."""
    text = """data y : Count
a ~ Normal(4, 1)
y ~ Poisson(exp(a))
infer a by Laplace()
"""
    program_density = density_of(text, {"y": 90})

    def joint(a: float) -> float:
        return float(np.exp(stats.norm(4, 1).logpdf(a) + stats.poisson(np.exp(a)).logpmf(90)))

    integral = quad(joint, 3.5, 5.5, epsabs=1e-14)[0]
    found = value(program_density, np.zeros(0))
    assert found == pytest.approx(np.log(integral), abs=0.3 / 90)


ENGINES = """data x[n] : Real
data g[n] : Label(c)
data y[n] : Count
level ~ Normal(0, 1)
b[c] ~ Normal(0, 0.7)
{function}y ~ Poisson(exp(level + {term}))
infer {name} by Laplace()
"""


@pytest.mark.parametrize(
    ("function", "term", "name", "engine"),
    [
        pytest.param(
            "f ~ GP(Matern32(lengthscale = 1, scale = 1))\n",
            "f(x) + b[g]",
            "f",
            "Kalman",
            marks=pytest.mark.slow,
        ),
        ("", "b[g] * x", "b", ""),
    ],
)
def test_other_engines_agree_with_the_dense_one(
    function: str, term: str, name: str, engine: str
) -> None:
    text = ENGINES.format(function=function, term=term, name=name)
    data = {"x": X, "g": GROUPS, "y": COUNTS}
    dense = value(density_of(text + "infer level by Exact()\n", data), np.zeros(0))
    asked = f"infer level by {engine}()\n" if engine else ""
    model = mercer.compile(text + asked)
    assert model.plan().engine_name == ("Markov" if engine else "WeightSpace")
    assert value(density_of(text + asked, data), np.zeros(0)) == pytest.approx(dense, rel=1e-9)


@pytest.mark.slow
def test_an_exact_outcome_beside_it_is_seen_too() -> None:
    text = """data x[n] : Real
data k[n] : Count
data v[n] : Real
f ~ GP(Matern32(lengthscale = 1, scale = 1))
k ~ Poisson(exp(f(x)))
v ~ Normal(f(x), 0.3)
infer f by Laplace()
"""
    v = np.sin(X)
    density = density_of(text, {"x": X, "k": COUNTS, "v": v})
    r = np.sqrt(3) * np.abs(np.subtract.outer(X, X))
    k = (1 + r) * np.exp(-r)
    noisy = np.linalg.inv(k + 0.09 * np.eye(6))
    mean, posterior = k @ noisy @ v, k - k @ noisy @ k
    precision = np.linalg.inv(posterior)

    def energy(eta: np.ndarray) -> float:
        fit = stats.poisson(np.exp(eta)).logpmf(COUNTS).sum()
        return float(-fit + 0.5 * (eta - mean) @ precision @ (eta - mean))

    mode = optimize.minimize(energy, mean, method="BFGS", options={"gtol": 1e-9}).x
    _, determinant = np.linalg.slogdet(np.eye(6) + posterior * np.exp(mode))
    expected = stats.multivariate_normal(np.zeros(6), k + 0.09 * np.eye(6)).logpdf(v)
    expected += -energy(mode) - 0.5 * determinant
    assert value(density, np.zeros(0)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("law", "why"),
    [
        ("StudentT(4, f(x) + b[g], 1)", "log-concave"),
        ("Normal(f(x) + b[g], 1)", "integrated out exactly"),
    ],
)
def test_what_cannot_be_approximated_so_is_an_error(law: str, why: str) -> None:
    with pytest.raises(mercer.MercerError, match=why):
        mercer.compile(text_of("Real", law)).plan()


def test_auto_takes_it_where_sampling_would_take_too_long() -> None:
    space, law, *_ = CASES["Poisson"]
    model = mercer.compile(text_of(space, law, kernel="RBF", infer=""))
    few, many = (model.plan({"n": n, "c": 2}) for n in (50, 700))
    assert not few.structure.links and few.latent == ("f",)
    assert set(many.structure.links) == {"y"} and many.engine_name == "Dense"
    assert any("(Laplace)" in sentence for sentence in many.sentences)
    assert "f" in model.plan({"n": 700, "c": 2}, "nuts").latent
