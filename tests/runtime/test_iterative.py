"""Laws of solves by conjugate gradients: the dense engine's answers, to a told tolerance."""

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
SLOPES = 2 * np.cos(2 * X[:12, 0]) + 0.3 * RNG.normal(size=12)
NOISE = RNG.uniform(0.2, 0.5, N)
NEW = RNG.uniform(-1, 5, (7, 2))
KEEP = np.setdiff1d(np.arange(N), [4, 11])
AT = jnp.array([0.1, -0.2, 0.3])
EVERY = Iterations(tolerance=1e-9, rank=40, probes=3)
"""As many columns as rows: nothing is left to estimate."""
FEW = Iterations(tolerance=1e-9, rank=4, probes=3)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 8)


def _block(engine, at=AT, noise=NOISE):
    """Two functions, weights, rows that read several points, an outcome of slopes, and holes."""
    processes = {
        "f": RandomFunction(RBF(lengthscale=jnp.exp(at[0]), scale=jnp.exp(at[1]))),
        "g": RandomFunction(Matern32(lengthscale=1.5, scale=0.7)),
        "beta": Weights(sd=jnp.exp(at[2]) * jnp.array([1.0, 2.0, 0.5])),
    }
    along = Directional(jnp.broadcast_to(jnp.array([1.0, 0.0]), (12, 2)))
    sites = {
        "f(x)": Site("f", Points((jnp.asarray(X),)), N),
        "f'(x)": Site("f", Points((jnp.asarray(X[:12]),), operators=(along,)), 12),
        "g(x)": Site("g", Points((jnp.asarray(X),)), N),
        "beta": Site("beta", size=P),
    }
    pairs = jnp.stack([jnp.arange(N), (jnp.arange(N) + 5) % N], axis=1)
    mean = Affine(
        0.4,
        (
            Term("f(x)", 1.0),
            Term("g(x)", jnp.asarray(DESIGN[:, :2]), pairs),
            Term("beta", jnp.asarray(DESIGN), jnp.broadcast_to(jnp.arange(P), (N, P))),
        ),
        (N,),
    )
    values = np.where(np.isin(np.arange(N), KEEP), Y, np.nan)
    slopes = Gaussian(Affine(0.0, (Term("f'(x)"),), (12,)), 0.4)
    seen = {"y": (Gaussian(mean, jnp.asarray(noise)), values, KEEP), "s": (slopes, SLOPES, None)}
    return engine(processes, sites, seen)


TARGET = {"new": Site("f", Points((jnp.asarray(NEW),)), 7)}
AFFINE = Affine(
    1.0, (Term("new", 2.0), Term("beta", 0.3, jnp.zeros(7, int)), Term("g(x)", 1.0, jnp.arange(7))),
    (7,),
)  # fmt: skip


def test_products_and_columns_are_those_of_the_stored_covariance():
    block, dense = _block(FEW), _block(Dense)
    vectors = jnp.asarray(RNG.normal(size=(2, 40)))
    found = tiles.product(block.covariance, vectors)
    np.testing.assert_allclose(found, vectors @ dense.covariance, atol=1e-12)
    places = jnp.array([3, 35, 12])
    prior = dense.covariance - jnp.diag(dense.data.noise**2)
    np.testing.assert_allclose(
        tiles.columns(block.covariance, places), prior[:, places], atol=1e-12
    )
    np.testing.assert_allclose(tiles.diagonal(block.covariance), jnp.diagonal(prior), atol=1e-12)


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
    def density(engine):
        return lambda at, noise: _block(engine, at, noise).log_density()

    ours, exact = (
        jax.value_and_grad(density(engine), (0, 1))(AT, jnp.asarray(NOISE))
        for engine in (EVERY, Dense)
    )
    assert ours[0] == pytest.approx(float(exact[0]), abs=1e-5)
    for found, wanted in zip(ours[1], exact[1], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_density_and_gradient_are_without_bias_where_few_columns_are_known():
    exact, slope = jax.value_and_grad(lambda at: _block(Dense, at).log_density())(AT)
    values, slopes = [], []
    for seed in range(12):
        # The probes of one solve are a few draws: blocks of them, by another first direction.
        def density(at, seed=seed):
            block = _block(Iterations(tolerance=1e-9, rank=4, probes=24), at)
            first = block.first()
            other = jax.random.normal(jax.random.key(100 + seed), first.basis.shape)
            return block.settings.at(block.solved(first._replace(basis=other[:3]))[0])(
                block.processes, block.sites, block.observations
            ).log_density()

        value, gradient = jax.value_and_grad(density)(AT)
        values.append(float(value))
        slopes.append(np.asarray(gradient))
    for found, wanted in ((np.array(values), exact), (np.stack(slopes), slope)):
        error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert np.all(np.abs(found.mean(axis=0) - wanted) < 4.5 * error)


def test_solution_does_not_depend_on_the_preconditioner():
    every = [_block(Iterations(tolerance=1e-10, rank=r, probes=1)) for r in (1, 7, 40)]
    dense = _block(Dense)
    for block in every:
        np.testing.assert_allclose(block.solution.alpha, dense.alpha, rtol=1e-6, atol=1e-8)


def test_predictions_and_rows_left_out_are_those_of_the_dense_engine():
    block, dense = _block(EVERY), _block(Dense)
    for full in (False, True):
        found, wanted = (b.condition(TARGET, AFFINE, full=full) for b in (block, dense))
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-7)
        np.testing.assert_allclose(found[1], wanted[1], atol=1e-6)
    for name, wanted in dense.leave_one_out().items():
        found = block.leave_one_out()[name]
        np.testing.assert_allclose(found.sd, wanted.sd, rtol=1e-4)
        np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-4)


def test_draws_have_the_conditional_mean_and_covariance():
    block, count = _block(FEW), 2000
    keys = jax.random.split(jax.random.key(2), count)
    drawn = jax.jit(jax.vmap(lambda key: block.draw(key, {"a": AFFINE}, TARGET)["a"]))(keys)
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
    block = _block(Iterations(tolerance=1e-8, rank=2, probes=2))
    residual = np.asarray(block.residual)[None]
    assert residual > 1e-8
    stats = {"residual": residual, "iterations": np.asarray(block.iterations)[None]}
    assert "above the tolerance of 1e-08" in of_solves(stats, 1e-8)[0]
    assert "above the tolerance" not in of_solves(stats, 1.0)[0]
    told = sentences_of_solves([Told(float(residual[0]), 1), Told(1e-9, 9)], 1e-8)
    assert "1 of them ended above the tolerance" in told[0]


def test_a_second_derivative_is_refused():
    with pytest.raises(ValueError, match="no second derivative"):
        jax.jacrev(jax.grad(lambda at: _block(FEW, at).log_density()))(AT)


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
