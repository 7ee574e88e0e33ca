"""Laws of the engines of the Gaussian block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    RandomFunction,
    Site,
    Term,
    Weights,
    WeightSpace,
)
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Directional, Points

RNG = np.random.default_rng(3)
N, P = 24, 3
T = np.sort(RNG.uniform(0, 5, (N, 1)), axis=0)
DESIGN = RNG.normal(size=(N, P))
GROUP = RNG.integers(0, 4, N)
Y = np.sin(T[:, 0]) + 0.3 * RNG.normal(size=N)
NOISE = RNG.uniform(0.2, 0.5, N)
NEW = np.linspace(-1, 6, 7)[:, None]


def _rbf(x, z, lengthscale, scale):
    return scale**2 * np.exp(-0.5 * ((x - z.T) / lengthscale) ** 2)


def _block(lengthscale=1.3, y=Y, keep=None):
    processes = {
        "trend": RandomFunction(RBF(lengthscale=lengthscale, scale=0.8)),
        "beta": Weights(sd=jnp.array([1.0, 2.0, 0.5])),
        "effect": Weights(sd=0.7),
    }
    sites = {
        "trend(t)": Site("trend", Points((jnp.asarray(T),)), N),
        "beta": Site("beta", size=P),
        "effect": Site("effect", size=4),
    }
    mean = Affine(
        0.4,
        (
            Term("trend(t)", 1.0),
            Term("beta", jnp.asarray(DESIGN), jnp.broadcast_to(jnp.arange(P), (N, P))),
            Term("effect", jnp.asarray(T[:, 0]), jnp.asarray(GROUP)),
        ),
        (N,),
    )
    return processes, sites, {"y": (Gaussian(mean, jnp.asarray(NOISE)), y, keep)}


def _naive_prior(x, design, group, weight):
    """Covariance of the same rows, written out."""
    one_hot = np.eye(4)[group] * weight[:, None]
    return (
        _rbf(x, x, 1.3, 0.8)
        + design @ np.diag([1.0, 4.0, 0.25]) @ design.T
        + 0.49 * one_hot @ one_hot.T
    )


def _naive():
    return _naive_prior(T, DESIGN, GROUP, T[:, 0])


def test_density_is_that_of_the_joint_normal():
    covariance = _naive() + np.diag(NOISE**2)
    expected = multivariate_normal(np.full(N, 0.4), covariance).logpdf(Y)
    assert jax.jit(lambda: Dense(*_block()).log_density())() == pytest.approx(
        float(expected), rel=1e-11
    )


def test_missing_rows_are_left_out():
    keep = np.array([0, 2, 3, 7, 20])
    holes = np.full(N, np.nan)
    holes[keep] = Y[keep]
    covariance = (_naive() + np.diag(NOISE**2))[np.ix_(keep, keep)]
    expected = multivariate_normal(np.full(5, 0.4), covariance).logpdf(Y[keep])
    block = Dense(*_block(y=holes, keep=keep))
    assert block.log_density() == pytest.approx(float(expected), rel=1e-11)
    density = block.leave_one_out()["y"].log_density
    assert np.isnan(density).sum() == N - 5


def test_condition_is_the_naive_conditional():
    block = Dense(*_block())
    sites = {"new": Site("trend", Points((jnp.asarray(NEW),)), len(NEW))}
    affine = Affine(1.0, (Term("new", 2.0),), (len(NEW),))
    mean, covariance = block.condition(sites, affine, full=True)
    data = _naive() + np.diag(NOISE**2)
    cross = 2 * _rbf(NEW, T, 1.3, 0.8)
    np.testing.assert_allclose(mean, 1.0 + cross @ np.linalg.solve(data, Y - 0.4), atol=1e-10)
    expected = 4 * _rbf(NEW, NEW, 1.3, 0.8) - cross @ np.linalg.solve(data, cross.T)
    np.testing.assert_allclose(covariance, expected, atol=1e-10)
    _, variance = block.condition(sites, affine)
    np.testing.assert_allclose(variance, np.diag(expected), atol=1e-10)


def test_variance_of_several_terms_of_one_process_is_the_diagonal():
    block = Dense(*_block())
    sites = {"new": Site("trend", Points((jnp.asarray(NEW),)), len(NEW))}
    pairs = jnp.stack([jnp.arange(7), (jnp.arange(7) + 3) % 7], axis=1)
    terms = (Term("new", jnp.array([[1.0, -1.0]] * 7), pairs), Term("new", 0.5))
    affine = Affine(0.0, (*terms, Term("beta", 1.0, jnp.array([0, 1, 2, 0, 1, 2, 0]))), (7,))
    _, covariance = block.condition(sites, affine, full=True)
    _, variance = block.condition(sites, affine)
    np.testing.assert_allclose(variance, np.diag(covariance), atol=1e-11)


def test_components_sum_to_the_whole():
    processes, sites, observations = _block()
    block = Dense(processes, sites, observations)
    whole = observations["y"][0].mean
    total = sum(block.condition({}, Affine(0.0, (t,), (N,)))[0] for t in whole.terms)
    np.testing.assert_allclose(block.condition({}, whole)[0], 0.4 + total, atol=1e-11)


def test_leave_one_out_is_refitting():
    loo = Dense(*_block()).leave_one_out()["y"]
    mean_of = _block()[2]["y"][0].mean
    for left_out in (0, 5, N - 1):
        keep = np.delete(np.arange(N), left_out)
        mean, variance = Dense(*_block(keep=keep)).condition({}, mean_of)
        sd = np.sqrt(variance[left_out] + NOISE[left_out] ** 2)
        assert loo.mean[left_out] == pytest.approx(float(mean[left_out]), rel=1e-8)
        assert loo.sd[left_out] == pytest.approx(float(sd), rel=1e-8)
        expected = norm(mean[left_out], sd).logpdf(Y[left_out])
        assert loo.log_density[left_out] == pytest.approx(float(expected), rel=1e-8)


def _weights_block(engine):
    processes, sites, observations = _block()
    law, y, keep = observations["y"]
    mean = Affine(law.mean.constant, law.mean.terms[1:], (N,))
    del processes["trend"], sites["trend(t)"]
    return engine(processes, sites, {"y": (Gaussian(mean, law.noise), y, keep)}), mean


def test_weight_space_is_dense():
    dense, mean = _weights_block(Dense)
    sparse, _ = _weights_block(WeightSpace)
    assert sparse.log_density() == pytest.approx(float(dense.log_density()), rel=1e-11)
    for full in (False, True):
        for a, b in zip(
            dense.condition({}, mean, full=full), sparse.condition({}, mean, full=full), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-10)
    a, b = dense.leave_one_out()["y"], sparse.leave_one_out()["y"]
    np.testing.assert_allclose(jnp.stack(a), jnp.stack(b), rtol=1e-8)


@pytest.mark.parametrize("engine", [Dense, WeightSpace])
def test_draws_have_the_conditional_law(engine):
    block, mean = _weights_block(engine)
    keys = jax.random.split(jax.random.key(0), 20000)
    draws = jax.jit(jax.vmap(lambda key: block.draw(key, {"m": mean})["m"]))(keys)
    centre, covariance = block.condition({}, mean, full=True)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((draws.mean(0) - centre) / sd, 0.0, atol=5 / np.sqrt(20000))
    np.testing.assert_allclose(
        (np.cov(draws.T) - covariance) / np.outer(sd, sd), 0.0, atol=7 / np.sqrt(20000)
    )


def test_draws_of_a_function_at_old_and_new_points_have_the_conditional_law():
    block = Dense(*_block())
    sites = {"new": Site("trend", Points((jnp.asarray(NEW),)), 7)}
    new = Affine(0.0, (Term("new"),), (7,))
    old = Affine(0.0, (Term("trend(t)", 1.0, jnp.array([0, 9])),), (2,))
    both = Affine(
        0.0,
        (
            Term("new", jnp.array([1.0] * 7 + [0.0] * 2), jnp.array([*range(7), 0, 0])),
            Term("trend(t)", jnp.array([0.0] * 7 + [1.0] * 2), jnp.array([0] * 8 + [9])),
        ),
        (9,),
    )
    keys = jax.random.split(jax.random.key(1), 20000)
    draw = jax.jit(jax.vmap(lambda key: block.draw(key, {"new": new, "old": old}, sites)))(keys)
    draws = jnp.concatenate([draw["new"], draw["old"]], axis=1)
    centre, covariance = block.condition(sites, both, full=True)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((draws.mean(0) - centre) / sd, 0.0, atol=5 / np.sqrt(20000))
    np.testing.assert_allclose(
        (np.cov(draws.T) - covariance) / np.outer(sd, sd), 0.0, atol=7 / np.sqrt(20000)
    )


def test_a_draw_given_exact_values_goes_through_them():
    processes = {"f": RandomFunction(RBF(lengthscale=1.0, scale=2.0))}
    x = jnp.linspace(0, 8, 9)[:, None]
    sites = {"f(x)": Site("f", Points((x,)), 9)}
    mean = Affine(0.0, (Term("f(x)"),), (9,))
    y = np.cos(np.arange(9.0))
    block = Dense(processes, sites, {"y": (Gaussian(mean, 0.0), y, None)})
    draw = block.draw(jax.random.key(0), {"f": mean})["f"]
    np.testing.assert_allclose(draw, y, atol=1e-6)


def test_a_derivative_observation_has_its_closed_form():
    processes = {"f": RandomFunction(RBF(lengthscale=0.9, scale=1.5))}
    x, z = np.array([[0.0], [0.7]]), np.array([[0.2], [1.1], [1.9]])
    slope = (Directional(jnp.ones((3, 1)), 0),)
    sites = {
        "f(x)": Site("f", Points((jnp.asarray(x),)), 2),
        "D(f)(z)": Site("f", Points((jnp.asarray(z),), operators=slope), 3),
    }
    laws = {
        "y": (Gaussian(Affine(0.0, (Term("f(x)"),), (2,)), 0.1), np.array([1.0, 0.5]), None),
        "s": (Gaussian(Affine(0.0, (Term("D(f)(z)"),), (3,)), 0.2), np.array([0.0, 1, -1]), None),
    }
    l2 = 0.9**2
    k_xz, k_zz = _rbf(x, z, 0.9, 1.5), _rbf(z, z, 0.9, 1.5)
    cross = k_xz * (x - z.T) / l2  # d/dz k
    slopes = k_zz * (1 / l2 - (z - z.T) ** 2 / l2**2)
    joint = np.block([[_rbf(x, x, 0.9, 1.5), cross], [cross.T, slopes]])
    joint += np.diag([0.01] * 2 + [0.04] * 3)
    expected = multivariate_normal(np.zeros(5), joint).logpdf([1.0, 0.5, 0, 1, -1])
    assert Dense(processes, sites, laws).log_density() == pytest.approx(float(expected), rel=1e-10)


def test_correlated_outputs_multiply_the_covariance():
    outputs = jnp.array([[1.0, 0.4], [0.4, 2.0]])
    x = np.repeat(T[:5], 2, axis=0)
    code = np.tile([0, 1], 5)
    site = Site("f", Points((jnp.asarray(x),), output=jnp.asarray(code)), 10)
    for matrix, between in ((outputs, outputs), (None, np.eye(2))):
        processes = {"f": RandomFunction(RBF(lengthscale=1.0, scale=1.0), matrix)}
        law = Gaussian(Affine(0.0, (Term("f"),), (5, 2)), 0.3)
        block = Dense(processes, {"f": site}, {"y": (law, Y[:10].reshape(5, 2), None)})
        expected = _rbf(x, x, 1.0, 1.0) * np.asarray(between)[np.ix_(code, code)]
        np.testing.assert_allclose(block.covariance, expected + 0.09 * np.eye(10), atol=1e-12)
        assert block.leave_one_out()["y"].mean.shape == (5, 2)


def test_gradient_and_vmap_over_hyperparameters():
    def density(lengthscale):
        return Dense(*_block(lengthscale)).log_density()

    value = jax.grad(density)(1.3)
    ends = (density(1.3 + 1e-5) - density(1.3 - 1e-5)) / 2e-5
    assert value == pytest.approx(float(ends), rel=1e-6)
    many = jnp.array([0.5, 1.3, 2.0])
    expected = [density(lengthscale) for lengthscale in many]
    np.testing.assert_allclose(jax.jit(jax.vmap(density))(many), expected, rtol=1e-12)


def test_a_block_without_data_gives_the_prior():
    processes, sites, observations = _block()
    block = Dense(processes, sites, {})
    mean, covariance = block.condition({}, observations["y"][0].mean, full=True)
    np.testing.assert_allclose(mean, 0.4)
    np.testing.assert_allclose(covariance, _naive(), atol=1e-12)
    assert block.log_density() == 0.0


def test_duplicate_inputs_and_constant_columns_work():
    x = jnp.zeros((6, 2))
    processes = {"f": RandomFunction(RBF(lengthscale=jnp.ones(2), scale=1.0))}
    sites = {"f": Site("f", Points((x,)), 6)}
    mean = Affine(0.0, (Term("f"),), (6,))
    y = np.full(6, 0.5)
    block = Dense(processes, sites, {"y": (Gaussian(mean, 0.1), y, None)})
    expected = multivariate_normal(np.zeros(6), np.ones((6, 6)) + 0.01 * np.eye(6)).logpdf(y)
    assert block.log_density() == pytest.approx(float(expected), rel=1e-9)
    assert np.isfinite(block.draw(jax.random.key(0), {"f": mean})["f"]).all()


def test_weight_space_refuses_exact_observations():
    processes, sites, observations = _block()
    law, y, keep = observations["y"]
    exact = Gaussian(Affine(0.0, law.mean.terms[1:], (N,)), jnp.zeros(N))
    with pytest.raises(ValueError, match="noise 0"):
        WeightSpace(processes, sites, {"y": (exact, y, keep)})


def test_engines_report_the_jitter_that_they_took():
    x = jnp.zeros((6, 1))
    mean = Affine(0.0, (Term("f"),), (6,))
    sites = {"f": Site("f", Points((x,)), 6)}

    def jitter(noise):
        processes = {"f": RandomFunction(RBF(lengthscale=1.0, scale=3.0))}
        return Dense(processes, sites, {"y": (Gaussian(mean, noise), jnp.ones(6), None)}).jitter

    np.testing.assert_allclose(jax.vmap(jitter)(jnp.array([0.0, 0.1])), [1e-12, 0.0], rtol=1e-9)
    assert _weights_block(WeightSpace)[0].jitter == 0.0
