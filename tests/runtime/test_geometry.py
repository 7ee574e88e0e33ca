"""Laws of clouds, their waves, and fields on them: closed forms, symmetries, a second engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.engines.gaussian import (
    Affine,
    Dense,
    Gaussian,
    Site,
    Term,
    Weights,
    WeightSpace,
)
from mercer.runtime.geometry.manifold import Manifold
from mercer.stdlib.kernels import RBF, Heat, Matern, Matern12, Matern32, Matern52
from mercer.stdlib.points import PerLabel
from mercer.stdlib.waves import wave_sd

RNG = np.random.default_rng(5)


def on_sphere(count, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


def shape(cloud, **settings):
    return Manifold(cloud, **{"dim": 2, "neighbours": 10, "modes": 40, "name": "M"} | settings)


@pytest.fixture(scope="module")
def sphere():
    return shape(on_sphere(1500))


def flat_torus(side, modes):
    """A lattice of side^2 points on the product of two circles in four dimensions, with the tangent
    frames that it has: those fitted to 15 neighbours, of which some are as near as others, are not
    quite even."""
    a, b = (g.ravel() for g in np.meshgrid(*[np.arange(side) * 2 * np.pi / side] * 2))
    zero = np.zeros(side**2)
    found = shape(
        np.stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b)], axis=1), neighbours=4, modes=modes
    )
    along = [[-np.sin(a), np.cos(a), zero, zero], [zero, zero, -np.sin(b), np.cos(b)]]
    found.__dict__["frames"] = np.transpose(along, (2, 1, 0))
    return found


def covariance(manifold, kernel, points=None):
    """Prior covariance of a vector field at points, in the surrounding space."""
    waves = manifold.tangents
    rows = manifold.tangents_at(manifold.cloud if points is None else points)
    scaled = rows * np.asarray(wave_sd(kernel, waves.frequencies, waves.roughness))
    return scaled @ scaled.T


# --- frequencies ----------------------------------------------------------------------------------


def test_frequencies_on_a_lattice_of_the_flat_torus_are_those_of_its_differences() -> None:
    side = 12
    found = flat_torus(side, side**2)
    wave = np.sin(np.arange(side) * np.pi / side) ** 2 / np.sin(np.pi / side) ** 2
    closed = np.sort((wave[:, None] + wave).ravel())
    np.testing.assert_allclose(found.numbers.frequencies, closed, atol=1e-9)


def test_vectors_on_the_flat_torus_are_pairs_of_numbers() -> None:
    found = flat_torus(12, 60)
    numbers, vectors = found.numbers.frequencies, found.tangents.frequencies
    np.testing.assert_allclose(vectors, np.repeat(numbers, 2)[:60], atol=1e-9)


def test_frequencies_on_the_sphere_are_those_of_its_laplacians(sphere) -> None:
    numbers, vectors = sphere.numbers.frequencies, sphere.tangents.frequencies
    for degree, place in ((1, 1), (2, 4), (3, 9)):  # l (l + 1), 2 l + 1 times
        own = numbers[place : place + 2 * degree + 1]
        assert np.mean(own) == pytest.approx(degree * (degree + 1), rel=0.03)
    for degree, place in ((1, 0), (2, 6)):  # l (l + 1) - 1, twice as often
        own = vectors[place : place + 4 * degree + 2]
        assert np.mean(own) == pytest.approx(degree * (degree + 1) - 1, rel=0.03)


@pytest.mark.parametrize("bend", [0.0, 0.12])
def test_frequencies_along_a_closed_curve_are_squares_whatever_the_gaps(bend) -> None:
    """Points by chance, up to seven times as dense on one side as on the other."""
    share = np.random.default_rng(0).uniform(size=600)
    angle = 2 * np.pi * (share + bend * np.sin(2 * np.pi * share))
    cloud = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    found = Manifold(cloud, dim=1, neighbours=12, modes=9, name="M")
    squares = [0, 1, 1, 4, 4, 9, 9, 16, 16]
    np.testing.assert_allclose(found.numbers.frequencies, squares, rtol=0.01, atol=1e-9)
    np.testing.assert_allclose(found.tangents.frequencies, squares, rtol=0.01, atol=1e-9)
    np.testing.assert_allclose(found.masses.sum(), 2 * np.pi, rtol=1e-3)


def test_frequencies_along_an_open_curve_are_those_of_cosines() -> None:
    along = np.sort(np.random.default_rng(1).uniform(size=500))
    along = (along - along[0]) / (along[-1] - along[0])
    cloud = np.stack([np.sin(2 * along), np.cos(2 * along)], axis=1)
    found = Manifold(cloud, dim=1, neighbours=12, modes=5, name="M").numbers.frequencies
    np.testing.assert_allclose(found, (np.arange(5) * np.pi / 2) ** 2, rtol=0.01, atol=1e-9)


def test_frequencies_do_not_depend_on_the_density_of_the_points() -> None:
    points = np.random.default_rng(1).normal(size=(2500, 3)) + np.array([0, 0, 0.7])
    found = shape(points / np.linalg.norm(points, axis=1)[:, None], modes=9)
    assert np.mean(found.numbers.frequencies[1:4]) == pytest.approx(2.0, rel=0.03)
    assert np.mean(found.numbers.frequencies[4:9]) == pytest.approx(6.0, rel=0.03)


def test_a_surface_is_the_same_in_twenty_dimensions(sphere) -> None:
    basis = np.linalg.qr(RNG.normal(size=(20, 3)))[0]
    wide = shape(sphere.cloud @ basis.T)
    for kind in ("numbers", "tangents"):
        own, other = getattr(sphere, kind), getattr(wide, kind)
        np.testing.assert_allclose(other.frequencies, own.frequencies, atol=1e-8)


def test_a_flat_cloud_in_space_is_a_surface() -> None:
    flat = np.concatenate([RNG.uniform(size=(400, 2)), np.zeros((400, 1))], axis=1)
    found = shape(flat, dim=None)
    assert found.dim == 2
    assert np.abs(found.frames[:, 2]).max() == 0.0
    assert found.numbers.frequencies[0] == pytest.approx(0.0, abs=1e-6)


def test_the_lowest_waves_are_those_of_the_whole_spectrum() -> None:
    cloud = on_sphere(300, seed=2)
    few, all_of_them = shape(cloud, modes=20), shape(cloud, modes=600)
    np.testing.assert_allclose(
        few.tangents.frequencies, all_of_them.tangents.frequencies[:20], rtol=1e-8
    )


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [200, 800])
@pytest.mark.parametrize(
    "kernel",
    [
        Matern12(lengthscale=0.7, scale=1.3),
        Matern52(lengthscale=0.3, scale=1.3),
        RBF(lengthscale=0.5, scale=1.3),
        Matern(nu=2.2, lengthscale=0.5, scale=1.3),
        Heat(time=0.4, scale=1.3),
    ],
    ids=lambda kernel: kernel.word.entry.name,
)
def test_the_mean_prior_variance_of_a_coordinate_is_the_square_of_its_scale(count, kernel) -> None:
    found = shape(on_sphere(count))
    for waves in (found.numbers, found.tangents):
        sd = np.asarray(wave_sd(kernel, waves.frequencies, waves.roughness))
        variance = np.sum((waves.values * sd) ** 2, axis=1).reshape(count, -1).mean(axis=1)
        share = found.masses / found.masses.sum()
        assert share @ variance == pytest.approx(1.3**2, rel=1e-10)


def test_turning_or_reflecting_the_frames_changes_no_field() -> None:
    cloud, kernel = on_sphere(150), Matern32(lengthscale=0.8)
    plain, turned = shape(cloud, modes=30), shape(cloud, modes=30)
    angle = RNG.uniform(0, 2 * np.pi, 150)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 1] *= RNG.choice([-1.0, 1.0], 150)
    turned.__dict__["frames"] = np.einsum("nDi,ijn->nDj", plain.frames, turn)
    places = on_sphere(20, seed=9)
    np.testing.assert_allclose(
        covariance(turned, kernel, places), covariance(plain, kernel, places), atol=1e-8
    )


def test_a_field_is_tangential(sphere) -> None:
    places = on_sphere(50, seed=3)
    rows = sphere.tangents_at(places).reshape(50, 3, -1)
    across = np.einsum("nD,nDk->nk", places, rows)
    assert np.std(across) < 0.1 * np.std(rows)
    np.testing.assert_allclose(sphere.tangential(places, rows[:, :, 0]), rows[:, :, 0], atol=1e-10)


def test_a_sum_of_kernels_is_the_sum_of_their_covariances(sphere) -> None:
    one, two = Matern32(lengthscale=0.8, scale=0.5), 2.5 * RBF(lengthscale=0.4)
    places = on_sphere(10, seed=4)
    total = covariance(sphere, one + two, places)
    apart = covariance(sphere, one, places) + covariance(sphere, two, places)
    np.testing.assert_allclose(total, apart, atol=1e-12)


def test_kernels_that_are_not_diagonal_in_the_waves_are_refused() -> None:
    with pytest.raises(ValueError, match="not diagonal in the waves"):
        wave_sd(Matern32(lengthscale=1.0) * RBF(lengthscale=1.0), jnp.arange(3.0))


def test_labels_have_standard_deviations_of_their_own() -> None:
    kernel = Matern32(lengthscale=PerLabel(jnp.array([0.5, 2.0])), scale=PerLabel(jnp.ones(2)))
    frequencies = jnp.arange(5.0)
    both = wave_sd(kernel, frequencies, 1.0, labels=2)
    for label, length in enumerate((0.5, 2.0)):
        alone = wave_sd(Matern32(lengthscale=length), frequencies, 1.0)
        np.testing.assert_allclose(both[5 * label : 5 * label + 5], alone, rtol=1e-12)


# --- points beside the cloud ----------------------------------------------------------------------


def test_a_point_that_tends_to_one_of_the_cloud_has_its_waves_in_the_end(sphere) -> None:
    own = sphere.cloud[:20]
    at = sphere.tangents_at(own)
    np.testing.assert_allclose(sphere.numbers_at(own), sphere.numbers.values[:20], atol=1e-12)
    errors = []
    for step in (1e-2, 1e-4, 1e-6):
        places = own + step * np.random.default_rng(0).normal(size=own.shape)
        errors.append(np.abs(sphere.tangents_at(places) - at).max())
    assert errors[1] < 0.02 * errors[0] and errors[2] < 0.02 * errors[1]


def test_linear_functions_are_carried_exactly() -> None:
    flat = RNG.uniform(size=(300, 2))
    found = shape(flat)
    inside = RNG.uniform(0.2, 0.8, size=(40, 2))
    carried = found.extension(inside).numbers(np.stack([np.ones(300), *flat.T], axis=1))
    np.testing.assert_allclose(carried[:, 0], 1.0, atol=1e-12)
    np.testing.assert_allclose(carried[:, 1:], inside, atol=1e-5)


def test_new_points_have_the_waves_of_the_sphere() -> None:
    found = shape(on_sphere(1500), modes=4)

    def error(places, waves):  # the lowest are the coordinates themselves, but for a rotation
        fit = places @ np.linalg.lstsq(places, waves, rcond=None)[0]
        return np.sqrt(np.mean((fit - waves) ** 2))

    places = on_sphere(200, seed=8)
    beside = error(places, found.numbers_at(places)[:, 1:])
    assert beside < 1.1 * error(found.cloud, found.numbers.values[:, 1:]) < 0.1


# --- engines --------------------------------------------------------------------------------------


def regression(manifold, kernel, noise, engine, labels=None, copies=1):
    waves, n = manifold.tangents, len(manifold.cloud)
    sd = wave_sd(kernel, waves.frequencies, waves.roughness, labels=copies)
    features = jnp.asarray(manifold.tangents_at(manifold.cloud))
    site = Site("f", features=features, size=3 * n, labels=labels)
    mean = Affine(0.0, (Term("f"), Term("mu", 1.0, np.zeros(3 * n, int))), (n, 3))
    values = np.cross([0.0, 0.0, 1.0], manifold.cloud)
    processes = {"f": Weights(sd=sd), "mu": Weights(sd=0.3)}
    sites = {"f": site, "mu": Site("mu")}
    keep = np.delete(np.arange(3 * n), [4, 17])
    return engine(processes, sites, {"y": (Gaussian(mean, noise), values, keep)})


@pytest.fixture(scope="module")
def small():
    return shape(on_sphere(60), modes=15)


@pytest.mark.parametrize("copies", [1, 3])
def test_weight_space_says_what_the_dense_engine_says(small, copies) -> None:
    labels = None if copies == 1 else jnp.asarray(np.arange(180) // 3 % 3)
    pair = [
        regression(small, Matern32(lengthscale=0.7), 0.2, engine, labels, copies)
        for engine in (WeightSpace, Dense)
    ]
    found, wanted = (float(block.log_density()) for block in pair)
    assert found == pytest.approx(wanted, abs=1e-8)
    target = Affine(0.0, (Term("f"),), (60, 3))
    for one, other in zip(*(block.condition({}, target) for block in pair), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    for one, other in zip(*(block.leave_one_out()["y"] for block in pair), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)


@pytest.mark.parametrize("engine", [WeightSpace, Dense])
def test_draws_have_the_law_of_the_field_given_the_data(small, engine) -> None:
    block = regression(small, Matern32(lengthscale=0.7), 0.5, engine)
    target = Affine(0.0, (Term("f"),), (60, 3))
    mean, variance = block.condition({}, target)
    keys = jax.random.split(jax.random.key(0), 400)
    draws = jax.lax.map(lambda key: block.draw(key, {"f": target})["f"], keys)
    z = (np.mean(draws, axis=0) - mean) / np.sqrt(variance / 400)
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.35)
    assert np.mean(np.var(draws, axis=0) / variance) == pytest.approx(1.0, abs=0.1)


def test_the_gradient_of_the_density_is_that_of_finite_differences(small) -> None:
    def density(theta):
        kernel = Matern32(lengthscale=jnp.exp(theta[0]), scale=jnp.exp(theta[1]))
        return regression(small, kernel, jnp.exp(theta[2]), WeightSpace).log_density()

    at, step = jnp.array([-0.3, 0.2, -1.0]), 1e-5
    value_and_grad = jax.jit(jax.value_and_grad(density))
    found = value_and_grad(at)[1]
    for number, unit in enumerate(np.eye(3)):
        ends = [value_and_grad(at + sign * step * unit)[0] for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * step)
        assert found[number] == pytest.approx(float(difference), rel=1e-6, abs=1e-6)


# --- what is wrong with a cloud -------------------------------------------------------------------


def refusal(call):
    with pytest.raises(MercerError) as caught:
        call()
    (told,) = caught.value.diagnostics
    assert told.mend
    return told


def test_two_clouds_in_one_are_an_error_that_counts_them() -> None:
    apart = np.concatenate([on_sphere(60), on_sphere(40) + np.array([5.0, 0, 0])])
    told = refusal(lambda: shape(apart).graph)
    assert told.code == "M432" and "2 parts, of 60, 40 points" in told.problem


def test_a_point_given_twice_is_an_error_that_names_the_rows() -> None:
    cloud = on_sphere(60)
    told = refusal(lambda: shape(np.concatenate([cloud, cloud[[7]]])).graph)
    assert told.code == "M431" and "rows 8 and 61" in told.problem


def test_a_cloud_of_fewer_points_than_neighbours_is_an_error() -> None:
    assert refusal(lambda: shape(on_sphere(8)).graph).code == "M430"


def test_a_dimension_that_is_not_clear_is_an_error() -> None:
    plain = on_sphere(400)
    noisy = plain * (1 + 0.3 * np.random.default_rng(1).normal(size=(400, 1)))
    told = refusal(lambda: shape(noisy, dim=None).frames)
    assert told.code == "M433" and "2 or 3" in told.problem
    assert shape(plain, dim=None).dim == 2


def test_a_dimension_above_that_of_the_space_is_an_error() -> None:
    assert refusal(lambda: shape(on_sphere(60), dim=4).frames).code == "M434"


def test_a_point_off_the_manifold_is_an_error_that_names_its_row(sphere) -> None:
    told = refusal(lambda: sphere.numbers_at(np.array([[0, 0, 1.0], [0, 0, 0.0]])))
    assert told.code == "M435" and "row 2" in told.problem
