"""Laws of the nearest Normal law: against direct optimisation, closed forms, engines, NUTS."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import gammaln

import mercer
from mercer.runtime.methods.density import Density, arguments_of

X = np.array([0.0, 0.4, 1.1, 1.9, 2.5, 3.1])
COUNTS = np.array([1.0, 0.0, 2.0, 4.0, 1.0, 3.0])
TEXT = """data x[n] : Real
data y[n] : {space}
rho ~ LogNormal(0, 0.5)
tau ~ HalfNormal(1)
f ~ GP(Matern32(lengthscale = rho, scale = tau), mean = 0.3)
y ~ {law}
infer f by {by}()
"""
POISSON = ("Count", "Poisson(2 * exp(f(x)))")
AT = np.array([0.2, 0.1])
"""log rho and log tau."""


def text_of(space: str, law: str, by: str = "CVI") -> str:
    return TEXT.format(space=space, law=law, by=by)


def density_of(text: str, y: np.ndarray) -> Density:
    model = mercer.compile(text)
    bound = model.bind({"x": X, "y": y})
    program = model.program(model.plan(bound.sizes))
    return Density(program, arguments_of(program, bound))


def value(density: Density, flat: Any) -> float:
    return -float(density.value_and_grad(flat)[0])


@pytest.fixture(scope="module")
def counts() -> Density:
    return density_of(text_of(*POISSON), COUNTS)


def test_the_density_is_the_largest_bound_of_all_normal_laws(counts: Density) -> None:
    """The bound maximised directly, over the mean and the factor of any Normal law of the rows."""
    rho, tau = np.exp(AT)
    r = np.sqrt(3) * np.abs(np.subtract.outer(X, X)) / rho
    prior = np.linalg.cholesky(tau**2 * (1 + r) * np.exp(-r))
    size = len(X)
    lower = np.tril_indices(size)

    @jax.jit
    @jax.value_and_grad
    def minus_bound(flat: Any) -> Any:
        mean, root = flat[:size], jnp.zeros((size, size)).at[lower].set(flat[size:])
        eta, factor = 0.3 + prior @ mean, prior @ root
        variance = jnp.sum(factor**2, axis=1)
        fit = COUNTS * (np.log(2) + eta) - 2 * jnp.exp(eta + variance / 2) - gammaln(COUNTS + 1)
        log_determinant = 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(root))))
        divergence = 0.5 * (jnp.sum(root**2) + mean @ mean - size - log_determinant)
        return divergence - jnp.sum(fit)

    start = np.concatenate([np.zeros(size), np.eye(size)[lower]])
    options = {"gtol": 1e-8}
    best = optimize.minimize(minus_bound, start, jac=True, method="BFGS", options=options)
    log_prior = stats.lognorm(0.5).logpdf(rho) + stats.halfnorm().logpdf(tau) + AT.sum()
    assert value(counts, AT) == pytest.approx(log_prior - best.fun, rel=1e-8)


def test_its_derivatives_are_those_of_differences(counts: Density) -> None:
    gradient = np.asarray(counts.value_and_grad(AT)[1])
    for i, unit in enumerate(np.eye(2)):
        step = 1e-3 * unit
        near, far = (value(counts, AT - k * step) - value(counts, AT + k * step) for k in (1, 2))
        assert gradient[i] == pytest.approx((8 * near - far) / 12e-3, rel=1e-6)
        up, down = (np.asarray(counts.value_and_grad(AT + s * step)[1]) for s in (1, -1))
        row = np.asarray(counts.hessian_row(AT, i))
        np.testing.assert_allclose(row, (up - down) / 2e-3, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_normal_predictor_of_a_lognormal_is_integrated_out_exactly() -> None:
    y = COUNTS + 0.5
    nearest = density_of(text_of("Positive", "LogNormal(f(x), 0.4)"), y)
    exact = density_of(text_of("Real", "Normal(f(x), 0.4)", by="Exact"), np.log(y))
    assert value(nearest, AT) == pytest.approx(value(exact, AT) - np.log(y).sum(), rel=1e-10)


@pytest.mark.slow
def test_the_smoother_along_the_line_agrees_with_the_dense_engine(counts: Density) -> None:
    level = "\nlevel ~ Normal(0, 1)\ny"
    text = text_of(*POISSON).replace("\ny", level).replace("exp(f", "exp(level + f")
    holes = np.where(np.arange(6) == 2, np.nan, COUNTS)
    along = density_of(text + "infer level by Kalman()\n", holes)
    dense = density_of(text + "infer level by Exact()\n", holes)
    a, b = along.value_and_grad(AT), dense.value_and_grad(AT)
    assert float(a[0]) == pytest.approx(float(b[0]), rel=1e-9)
    np.testing.assert_allclose(a[1], b[1], rtol=1e-6)


def test_auto_takes_it_along_the_line_where_sampling_would_take_too_long() -> None:
    text = text_of(*POISSON).replace("infer f by CVI()\n", "")
    few, many = (mercer.compile(text).plan({"n": n}) for n in (50, 100_000))
    assert few.latent == ("f",) and not few.structure.links
    assert many.engine_name == "Markov" and many.structure.is_nearest
    told = " ".join(many.sentences)
    assert "Khan & Lin 2017" in told and "lower bound" in told and "in linear time" in told


def test_it_and_laplace_are_not_mixed() -> None:
    text = text_of(*POISSON).replace("\ny", "\nb ~ Normal(0, 1)\ny").replace("(x)))", "(x) + b))")
    with pytest.raises(mercer.MercerError, match="one joint law"):
        mercer.compile(text + "infer b by Laplace()\n").plan()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "law"), [("Count", "Poisson(exp(f(x)))"), ("Bool", "Bernoulli(logits = f(x))")]
)
def test_unknowns_and_values_have_the_posterior_of_nuts(space: str, law: str) -> None:
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(0, 8, 60))
    eta = 0.5 + 1.2 * np.sin(1.3 * x)
    passed = rng.uniform(size=60) < stats.logistic.cdf(eta)
    y = rng.poisson(np.exp(eta)) if space == "Count" else passed
    data = {"x": x, "y": y.astype(float)}
    text = text_of(space, law)
    fit = mercer.compile(text).fit(data, infer="nuts", chains=2, warmup=300, draws=400, seed=1)
    exact = mercer.compile(text.replace("infer f by CVI()\n", "")).fit(
        data, infer="nuts", chains=2, warmup=400, draws=600, seed=1
    )
    for name in ("f(x)", "rho", "tau"):
        a, b = (f.idata["posterior"][name] for f in (fit, exact))
        sd = b.std(("chain", "draw")).values
        shift = np.abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))).values / sd
        width = a.std(("chain", "draw")).values / sd
        assert np.max(shift) < 0.35 and np.mean(shift) < 0.15
        assert 0.75 < np.mean(width) < 1.15
