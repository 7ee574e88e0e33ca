"""Laws of solves by conjugate gradients: the dense engine's answers, to a told tolerance."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mercer
from mercer.runtime.engines import iterative, tiles
from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    Iterations,
    RandomFunction,
    Site,
    Term,
    Weights,
)
from mercer.runtime.engines.preconditioner import preconditioner
from mercer.runtime.methods.recycled import Told, sentences_of_solves
from mercer.runtime.posterior.diagnose import of_solves
from mercer.stdlib.kernels import RBF, Matern32
from mercer.stdlib.points import Directional, Points

RNG = np.random.default_rng(17)
N, P = 30, 3
X = RNG.uniform(0, 4, (N, 2))
DESIGN = RNG.normal(size=(N, P))
Y = np.sin(2 * X[:, 0]) + 0.3 * RNG.normal(size=N)
NOISE = RNG.uniform(0.2, 0.5, N)
NEW = RNG.uniform(-1, 5, (7, 2))
ORDER = np.arange(N)
KEEP = np.setdiff1d(ORDER, [4, 11])
SEEN = np.where(np.isin(ORDER, KEEP), Y, np.nan)
AT = jnp.array([0.1, -0.2, 0.3])
EVERY = Iterations(tolerance=1e-9, rank=28, probes=3)
"""As many columns as rows: nothing is left to estimate."""
FEW = Iterations(tolerance=1e-9, rank=4, probes=24)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 16)


def _block(engine, at=AT, order=ORDER, keep=KEEP):
    """A function, weights, and an outcome with holes and a noise of its own for each row; the rows
    in any order, of which it does not depend."""
    x, design, y, noise = (jnp.asarray(part)[order] for part in (X, DESIGN, SEEN, NOISE))
    processes = {
        "f": RandomFunction(RBF(lengthscale=jnp.exp(at[0]), scale=jnp.exp(at[1]))),
        "beta": Weights(sd=jnp.exp(at[2]) * jnp.array([1.0, 2.0, 0.5])),
    }
    sites = {"f(x)": Site("f", Points((x,)), N), "beta": Site("beta", size=P)}
    weights = Term("beta", design, jnp.broadcast_to(jnp.arange(P), (N, P)))
    mean = Affine(0.4, (Term("f(x)"), weights), (N,))
    law = Gaussian(mean, jnp.exp(0.1 * at[2]) * noise)
    return engine(processes, sites, {"y": (law, y, keep)})


TARGET = {"new": Site("f", Points((jnp.asarray(NEW),)), 7)}
AFFINE = Affine(1.0, (Term("new", 2.0), Term("beta", 0.3, jnp.zeros(7, int))), (7,))


@cache
def _solves(settings):
    """A solve, and the density with its gradient given what it found, for an order of the rows."""

    @jax.jit
    def solved(order, keep):
        return _block(settings, AT, order, keep).solution

    @jax.jit
    def density(found, order, keep):
        return jax.value_and_grad(
            lambda at: _block(settings.at(found), at, order, keep).log_density()
        )(AT)

    return solved, density


@cache
def _solved(settings):
    return jax.block_until_ready(_solves(settings)[0](ORDER, KEEP))


@cache
def _exact():
    return jax.jit(jax.value_and_grad(lambda at: _block(Dense, at).log_density()))(AT)


def test_products_and_columns_are_those_of_the_stored_covariance():
    processes = {
        "f": RandomFunction(RBF(lengthscale=0.9)),
        "g": RandomFunction(Matern32(lengthscale=1.5, scale=0.7)),
        "beta": Weights(sd=jnp.array([1.0, 2.0, 0.5])),
    }
    along = Directional(jnp.broadcast_to(jnp.array([1.0, 0.0]), (12, 2)))
    sites = {
        "f(x)": Site("f", Points((jnp.asarray(X),)), N),
        "f'(x)": Site("f", Points((jnp.asarray(X[:12]),), operators=(along,)), 12),
        "g(x)": Site("g", Points((jnp.asarray(X),)), N),
        "beta": Site("beta", size=P),
    }
    pairs = jnp.stack([jnp.arange(N), (jnp.arange(N) + 5) % N], axis=1)
    terms = (
        Term("f(x)"),
        Term("g(x)", jnp.asarray(DESIGN[:, :2]), pairs),
        Term("beta", jnp.asarray(DESIGN), jnp.broadcast_to(jnp.arange(P), (N, P))),
    )
    seen = {
        "y": (Gaussian(Affine(0.4, terms, (N,)), jnp.asarray(NOISE)), Y, KEEP),
        "s": (Gaussian(Affine(0.0, (Term("f'(x)"),), (12,)), 0.4), np.ones(12), None),
    }
    block, dense = (engine(processes, sites, seen) for engine in (FEW, Dense))
    vectors = jnp.asarray(RNG.normal(size=(2, 40)))
    found = tiles.product(block.covariance, vectors)
    np.testing.assert_allclose(found, vectors @ dense.covariance, atol=1e-12)
    places = jnp.array([3, 35, 12])
    prior = dense.covariance - jnp.diag(dense.data.noise**2)
    some = tiles.columns(block.covariance, places)
    np.testing.assert_allclose(some, prior[:, places], atol=1e-12)
    variance = tiles.diagonal(block.covariance)
    np.testing.assert_allclose(variance, jnp.diagonal(prior), atol=1e-12)


def test_preconditioner_is_exact_along_its_directions_and_knows_its_determinant():
    basis = jnp.asarray(RNG.normal(size=(5, 20)))
    root, low = RNG.normal(size=(2, 20, 20)), jnp.asarray(RNG.normal(size=(3, 20)))
    covariance = jnp.asarray(root[0] @ root[0].T) + low.T @ low + jnp.eye(20)
    by = preconditioner(low, jnp.full(20, 0.7), basis, basis @ covariance)
    inverse = by.solve(jnp.eye(20))
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-9)
    np.testing.assert_allclose(basis @ covariance @ inverse, basis, atol=1e-7)
    assert -np.linalg.slogdet(inverse)[1] == pytest.approx(float(by.log_determinant), abs=1e-7)
    np.testing.assert_allclose(by.inverse_diagonal, jnp.diagonal(inverse), atol=1e-9)
    drawn = by.draw(jax.random.key(0), 40_000)
    matrix = np.linalg.inv(inverse)
    error = np.sqrt((matrix**2 + np.outer(np.diag(matrix), np.diag(matrix))) / 40_000)
    assert np.max(np.abs(drawn.T @ drawn / 40_000 - matrix) / error) < 5


def test_density_and_gradient_are_exact_where_the_columns_say_all():
    value, slope = _solves(EVERY)[1](_solved(EVERY), ORDER, KEEP)
    assert value == pytest.approx(float(_exact()[0]), abs=1e-5)
    np.testing.assert_allclose(slope, _exact()[1], atol=1e-4)


def test_density_and_gradient_are_without_bias_where_few_columns_are_known():
    solved, density = _solves(FEW)
    # The same normal numbers for other rows: other probes.
    orders = [np.random.default_rng(seed).permutation(N) for seed in range(40)]
    rows = [(order, np.flatnonzero(np.isin(order, KEEP))) for order in orders]
    found = [density(solved(*own), *own) for own in rows]
    for part, wanted in enumerate(_exact()):
        values = np.stack([np.asarray(each[part]) for each in found])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(values.mean(axis=0) - wanted) < 4 * error)


def test_solution_does_not_depend_on_the_preconditioner():
    alpha = _block(Dense).alpha
    for settings in (EVERY, FEW):
        np.testing.assert_allclose(_solved(settings).alpha, alpha, rtol=1e-6, atol=1e-7)


def test_predictions_and_rows_left_out_are_those_of_the_dense_engine():
    def told(block):
        full = block.condition(TARGET, AFFINE, full=True)
        return full, block.condition(TARGET, AFFINE), block.leave_one_out()["y"]

    found = jax.jit(lambda solution: told(_block(EVERY.at(solution))))(_solved(EVERY))
    wanted = told(_block(Dense))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_draws_have_the_conditional_mean_and_covariance():
    count = 1000
    keys = jax.random.split(jax.random.key(2), count)

    @jax.jit
    def draws(keys, solution):
        block = _block(FEW.at(solution))
        return jax.vmap(lambda key: block.draw(key, {"a": AFFINE}, TARGET)["a"])(keys)

    drawn = draws(keys, _solved(FEW))
    mean, covariance = _block(Dense).condition(TARGET, AFFINE, full=True)
    sd = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(drawn.mean(axis=0) - mean) / sd) < 5 / np.sqrt(count)
    error = np.sqrt((covariance**2 + np.outer(sd, sd) ** 2) / count)
    assert np.max(np.abs(np.cov(drawn.T) - covariance) / error) < 5


def test_directions_of_the_last_solve_shorten_the_next():
    x = jnp.sort(jnp.asarray(RNG.uniform(0, 10, 300)))[:, None]

    def block(lengthscale):
        site = Site("f", Points((x,)), 300)
        law = Gaussian(Affine(0.0, (Term("x"),), (300,)), 0.1)
        kernel = RandomFunction(RBF(lengthscale=lengthscale))
        engine = Iterations(tolerance=1e-8, rank=3, probes=2)
        return engine({"f": kernel}, {"x": site}, {"y": (law, jnp.sin(3 * x[:, 0]), None)})

    solved = jax.jit(lambda at, before: block(at).solved(before))
    state = block(0.35).first()
    cold = solved(0.34, state)[0].iterations.max()
    for at in (0.37, 0.36, 0.35):
        state = solved(at, state)[1]
    assert solved(0.34, state)[0].iterations.max() < cold / 3


def test_a_tolerance_that_is_not_reached_is_told(monkeypatch):
    monkeypatch.setattr(iterative, "_MOST", 1)
    solution = jax.jit(lambda: _block(FEW).solution)()
    block = _block(FEW.at(solution))
    reached = {name: np.asarray(value)[None] for name, value in block.reached.items()}
    residual = reached["residual"]
    assert residual > 1e-8
    assert reached["iterations"] == 1
    assert "above the tolerance of 1e-08" in of_solves(reached, 1e-8)[0]
    assert "above the tolerance" not in of_solves(reached, 1.0)[0]
    assert "5 % of the prior's" in of_solves({**reached, "change": np.array([0.05])}, 1.0)[0]
    told = sentences_of_solves([Told(float(residual[0]), 1), Told(1e-9, 9)], 1e-8)
    assert "1 of them ended above the tolerance" in told[0]


def test_a_second_derivative_is_refused():
    with pytest.raises(ValueError, match="no second derivative"):
        jax.jacrev(jax.grad(lambda at: _block(FEW.at(_solved(FEW)), at).log_density()))(AT)


MODEL = """
data x[n] : Real^d
data y[n] : Real
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1), scale ~ HalfNormal(1)))
noise ~ HalfNormal(1)
y ~ Normal(f(x), noise)
"""
ASKED = MODEL + "infer f by Iterative(tolerance = 1e-7, rank = 150)\n"


@pytest.mark.slow
def test_a_fit_is_that_of_the_exact_engine():
    data = {"x": X, "y": np.where(np.arange(N) == 3, np.nan, Y)}
    ours = mercer.compile(ASKED).fit(data, draws=20, progress=False)
    exact = mercer.compile(MODEL + "infer f by Exact()\ninfer MAP(restarts = 1)\n").fit(
        data, draws=20, progress=False
    )
    for name in ("f.lengthscale", "f.scale", "noise"):
        found, wanted = (fit.idata["posterior"][name].values for fit in (ours, exact))
        np.testing.assert_allclose(found, wanted, rtol=1e-3)
    new = {"x": NEW}
    np.testing.assert_allclose(
        ours.predict(new).means["y"], exact.predict(new).means["y"], atol=1e-3
    )
    np.testing.assert_allclose(ours.predict(new).sds["y"], exact.predict(new).sds["y"], rtol=1e-2)
    assert any("densities were solved for by conjugate gradients" in s for s in ours.diagnostics)
    assert np.max(ours.idata["sample_stats"]["residual"].values) <= 1e-7
