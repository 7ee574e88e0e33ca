"""Laws of the filter in two levels, against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.engines import kalman, lanes, stretches
from mercer.runtime.engines.chain import Chain, Layout

M, SIZES, COLUMNS = 14, (2, 1), 2
STARTS = (0, 6, 10)
RNG = np.random.default_rng(0)
GROUP = np.searchsorted(STARTS, np.arange(M), side="right") - 1


def _parameters():
    moves, noises = [], []
    for size in SIZES:
        a = 0.6 * RNG.normal(size=(size, size, M))
        root = RNG.normal(size=(size, size, M))
        q = np.einsum("ikm,jkm->ijm", root, root)
        a[..., list(STARTS)] = 0.0
        q[..., 4] = 0.0  # a step without noise
        moves.append(jnp.asarray(a))
        noises.append(jnp.asarray(q))
    precision = RNG.uniform(0.5, 2.0, M)
    precision[[3, 12]] = 0.0  # observed nowhere
    loading = RNG.normal(size=(sum(SIZES), M))
    values = RNG.normal(size=(COLUMNS, M))
    return (tuple(moves), tuple(noises), *map(jnp.asarray, (loading, precision, values)))


PARAMETERS = _parameters()
SEEN = np.flatnonzero(np.asarray(PARAMETERS[3]))
WEIGHTS = RNG.normal(size=(len(STARTS), COLUMNS, COLUMNS))


def _chain(parameters, layout: Layout) -> tuple[Chain, jax.Array]:
    moves, noises, loading, precision, values = jax.tree.map(layout.lay, parameters)
    return Chain(moves, noises, loading, precision), values


def _covariance(parameters):
    """Of the noise-free values, [M, M]."""
    moves, noises, loading, *_ = parameters
    states, rows = jnp.zeros((sum(SIZES),) * 2), []
    crosses = jnp.zeros((0, sum(SIZES)))  # of all values before with the state
    for i in range(M):
        a = jax.scipy.linalg.block_diag(*(m[..., i] for m in moves))
        q = jax.scipy.linalg.block_diag(*(n[..., i] for n in noises))
        states = a @ states @ a.T + q
        crosses = jnp.concatenate([crosses @ a.T, (states @ loading[:, i])[None]])
        rows.append(jnp.pad(crosses @ loading[:, i], (0, M - i - 1)))
    lower = jnp.stack(rows)
    return lower + jnp.tril(lower, -1).T


def _dense(parameters):
    *_, precision, values = parameters
    noisy = _covariance(parameters)[jnp.ix_(SEEN, SEEN)] + jnp.diag(1 / precision[SEEN])
    same = GROUP[SEEN][:, None] == GROUP[SEEN]
    noisy = jnp.where(same, noisy, 0.0)
    inverse = jnp.linalg.inv(noisy)
    grams = []
    for group in range(len(STARTS)):
        own = jnp.where(GROUP[SEEN] == group, values[:, SEEN], 0.0)
        grams.append(own @ inverse @ own.T)
    growth = jnp.linalg.slogdet(noisy)[1] + jnp.sum(jnp.log(precision[SEEN]))
    return jnp.stack(grams), growth


def _loss(found):
    grams, growth = found
    return jnp.sum(WEIGHTS * grams) + 1.3 * growth


def _two_level(parameters, layout):
    chain, values = _chain(parameters, layout)
    group = layout.lay(jnp.asarray(GROUP), len(STARTS) - 1)
    return kalman.grams(chain, values, group, len(STARTS))


@pytest.fixture(scope="module")
def dense():
    """The loss of the joint normal, and its slopes by automatic differentiation."""
    return jax.jit(jax.value_and_grad(lambda p: _loss(_dense(p))))(PARAMETERS)


@pytest.mark.parametrize(
    ("blocks", "is_parallel"),
    [pytest.param(1, False, marks=pytest.mark.slow), (4, False), (4, True)],
)
def test_likelihood_and_score_are_those_of_the_joint_normal(
    monkeypatch, dense, blocks: int, is_parallel: bool
) -> None:
    for module in (kalman, stretches):
        monkeypatch.setattr(module, "is_parallel", lambda: is_parallel)
    layout = Layout(M, -(-M // blocks), blocks)
    value, slopes = dense
    found, own = jax.jit(jax.value_and_grad(lambda p: _loss(_two_level(p, layout))))(PARAMETERS)
    assert found == pytest.approx(float(value), rel=1e-12)
    (moves, noises, *rest), (own_moves, own_noises, *own_rest) = slopes, own
    inside = np.setdiff1d(np.arange(M), STARTS)  # a chain that begins has no A to learn
    for expected, slope in zip(moves, own_moves, strict=True):
        np.testing.assert_allclose(slope[..., inside], expected[..., inside], atol=1e-11)
    for expected, slope in zip(noises, own_noises, strict=True):
        even = 0.5 * (expected + jnp.swapaxes(expected, 0, 1))
        np.testing.assert_allclose(slope, even, atol=1e-11)
    for expected, slope in zip(rest, own_rest, strict=True):
        where = SEEN if expected.ndim == 1 else slice(None)  # a precision of 0 stays there
        np.testing.assert_allclose(slope[..., where], expected[..., where], atol=1e-11)


def test_the_smoother_is_the_conditional_and_leaves_one_out() -> None:
    layout = Layout(M, 4, 4)
    chain, values = _chain(PARAMETERS, layout)
    found, smoothed = jax.jit(kalman.run_smoother)(chain, values)
    covariance = _covariance(PARAMETERS)
    precision, values = (np.asarray(x) for x in PARAMETERS[3:])
    inverse = np.linalg.inv(covariance[np.ix_(SEEN, SEEN)] + np.diag(1 / precision[SEEN]))
    mean = covariance[:, SEEN] @ inverse @ values[:, SEEN].T
    np.testing.assert_allclose(layout.flat(smoothed.pull), values - mean.T, atol=1e-11)
    np.testing.assert_allclose(layout.flat(smoothed.push)[SEEN], np.diagonal(inverse), atol=1e-11)
    last = layout.flat(found.mean)[..., -1]
    np.testing.assert_allclose(PARAMETERS[2][:, -1] @ last, mean[-1], atol=1e-11)


def test_simulated_states_have_the_covariance_of_the_chain() -> None:
    layout = Layout(M, 4, 4)
    moves = tuple(layout.lay(m) for m in PARAMETERS[0])
    size = sum(SIZES)

    def states(shocks):
        return layout.flat(kalman.simulate(moves, layout.lay(shocks))).reshape(-1)

    # The states are linear in the shocks: their covariance follows from that of the shocks.
    design = jax.jacobian(states)(jnp.zeros((size, M))).reshape(size, M, size, M)
    q = np.zeros((size, size, M))
    q[:2, :2], q[2:, 2:] = PARAMETERS[1]
    h = np.asarray(PARAMETERS[2])
    weighted = np.einsum("im,imjn->mjn", h, design)
    found = np.einsum("mjn,jkn,okn->mo", weighted, q, weighted)
    np.testing.assert_allclose(found, _covariance(PARAMETERS), atol=1e-12)


def test_small_matrices_side_by_side_are_solved_and_rooted() -> None:
    a = RNG.normal(size=(4, 3, 6))
    singular = np.einsum("ikm,jkm->ijm", a, a)  # rank 3 of 4
    root = np.asarray(lanes.root(jnp.asarray(singular)))
    np.testing.assert_allclose(np.einsum("ikm,jkm->ijm", root, root), singular, atol=1e-12)
    definite = singular + np.eye(4)[:, :, None]
    right = RNG.normal(size=(4, 2, 6))
    solution, log_determinant = lanes.solved(jnp.asarray(definite), jnp.asarray(right))
    for k in range(6):
        np.testing.assert_allclose(definite[..., k] @ solution[..., k], right[..., k], atol=1e-11)
        assert log_determinant[k] == pytest.approx(np.linalg.slogdet(definite[..., k])[1])
