"""Laws of fields on graphs: closed forms, and covariances that are positive definite by name."""

import numpy as np
import pytest
from scipy.linalg import expm, pinvh

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.geometry.graphs import graph
from mercer.stdlib.kernels import Heat, Intrinsic, Matern
from mercer.stdlib.waves import wave_sd

NODES = 14
RNG = np.random.default_rng(2)
FIRST = np.r_[np.arange(NODES), 0, 3, 5]
SECOND = np.r_[(np.arange(NODES) + 1) % NODES, 7, 9, 12]


def laplacian():
    joined = np.zeros((NODES, NODES))
    joined[FIRST, SECOND] = joined[SECOND, FIRST] = 1.0
    return np.diag(joined.sum(axis=1)) - joined


def covariance(kernel):
    waves = graph(FIRST, SECOND).numbers
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
    ],
    ids=["heat", "intrinsic", "regularised", "matern"],
)
def test_a_kernel_on_a_graph_is_its_function_of_the_laplacian(kernel, closed) -> None:
    np.testing.assert_allclose(covariance(kernel), with_mean_variance(closed(), 1.3), atol=1e-10)


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
