"""Laws of functions inside others: against formulas written out anew, closed forms, differences."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.engines.terms import RandomFunction, Site
from mercer.runtime.inner import Inner, unpacked
from mercer.runtime.methods.bound import Sample
from mercer.runtime.methods.natural import Normal, divergence, mixed, solved, standard
from mercer.runtime.methods.stochastic import Stochastic
from mercer.runtime.through import FromWhitened
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

DEEP = """
data x[n] : Real^d
data y[n] : Real
h : Real^d -> Real^d ~ GP(RBF(lengthscale = 1.2, scale = 0.7), mean = Identity())
f : Real^d -> Real ~ GP(RBF(lengthscale = 1, scale = 1.5))
y ~ Normal(f(h(x)), 0.3)
infer h by Inducing(count = 5)
infer f by Inducing(count = 6)
"""
LEARNED = DEEP.replace("lengthscale = 1.2", "lengthscale[d] ~ LogNormal(0, 1)")


def _rows(n: int = 12) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 2))
    return {"x": x, "y": np.sin(3 * x[:, 0]) * (x[:, 1] > 0) + 0.1 * rng.normal(size=n)}


def _stochastic(text: str, samples: int, batch: int = 12) -> Stochastic:
    model = mercer.compile(text)
    bound = model.bind(_rows())
    plan = model.plan(bound.sizes)
    assert plan.lane == "variational"
    program = model.program(plan)
    return Stochastic(program, bound, seed=1, batch=batch, rate=0.01, samples=samples)


@lru_cache
def _somewhere(text: str, samples: int) -> tuple[Stochastic, Any]:
    """A state with laws far from where they start."""
    fit = _stochastic(text, samples)
    state = fit.begin()
    rng = np.random.default_rng(5)
    shifts = {k: jnp.asarray(0.4 * rng.normal(size=v.shape)) for k, v in state.free.shifts.items()}
    shifts["h_layer_root"] = shifts["h_layer_root"] + 4.0 * jnp.eye(5)
    state = state._replace(free=state.free._replace(shifts=shifts))
    return fit, state._replace(law=solved(mixed(standard(6), fit.over_rows(state)[0], 0.7)))


def _sample(fit: Stochastic, state: Any) -> Sample:
    arrays = {**fit.batches.arguments(np.arange(12)).arrays, **state.points}
    white = jnp.zeros(fit.functions.unknowns.zero.size)
    return Sample({k: jnp.asarray(v) for k, v in arrays.items()}, fit.widths, jnp.ones(12), white)


def test_the_bound_is_that_of_doubly_stochastic_inference_written_out():
    """Salimbeni & Deisenroth (2017), equations 13 to 18, in NumPy, by draws of its own."""
    fit, state = _somewhere(DEEP, 1000)
    bound = fit.over_rows(state)[1]
    known = {k: np.asarray(v) for k, v in {**_sample(fit, state).arrays}.items()}
    for word, shift in state.free.shifts.items():
        known[word] = known[word] + np.asarray(fit.widths[word] * shift)
    x, y = known["x"], known["y"]

    def kernel(a: np.ndarray, b: np.ndarray, length: float, scale: float) -> np.ndarray:
        squared = ((a[:, None] - b[None]) ** 2).sum(-1)
        return scale**2 * np.exp(-0.5 * squared / length**2)

    def moments(a, z, mean, covariance, length, scale):
        inner = kernel(z, z, length, scale)
        lower = np.linalg.cholesky(inner + 1e-10 * scale**2 * np.eye(len(z)))
        phi = np.linalg.solve(lower, kernel(z, a, length, scale)).T
        left = scale**2 - (phi**2).sum(1)
        return phi @ mean, ((phi @ covariance) * phi).sum(1) + np.maximum(left, 0.0)

    roots = np.asarray(unpacked(jnp.asarray(known["h_layer_root"])))
    centres, total = known["h_layer_mean"], 0.0
    for k in range(2):
        covariance = roots[k] @ roots[k].T
        log = np.linalg.slogdet(covariance)[1]
        total -= 0.5 * (np.trace(covariance) + centres[:, k] @ centres[:, k] - 5 - log)
    law = state.law
    values = []
    rng = np.random.default_rng(9)
    for _ in range(2000):
        inside = np.empty_like(x)
        for k in range(2):
            mean, variance = moments(
                x, known["h_inducing"], centres[:, k], roots[k] @ roots[k].T, 1.2, 0.7
            )
            inside[:, k] = x[:, k] + mean + np.sqrt(variance) * rng.normal(size=len(x))
        mean, variance = moments(
            inside, known["f_inducing"], np.asarray(law.mean), np.asarray(law.covariance), 1.0, 1.5
        )
        each = -0.5 * ((y - mean) ** 2 + variance) / 0.09 - math.log(0.3 * math.sqrt(2 * math.pi))
        values.append(each.sum())
    error = np.std(values) / math.sqrt(len(values))
    expected = np.mean(values) + total - float(divergence(law))
    assert abs(bound - expected) < 5 * math.sqrt(3) * error  # of 2,000 draws here and 1,000 there
    assert error < 0.02 * abs(expected)


def test_without_a_function_inside_the_bound_is_that_of_the_sparse_process():
    flat = DEEP.replace("scale = 0.7", "scale = 1e-7")
    fit = _stochastic(flat, 3)
    state = fit.begin()
    roots = {"h_layer_root": -state.points["h_layer_root"]}  # S = I: no divergence from the prior
    state = state._replace(free=state.free._replace(shifts={**state.free.shifts, **roots}))
    plain = DEEP.replace("f(h(x))", "f(x)").replace(
        "infer h by Inducing(count = 5)", "infer SVI(batch = 12)"
    )
    plain = "\n".join(line for line in plain.splitlines() if not line.startswith("h :"))
    other = _stochastic(plain, 1)
    points = {"f_inducing": state.points["f_inducing"]}
    begun = other.begin()
    begun = begun._replace(points=points)
    q, _ = other.over_rows(begun)
    law = solved(q)
    deep = fit.over_rows(state._replace(law=law))[1]
    assert deep == pytest.approx(other.over_rows(begun._replace(law=law))[1], abs=1e-4)


def test_slopes_of_the_bound_agree_with_differences():
    fit, state = _somewhere(LEARNED, 3)
    sample, key = _sample(fit, state), jax.random.key(3)

    @jax.jit
    def value(free: Any) -> Any:
        return fit.functions.bound.objective(free, {}, {}, state.law, sample, key, 2.0)[0]

    slope = jax.jit(jax.grad(value))(state.free)
    rng = np.random.default_rng(1)
    way = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), state.free)
    along = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(way)))
    step = 1e-6
    up, down = (
        value(jax.tree.map(lambda a, b, s=sign: a + s * step * b, state.free, way))
        for sign in (1.0, -1.0)
    )
    assert float(along) == pytest.approx(float(up - down) / (2 * step), rel=1e-6)


def test_the_natural_gradient_is_the_slope_by_the_outer_law():
    """Its target, less where it is, is the gradient by the expectation parameters (Khan & Lin)."""
    fit, state = _somewhere(LEARNED, 3)
    sample, key = _sample(fit, state), jax.random.key(3)
    bound = fit.functions.bound
    probes = bound.probes(state.free, state.law, sample, key)
    (_, looks), slopes = jax.jit(jax.value_and_grad(bound.expected, argnums=1, has_aux=True))(
        state.free, probes, {}, state.law, sample, key
    )
    target = bound.target(looks, slopes, sample.weights, 1.0, state.law, {})

    def by_moments(mean: Any, covariance: Any) -> Any:
        law = Normal(mean, state.law.root, covariance, {})
        return bound.expected(state.free, {}, {}, law, sample, key)[0]

    by_mean, by_covariance = jax.jit(jax.grad(by_moments, argnums=(0, 1)))(
        state.law.mean, state.law.covariance
    )
    # d / d eta_1 = g_m - 2 G m, d / d eta_2 = G, with G the slope by the covariance.
    both = 0.5 * (by_covariance + by_covariance.T)
    np.testing.assert_allclose(target.precision, np.eye(6) - 2 * both, rtol=1e-8, atol=1e-8)
    shift = by_mean - 2 * both @ state.law.mean
    np.testing.assert_allclose(target.shift, shift, rtol=1e-7, atol=1e-7)


def test_values_of_one_function_at_several_places_have_their_joint_law():
    """Whitened one after another, as of f(f(x)): by the covariance of many draws."""
    from numpyro.handlers import seed

    process, x = RandomFunction(RBF(lengthscale=1.0, scale=1.0)), jnp.array([0.0, 0.5])

    def model() -> Any:
        through = FromWhitened()
        first, second = (Site("h", Points((x[:, None] + a,)), size=2) for a in (0.0, 0.3))
        one, other = (
            through.values(Inner(key, process, site, (2,)))
            for key, site in (("h(x)", first), ("h(z)", second))
        )
        return jnp.concatenate([one, other])

    draws = jax.vmap(lambda key: seed(model, key)())(jax.random.split(jax.random.key(0), 40_000))
    points = np.concatenate([x, x + 0.3])
    wanted = np.exp(-0.5 * (points[:, None] - points) ** 2)
    np.testing.assert_allclose(np.cov(np.asarray(draws).T), wanted, atol=0.03)


@pytest.fixture(scope="module")
def deep_fit() -> Any:
    model = mercer.compile(LEARNED + "infer SVI(steps = 60, batch = 6, samples = 2)")
    return model.fit(_rows(40), seed=3, chains=2, draws=10, progress=False)


def test_a_reopened_fit_predicts_the_same(deep_fit, tmp_path):
    new = {"x": np.random.default_rng(0).normal(size=(5, 2))}
    again = mercer.open(deep_fit.save(tmp_path / "deep.nc"))
    for one, other in (
        (deep_fit.predict(new), again.predict(new)),
        (deep_fit.component("h", new), again.component("h", new)),
    ):
        for name, mean in one.means.items():
            np.testing.assert_array_equal(mean, other.means[name])
            np.testing.assert_array_equal(one.draws[name], other.draws[name])


def test_draws_of_functions_go_through_the_layers(deep_fit):
    """Rows that lie close together have values close together in each joint draw, layer by layer,
    and only there."""
    x = np.array([[0.2, 0.3], [0.2, 0.3 + 1e-7]])
    part = deep_fit.component("h", {"x": x})
    joint, apart = part.draws["h(x)"].values, part.samples["h(x)"]
    gap, wide = (np.abs(v[..., 0, :] - v[..., 1, :]).mean() for v in (joint, apart))
    assert wide > 1e-3
    assert gap < wide
    assert set(part.means) == {"h(x)"}


def test_a_density_is_a_mean_over_draws_of_the_layers(deep_fit):
    new = _rows(40)
    prediction = deep_fit.predict({"x": new["x"]})
    mean, sd = prediction.normals["y"]
    each = -0.5 * ((new["y"] - mean) / sd) ** 2 - np.log(sd * math.sqrt(2 * math.pi))
    density = logsumexp(each, axis=0) - math.log(len(mean))
    assert density.shape == (40,)
    assert mean.std(axis=0).max() > 0  # the draws differ: the layers are drawn


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("infer h by Inducing(count = 5)", "infer MAP()"), "M321.*a function inside another"),
        (("f(h(x))", "f(D(g)(h(x)))"), "M304.*a derivative or integral of `g` inside"),
        (("f(h(x))", "f(h(x)) + f(h(h(x)))"), "`h` is applied at several places"),
    ],
)
def test_what_a_composition_cannot_have_is_refused(change, said):
    other = "\ng : Real^d -> Real ~ GP(RBF(lengthscale = 1, scale = 1))"
    with pytest.raises(MercerError, match=said):
        mercer.compile(DEEP.replace(*change) + other).plan()
