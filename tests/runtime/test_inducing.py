"""Laws of inducing points: a bound of the exact density, exact where they are the data's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.engines.cholesky import EXACT
from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    Inducing,
    RandomFunction,
    Site,
    Term,
    Weights,
)
from mercer.stdlib.algebra import PerLabel
from mercer.stdlib.kernels import RBF, Matern32
from mercer.stdlib.points import Directional, Points

RNG = np.random.default_rng(11)
N, P, M = 40, 3, 7
T = np.sort(RNG.uniform(0, 5, N))[:, None]
DESIGN = RNG.normal(size=(N, P))
GROUP = RNG.integers(0, 2, N)
Y = np.sin(2 * T[:, 0]) + 0.3 * RNG.normal(size=N)
NOISE = RNG.uniform(0.2, 0.5, N)
NEW = np.linspace(-1, 6, 9)[:, None]
SOME = np.linspace(0, 5, M)[:, None]


def _block(
    points=T, *, trend=1.3, scales=(0.8, 0.5), weight=0.7, noise=NOISE, keep=None, labels=None
):
    """A trend, a function for each of two groups, and weights, at inducing points of both."""
    labels = jnp.arange(len(points)) % 2 if labels is None else jnp.asarray(labels)
    processes = {
        "trend": RandomFunction(Matern32(lengthscale=trend, scale=scales[0])),
        "own": RandomFunction(
            Matern32(lengthscale=PerLabel(jnp.array([0.7, 2.0])), scale=scales[1])
        ),
        "beta": Weights(sd=weight * jnp.array([1.0, 2.0, 0.5])),
    }
    x = jnp.asarray(T)
    sites = {
        "trend(t)": Site("trend", Points((x,)), N),
        "own(t)": Site("own", Points((x,), labels=jnp.asarray(GROUP)), N),
        "beta": Site("beta", size=P),
        "of trend": Site("trend", Points((jnp.asarray(points),)), len(points), True),
        "of own": Site("own", Points((jnp.asarray(points),), labels=labels), len(points), True),
    }
    mean = Affine(
        0.4,
        (
            Term("trend(t)", 1.0),
            Term("own(t)", 2.0),
            Term("beta", jnp.asarray(DESIGN), jnp.broadcast_to(jnp.arange(P), (N, P))),
        ),
        (N,),
    )
    return processes, sites, {"y": (Gaussian(mean, jnp.asarray(noise)), Y, keep)}


def _mean_of(block):
    return block[2]["y"][0].mean


def test_the_bound_lies_below_the_exact_density():
    exact = float(jax.jit(lambda: Dense(*_block()).log_density())())
    bound = jax.jit(lambda points: Inducing(*_block(points)).log_density())
    found = [float(bound(RNG.uniform(0, width, (M, 1)))) for width in (0.1, 1, 5, 5, 5, 5)]
    assert all(np.isfinite(found)) and max(found) < exact
    assert max(found) > found[0] + 10  # points all in one place say less


def test_inducing_points_at_the_data_give_the_exact_density():
    block = _block(T, labels=GROUP)
    exact, found, usual = jax.jit(
        lambda: (
            Dense(*block).log_density(),
            Inducing(*block, levels=EXACT).log_density(),
            Inducing(*block).log_density(),
        )
    )()
    assert float(found) == pytest.approx(float(exact), rel=1e-8)
    # The usual jitter costs no more than its own size, times the rows and their precision.
    assert float(usual) == pytest.approx(float(exact), rel=1e-6)


def test_inducing_points_at_the_data_give_the_exact_verbs():
    block = _block(T, labels=GROUP)
    sites = {"new": Site("own", Points((jnp.asarray(NEW),), labels=jnp.arange(9) % 2), 9)}
    affine = Affine(1.0, (Term("new", 2.0), Term("trend(t)", 1.0, jnp.arange(9))), (9,))

    def verbs(engine):
        moments = [engine.condition(sites, affine, full=full) for full in (False, True)]
        return moments, engine.leave_one_out()["y"]

    found, exact = jax.jit(lambda: (verbs(Inducing(*block, levels=EXACT)), verbs(Dense(*block))))()
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_the_bound_is_that_of_titsias():
    """Written out with dense matrices, for one function and rows that are left out."""
    keep = np.delete(np.arange(N), [3, 17])
    law = Gaussian(Affine(0.4, (Term("f"),), (N,)), jnp.asarray(NOISE))
    processes = {"f": RandomFunction(RBF(lengthscale=0.9, scale=1.2))}
    sites = {
        "f": Site("f", Points((jnp.asarray(T),)), N),
        "z": Site("f", Points((jnp.asarray(SOME),)), M, True),
    }
    block = processes, sites, {"y": (law, Y, keep)}
    bound = jax.jit(lambda: Inducing(*block, levels=EXACT).log_density())()

    def k(a, b):
        return 1.2**2 * np.exp(-0.5 * ((a - b.T) / 0.9) ** 2)

    x, noise = T[keep], NOISE[keep]
    q = k(x, SOME) @ np.linalg.solve(k(SOME, SOME), k(SOME, x))
    covariance = q + np.diag(noise**2)
    r = Y[keep] - 0.4
    value = -0.5 * (r @ np.linalg.solve(covariance, r) + np.linalg.slogdet(covariance)[1])
    value -= 0.5 * len(keep) * np.log(2 * np.pi)
    value -= 0.5 * np.sum((1.2**2 - np.diag(q)) / noise**2)
    assert float(bound) == pytest.approx(value, rel=1e-10)


def _density(parameters):
    block = _block(
        parameters["points"],
        trend=parameters["trend"],
        scales=parameters["scales"],
        weight=parameters["weight"],
        noise=parameters["noise"],
        labels=np.arange(M) % 2,
    )
    return Inducing(*block).log_density()


PARAMETERS = {
    "points": jnp.asarray(SOME),
    "trend": jnp.array(1.3),
    "scales": jnp.array([0.8, 0.5]),
    "weight": jnp.array(0.7),
    "noise": jnp.asarray(NOISE),
}


def _difference(function, direction, step=1e-4):
    """The derivative of a function (of pytrees too) along a direction, to fourth order."""

    def at(distance):
        moved = jax.tree.map(lambda a, b: a + distance * b, PARAMETERS, direction)
        return function(moved)

    return jax.tree.map(
        lambda a, b, c, d: (8 * (a - b) - (c - d)) / (12 * step),
        *(at(k * step) for k in (1, -1, 2, -2)),
    )


def _direction(number):
    rng = np.random.default_rng(number)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), PARAMETERS)


def test_the_gradient_is_that_of_differences():
    value = jax.jit(_density)
    gradient = jax.jit(jax.grad(_density))(PARAMETERS)
    for number in range(4):
        direction = _direction(number)
        found = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction)))
        expected = _difference(value, direction)
        assert float(found) == pytest.approx(float(expected), rel=1e-6, abs=1e-6)


def test_the_hessian_and_batches_are_those_of_differences():
    gradient = jax.jit(jax.grad(_density))
    direction = _direction(9)
    found = jax.jit(lambda: jax.jvp(jax.grad(_density), (PARAMETERS,), (direction,))[1])()
    expected = _difference(gradient, direction)
    for name in PARAMETERS:
        scale = float(jnp.max(jnp.abs(expected[name])))
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5 * scale)
    lengthscales = jnp.array([0.5, 1.3])
    value = jax.jit(lambda trend: _density({**PARAMETERS, "trend": trend}))
    many = jax.jit(jax.vmap(value))(lengthscales)
    single = [value(trend) for trend in lengthscales]
    np.testing.assert_allclose(many, single, rtol=1e-10)


def test_draws_have_the_conditional_law():
    block = _block(SOME)
    engine, mean = Inducing(*block), _mean_of(block)
    keys = jax.random.split(jax.random.key(0), 20000)
    draws = jax.jit(jax.vmap(lambda key: engine.draw(key, {"m": mean})["m"]))(keys)
    centre, variance = jax.jit(lambda: engine.condition({}, mean))()
    sd = np.sqrt(variance)
    np.testing.assert_allclose((draws.mean(0) - centre) / sd, 0.0, atol=5 / np.sqrt(20000))
    np.testing.assert_allclose(draws.std(0) / sd, 1.0, atol=5 / np.sqrt(20000))


def test_leave_one_out_is_refitting():
    loo = jax.jit(lambda: Inducing(*_block(SOME)).leave_one_out())()["y"]

    @jax.jit
    def without(keep):
        block = _block(SOME, keep=keep)
        return Inducing(*block).condition({}, _mean_of(block))

    for left_out in (0, 5, N - 1):
        mean, variance = without(np.delete(np.arange(N), left_out))
        sd = np.sqrt(variance[left_out] + NOISE[left_out] ** 2)
        assert loo.mean[left_out] == pytest.approx(float(mean[left_out]), rel=1e-8)
        assert loo.sd[left_out] == pytest.approx(float(sd), rel=1e-8)


def test_a_derivative_is_seen_through_the_values_of_its_function():
    processes = {"f": RandomFunction(RBF(lengthscale=1.5, scale=1.5))}
    z = jnp.linspace(-1, 6, 14)[:, None]
    slope = (Directional(jnp.ones((N, 1)), 0),)
    sites = {
        "D(f)(t)": Site("f", Points((jnp.asarray(T),), operators=slope), N),
        "z": Site("f", Points((z,)), 14, True),
    }
    law = Gaussian(Affine(0.0, (Term("D(f)(t)"),), (N,)), 0.3)
    block = processes, sites, {"s": (law, Y, None)}
    new = {"new": Site("f", Points((jnp.asarray(NEW[1:-1]),)), 7)}
    difference = Affine(
        0.0,
        (Term("new", jnp.array([[1.0, -1.0]] * 7), jnp.array([[0, i] for i in range(7)])),),
        (7,),
    )

    def verbs(engine):
        return engine.log_density(), *engine.condition(new, difference)

    found, exact = jax.jit(lambda: (verbs(Inducing(*block)), verbs(Dense(*block))))()
    assert float(found[0]) == pytest.approx(float(exact[0]), abs=0.05)
    for a, b in zip(found[1:], exact[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=0.02)


def test_correlated_outputs_are_seen_through_their_own_inducing_points():
    outputs = jnp.array([[1.0, 0.4], [0.4, 2.0]])
    x, code = np.repeat(T[:6], 2, axis=0), np.tile([0, 1], 6)
    points = Points((jnp.asarray(x),), output=jnp.asarray(code))
    processes = {"f": RandomFunction(Matern32(lengthscale=1.0, scale=1.0), outputs)}
    sites = {"f": Site("f", points, 12), "z": Site("f", points, 12, True)}
    law = Gaussian(Affine(0.0, (Term("f"),), (6, 2)), 0.3)
    block = processes, sites, {"y": (law, Y[:12].reshape(6, 2), None)}
    found, exact = jax.jit(
        lambda: (Inducing(*block, levels=EXACT).log_density(), Dense(*block).log_density())
    )()
    assert float(found) == pytest.approx(float(exact), rel=1e-8)


def test_the_share_left_unexplained_falls_to_nothing():
    few, enough = jax.jit(
        lambda: (
            Inducing(*_block(SOME[:2])).unexplained,
            Inducing(*_block(T, labels=GROUP), levels=EXACT).unexplained,
        )
    )()
    assert 0.2 < float(few) < 1.0
    assert float(enough) < 1e-6


def test_functions_without_inducing_points_and_exact_outcomes_are_refused():
    processes, sites, observations = _block(SOME)
    del sites["of own"]
    with pytest.raises(ValueError, match="own"):
        Inducing(processes, sites, observations)
    with pytest.raises(ValueError, match="noise 0"):
        Inducing(*_block(SOME, noise=np.zeros(N)))
