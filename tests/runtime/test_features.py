"""Random waves against the kernels that they estimate, their engine against a plain Gaussian."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from mercer.dsl.diagnostic import MercerError
from mercer.model import Model
from mercer.runtime.engines.features import Features
from mercer.runtime.engines.fourier import KINDS, Kind, directions, features, hadamard
from mercer.runtime.engines.terms import Affine, Gaussian, RandomFunction, Site, Term, Weights
from mercer.stdlib.kernels import (
    RBF,
    Linear,
    Matern,
    Matern12,
    Matern32,
    RationalQuadratic,
    SpectralMixture,
)
from mercer.stdlib.points import Points, covariance

RNG = np.random.default_rng(7)
X = RNG.normal(size=(8, 3))
LINE = SpectralMixture(
    q=2,
    weights=jnp.array([1.0, 0.5]),
    period=jnp.array([1.0, 3.0]),
    lengthscale=jnp.array([2.0, 1.0]),
)
KERNELS: dict[str, Any] = {
    "RBF": RBF(lengthscale=jnp.array([1.0, 2.0, 1.5]), scale=1.3),
    "Matern12": Matern12(lengthscale=2.0),
    "Matern, nu = 3/2": Matern(nu=1.5, lengthscale=2.0),
    "RationalQuadratic": RationalQuadratic(lengthscale=1.5, alpha=0.8),
    "SpectralMixture": LINE.on(coordinates=(1,)),
    "a product": RBF(lengthscale=2.0) * Matern32(lengthscale=1.5),
    "a sum": RBF(lengthscale=2.0) + 0.5 * RBF(lengthscale=1.0),
}


@pytest.mark.parametrize(
    "kernel",
    [
        "RBF",
        "a product",
        *(pytest.param(k, marks=pytest.mark.slow) for k in [*KERNELS][1:5]),
        "a sum",
    ],
)
def test_inner_products_of_independent_waves_estimate_the_kernel(kernel: str) -> None:
    waves = 4000
    points = Points((jnp.asarray(X),))
    wanted = covariance(KERNELS[kernel], points, points)
    found = features(KERNELS[kernel], (jnp.asarray(X),), waves=waves, kind="independent")
    error = np.abs(found @ found.T - wanted) / wanted[0, 0]
    np.testing.assert_allclose(jnp.sum(found**2, axis=1), wanted[0, 0], rtol=1e-9)
    # A cosine has a standard deviation below 1: five standard errors of its mean.
    assert np.max(error) < 5 / np.sqrt(waves)


@pytest.mark.parametrize("kind", KINDS)
def test_directions_have_the_law_of_gaussian_vectors(kind: Kind) -> None:
    turned, _ = np.linalg.qr(RNG.normal(size=(5, 5)))
    products = np.asarray(directions(1, 4096, 5, kind)(jnp.asarray(turned)))
    assert scipy.stats.kstest(products[0], "norm").pvalue > 1e-3
    assert np.max(np.abs(np.cov(products) - np.eye(5))) < 5 * np.sqrt(2 / 4096)


def test_orthogonal_directions_are_at_right_angles_within_a_block() -> None:
    vectors = np.asarray(directions(2, 6, 6, "orthogonal")(jnp.eye(6))).T
    gram = vectors @ vectors.T
    np.testing.assert_allclose(gram - np.diag(np.diagonal(gram)), 0.0, atol=1e-12)


def test_the_fast_transform_is_the_product_with_the_hadamard_matrix() -> None:
    x = RNG.normal(size=(3, 16))
    np.testing.assert_allclose(hadamard(jnp.asarray(x)), x @ scipy.linalg.hadamard(16), atol=1e-12)


def test_orthogonal_and_structured_waves_vary_less_than_independent_ones() -> None:
    width = 32
    x = RNG.normal(size=(10, width)) / np.sqrt(width)
    wanted = np.exp(-0.5 * np.sum((x[:, None] - x) ** 2, axis=-1))
    errors = {}
    for kind in KINDS:
        angles = [np.asarray(directions(s, width, width, kind)(jnp.asarray(x))) for s in range(30)]
        gaps = [a[:, None] - a for a in angles]
        errors[kind] = np.mean([(np.cos(g).mean(-1) - wanted) ** 2 for g in gaps])
    # Yu et al. (2016), theorem 2: about half at such distances; and more where they are short.
    assert errors["orthogonal"] < 0.7 * errors["independent"]
    assert errors["structured"] < 0.7 * errors["independent"]


def test_the_engine_has_the_density_and_the_law_of_its_own_covariance() -> None:
    kernel, y = KERNELS["RBF"], jnp.asarray(RNG.normal(size=8))
    sites = {"f": Site("f", Points((jnp.asarray(X),)), 8), "b": Site("b")}
    processes = {"f": RandomFunction(kernel), "b": Weights(sd=2.0)}
    mean = Affine(0.5, (Term("f"), Term("b", 1.0, jnp.zeros(8, int))), shape=(8,))
    block = Features(processes, sites, {"y": (Gaussian(mean, noise=0.4), y, None)}, waves=50)
    new = jnp.asarray(RNG.normal(size=(4, 3)))
    seen, there = (features(kernel, (x,), waves=50, kind="orthogonal") for x in (X, new))
    whole = seen @ seen.T + 4.0 + 0.16 * jnp.eye(8)
    wanted = scipy.stats.multivariate_normal(jnp.full(8, 0.5), whole).logpdf(y)
    assert float(block.log_density()) == pytest.approx(wanted, rel=1e-9)
    target = Affine(0.0, (Term("new"),), shape=(4,))
    mean_there, variance = block.condition({"new": Site("f", Points((new,)), 4)}, target)
    cross = there @ seen.T
    np.testing.assert_allclose(mean_there, cross @ np.linalg.solve(whole, y - 0.5), rtol=1e-8)
    known = jnp.sum(cross * np.linalg.solve(whole, cross.T).T, axis=1)
    np.testing.assert_allclose(variance, jnp.sum(there**2, axis=1) - known, rtol=1e-7)


TEXT = """
data x[n] : Real^d
data y[n] : Real
f ~ GP(RBF(lengthscale ~ LogNormal(0, 1)))
noise ~ HalfNormal(1)
y ~ Normal(f(x), noise)
"""


def test_they_are_taken_only_where_they_are_asked_for_and_say_what_they_are() -> None:
    sizes = {"n": 200_000, "d": 3}
    assert Model.from_text(TEXT).plan(sizes).engine_name != "Features"
    asked = Model.from_text(TEXT + "infer f by Features(count = 100, kind = structured)\n")
    plan = asked.plan(sizes)
    assert plan.engine_name == "Features"
    assert "a sum of 50 random waves" in " ".join(plan.sentences)
    assert "ENGINE = waves_of(100, 'structured')" in asked.source_of(plan)


def test_a_kernel_without_a_spectral_density_is_refused_by_name() -> None:
    text = TEXT.replace("RBF(lengthscale ~ LogNormal(0, 1))", "Linear()")
    with pytest.raises(MercerError) as caught:
        Model.from_text(text + "infer f by Features()\n").plan()
    assert "the kernel `Linear` of `f` has no spectral density" in str(caught.value)
    with pytest.raises(ValueError, match="Linear has no spectral density"):
        features(Linear(), (jnp.asarray(X),), waves=10, kind="independent")


def test_a_kind_that_is_none_names_those_there_are() -> None:
    with pytest.raises(MercerError) as caught:
        Model.from_text(TEXT + "infer f by Features(kind = fast)\n")
    assert "`kind` cannot be `fast`" in str(caught.value)
