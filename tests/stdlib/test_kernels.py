"""Kernels against scikit-learn, closed forms, and each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import kernels as sk

from mercer.stdlib.kernels import (
    RBF,
    WORDS,
    Brownian,
    Constant,
    Coregion,
    Cosine,
    Linear,
    Matern,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    White,
)
from mercer.stdlib.points import PerLabel, Points, covariance, label_matrix, variance

RNG = np.random.default_rng(3)
X, Z = RNG.normal(size=(9, 4)), RNG.normal(size=(7, 4))
EACH = np.array([0.5, 1.0, 2.0, 4.0])
WEIGHTS, PERIODS, LENGTHS = np.array([0.7, 1.1]), np.array([0.9, 2.3]), np.array([0.8, 3.0])


def points(x):
    return Points((jnp.asarray(x),))


def gram(kernel, x=X, z=None):
    return np.asarray(covariance(kernel, points(x), points(x if z is None else z)))


EXAMPLES = {
    "RBF": RBF(lengthscale=EACH, scale=1.5),
    "Matern12": Matern12(lengthscale=EACH, scale=1.5),
    "Matern32": Matern32(lengthscale=EACH, scale=1.5),
    "Matern52": Matern52(lengthscale=EACH, scale=1.5),
    "RationalQuadratic": RationalQuadratic(lengthscale=1.3, alpha=0.4, scale=1.5),
    "Periodic": Periodic(period=1.7, lengthscale=0.8, scale=1.5),
    "Cosine": Cosine(period=1.7, scale=1.5),
    "Linear": Linear(scale=EACH, centre=0.3),
    "Polynomial": Polynomial(degree=3, lengthscale=2.0, offset=0.7, scale=1.5),
    "White": White(scale=1.5),
    "Constant": Constant(scale=1.5),
    "Brownian": Brownian(start=0.2, scale=1.5).on(coordinates=(1,)),
    "Matern": Matern(nu=1.5, lengthscale=EACH, scale=1.5),
    "Matern(0.8)": Matern(nu=0.8, lengthscale=EACH, scale=1.5),
    "Matern(3.5)": Matern(nu=3.5, lengthscale=EACH, scale=1.5),
    "Matern(4.2)": Matern(nu=4.2, lengthscale=EACH, scale=1.5),
    "SpectralMixture": SpectralMixture(
        q=2, weights=WEIGHTS, period=PERIODS, lengthscale=LENGTHS, scale=1.5
    ).on(coordinates=(1,)),
    "sum": RBF(lengthscale=1.0) + 2.5 * Matern32(lengthscale=0.3),
    "product": RBF(lengthscale=1.0) * Periodic(period=1.0, lengthscale=1.0) ** 2,
}
ELSEWHERE = ("Coregion", "Invariant", "ArcCosine", "NormalisedGaussian", "NNGP", "NTK")
"""Of labels, of what a group acts on, of Gram matrices: they have tests of their own."""

SKLEARN = {
    "RBF": sk.RBF(EACH),
    "Matern12": sk.Matern(EACH, nu=0.5),
    "Matern32": sk.Matern(EACH, nu=1.5),
    "Matern52": sk.Matern(EACH, nu=2.5),
    "Matern": sk.Matern(EACH, nu=1.5),
    "Matern(0.8)": sk.Matern(EACH, nu=0.8),
    "Matern(3.5)": sk.Matern(EACH, nu=3.5),
    "Matern(4.2)": sk.Matern(EACH, nu=4.2),
    "RationalQuadratic": sk.RationalQuadratic(1.3, 0.4),
    "Constant": sk.ConstantKernel(1.0),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_kernel_is_that_of_scikit_learn(name):
    np.testing.assert_allclose(gram(EXAMPLES[name], X, Z), 2.25 * SKLEARN[name](X, Z), rtol=1e-12)


def test_periodic_kernel_is_that_of_scikit_learn_on_the_line():
    theirs = 2.25 * sk.ExpSineSquared(0.8, 1.7)(X[:, :1], Z[:, :1])
    np.testing.assert_allclose(gram(EXAMPLES["Periodic"], X[:, :1], Z[:, :1]), theirs, rtol=1e-12)


def test_kernels_without_a_peer_are_their_formulas():
    x, z = X[:, None, :], Z[None, :, :]
    cosine = 2.25 * np.cos(2 * np.pi * np.sum(x - z, -1) / 1.7)
    linear = np.sum(EACH**2 * (x - 0.3) * (z - 0.3), -1)
    cubic = 2.25 * (np.sum(x * z, -1) / 4.0 + 0.7) ** 3
    a, b = x[..., 1] - 0.2, z[..., 1] - 0.2
    path = 2.25 * (np.abs(a) + np.abs(b) - np.abs(a - b)) / 2
    waves = np.exp(-2 * np.sum(np.sin(np.pi * (x - z) / 1.7) ** 2, -1) / 0.64)
    for name, expected in {"Cosine": cosine, "Linear": linear, "Polynomial": cubic,
                           "Brownian": path, "Periodic": 2.25 * waves}.items():  # fmt: skip
        np.testing.assert_allclose(gram(EXAMPLES[name], X, Z), expected, rtol=1e-11, atol=1e-13)


def test_a_spectral_mixture_is_the_sum_of_its_waves_each_drifting():
    waves = [
        w**2 * RBF(lengthscale=length) * Cosine(period=period)
        for w, period, length in zip(WEIGHTS, PERIODS, LENGTHS, strict=True)
    ]
    line = (X[:, 1:2], Z[:, 1:2])
    expected = 2.25 * gram(waves[0] + waves[1], *line)
    np.testing.assert_allclose(gram(EXAMPLES["SpectralMixture"], X, Z), expected, rtol=1e-12)


def test_every_kernel_that_runs_has_an_example():
    assert {w.entry.name for w in WORDS} <= {*EXAMPLES, *ELSEWHERE}


@pytest.mark.parametrize("name", EXAMPLES)
def test_gram_matrix_is_symmetric_and_positive_definite(name):
    repeated = np.concatenate([X, X[:3]])
    matrix = gram(EXAMPLES[name], repeated)
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12 * np.trace(matrix)


@pytest.mark.parametrize("name", EXAMPLES)
def test_variance_is_the_diagonal(name):
    np.testing.assert_allclose(
        variance(EXAMPLES[name], points(X)), np.diag(gram(EXAMPLES[name])), rtol=1e-14
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_sets_and_single_points_give_the_same_covariances(name):
    single = [[gram(EXAMPLES[name], x[None], z[None])[0, 0] for z in Z] for x in X]
    np.testing.assert_allclose(gram(EXAMPLES[name], X, Z), single, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", EXAMPLES)
def test_kernel_passes_through_jit_and_vmap_as_a_pytree(name):
    kernel = EXAMPLES[name]
    direct = gram(kernel, X, Z)
    jitted = jax.jit(covariance)(kernel, points(X), points(Z))
    np.testing.assert_allclose(jitted, direct, rtol=1e-12, atol=1e-14)
    stacked = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf, float)] * 2), kernel)
    both = jax.vmap(lambda k: covariance(k, points(X), points(Z)))(stacked)
    np.testing.assert_allclose(both[1], direct, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EXAMPLES)
def test_gradients_are_finite_at_repeated_inputs_and_those_of_differences(name):
    kernel, x = EXAMPLES[name], np.concatenate([X, X[:3]])
    weights = RNG.normal(size=(len(x), len(x)))

    def total(leaves):
        again = jax.tree.unflatten(jax.tree.structure(kernel), leaves)
        return jnp.sum(weights * covariance(again, points(x), points(x)))

    leaves = [jnp.asarray(leaf, float) for leaf in jax.tree.leaves(kernel)]
    gradient = jax.grad(total)(leaves)
    moved = [RNG.normal(size=leaf.shape) for leaf in leaves]
    step = 1e-6
    ends = [total([v + s * step * m for v, m in zip(leaves, moved, strict=True)]) for s in (1, -1)]
    along = sum(float(np.sum(g * m)) for g, m in zip(gradient, moved, strict=True))
    assert along == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-6)
    by_input = jax.grad(lambda u: jnp.sum(weights * covariance(kernel, points(u), points(u))))
    assert np.all(np.isfinite(by_input(jnp.asarray(x))))


@pytest.mark.parametrize("word", [RBF, Matern32, Matern52])
def test_gradient_with_respect_to_inputs_is_that_of_differences(word):
    kernel, z, weights = word(lengthscale=EACH), jnp.asarray(Z), RNG.normal(size=(9, 7))

    def total(x):
        return jnp.sum(weights * covariance(kernel, points(x), points(z)))

    direction, step = RNG.normal(size=X.shape), 1e-6
    expected = float(total(X + step * direction) - total(X - step * direction)) / (2 * step)
    gradient = jax.grad(total)(jnp.asarray(X))
    assert float(jnp.sum(gradient * direction)) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("word", [RBF, Matern12, Matern32, Matern52])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_distances_survive_inputs_far_from_zero(word, width):
    x = RNG.normal(size=(8, width))
    x = np.concatenate([x, x[:2]])
    kernel = word(lengthscale=0.7)
    near, far = gram(kernel, x), gram(kernel, (x + 2.0**20) - 2.0**20 + 2.0**20)
    np.testing.assert_allclose(far, near, atol=1e-7)
    np.testing.assert_array_equal(np.diag(far), 1.0)
    assert far[0, 8] == 1.0


def test_gram_matrix_of_many_coordinates_forms_no_array_of_all_differences():
    x = jax.ShapeDtypeStruct((400, 8), float)

    def total(lengthscale, x):
        return jnp.sum(covariance(RBF(lengthscale=lengthscale), Points((x,)), Points((x,))) ** 2)

    program = jax.jit(jax.value_and_grad(total)).lower(jax.ShapeDtypeStruct((8,), float), x)
    assert "400x400x8" not in program.as_text()
    assert program.compile().memory_analysis().temp_size_in_bytes < 5 * 400 * 400 * 8


# --- algebra ---------------------------------------------------------------------------------


def test_sums_products_multiples_and_powers_are_those_of_covariances():
    a, b = RBF(lengthscale=0.5), Matern32(lengthscale=1.0, scale=2.0)
    left, right = gram(a), gram(b)
    np.testing.assert_allclose(gram(a + b), left + right, rtol=1e-14)
    np.testing.assert_allclose(gram(a * b), left * right, rtol=1e-14)
    np.testing.assert_allclose(gram((a + b) ** 3), (left + right) ** 3, rtol=1e-14)
    for factor in (2.5, np.float64(2.5), jnp.asarray(2.5), np.asarray(2.5)):
        np.testing.assert_allclose(gram(factor * a), 2.5 * left, rtol=1e-14)
        np.testing.assert_allclose(gram(a * factor), 2.5 * left, rtol=1e-14)
    np.testing.assert_allclose(gram(sum([a, b])), left + right, rtol=1e-14)


def test_scale_two_is_four_times_the_kernel():
    np.testing.assert_allclose(
        gram(RBF(lengthscale=1.0, scale=2.0)), gram(4 * RBF(lengthscale=1.0))
    )


def test_a_power_that_is_no_whole_number_is_refused():
    with pytest.raises(ValueError, match="whole number"):
        RBF(lengthscale=1.0) ** 0.5


def test_arguments_that_do_not_exist_or_are_missing_are_refused_by_name():
    with pytest.raises(ValueError, match="lenghtscale"):
        RBF(lenghtscale=1.0)
    with pytest.raises(ValueError, match="needs a value for 'lengthscale'"):
        RBF()


def test_a_kernel_on_some_coordinates_sees_only_them():
    kernel = RBF(lengthscale=jnp.array([0.5, 2.0])).on(coordinates=(2, 0))
    np.testing.assert_allclose(
        gram(kernel), gram(RBF(lengthscale=jnp.array([0.5, 2.0])), X[:, [2, 0]])
    )


def test_factors_of_a_product_are_seen_apart_or_as_one_vector():
    x = Points((jnp.asarray(X[:, :3]), jnp.asarray(X[:, 3])))
    whole = covariance(RBF(lengthscale=EACH), x, x)
    np.testing.assert_allclose(whole, gram(RBF(lengthscale=EACH)), rtol=1e-12)
    apart = RBF(lengthscale=EACH[:3]).on(factor=0) * RBF(lengthscale=EACH[3]).on(factor=1)
    np.testing.assert_allclose(covariance(apart, x, x), whole, rtol=1e-12)
    composed = (RBF(lengthscale=1.0) + 2.0 * Matern32(lengthscale=1.0) ** 2).on(factor=1)
    expected = RBF(lengthscale=1.0) + 2.0 * Matern32(lengthscale=1.0) ** 2
    np.testing.assert_allclose(covariance(composed, x, x), gram(expected, X[:, 3:]), rtol=1e-12)


# --- labels ------------------------------------------------------------------------------------


def test_coregion_is_weights_times_weights_plus_own_variances():
    weights, kappa = RNG.normal(size=(3, 2)), np.array([0.1, 0.2, 0.3])
    kernel = Coregion(rank=2, weights=weights, kappa=kappa, scale=2.0)
    expected = 4 * (weights @ weights.T + np.diag(kappa))
    np.testing.assert_allclose(label_matrix(kernel, 3), expected, rtol=1e-14)
    codes = Points((jnp.array([2, 0, 2]),))
    picked = np.array([2, 0, 2])
    np.testing.assert_allclose(covariance(kernel, codes, codes), expected[np.ix_(picked, picked)])
    np.testing.assert_allclose(variance(kernel, codes), np.diag(expected)[picked], rtol=1e-14)


@pytest.mark.parametrize("word", [RBF, Matern12, RationalQuadratic, Periodic, Linear, Polynomial])
def test_each_copy_of_an_indexed_function_has_its_own_arguments(word):
    labels = jnp.array([0, 1, 1, 2, 0, 2, 1, 0, 2])
    own = {}
    for p in word.entry.parameters:
        if not p.structural:
            shape = (3, 4) if p.per_coordinate else (3,)
            own[p.name] = jnp.asarray(RNG.uniform(0.5, 2.0, size=shape))
    fixed = {"degree": 2} if word is Polynomial else {}
    kernel = word(**{k: PerLabel(v) for k, v in own.items()}, **fixed) * PerLabel(
        jnp.arange(1.0, 4.0)
    )
    x = Points((jnp.asarray(X),), labels=labels)
    matrix = np.asarray(covariance(kernel, x, x))
    for copy in range(3):
        rows = np.flatnonzero(labels == copy)
        alone = word(**{k: v[copy] for k, v in own.items()}, **fixed)
        expected = (copy + 1.0) * gram(alone, X[rows])
        np.testing.assert_allclose(matrix[np.ix_(rows, rows)], expected, rtol=1e-11)
        others = np.flatnonzero(labels != copy)
        assert np.all(matrix[np.ix_(rows, others)] == 0)
    np.testing.assert_allclose(variance(kernel, x), np.diag(matrix), rtol=1e-12)


def test_labels_on_one_side_only_are_refused():
    with pytest.raises(ValueError, match="labels"):
        covariance(RBF(lengthscale=1.0), points(X), Points((jnp.asarray(X),), jnp.zeros(9, int)))
