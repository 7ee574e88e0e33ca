"""The engine of grids against the dense one, which knows of none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.runtime.engines.dense import Dense
from mercer.runtime.engines.grid import Grid
from mercer.runtime.engines.lattice import LABEL, OUTPUT, Axes, axis_kernels, lattice
from mercer.runtime.engines.terms import Affine, Gaussian, RandomFunction, Site, Term, Weights
from mercer.stdlib.kernels import RBF, Matern32, Matern52, Periodic, RationalQuadratic
from mercer.stdlib.points import Points, covariance

RNG = np.random.default_rng(3)
PLANE: Axes = (((0, 0),), ((0, 1),))
PLACE_AND_TIME: Axes = (((0, 0), (0, 1)), ((1, 0),))
AT = jnp.array([0.9, 1.4, 1.2, 0.15, 1.7, 0.6])
"""Two lengthscales, scale, noise, spread of the weights, coefficient of the function."""


def held(*factors: Any, **codes: Any) -> Points:
    """Points on the host, where grids are found."""
    return Points(factors, **codes)


def plane(rows: int = 5, columns: int = 6) -> Points:
    """The points of a grid in any order; the first axis is not regular."""
    first = np.sort(RNG.uniform(0, 3, rows))
    pairs = np.stack(np.meshgrid(first, np.linspace(0, 2, columns), indexing="ij"), -1)
    return held(RNG.permutation(pairs.reshape(-1, 2)))


def place_and_time() -> Points:
    """Scattered sites, all at the same irregular times."""
    place, time = RNG.uniform(0, 2, (6, 2)), np.sort(RNG.uniform(0, 3, 4))
    return held(np.repeat(place, 4, axis=0), np.tile(time, 6)[:, None])


def several(is_output: bool) -> Points:
    """A function at 6 times, 3 of it."""
    codes = np.tile(np.arange(3), 6)
    time = np.repeat(np.linspace(0, 2, 6), 3)[:, None]
    return held(time, output=codes) if is_output else held(time, labels=codes)


def of_plane(at: jax.Array) -> RandomFunction:
    return RandomFunction(RBF(lengthscale=at[:2], scale=at[2]))


def of_place_and_time(at: jax.Array) -> RandomFunction:
    space, time = Matern52(lengthscale=at[0], scale=at[2]), Periodic(period=2.0, lengthscale=at[1])
    return RandomFunction(space.on(factor=0) * (Matern32(lengthscale=at[1]) * time).on(factor=1))


def of_outputs(at: jax.Array) -> RandomFunction:
    root = jnp.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.2, 1.0]]) * at[1]
    return RandomFunction(RBF(lengthscale=at[0], scale=at[2]), outputs=root @ root.T)


def of_labels(at: jax.Array) -> RandomFunction:
    return RandomFunction(RBF(lengthscale=at[0], scale=at[2]))


CASES: dict[str, tuple[Points, Axes, Callable[[jax.Array], RandomFunction]]] = {
    "plane": (plane(), PLANE, of_plane),
    "place and time": (place_and_time(), PLACE_AND_TIME, of_place_and_time),
    "correlated outputs": (several(True), (((0, 0),), (OUTPUT,)), of_outputs),
    "independent outputs": (several(True), (((0, 0),), (OUTPUT,)), of_labels),
    "copies": (several(False), (((0, 0),), (LABEL,)), of_labels),
}
VALUES = RNG.normal(size=30)


def block(engine: Any, case: str, at: jax.Array, *, missing: int = 0, absent: int = 0) -> Any:
    """An engine given a function, two weights and noise; `missing` rows have no value, `absent`
    ones are not there."""
    points, axes, process = CASES[case]
    count = len(points.factors[0]) - absent
    points = jax.tree.map(lambda leaf: leaf[:count], points)
    values = jnp.asarray(VALUES[:count])
    keep = np.arange(missing, count) if missing else None
    site = Site("f", jax.tree.map(jnp.asarray, points), count, grid=lattice(_on_host(points), axes))
    law = Gaussian(mean_at("f", "w", at, count), noise=at[3])
    sites = {"f": site, "w": Site("w", size=2)}
    processes = {"f": process(at), "w": Weights(sd=at[4])}
    return engine(processes, sites, {"y": (law, values, keep)})


def density(engine: Any, case: str, at: jax.Array, **holes: int) -> Any:
    return block(engine, case, at, **holes).log_density()


def mean_at(site: str, weights: str, at: jax.Array, count: int) -> Affine:
    terms = (Term(site, at[5]), Term(weights, 1.0, jnp.arange(count) % 2))
    return Affine(0.3, terms, shape=(count,))


def _on_host(points: Points) -> Site:
    return Site("f", points, len(points.factors[0]))


def elsewhere(case: str) -> tuple[dict[str, Site], Points]:
    """Seven points beside the grid; of labels and outputs some that it has."""
    points, _, _ = CASES[case]
    moved = tuple(jnp.asarray(factor[:7]) + 0.21 for factor in points.factors)
    own = [None if c is None else jnp.asarray(c[:7]) for c in (points.labels, points.output)]
    found = Points(moved, labels=own[0], output=own[1])
    return {"new": Site("f", found, 7)}, found


HOLES = [{"missing": 2, "absent": 4}, {"missing": 3}, {}]
SOME = ["plane", *(pytest.param(case, marks=pytest.mark.slow) for case in list(CASES)[1:])]


@pytest.mark.parametrize("case", SOME)
def test_density_and_gradient_are_those_of_the_dense_engine(case: str) -> None:
    for holes in HOLES if case == "plane" else HOLES[:1]:
        exact, own = (
            jax.jit(jax.value_and_grad(partial(density, e, case, **holes)))(AT)
            for e in (Dense, Grid)
        )
        np.testing.assert_allclose(own[0], exact[0], rtol=1e-9)
        np.testing.assert_allclose(own[1], exact[1], rtol=1e-7, atol=1e-7)


def test_second_derivatives_hold_where_eigenvalues_are_equal() -> None:
    exact, own = (
        jax.jit(jax.hessian(partial(density, e, "copies", missing=1)))(AT) for e in (Dense, Grid)
    )
    # All eigenvalues of the axis of copies are 1.
    np.testing.assert_allclose(own, exact, rtol=1e-7, atol=1e-6)


@cache
def laws(engine: Any, case: str) -> tuple[Any, Any]:
    """Means, variances and covariances of rows that read all there is, and rows left out."""
    sites, _ = elsewhere(case)
    affines = [
        mean_at("new", "w", 0.4 * AT, 7),
        Affine(0.0, (Term("new"), Term("f", -1.0, jnp.arange(7))), shape=(7,)),
        Affine(0.0, (Term("f", 2.0, jnp.array([4, 0])),), shape=(2,)),
        Affine(1.0, (Term("w", 1.0, jnp.array([1])),), shape=(1,)),
    ]

    def found(at: jax.Array) -> tuple[Any, Any]:
        own = block(engine, case, at, missing=2, absent=1)
        both = [own.condition(sites, a, full=full) for a in affines for full in (False, True)]
        return both, own.leave_one_out()["y"]

    return jax.jit(found)(AT)


@pytest.mark.parametrize("case", SOME)
def test_predictions_are_those_of_the_dense_engine(case: str) -> None:
    for wanted, found in zip(laws(Dense, case)[0], laws(Grid, case)[0], strict=True):
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", SOME)
def test_rows_left_out_are_predicted_as_by_the_dense_engine(case: str) -> None:
    for wanted, found in zip(laws(Dense, case)[1], laws(Grid, case)[1], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plane", "correlated outputs"])
def test_draws_have_the_joint_law_of_the_posterior(case: str) -> None:
    sites, _ = elsewhere(case)
    own, exact = (block(e, case, AT, missing=2) for e in (Grid, Dense))
    count = own.site.size
    new, old = mean_at("new", "w", AT, 7), mean_at("f", "w", AT, count)
    draws = 8000
    keys = jax.random.split(jax.random.key(1), draws)
    drawn = jax.vmap(lambda k: own.draw(k, {"new": new, "old": old}, sites))(keys)
    found = np.concatenate([drawn["new"], drawn["old"]], axis=1)
    reads = jnp.concatenate([jnp.full(7, AT[5]), jnp.zeros(count)])
    place = jnp.concatenate([jnp.arange(7), jnp.zeros(count, int)])
    back = jnp.concatenate([jnp.zeros(7, int), jnp.arange(count)])
    terms = (Term("new", reads, place), Term("f", AT[5] - reads, back))
    group = jnp.concatenate([jnp.arange(7) % 2, jnp.arange(count) % 2])
    joint = Affine(0.3, (*terms, Term("w", 1.0, group)), shape=(7 + count,))
    mean, covariance_ = (np.asarray(v) for v in exact.condition(sites, joint, full=True))
    sd = np.sqrt(np.diagonal(covariance_))
    error = np.sqrt(draws)  # in standard errors, of which 5 are seen once in a million entries
    assert np.max(np.abs(found.mean(0) - mean) / sd) * error < 5
    assert np.max(np.abs(np.cov(found.T) - covariance_) / np.outer(sd, sd)) * error < 8


@pytest.mark.slow
def test_without_data_draws_are_those_of_the_prior() -> None:
    points, axes, process = CASES["plane"]
    site = Site("f", jax.tree.map(jnp.asarray, points), 30, grid=lattice(_on_host(points), axes))
    own = Grid({"f": process(AT)}, {"f": site}, {})
    whole = Affine(0.0, (Term("f"),), shape=(30,))
    keys = jax.random.split(jax.random.key(2), 8000)
    drawn = jax.vmap(lambda k: own.draw(k, {"f": whole})["f"])(keys)
    wanted = covariance(process(AT).kernel, site.points, site.points)
    assert np.max(np.abs(np.cov(drawn.T) - wanted)) < 8 * AT[2] ** 2 / np.sqrt(8000)


def test_kernels_of_axes_multiply_to_the_kernel() -> None:
    points = plane(4, 5)
    rough = Matern32(lengthscale=0.8).on(coordinates=(1,))
    kernel = 2.0 * (RBF(lengthscale=jnp.array([0.7, 1.1]), scale=1.3) * rough) ** 2
    parts = axis_kernels(kernel, PLANE, points)
    own = jax.tree.map(jnp.asarray, points)
    product = jnp.prod(jnp.stack([covariance(k, own, own) for k in parts if k is not None]), 0)
    np.testing.assert_allclose(product, covariance(kernel, own, own), rtol=1e-12)


def test_a_kernel_of_distances_is_no_product_over_coordinates() -> None:
    scales = RationalQuadratic(alpha=1.0, lengthscale=0.5)
    for kernel in (Matern32(lengthscale=jnp.ones(2)), scales):
        with pytest.raises(ValueError, match="no product over these axes"):
            axis_kernels(kernel, PLANE, plane())


def test_cells_hold_the_points_that_they_came_from() -> None:
    points = jax.tree.map(lambda leaf: leaf[:27], plane())
    found = lattice(_on_host(points), PLANE)
    cells = np.unravel_index(found.cell, found.shape)
    whole = np.stack([entry[code, 0] for entry, code in zip(found.points, cells)], axis=1)
    np.testing.assert_array_equal(whole, points.factors[0])
    assert len(found.absent) == 3 and found.is_once
    np.testing.assert_array_equal(found.row[found.cell], np.arange(27))
    twice = held(np.concatenate([points.factors[0]] * 2))
    assert not lattice(_on_host(twice), PLANE).is_once
