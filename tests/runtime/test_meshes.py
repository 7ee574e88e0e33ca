"""Laws of meshes and of products with shapes: spectra, symmetries, a second implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from numpyro.infer.util import log_density
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.readers import read_file
from mercer.runtime.geometry.manifold import Manifold
from mercer.runtime.geometry.mesh import Mesh, mesh
from mercer.runtime.geometry.triangles import nearest_on_surface
from mercer.stdlib.kernels import RBF, Heat, Matern32
from mercer.stdlib.points import Points, covariance
from mercer.stdlib.waves import wave_sd

RNG = np.random.default_rng(6)
BALL = trimesh.creation.icosphere(subdivisions=3)
SMALL = trimesh.creation.icosphere(subdivisions=1)


@pytest.fixture(scope="module")
def ball():
    return Mesh(BALL.vertices, BALL.faces, modes=30, name="S")


def grid(side):
    """A square of 2 side^2 triangles, flat in space, its diagonals in turn."""
    a, b = (g.ravel() for g in np.meshgrid(np.arange(side + 1), np.arange(side + 1), indexing="ij"))
    vertices = np.stack([a, b, 0 * a], axis=1) / side
    cell = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    p, q, r, s = (c.ravel() for c in (cell[:-1, :-1], cell[1:, :-1], cell[1:, 1:], cell[:-1, 1:]))
    faces = np.concatenate([np.stack([p, q, r], axis=1), np.stack([p, r, s], axis=1)])
    return vertices, faces


# --- frequencies ----------------------------------------------------------------------------------


def test_frequencies_of_numbers_on_a_ball_are_l_times_l_plus_1(ball) -> None:
    for degree, start in ((1, 1), (2, 4), (3, 9)):
        found = ball.numbers.frequencies[start : start + 2 * degree + 1]
        np.testing.assert_allclose(found, degree * (degree + 1), rtol=0.02)


def test_frequencies_of_vectors_on_a_ball_are_one_less_and_twice_as_many(ball) -> None:
    for degree, start in ((1, 0), (2, 6)):
        found = ball.tangents.frequencies[start : start + 4 * degree + 2]
        np.testing.assert_allclose(found, degree * (degree + 1) - 1, rtol=0.02)


def test_no_wave_of_a_frequency_that_many_have_is_left_out(ball) -> None:
    """Of vectors on the ball 6 are alike, then 10, then 14: as the whole matrix has them."""
    root = np.repeat(ball.masses**-0.5, 2)
    whole = root[:, None] * ball.connection_laplacian().toarray() * root
    found = np.linalg.eigvalsh(whole)[:30]
    np.testing.assert_allclose(ball.tangents.frequencies, found, rtol=1e-8)


def test_frequencies_of_a_square_are_those_of_cosines() -> None:
    found = Mesh(*grid(24), modes=8, name="S").numbers.frequencies
    closed = np.sort([i**2 + j**2 for i in range(4) for j in range(4)])[:8] * np.pi**2
    np.testing.assert_allclose(found, closed, rtol=0.02, atol=1e-8)


def test_refining_a_mesh_brings_its_frequencies_nearer_by_the_square_of_the_edges() -> None:
    errors = []
    for count in (2, 3):
        ball = trimesh.creation.icosphere(subdivisions=count)
        found = Mesh(ball.vertices, ball.faces, modes=9, name="S").numbers.frequencies
        errors.append(abs(found[4] - 6.0))
    assert errors[1] < 0.3 * errors[0]


def test_a_mesh_and_a_cloud_of_its_vertices_have_the_same_lowest_fields(ball) -> None:
    cloud = Manifold(ball.vertices, dim=2, neighbours=10, modes=30, name="M")
    for kind in ("numbers", "tangents"):
        one, other = getattr(ball, kind).frequencies, getattr(cloud, kind).frequencies
        np.testing.assert_allclose(other[:9], one[:9], rtol=0.06, atol=0.02)


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel", [Matern32(lengthscale=0.5, scale=1.3), Heat(time=0.2, scale=1.3)]
)
def test_the_mean_prior_variance_over_the_area_is_the_square_of_the_scale(ball, kernel) -> None:
    for waves in (ball.numbers, ball.tangents):
        sd = np.asarray(wave_sd(kernel, waves.frequencies, waves.roughness))
        variance = np.sum((waves.values * sd) ** 2, axis=1).reshape(len(ball.vertices), -1)
        share = ball.masses / ball.masses.sum()
        assert share @ variance.mean(axis=1) == pytest.approx(1.3**2, rel=1e-10)


def test_turning_a_mesh_turns_its_fields(ball) -> None:
    turn = Rotation.from_rotvec([0.3, 0.8, 0.1]).as_matrix()
    turned = Mesh(BALL.vertices @ turn.T, BALL.faces, modes=30, name="S")
    places = BALL.vertices[::40]
    sd = np.asarray(wave_sd(Heat(time=0.3), ball.tangents.frequencies))
    one, other = (m.tangents_at(p) * sd for m, p in ((ball, places), (turned, places @ turn.T)))
    one = np.einsum("ij,njk->nik", turn, one.reshape(len(places), 3, -1)).reshape(one.shape)
    np.testing.assert_allclose(other @ other.T, one @ one.T, atol=1e-6)


def test_waves_are_carried_continuously_over_an_edge_and_met_at_vertices(ball) -> None:
    at = ball.numbers_at(ball.vertices[:20])
    np.testing.assert_allclose(at, ball.numbers.values[:20], atol=1e-10)
    first, second, _ = ball.edges
    middle = (ball.vertices[first[:30]] + ball.vertices[second[:30]]) / 2
    step = 1e-7 * RNG.normal(size=middle.shape)
    for waves in (ball.numbers_at, ball.tangents_at):
        np.testing.assert_allclose(waves(middle + step), waves(middle - step), atol=1e-4)


def test_a_field_on_a_mesh_is_tangential(ball) -> None:
    places = RNG.normal(size=(40, 3))
    places /= np.linalg.norm(places, axis=1)[:, None]
    rows = ball.tangents_at(places).reshape(40, 3, -1)
    assert np.std(np.einsum("nD,nDk->nk", places, rows)) < 0.03 * np.std(rows)


def test_the_nearest_point_of_a_surface_is_that_of_a_search_over_all_triangles() -> None:
    points = 1.4 * RNG.normal(size=(60, 3))
    corners = SMALL.vertices[SMALL.faces]
    found = nearest_on_surface(points, corners)
    share = np.random.default_rng(0).dirichlet(np.ones(3), size=4000)
    share = np.concatenate([share, np.eye(3)])
    every = np.einsum("sk,fkD->fsD", share, corners).reshape(-1, 3)
    sampled = np.linalg.norm(points[:, None] - every, axis=2).min(axis=1)
    assert np.all(found.distance <= sampled + 1e-12)
    np.testing.assert_allclose(found.distance, sampled, atol=0.02)
    at = np.einsum("nk,nkD->nD", found.shares, corners[found.face])
    np.testing.assert_allclose(np.linalg.norm(points - at, axis=1), found.distance, atol=1e-12)


# --- products with shapes -------------------------------------------------------------------------


def test_a_field_in_time_has_the_covariance_of_the_field_times_that_of_time(ball) -> None:
    places, when = BALL.vertices[::90], np.linspace(0, 1, len(BALL.vertices[::90]))
    waves = ball.numbers
    features, points = ball.numbers_at(places), (jnp.asarray(when)[:, None],)
    space, time = Matern32(lengthscale=0.6, scale=1.3), RBF(lengthscale=0.4)
    product = space.over(waves.frequencies, waves.roughness, factor=0) * time.on(factor=1)
    rows = Points((jnp.asarray(features), *points))
    scaled = features * np.asarray(wave_sd(space, waves.frequencies, waves.roughness))
    closed = (scaled @ scaled.T) * np.asarray(covariance(time, Points(points), Points(points)))
    np.testing.assert_allclose(covariance(product, rows, rows), closed, atol=1e-12)


def test_a_program_on_a_mesh_in_time_has_the_density_of_its_gaussian() -> None:
    text = """
data vertices[v] : Real^3
data corners[t] : Label(v)^3
data x[n], arrow[n] : Real^3
data when[n] : Real
S = Mesh(vertices, corners, modes = 20)
field : (place: S, time: Real) -> Tangent(S) ~ GP(
    Heat(time = 0.1, scale = 0.7)[place] * RBF(lengthscale = 0.5, scale = 1)[time]
)
noise ~ HalfNormal(1)
arrow ~ Normal(field(x, when), noise)
"""
    x, when = SMALL.vertices[:6], np.linspace(0, 1, 6)
    arrow = np.cross([0, 0, 1.0], x)
    shape = mesh(SMALL.vertices, SMALL.faces, modes=20, name="S")
    waves = shape.tangents
    rows = shape.tangents_at(x)
    rows = rows * np.asarray(wave_sd(Heat(time=0.1, scale=0.7), waves.frequencies))
    apart = np.subtract.outer(when, when)
    matrix = (rows @ rows.T) * np.kron(np.exp(-0.5 * (apart / 0.5) ** 2), np.ones((3, 3)))
    wanted = multivariate_normal(cov=matrix + 0.04 * np.eye(18)).logpdf(arrow.ravel())
    wanted += np.log(2) - 0.5 * np.log(2 * np.pi) - 0.02
    data = {"vertices": SMALL.vertices, "corners": SMALL.faces, "x": x, "when": when}
    found = density(text, data | {"arrow": arrow}, {"noise": 0.2})
    assert found == pytest.approx(float(wanted), abs=1e-8)


def density(text, data, values):
    """The log density of the program of a model."""
    model = mercer.compile(text)
    module, arrays = model.program(), model.bind(data).arrays
    known = {**module.prepare(**arrays), **module.summaries(**arrays)}
    return float(log_density(module.model, (), jax.tree.map(jnp.asarray, known), values)[0])


# --- files, and what is wrong with them -----------------------------------------------------------


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "off"])
def test_a_file_of_triangles_is_read_whatever_its_kind(kind, tmp_path) -> None:
    path = tmp_path / f"ball.{kind}"
    path.write_bytes(as_bytes(SMALL.export(file_type=kind)))
    table = read_file(path).columns
    assert table["vertices"].shape == (42, 3) and table["faces"].shape == (80, 3)
    found = Mesh(table["vertices"], table["faces"], modes=9, name="S").numbers.frequencies
    wanted = Mesh(SMALL.vertices, SMALL.faces, modes=9, name="S").numbers.frequencies
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def as_bytes(content):
    return content.encode() if isinstance(content, str) else content


def refusal(call):
    with pytest.raises(MercerError) as caught:
        call()
    (told,) = caught.value.diagnostics
    return told


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "off"])
def test_a_file_of_triangles_that_is_cut_short_is_refused(kind, tmp_path) -> None:
    path = tmp_path / f"ball.{kind}"
    content = as_bytes(SMALL.export(file_type=kind))
    path.write_bytes(content[: len(content) // 3])
    told = refusal(lambda: Mesh(**tables(path), modes=9, name="S"))
    assert told.code in ("M411", "M421", "M437") and (told.mend or told.why)


def tables(path):
    return dict(read_file(path).columns)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v, f: (v, np.r_[f, [[0, 1, 999]]]), "face 81 of S has a corner that is no vertex"),
        (lambda v, f: (v, np.r_[f, [[0, 1, 1]]]), "face 81 of S has no area"),
        (lambda v, f: (v, f[:0]), "S has no faces"),
    ],
)
def test_a_mesh_that_is_none_is_refused_by_its_face(change, said) -> None:
    told = refusal(lambda: Mesh(*change(SMALL.vertices, SMALL.faces), modes=9, name="S"))
    assert told.code == "M437" and said in told.problem


def test_two_surfaces_in_one_mesh_are_an_error_that_counts_them() -> None:
    vertices = np.concatenate([SMALL.vertices, SMALL.vertices[:4] + 5.0])
    faces = np.concatenate([SMALL.faces, [[42, 43, 44], [42, 43, 45]]])
    told = refusal(lambda: Mesh(vertices, faces, modes=9, name="S"))
    assert told.code == "M432" and "2 parts, of 42, 4 vertices" in told.problem


def test_a_point_off_the_mesh_is_told_by_its_row(ball) -> None:
    told = refusal(lambda: ball.numbers_at(np.array([[0, 0, 1.0], [0, 0, 0.0]])))
    assert told.code == "M435" and "row 2" in told.problem
