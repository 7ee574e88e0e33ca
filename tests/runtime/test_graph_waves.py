"""Laws of fields on graphs: closed forms, and covariances that are positive definite by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy.linalg import expm, pinvh
from scipy.stats import multivariate_normal

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.geometry.graphs import graph
from mercer.stdlib.kernels import (
    Communicability,
    CommuteTime,
    Heat,
    Intrinsic,
    Matern,
    RegularisedLaplacian,
)
from mercer.stdlib.waves import wave_sd

NODES = 14
RNG = np.random.default_rng(2)
FIRST = np.r_[np.arange(NODES), 0, 3, 5]
SECOND = np.r_[(np.arange(NODES) + 1) % NODES, 7, 9, 12]


def laplacian():
    joined = np.zeros((NODES, NODES))
    joined[FIRST, SECOND] = joined[SECOND, FIRST] = 1.0
    return np.diag(joined.sum(axis=1)) - joined


def adjacency():
    return np.diag(np.diag(laplacian())) - laplacian()


def covariance(kernel):
    shape = graph(FIRST, SECOND)
    waves = shape.walks if kernel.word.entry.is_of_walks else shape.numbers
    scaled = waves.values * np.asarray(wave_sd(kernel, waves.frequencies, waves.roughness))
    return scaled @ scaled.T


def with_mean_variance(matrix, scale):
    return scale**2 * matrix / np.mean(np.diag(matrix))


@pytest.mark.parametrize(
    ("kernel", "closed"),
    [
        (Heat(time=0.7, scale=1.3), lambda: expm(-0.7 * laplacian())),
        (Intrinsic(scale=1.3), lambda: pinvh(laplacian())),
        (
            Matern(nu=1.0, lengthscale=2.0, scale=1.3),
            lambda: np.linalg.inv(laplacian() + 0.5 * np.eye(NODES)),
        ),
        (
            Matern(nu=3.0, lengthscale=2.0, scale=1.3),
            lambda: np.linalg.matrix_power(np.linalg.inv(laplacian() + 1.5 * np.eye(NODES)), 3),
        ),
        (
            RegularisedLaplacian(lengthscale=2.0, scale=1.3),
            lambda: np.linalg.inv(np.eye(NODES) + 2.0 * laplacian()),
        ),
        (Communicability(strength=0.4, scale=1.3), lambda: expm(0.4 * adjacency())),
        (CommuteTime(scale=1.3), lambda: pinvh(laplacian())),
    ],
    ids=["heat", "intrinsic", "nu = 1", "nu = 3", "regularised", "communicability", "commute"],
)
def test_a_kernel_on_a_graph_is_its_function_of_the_laplacian(kernel, closed) -> None:
    np.testing.assert_allclose(covariance(kernel), with_mean_variance(closed(), 1.3), atol=1e-10)


def test_squared_differences_of_the_commute_time_kernel_are_in_the_ratio_of_commute_times() -> None:
    """Against the mean times of random walks, from the linear equations that they solve."""
    walk = adjacency() / adjacency().sum(axis=1)[:, None]
    times = np.zeros((NODES, NODES))
    for goal in range(NODES):
        rest = np.delete(np.arange(NODES), goal)
        inside = np.eye(NODES - 1) - walk[np.ix_(rest, rest)]
        times[rest, goal] = np.linalg.solve(inside, np.ones(NODES - 1))
    matrix = covariance(CommuteTime(scale=1.0))
    apart = np.add.outer(np.diag(matrix), np.diag(matrix)) - 2 * matrix
    pairs = np.triu_indices(NODES, 1)
    ratio = (times + times.T)[pairs] / apart[pairs]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_waves_of_a_ring_are_sines() -> None:
    ring = np.arange(9)
    found = graph(ring, (ring + 1) % 9).numbers.frequencies
    np.testing.assert_allclose(found, np.sort(2 - 2 * np.cos(2 * np.pi * ring / 9)), atol=1e-12)


def test_an_edge_counts_once_however_often_it_is_given() -> None:
    twice = graph(np.r_[FIRST, SECOND[:4]], np.r_[SECOND, FIRST[:4]])
    np.testing.assert_allclose(
        twice.numbers.frequencies, graph(FIRST, SECOND).numbers.frequencies, atol=1e-12
    )


@pytest.mark.parametrize(
    ("first", "second", "code", "said"),
    [
        ([0, 2], [1, 3], "M432", "2 parts, of 2, 2 nodes"),
        ([0, 1], [1, 1], "M436", "edge 2 of G joins a node with itself"),
    ],
)
def test_a_graph_that_is_none_is_refused(first, second, code, said) -> None:
    with pytest.raises(MercerError) as caught:
        graph(np.array(first), np.array(second), name="G")
    (told,) = caught.value.diagnostics
    assert told.code == code and said in told.problem and told.mend


def test_a_node_without_edges_is_an_error_that_names_its_row() -> None:
    with pytest.raises(MercerError, match="row 2"):
        graph(FIRST, SECOND).numbers_at([0, NODES])


EDGES = {"a": FIRST, "b": SECOND}
HEAD = """
data a[e], b[e] : Label(v)
data node[n] : Label(v)
data when[n], y[n] : Real
G = Graph(a, b)
"""


def test_a_function_on_a_graph_and_in_time_has_the_product_of_their_covariances() -> None:
    text = (
        HEAD
        + """
f : (node: G, time: Real) -> Real ~ GP(
    RegularisedLaplacian(lengthscale = 2, scale = 0.7)[node] * RBF(lengthscale = 0.5)[time]
)
y ~ Normal(level + f(node, when), 0.3)
level ~ Normal(0, 1)
"""
    )
    node, when = np.arange(8), np.linspace(0, 1, 8)
    y = np.sin(3 * when)
    model = mercer.compile(text)
    module = model.program()
    arrays = model.bind({**EDGES, "node": node, "when": when, "y": y}).arrays
    arrays = {**arrays, "v": np.arange(NODES)}
    known = {**module.prepare(**arrays), **module.summaries(**arrays)}
    found = log_density(module.model, (), jax.tree.map(jnp.asarray, known), {})[0]
    closed = with_mean_variance(np.linalg.inv(np.eye(NODES) + 2.0 * laplacian()), 0.7)
    apart = np.subtract.outer(when, when)
    matrix = closed[:8, :8] * np.exp(-0.5 * (apart / 0.5) ** 2) + 1.0 + 0.09 * np.eye(8)
    assert float(found) == pytest.approx(multivariate_normal(cov=matrix).logpdf(y), abs=1e-8)


@pytest.mark.parametrize(
    ("kernel", "code", "said"),
    [
        ("LogCommunicability()", "M214", "is no covariance"),
        ("Communicability() + Heat()", "M303", "beside `Communicability` in one function"),
    ],
)
def test_what_is_no_covariance_on_a_graph_is_refused(kernel, code, said) -> None:
    with pytest.raises(MercerError) as caught:
        mercer.compile(HEAD + f"f : G -> Real ~ GP({kernel})\ny ~ Normal(f(node), 1)").plan()
    (told,) = caught.value.diagnostics
    assert told.code == code and said in told.problem and (told.mend or told.why)


def test_walks_on_a_graph_need_a_graph() -> None:
    text = "data y[n] : Real\nf : Sphere(2) -> Real ~ GP(Communicability())\n"
    with pytest.raises(MercerError, match="is a kernel of graphs"):
        mercer.compile(text + "data x[n] : Sphere(2)\ny ~ Normal(f(x), 1)")
