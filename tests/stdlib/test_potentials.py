"""Laws of fields made of potentials: closed forms, no divergence, no curl, their sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.stdlib.algebra import PerLabel
from mercer.stdlib.kernels import (
    RBF,
    CurlFree,
    DivergenceFree,
    Helmholtz,
    Matern32,
    Matern52,
    RationalQuadratic,
)
from mercer.stdlib.points import Points, covariance, variance

RNG = np.random.default_rng(12)
KERNELS = [
    RBF(lengthscale=0.8, scale=1.3),
    RBF(lengthscale=jnp.array([0.8, 1.4, 0.6]), scale=1.3),
    Matern32(lengthscale=0.8, scale=1.3),
    Matern52(lengthscale=1.1) + 2.5 * RationalQuadratic(lengthscale=0.7, alpha=1.5),
]
covariances = jax.jit(covariance)
EVERY = pytest.mark.parametrize(
    ("kernel", "width"),
    [(KERNELS[0], 2), (KERNELS[1], 3), (KERNELS[2], 2), (KERNELS[3], 3)],
    ids=["RBF", "wide", "Matern32", "sum"],
)


def of_width(kernel, width):
    """The kernel on so many coordinates."""
    return jax.tree.map(lambda leaf: leaf[:width] if jnp.ndim(leaf) else leaf, kernel)


def rows(points):
    """Every coordinate of the field at every point, the coordinates running fastest."""
    count, width = points.shape
    codes = np.tile(np.arange(width), count)
    return Points((jnp.repeat(jnp.asarray(points), width, axis=0), jnp.asarray(codes)))


def gram(kernel, x, z=None):
    left = rows(x)
    return np.asarray(covariances(kernel, left, left if z is None else rows(z)))


@jax.jit
def slopes(kernel, point, weights, places):
    """d/dx_k of coordinate i, [i, k], of sum_m weights_m K(., places_m) at a point."""
    seen = rows(places)
    return jax.jacfwd(lambda at: covariance(kernel, rows(at[None]), seen) @ weights)(point)


@pytest.mark.parametrize("width", [2, 3])
def test_fields_of_the_squared_exponential_have_their_closed_forms(width) -> None:
    points, length = RNG.normal(size=(5, width)), 0.8
    apart = (points[:, None] - points) / length
    plain = 1.69 * np.exp(-0.5 * np.sum(apart**2, axis=2))
    unit, both = np.eye(width), apart[:, :, :, None] * apart[:, :, None, :]
    square = np.sum(apart**2, axis=2)[:, :, None, None] * unit
    gradient = plain[:, :, None, None] * (unit - both)
    solenoid = plain[:, :, None, None] * (both + (width - 1) * unit - square) / (width - 1)
    for word, closed in ((CurlFree, gradient), (DivergenceFree, solenoid)):
        wanted = np.moveaxis(closed, 2, 1).reshape(5 * width, 5 * width)
        found = gram(word(RBF(lengthscale=length, scale=1.3)), points)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@EVERY
def test_a_field_from_the_kernel_without_divergence_has_none(kernel, width) -> None:
    places, weights = RNG.normal(size=(4, width)), RNG.normal(size=4 * width)
    for point in (RNG.normal(size=width), places[0]):
        jacobian = slopes(DivergenceFree(of_width(kernel, width)), point, weights, places)
        assert np.trace(jacobian) == pytest.approx(0.0, abs=1e-11 * np.abs(jacobian).max())
        assert np.abs(jacobian - jacobian.T).max() > 1e-3


@EVERY
def test_a_field_from_the_kernel_without_curl_has_none(kernel, width) -> None:
    places, weights = RNG.normal(size=(4, width)), RNG.normal(size=4 * width)
    for point in (RNG.normal(size=width), places[0]):
        jacobian = slopes(CurlFree(of_width(kernel, width)), point, weights, places)
        np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-11 * np.abs(jacobian).max())
        assert abs(np.trace(jacobian)) > 1e-3


@EVERY
def test_helmholtz_is_the_sum_of_a_gradient_and_a_field_without_divergence(kernel, width) -> None:
    kernel, other = of_width(kernel, width), RBF(lengthscale=1.2, scale=0.4)
    points = RNG.normal(size=(5, width))
    total = gram(Helmholtz(kernel, other), points)
    apart = gram(CurlFree(kernel), points) + gram(DivergenceFree(other), points)
    np.testing.assert_allclose(total, apart, atol=1e-13)
    assert np.linalg.eigvalsh(total).min() > -1e-11


@EVERY
@pytest.mark.parametrize("word", [CurlFree, DivergenceFree], ids=lambda w: w.entry.name)
def test_the_mean_variance_of_a_coordinate_is_that_of_the_kernel(word, kernel, width) -> None:
    kernel = of_width(kernel, width)
    points = RNG.normal(size=(3, width))
    wanted = float(covariance(kernel, Points((points[:1],)), Points((points[:1],)))[0, 0])
    diagonal = np.diag(gram(word(kernel), points)).reshape(3, width)
    np.testing.assert_allclose(diagonal.mean(axis=1), wanted, rtol=1e-10)
    np.testing.assert_allclose(variance(word(kernel), rows(points)), diagonal.ravel(), rtol=1e-10)


def test_a_field_that_looks_alike_in_all_directions_turns_with_the_plane() -> None:
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points, kernel = RNG.normal(size=(5, 2)), Helmholtz(KERNELS[0], Matern52(lengthscale=0.6))
    both = np.kron(np.eye(5), turn)
    turned = gram(kernel, points @ turn.T)
    np.testing.assert_allclose(turned, both @ gram(kernel, points) @ both.T, atol=1e-12)


def test_each_label_has_potentials_of_its_own() -> None:
    kernel = DivergenceFree(RBF(lengthscale=PerLabel(jnp.array([0.5, 2.0])), scale=1.3))
    points = RNG.normal(size=(4, 2))
    labels = jnp.repeat(jnp.array([0, 1, 0, 1]), 2)
    both = np.asarray(covariances(kernel, *[rows(points)._replace(labels=labels)] * 2))
    for label, length in enumerate((0.5, 2.0)):
        own = np.flatnonzero(labels == label)
        alone = gram(DivergenceFree(RBF(lengthscale=length, scale=1.3)), points[label::2])
        np.testing.assert_allclose(both[np.ix_(own, own)], alone, atol=1e-12)
    assert np.abs(both[:2, 2:4]).max() == 0.0


# --- in the language --------------------------------------------------------------------------

CURRENTS = """
data place[n], speed[n] : Real^2
rise = RBF(lengthscale = 0.8, scale = 1.3)
turn = Matern52(lengthscale = 1.1, scale = 0.7)
current : Real^2 -> Real^2 ~ GP(Helmholtz(rise, turn))
speed ~ Normal(current(place), 0.2)
"""
SLOPE = repr(0.7 * 1.1 * np.sqrt(0.6).item())
POTENTIALS = f"""
data lon[n], lat[n], east[n], north[n] : Real
phi : (lon: Real, lat: Real) -> Real ~ GP(RBF(lengthscale = 0.8, scale = 1.04))
psi : (lon: Real, lat: Real) -> Real ~ GP(Matern52(lengthscale = 1.1, scale = {SLOPE}))
east  ~ Normal(D(phi, lon)(lon, lat) + D(psi, lat)(lon, lat), 0.2)
north ~ Normal(D(phi, lat)(lon, lat) - D(psi, lon)(lon, lat), 0.2)
"""


def density(text, data):
    model = mercer.compile(text)
    module, arrays = model.program(), model.bind(data).arrays
    known = {**module.prepare(**arrays), **module.summaries(**arrays)}
    return float(log_density(module.model, (), jax.tree.map(jnp.asarray, known), {})[0])


def test_helmholtz_is_the_model_that_writes_its_potentials_out() -> None:
    """Of the squared exponential, the slope has the variance scale^2 / lengthscale^2; of Matern52
    five thirds of that."""
    place, speed = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
    one = density(CURRENTS, {"place": place, "speed": speed})
    columns = {"lon": place[:, 0], "lat": place[:, 1], "east": speed[:, 0], "north": speed[:, 1]}
    assert one == pytest.approx(density(POTENTIALS, columns), abs=1e-8)


HEAD = "data x[n], y[n] : Real^2\ndata t[n], z[n] : Real\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("f : Real^2 -> Real ~ GP(CurlFree(RBF()))\nz ~ Normal(f(x), 1)", "M229"),
        ("f : Real -> Real ~ GP(CurlFree(RBF()))\nz ~ Normal(f(t), 1)", "M229"),
        ("f : Real^2 -> Real^2 ~ GP(CurlFree(Matern12()))\ny ~ Normal(f(x), 1)", "M229"),
        ("f : Real^2 -> Real^2 ~ GP(CurlFree(Linear()))\ny ~ Normal(f(x), 1)", "M229"),
        ("f : Real^2 -> Real^2 ~ GP(CurlFree())\ny ~ Normal(f(x), 1)", "M213"),
    ],
)
def test_what_is_no_kernel_of_a_field_is_an_error(text, code) -> None:
    with pytest.raises(MercerError) as caught:
        mercer.compile(HEAD + text)
    assert [d.code for d in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    "kernel",
    ["CurlFree(RBF()) + Matern32()", "CurlFree(RBF()) * Matern32()"],
)
def test_a_field_beside_a_kernel_of_numbers_is_refused(kernel) -> None:
    with pytest.raises(MercerError) as caught:
        text = f"f : Real^2 -> Real^2 ~ GP({kernel})\ny ~ Normal(f(x), 1)"
        mercer.compile(HEAD + text).plan()
    assert [d.code for d in caught.value.diagnostics] == ["M303"]


def test_a_field_in_time_is_the_product_of_the_field_and_of_time() -> None:
    text = (
        HEAD
        + """
f : (time: Real, place: Real^2) -> Real^2 ~ GP(
    DivergenceFree(RBF(lengthscale = 0.8, scale = 1.3))[place] * RBF(lengthscale = 0.5)[time]
)
y ~ Normal(f(t, x), 0.2)
"""
    )
    x, t, y = RNG.normal(size=(5, 2)), RNG.normal(size=5), RNG.normal(size=(5, 2))
    text = text.replace("data t[n], z[n]", "data t[n]")
    apart = np.kron(np.exp(-0.5 * (np.subtract.outer(t, t) / 0.5) ** 2), np.ones((2, 2)))
    matrix = gram(DivergenceFree(KERNELS[0]), x) * apart + 0.04 * np.eye(10)
    white = np.linalg.solve(np.linalg.cholesky(matrix), y.ravel())
    wanted = -0.5 * white @ white - 0.5 * np.linalg.slogdet(2 * np.pi * matrix)[1]
    assert density(text, {"x": x, "t": t, "y": y}) == pytest.approx(float(wanted), abs=1e-9)
