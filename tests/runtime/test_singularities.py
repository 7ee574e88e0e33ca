"""Laws of the zeros of fields on surfaces: their indices add up as the surface has it."""

import numpy as np
import pytest
import trimesh

from mercer.runtime.geometry.manifold import Manifold
from mercer.runtime.geometry.mesh import Mesh
from mercer.runtime.geometry.singularities import singularities

BALL = trimesh.creation.icosphere(subdivisions=3)
RING = trimesh.creation.torus(1.0, 0.4, major_sections=40, minor_sections=20)


def mesh(found):
    return Mesh(found.vertices, found.faces, modes=20, name="S")


def on_sphere(count):
    points = np.random.default_rng(1).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


@pytest.mark.parametrize(("shape", "total"), [(BALL, 2), (RING, 0)], ids=["ball", "torus"])
@pytest.mark.parametrize("seed", range(3))
def test_the_indices_of_any_field_add_up_to_the_euler_characteristic(shape, total, seed) -> None:
    surface = mesh(shape)
    weights = np.random.default_rng(seed).normal(size=20)
    inside = (surface.tangents.values @ weights).reshape(-1, 2)
    field = np.einsum("nDi,ni->nD", surface.frames, inside)
    found = singularities(surface, field)
    assert found.index.sum() == total
    assert set(np.abs(found.index)) <= {1}


@pytest.mark.parametrize(
    "surface",
    [mesh(BALL), Manifold(on_sphere(600), dim=2, neighbours=10, modes=20, name="M")],
    ids=["mesh", "cloud"],
)
def test_a_rotation_of_the_sphere_turns_once_about_each_pole(surface) -> None:
    points = surface.vertices if isinstance(surface, Mesh) else surface.cloud
    axis = np.array([0.2, 0.5, 0.8]) / np.linalg.norm([0.2, 0.5, 0.8])
    found = singularities(surface, np.cross(axis, points))
    assert sorted(found.index) == [1, 1]
    heights = np.sort(found.places @ axis)
    np.testing.assert_allclose(heights, [-1, 1], atol=0.03)


def test_a_saddle_has_the_index_minus_one() -> None:
    """The gradient of x y z on the sphere: 8 peaks and pits, 6 saddles."""
    points = BALL.vertices
    gradient = np.stack([points[:, (k + 1) % 3] * points[:, (k + 2) % 3] for k in range(3)], axis=1)
    gradient -= np.sum(gradient * points, axis=1)[:, None] * points
    turn = 0.02 * np.cross([0.3, 0.5, 0.8], points)  # off the symmetry, where ties are
    found = singularities(mesh(BALL), gradient + turn)
    assert np.bincount(found.index + 1, minlength=3).tolist() == [6, 0, 8]


def test_a_field_along_a_torus_vanishes_nowhere() -> None:
    points = RING.vertices
    along = np.stack([-points[:, 1], points[:, 0], 0 * points[:, 0]], axis=1)
    assert len(singularities(mesh(RING), along).index) == 0
