"""Laws of deep kernel machines: the full objective written out anew, limits, restarts, symmetry."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import erf
from scipy.stats import kurtosis

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.engines.cholesky import EXACT
from mercer.runtime.engines.inducing import Inducing
from mercer.runtime.engines.terms import Affine, Gaussian, RandomFunction, Site, Term
from mercer.runtime.inner import Inner, gram_points, unpacked
from mercer.runtime.methods.density import Density, arguments_of
from mercer.runtime.methods.placing import place
from mercer.runtime.methods.stochastic import Stochastic
from mercer.stdlib.kernels import NNGP, RBF, ArcCosine, Linear, NormalisedGaussian
from mercer.stdlib.points import Points, covariance

NOISE = 0.05**0.5
MACHINE = f"""
data x[n] : Real^d
data y[n] : Real
h : Real^d -> Real^inf ~ GP(RBF(lengthscale = 2, scale = 1), nu = 10)
f : Real^inf -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(f(h(x)), {NOISE})
"""


def _rows(n: int = 8) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] + 0.2 * rng.normal(size=n)
    return {"x": x, "y": (y - y.mean()) / y.std()}


def _learned(text: str, data: Any) -> tuple[Density, dict[str, np.ndarray]]:
    """The density of the program of a model, at the Gram matrices that it learns."""
    model = mercer.compile(text)
    bound = model.bind(data)
    program = model.program(model.plan(bound.sizes))
    placed = place(program, arguments_of(program, bound), seed=0)
    return Density(program, placed.arguments), dict(placed.arguments.arrays)


# --- the objective, in NumPy ------------------------------------------------------------------


def _squared_exponential(inner: np.ndarray, lengthscale: float) -> np.ndarray:
    own = np.diag(inner)
    return np.exp(-0.5 * (own[:, None] + own - 2 * inner) / lengthscale**2)


def _full(gram: np.ndarray, prior: np.ndarray, y: np.ndarray, nu: float) -> float:
    """log N(y; 0, K(G) + s^2 I) - nu KL(N(0, G), N(0, K_0)) (Yang et al. 2023)."""
    total = _squared_exponential(gram, 1.0) + NOISE**2 * np.eye(len(y))
    fit = -0.5 * (y @ np.linalg.solve(total, y) + np.linalg.slogdet(2 * np.pi * total)[1])
    logs = np.linalg.slogdet(prior)[1] - np.linalg.slogdet(gram)[1]
    return float(fit - 0.5 * nu * (np.trace(np.linalg.solve(prior, gram)) - len(y) + logs))


def _prior(x: np.ndarray) -> np.ndarray:
    return _squared_exponential(x @ x.T, 2.0)


def _best(data: Any, nu: float, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The highest objective that L-BFGS finds with its own parametrisation, G = C C'."""
    prior = _prior(data["x"])
    places = np.tril_indices(len(prior))

    def gram(flat: np.ndarray) -> np.ndarray:
        root = np.zeros_like(prior)
        root[places] = flat
        return root @ root.T

    found: Any = minimize(
        lambda flat: -_full(gram(flat), prior, data["y"], nu),
        np.linalg.cholesky(start)[places],
        method="L-BFGS-B",
        options={"maxiter": 2000, "maxfun": 200_000, "ftol": 1e-14, "gtol": 1e-7},
    )
    return -float(found.fun), gram(found.x)


def _gram(arrays: Any, x: np.ndarray) -> np.ndarray:
    lower = np.linalg.cholesky(_prior(x)) @ np.asarray(unpacked(arrays["h_layer_root"]))
    return lower @ lower.T


@pytest.mark.parametrize("nu", [0.1, 10.0])
def test_the_program_finds_the_optimum_of_the_full_objective(nu):
    data = _rows()
    density, arrays = _learned(MACHINE.replace("nu = 10", f"nu = {nu}"), data)
    np.testing.assert_array_equal(arrays["h_inducing"], data["x"])  # all rows, where they are
    value = -float(density.value_and_grad(np.zeros(0))[0])
    gram = _gram(arrays, data["x"])
    assert value == pytest.approx(_full(gram, _prior(data["x"]), data["y"], nu), abs=1e-6)
    best, other = _best(data, nu, 0.5 * gram + 0.5 * _prior(data["x"]))
    assert value == pytest.approx(best, abs=1e-5)
    assert np.linalg.norm(gram - other) < 5e-3 * np.linalg.norm(other)


def test_as_nu_grows_the_machine_becomes_the_process_of_the_composed_kernel():
    """The distance falls as 1 / nu, and the objective rises to the log likelihood of the NNGP."""
    data = _rows()
    prior = _prior(data["x"])
    distances, values = [], []
    for nu in (1e2, 1e3, 1e4):
        density, arrays = _learned(MACHINE.replace("nu = 10", f"nu = {nu:g}"), data)
        gram = _gram(arrays, data["x"])
        distances.append(np.linalg.norm(gram - prior) / np.linalg.norm(prior))
        values.append(-float(density.value_and_grad(np.zeros(0))[0]))
    assert distances[0] / distances[1] == pytest.approx(10, rel=0.15)
    assert distances[1] / distances[2] == pytest.approx(10, rel=0.15)
    exact = mercer.compile(MACHINE.replace("nu = 10", "nu = inf"))
    bound = exact.bind(data)
    program = exact.program(exact.plan(bound.sizes))
    nngp = -float(Density(program, arguments_of(program, bound)).value_and_grad(np.zeros(0))[0])
    assert nngp == pytest.approx(_full(prior, prior, data["y"], 0.0), abs=1e-8)
    gaps = nngp - np.array(values)
    assert np.all(gaps < 0)  # what is learned raises the objective
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.15)


def test_restarts_reach_one_optimum():
    data = _rows()
    density, arrays = _learned(MACHINE.replace("nu = 10", "nu = 1"), data)
    potential = density.functions.potential

    @jax.jit
    def evaluate(flat: Any) -> Any:
        def at(flat: Any) -> Any:
            return potential(jnp.zeros(0), {**arrays, "h_layer_root": flat.reshape(8, 8)})

        return jax.value_and_grad(at)(flat)

    found = []
    for number in range(10):
        start = np.random.default_rng(number).normal(size=64)
        result: Any = minimize(
            lambda flat: tuple(np.asarray(part, float) for part in evaluate(jnp.asarray(flat))),
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-16, "gtol": 1e-9},
        )
        found.append(
            (float(result.fun), _gram({"h_layer_root": result.x.reshape(8, 8)}, data["x"]))
        )
    values = np.array([value for value, _ in found])
    assert np.ptp(values) < 1e-10
    for _, gram in found[1:]:
        np.testing.assert_allclose(gram, found[0][1], atol=5e-7)


@lru_cache
def _pieces() -> tuple[np.ndarray, np.ndarray, jax.Array]:
    data = _rows()
    root = jnp.asarray(np.tril(np.random.default_rng(0).normal(size=(8, 8)) * 0.3))
    return data["x"], data["y"], root


def _sparse(x: Any, root: Any, y: np.ndarray) -> Any:
    """The sparse objective with inducing inputs at the inputs, from the parts of a program."""
    process, own = RandomFunction(RBF(lengthscale=2.0, scale=1.0)), Points((x,))
    layer = Inner("h(x)", process, Site("h", own, 8), (8,), lambda: Site("h", own, 8))
    rows, images = gram_points(layer.seen(EXACT), unpacked(root))
    sites = {
        "f": Site("f", Points((rows,)), 8),
        "inducing": Site("f", Points((images,)), 8, is_inducing=True),
    }
    law = Gaussian(Affine(0.0, (Term("f"),), (8,)), NOISE)
    processes = {"f": RandomFunction(RBF(lengthscale=1.0, scale=1.0))}
    return Inducing(processes, sites, {"y": (law, y, None)}, levels=EXACT).log_density()


def _dense(x: Any, root: Any, y: np.ndarray) -> Any:
    """The same by the Gram matrix of all rows."""
    prior = jnp.exp(-0.5 * jnp.sum((x[:, None] - x) ** 2, -1) / 4.0)
    lower = jnp.linalg.cholesky(prior) @ unpacked(root)
    gram = lower @ lower.T
    own = jnp.diagonal(gram)
    total = jnp.exp(-0.5 * (own[:, None] + own - 2 * gram)) + NOISE**2 * jnp.eye(8)
    logs = jnp.linalg.slogdet(2 * jnp.pi * total)[1]
    return -0.5 * (y @ jnp.linalg.solve(total, y) + logs)


def test_with_the_inputs_as_inducing_points_sparse_is_full():
    x, y, root = _pieces()
    sparse, dense = (
        jax.jit(jax.value_and_grad(function, argnums=(0, 1)))(jnp.asarray(x), root, y)
        for function in (_sparse, _dense)
    )
    assert float(sparse[0]) == pytest.approx(float(dense[0]), rel=1e-15)
    for one, other in zip(sparse[1], dense[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12 * float(jnp.max(jnp.abs(other))))


def test_the_order_of_the_rows_does_not_matter():
    data = _rows()
    order = np.random.default_rng(1).permutation(8)
    values = [
        -float(_learned(MACHINE, rows)[0].value_and_grad(np.zeros(0))[0])
        for rows in (data, {"x": data["x"][order], "y": data["y"][order]})
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


@pytest.mark.parametrize(
    ("kernel", "features"),
    [
        (RBF(lengthscale=1.0, scale=1.0), lambda u, size: (np.cos(u), np.sin(u))),
        (
            NormalisedGaussian(),
            lambda u, size: (size * np.cos(u / size), size * np.sin(u / size)),
        ),
        (ArcCosine(order=0.0, lengthscale=1.0), lambda u, size: (2**0.5 * size * (u > 0),)),
        (ArcCosine(order=1.0, lengthscale=1.0), lambda u, size: (2**0.5 * np.maximum(u, 0),)),
        (
            # It divides by the dimension of its input, here 4.
            NNGP(depth=1, activation="erf", weight_variance=1.0, bias_variance=0.0),
            lambda u, size: (erf(u / 2),),
        ),
    ],
)
def test_a_kernel_of_a_gram_matrix_is_the_mean_over_wide_features(kernel, features):
    """E[phi(u) phi(v)] with (u, v) ~ N(0, G): the layer's own definition, by a million draws."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    gram = x @ x.T
    points = Points((jnp.asarray(np.linalg.cholesky(gram + 1e-12 * np.eye(4))),))
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(4), gram, 1_000_000)
    found = features(draws, np.sqrt(np.diag(gram)))
    wanted = sum(f.T @ f for f in found) / len(draws)
    np.testing.assert_allclose(covariance(kernel, points, points), wanted, atol=0.02)


def test_composed_kernels_are_those_of_the_gram_matrix():
    x = np.random.default_rng(0).normal(size=(5, 3))
    inner = Linear(scale=1.0, centre=0.0)
    points = Points((jnp.asarray(x),))
    gram = np.asarray(covariance(inner, points, points))
    known = Points((jnp.asarray(np.linalg.cholesky(gram + 1e-11 * np.eye(5))),))
    for outer in (
        RBF(lengthscale=1.3, scale=0.7),
        ArcCosine(order=0.0, lengthscale=1.0),
        NormalisedGaussian(),
    ):
        composed = covariance(outer.after(inner), points, points)
        np.testing.assert_allclose(composed, covariance(outer, known, known), atol=1e-5)


def test_the_network_of_infinite_width_is_the_machine_without_divergence():
    """`NNGP` of the input equals layers with the arc-cosine kernel and nu = inf."""
    text = MACHINE.replace(
        "RBF(lengthscale = 2, scale = 1), nu = 10", "Linear(scale = 1), nu = inf"
    )
    text = text.replace(
        "GP(RBF(lengthscale = 1, scale = 1))", "GP(ArcCosine(1, lengthscale = 1, scale = 1))"
    )
    network = "NNGP(depth = 1, weight_variance = 2, bias_variance = 0, scale = 1)"
    other = text.replace("GP(ArcCosine(1, lengthscale = 1, scale = 1))", f"GP({network})")
    other = other.replace("h : Real^d -> Real^inf ~ GP(Linear(scale = 1), nu = inf)\n", "")
    other = other.replace("f(h(x))", "f(x)").replace("Real^inf", "Real^d")
    values = []
    for each, scale in ((text, 0.5**0.5), (other, 1.0)):
        data = _rows()
        model = mercer.compile(each)
        # K_0 of the network is 2 x.z / d, which with d = 4 is the inner product of x / sqrt(2).
        bound = model.bind({"x": data["x"] * scale, "y": data["y"]})
        program = model.program(model.plan(bound.sizes))
        values.append(
            float(Density(program, arguments_of(program, bound)).value_and_grad(np.zeros(0))[0])
        )
    assert values[0] == pytest.approx(values[1], rel=1e-10)


@pytest.mark.parametrize("word", ["NNGP", "NTK"])
def test_a_wide_network_after_a_layer_is_that_of_its_gram_matrix(word):
    """However many coordinates stand for the points of a learned Gram matrix: held at the kernel's
    it is the composed process."""
    network = f"{word}(depth = 1, weight_variance = 2, bias_variance = 0.1, scale = 1)"
    text = MACHINE.replace("GP(RBF(lengthscale = 1, scale = 1))", f"GP({network})")
    density, _ = _learned(text.replace("nu = 10", "nu = 1e7"), _rows())
    model = mercer.compile(text.replace("nu = 10", "nu = inf"))
    bound = model.bind(_rows())
    program = model.program(model.plan(bound.sizes))
    exact = Density(program, arguments_of(program, bound)).value_and_grad(np.zeros(0))[0]
    assert float(density.value_and_grad(np.zeros(0))[0]) == pytest.approx(float(exact), rel=3e-4)


def test_in_batches_the_bound_is_the_collapsed_one_at_the_best_law():
    data = _rows()
    density, arrays = _learned(MACHINE, data)
    model = mercer.compile(MACHINE + "infer SVI(batch = 8)")
    bound = model.bind(data)
    program = model.program(model.plan(bound.sizes))
    fit = Stochastic(program, bound, seed=0, batch=8, rate=0.01)
    state = fit.begin()
    state = state._replace(points={k: jnp.asarray(arrays[k]) for k in state.points})
    q, value = fit.over_rows(state)
    from mercer.runtime.methods.natural import solved

    best = fit.over_rows(state._replace(law=solved(q)))[1]
    assert best == pytest.approx(-float(density.value_and_grad(np.zeros(0))[0]), abs=1e-6)
    assert best > value


def test_a_reopened_machine_predicts_the_same(tmp_path):
    model = mercer.compile(MACHINE.replace("scale = 1)", "scale ~ HalfNormal(1))"))
    fit = model.fit(_rows(20), seed=1, draws=20, chains=2, progress=False)
    new = {"x": np.random.default_rng(0).normal(size=(5, 4))}
    stats = fit.idata["sample_stats"]
    bound, fell = (stats[f"{n} over iterations"].values for n in ("bound", "divergence of h"))
    assert bound[-1] > bound[0]
    assert fell[-1] == pytest.approx(stats["divergence of h"].values.mean(), rel=1e-6)
    again = mercer.open(fit.save(tmp_path / "machine.nc"))
    np.testing.assert_array_equal(fit.predict(new).means["y"], again.predict(new).means["y"])
    np.testing.assert_array_equal(
        fit.predict(new).draws["y"].values, again.predict(new).draws["y"].values
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("nu = 10", "nu = 0"), "M245.*`nu` must be `Positive`"),
        (("nu = 10", "nu = -1"), "M245.*`nu` must be `Positive`"),
        (("nu = 10", "nu ~ HalfNormal(1)"), "M304.*`nu` of `h` as an unknown"),
        (("lengthscale = 1, scale = 1", "lengthscale[d] ~ LogNormal(0, 1)"), "M204"),
        (("-> Real^inf ~", "-> Real^2 ~"), "M210.*`nu` belongs to layers"),
        (("f : Real^inf", "f : Real^3"), "M221.*`Real\\^3` is wanted"),
        (("f(h(x))", "f(2 * h(x))"), "M304.*of anything but a layer"),
        (("f(h(x))", "f(h(x)) + f(h(2 * x))"), "M304.*at several places"),
        (("Real^inf -> Real ", "Real^inf -> Real "), None),
    ],
)
def test_mistakes_after_an_infinite_width_are_told(change, said):
    text = MACHINE.replace(*change)
    if said is None:
        assert "deep kernel machine" in mercer.compile(text).explain()
        with pytest.raises(MercerError, match="a Gram matrix by NUTS"):
            mercer.compile(text).plan(infer="nuts")
        return
    with pytest.raises(MercerError, match=f"(?s){said}"):
        mercer.compile(text).plan()


def test_more_inducing_points_than_rows_are_the_rows():
    text = MACHINE + "infer h by Inducing(count = 1000)"
    model = mercer.compile(text)
    bound = model.bind(_rows())
    assert model.plan(bound.sizes).inducing["h"].count == 8


@pytest.mark.slow
def test_wide_deep_processes_become_the_machine_and_not_its_prior():
    """One text at widths 2, 8 and 32, sampled by NUTS, with as many copies of the outcome as of
    the layer: the mean of H H' / N comes to the optimum of nu = 1, stays away from the kernel's,
    and whitened features become Normal (Yang et al. 2023)."""
    data = _rows()
    _, arrays = _learned(MACHINE.replace("nu = 10", "nu = 1"), data)
    optimum, prior = _gram(arrays, data["x"]), _prior(data["x"])
    apart = np.linalg.norm(optimum - prior) / np.linalg.norm(prior)
    gaps, kurtoses = [], []
    for width in (2, 8, 32):
        text = (
            MACHINE.replace("Real^inf", "Real^k")
            .replace(", nu = 10", "")
            .replace("data y[n] : Real", "data y[n] : Real^k")
            .replace(
                "Real^k -> Real ~ GP(RBF(lengthscale = 1",
                f"Real^k -> Real^k ~ GP(RBF(lengthscale = {width**0.5}",
            )
        )
        copies = {"x": data["x"], "y": np.repeat(data["y"][:, None], width, axis=1)}
        fit = mercer.compile(text + "infer NUTS(chains = 1, warmup = 150, draws = 250)").fit(
            copies, seed=2, progress=False
        )
        h = fit.idata["posterior"]["h(x)"].values[0]
        gram = np.einsum("snk,smk->nm", h, h) / (len(h) * width)
        gaps.append(np.linalg.norm(gram - optimum) / np.linalg.norm(optimum))
        assert np.linalg.norm(gram - prior) / np.linalg.norm(prior) > 0.5 * apart
        white = np.einsum("nm,smk->nsk", np.linalg.inv(np.linalg.cholesky(gram)), h)
        kurtoses.append(float(np.mean(kurtosis(white.reshape(len(gram), -1), axis=1))))
        print(width, gaps[-1], np.linalg.norm(gram - prior) / np.linalg.norm(prior), kurtoses[-1])
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.06
    assert kurtoses[0] > kurtoses[2]
    assert abs(kurtoses[2]) < 0.2
