"""The laws of the groups: those of a group, of its coordinates and of its Haar measure."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from mercer.stdlib.groups import GL2, SL2, SO2, SO3, Affine, Group, Scalings, named, sampled
from mercer.stdlib.groups.polar import log_haar, polar, stretch
from mercer.stdlib.groups.samples import whole_orbits

GROUPS = (SO2, SO3, Scalings, SL2, GL2)
_number = st.floats(-1.2, 1.2)


def _elements(group: Group, count: int, seed: int = 0) -> jax.Array:
    spread = 1.2 if group.strains else 1.5
    drawn = np.random.default_rng(seed).uniform(-spread, spread, (count, group.dimension))
    return group.element(jnp.asarray(drawn))


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
def test_products_are_associative_and_have_inverses(group: Group) -> None:
    a, b, c = (_elements(group, 20, seed) for seed in range(3))
    left = group.multiply(group.multiply(a, b), c)
    right = group.multiply(a, group.multiply(b, c))
    np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)
    one = jnp.broadcast_to(group.identity, a.shape)
    np.testing.assert_allclose(group.multiply(a, group.inverse(a)), one, atol=1e-12)
    np.testing.assert_allclose(group.multiply(a, one), a, atol=0)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
def test_the_affine_group_acts_on_points(group: Group) -> None:
    affine = Affine(group)
    random = np.random.default_rng(5)
    shifts = [jnp.asarray(random.normal(size=(20, group.degree))) for _ in range(3)]
    a, b = (
        affine.element(jnp.concatenate([s, group.coordinates(_elements(group, 20, k))], -1))
        for k, s in enumerate(shifts[:2])
    )
    x = shifts[2]
    np.testing.assert_allclose(
        affine.act(affine.multiply(a, b), x), affine.act(a, affine.act(b, x)), atol=1e-11
    )
    np.testing.assert_allclose(affine.act(affine.inverse(a), affine.act(a, x)), x, atol=1e-11)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
def test_coordinates_come_back_from_their_element(group: Group) -> None:
    spread = 1.5
    wanted = np.random.default_rng(1).uniform(-spread, spread, (200, group.dimension))
    found = group.coordinates(group.element(jnp.asarray(wanted)))
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.tuples(_number, _number, _number, st.floats(-3.1, 3.1)))
def test_every_matrix_of_positive_determinant_has_polar_coordinates(
    parts: tuple[float, ...],
) -> None:
    wanted = jnp.asarray(parts)
    element = GL2.element(wanted)
    strain = np.array([[parts[0] + parts[1], parts[2]], [parts[2], parts[0] - parts[1]]])
    turn = np.array([[0.0, -parts[3]], [parts[3], 0.0]])
    np.testing.assert_allclose(element, expm(strain) @ expm(turn), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(GL2.coordinates(element), wanted, rtol=1e-12, atol=1e-12)


def test_polar_coordinates_reach_what_the_exponential_does_not() -> None:
    element = jnp.array([[-2.0, 0.0], [0.0, -0.5]])  # in SL(2), of trace below -2
    assert np.trace(np.asarray(element)) < -2
    np.testing.assert_allclose(SL2.element(SL2.coordinates(element)), element, atol=1e-14)


def test_a_rotation_by_half_a_turn_has_a_vector() -> None:
    for axis in np.eye(3):
        element = SO3.element(jnp.asarray(np.pi * axis))
        np.testing.assert_allclose(SO3.element(SO3.coordinates(element)), element, atol=1e-12)


def test_the_haar_density_of_strains_is_the_invariant_measure_of_positive_matrices() -> None:
    """det(S)^(-(n+1)/2) dS = prod sinh(...)/(...) dY for S = exp(Y), Y = 2 X (n = 2)."""

    def positive(y: jax.Array) -> jax.Array:  # Y = [[y0, y1], [y1, y2]]
        s = stretch(jnp.stack([(y[0] + y[2]) / 2, (y[0] - y[2]) / 2, y[1]]))
        return jnp.stack([s[0, 0], s[0, 1], s[1, 1]])

    for y in np.random.default_rng(2).normal(size=(20, 3)):
        slopes = jnp.linalg.det(jax.jacobian(positive)(jnp.asarray(y)))
        found = slopes * np.exp(-1.5 * (y[0] + y[2]))
        strain = jnp.array([(y[0] + y[2]) / 4, (y[0] - y[2]) / 4, y[1] / 2])
        np.testing.assert_allclose(found, jnp.exp(log_haar(strain)), rtol=1e-8)


@pytest.mark.parametrize("group", [SO2, SO3, Scalings, SL2, GL2], ids=lambda g: g.name)
def test_the_haar_measure_does_not_change_under_left_translations(group: Group) -> None:
    moved_by = _elements(group, 1, 3)[0]

    def moved(coordinates: jax.Array) -> jax.Array:
        return group.coordinates(group.multiply(moved_by, group.element(coordinates)))

    for at in np.random.default_rng(4).uniform(-0.6, 0.6, (10, group.dimension)):
        at = jnp.asarray(at)
        slope = jnp.abs(jnp.linalg.det(jax.jacobian(moved)(at)))
        left = group.log_haar(moved(at)) + jnp.log(slope)
        np.testing.assert_allclose(left, group.log_haar(at), rtol=1e-9, atol=1e-9)


def test_the_affine_haar_measure_does_not_change_under_left_translations() -> None:
    affine = Affine(GL2)
    by = affine.element(jnp.array([0.3, -0.5, 0.2, 0.3, -0.4, 0.7]))

    def moved(coordinates: jax.Array) -> jax.Array:
        return affine.coordinates(affine.multiply(by, affine.element(coordinates)))

    for at in np.random.default_rng(6).uniform(-0.5, 0.5, (10, 6)):
        at = jnp.asarray(at)
        slope = jnp.abs(jnp.linalg.det(jax.jacobian(moved)(at)))
        left = affine.log_haar(moved(at)) + jnp.log(slope)
        np.testing.assert_allclose(left, affine.log_haar(at), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
def test_slopes_at_the_identity_are_numbers_and_right(group: Group) -> None:
    """There all eigenvalues are equal and all angles 0."""
    zero = jnp.zeros(group.dimension)
    there = jax.jacobian(group.element)(zero)
    back = jax.jacobian(group.coordinates)(group.identity)
    product = np.einsum("pij,ijq->pq", back, there)
    np.testing.assert_allclose(product, np.eye(group.dimension), atol=1e-12)
    step = 1e-6
    for k in range(group.dimension):
        ahead, behind = (group.element(zero.at[k].set(s)) for s in (step, -step))
        np.testing.assert_allclose(there[..., k], (ahead - behind) / (2 * step), atol=1e-9)
    second = jax.hessian(lambda x: jnp.sum(group.log_haar(x)))(zero)
    assert np.isfinite(second).all()


def test_slopes_are_right_where_series_and_closed_form_meet() -> None:
    for rho in (0.0499, 0.05, 0.0501, 0.0999, 0.1, 0.1001):
        at = jnp.array([0.1, rho * 0.6, rho * 0.8])
        slope = jax.jacobian(lambda x: polar(stretch(x)).strain)(at)
        np.testing.assert_allclose(slope, np.eye(3), atol=1e-10)


@pytest.mark.parametrize("name", ["SO(2)", "SL(2)", "GL(2)"])
def test_samples_come_in_whole_orbits_of_the_quarter_turns(name: str) -> None:
    found = sampled(name, 10, seed=3)
    assert found.count == whole_orbits(named(name), 10) == 12
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    turned = turn @ found.elements
    for element, weight in zip(turned, found.weights, strict=True):
        same = np.flatnonzero((found.elements == element).all((1, 2)))
        assert len(same) == 1 and found.weights[same[0]] == weight
    assert np.isclose(found.weights.sum(), 1.0)


def test_samples_within_an_angle_are_as_many_as_asked_for_and_turn_no_further() -> None:
    found = sampled("GL(2)", 9, seed=2, spread=0.1, angle=0.4)
    strains, angles = polar(jnp.asarray(found.elements))
    assert found.count == whole_orbits(found.group, 9, 0.4) == 9
    np.testing.assert_allclose(np.sort(angles), 0.4 * (np.arange(-4, 5) / 4.5), atol=1e-12)
    assert (np.linalg.norm(strains, axis=1) <= 0.1 + 1e-12).all()
    assert found.weights.sum() == pytest.approx(1.0)
    around = sampled("GL(2)", 9, seed=2, spread=0.1, angle=4.0)
    np.testing.assert_array_equal(around.elements, sampled("GL(2)", 9, 2, 0.1).elements)


def test_weighted_samples_integrate_by_the_haar_measure() -> None:
    """Against a grid over the ball of strains, where the density is not constant."""
    spread = 1.0
    found = sampled("SL(2)", 16_000, seed=1, spread=spread)
    strain = np.asarray(polar(jnp.asarray(found.elements)).strain)
    mean = found.weights @ (strain[:, 1] ** 2 + strain[:, 2] ** 2)
    radius = (np.arange(4000) + 0.5) / 4000 * spread
    density = radius * np.sinh(2 * radius) / (2 * radius)
    np.testing.assert_allclose(mean, (density @ radius**2) / density.sum(), rtol=2e-3)
    plain = (strain[:, 1] ** 2 + strain[:, 2] ** 2).mean()
    assert abs(plain - mean) > 0.01  # without weights it is another integral


def test_samples_follow_from_their_seed() -> None:
    first, again, other = (sampled("GL(2)", 12, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.elements, again.elements)
    assert np.abs(first.elements - other.elements).max() > 1e-3


def test_a_group_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"SO\(2\).*got 'SO\(4\)'"):
        named("SO(4)")
    with pytest.raises(ValueError, match="plane"):
        sampled("SO(3)", 4)
    with pytest.raises(ValueError, match="at least 1"):
        sampled("SO(2)", 0)
