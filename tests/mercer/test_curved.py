"""Models of functions on circles, spheres and rotations, from their text to predictions."""

from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import halfnorm, multivariate_normal

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.stdlib.homogeneous import Rotations
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points, covariance
from tests.reference.programs import Program, reference_log_density

RNG = np.random.default_rng(4)
HOUR = RNG.uniform(0, 24, 40)
LATITUDE = np.degrees(np.arcsin(RNG.uniform(-1, 1, 50)))
LONGITUDE = RNG.uniform(-180, 180, 50)
FEW = {"infer": "map", "seed": 0, "progress": False, "draws": 50}
NOISE = "noise ~ HalfNormal(1)\n"


@lru_cache
def by_hour():
    text = f"data hour[n] : Circle(24)\ndata y[n] : Real\nf ~ GP(Matern52())\n{NOISE}"
    y = np.cos(2 * np.pi * (HOUR - 3) / 24) + 0.1 * RNG.normal(size=40)
    model = mercer.compile(text + "y ~ Normal(f(hour), noise)")
    return model.fit({"hour": HOUR, "y": y}, **FEW)


@lru_cache
def on_earth():
    text = f"""
data lat[n], lon[n], y[n] : Real
f : Sphere(2) -> Real ~ GP(Matern(nu = 2.2))
{NOISE}y ~ Normal(f(lat = lat, lon = lon), noise)
"""
    y = np.sin(np.radians(LATITUDE)) + 0.05 * RNG.normal(size=50)
    return mercer.compile(text).fit({"lat": LATITUDE, "lon": LONGITUDE, "y": y}, **FEW)


def test_a_function_of_the_hour_is_the_same_a_day_later() -> None:
    found = by_hour().component("f", {"hour": [0.0, 24.0, -24.0, 5.0, 29.0]}).means["f(hour)"]
    np.testing.assert_allclose(found[[1, 2, 4]], found[[0, 0, 3]], atol=1e-10)
    at = by_hour().component("f", {"hour": [0.0, 6.0, 12.0]}).means["f(hour)"]
    np.testing.assert_allclose(at, np.cos(2 * np.pi * (np.array([0, 6, 12]) - 3) / 24), atol=0.15)


def test_at_a_pole_every_longitude_is_the_same_point() -> None:
    found = on_earth().predict({"lat": [90.0, 90.0, -90.0], "lon": [0.0, 120.0, 7.0]}).means["y"]
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    np.testing.assert_allclose(found[[0, 2]], [1.0, -1.0], atol=0.2)


VALUES = {"f.lengthscale": 0.9, "f.scale": 0.8, "noise": 0.3}
NORTH, EAST = np.radians(LATITUDE[:8]), np.radians(LONGITUDE[:8])
PLACE = np.stack(
    [np.cos(NORTH) * np.cos(EAST), np.cos(NORTH) * np.sin(EAST), np.sin(NORTH)], axis=1
)
ON_SPHERE = f"""
data place[n] : Sphere(2)
data y[n] : Real
f : Sphere(2) -> Real ~ GP(Matern(nu = 2.2))
{NOISE}y ~ Normal(f(place), noise)
"""


def test_degrees_and_unit_vectors_are_one_sphere() -> None:
    in_degrees = ON_SPHERE.replace("place[n] : Sphere(2)", "lat[n], lon[n] : Real")
    in_degrees = in_degrees.replace("f(place)", "f(lon = lon, lat = lat)")
    one = Program(ON_SPHERE, {"place": PLACE, "y": NORTH})
    other = Program(in_degrees, {"lat": LATITUDE[:8], "lon": LONGITUDE[:8], "y": NORTH})
    wanted = float(one.log_density(VALUES))
    # The default priors are relative to the spread of the points, which is the same.
    assert float(other.log_density(VALUES)) == pytest.approx(wanted, abs=1e-9)


BY_HOUR = f"""
data hour[n] : Circle(24)
data day[n], y[n] : Real
{NOISE}"""


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (ON_SPHERE, {"place": PLACE, "y": NORTH}),
        (
            BY_HOUR
            + """f : (hour: Circle(24), day: Real) -> Real ~ GP(Matern32()[hour] * RBF()[day])
y ~ Normal(f(hour, day), noise)""",
            {"hour": HOUR[:8] + 24.0, "day": EAST, "y": NORTH},
        ),
        (
            BY_HOUR
            + """f : Circle(24) -> Real ~ GP(Matern52(lengthscale = 5, scale = 1))
y ~ Normal(f(hour) + 2 * D(f)(hour), noise)""",
            {"hour": HOUR[:8] + 24.0, "day": EAST, "y": NORTH},
        ),
    ],
    ids=["sphere", "hour and day", "slope"],
)
def test_a_program_on_a_curved_space_has_the_density_that_the_interpreter_reads(text, data) -> None:
    program = Program(text, data)
    values = program.start(1)
    wanted = reference_log_density(program, values)
    assert float(program.log_density(values)) == pytest.approx(wanted, rel=1e-8, abs=1e-7)


def test_a_program_on_rotations_has_the_density_of_its_gaussian() -> None:
    text = f"""
data turn[n] : SO(3)
data y[n] : Real
f ~ GP(RBF(lengthscale = 0.7, scale = 0.8))
{NOISE}y ~ Normal(f(turn), noise)
"""
    turn = Rotation.random(8, random_state=1).as_matrix()
    rows = Points((turn.reshape(8, 9),))
    gram = covariance(RBF(lengthscale=0.7, scale=0.8).on(space=Rotations(3)), rows, rows)
    wanted = multivariate_normal(cov=gram + 0.09 * np.eye(8)).logpdf(NORTH)
    wanted += halfnorm.logpdf(0.3)
    found = Program(text, {"turn": turn, "y": NORTH}).log_density({"noise": 0.3})
    assert float(found) == pytest.approx(float(wanted), abs=1e-8)


def test_the_plan_says_which_waves_of_the_sphere_are_left_out() -> None:
    assert "up to degree 128" in on_earth().plan_text
    assert "degree" not in by_hour().plan_text


HEAD = "data hour[n] : Circle(24)\ndata day[n], y[n] : Real\ndata turn[n] : SO(3)\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("f ~ GP(Periodic(period = 24))\ny ~ Normal(f(hour), 1)", "M229"),
        ("f ~ GP(Linear())\ny ~ Normal(f(hour), 1)", "M229"),
        ("f ~ GP(Intrinsic())\ny ~ Normal(f(hour), 1)", "M229"),
        ("f ~ GP(RBF())\ny ~ Normal(f(hour, day), 1)", "M228"),
        ("f ~ GP(RBF())\ny ~ Normal(D(f)(turn), 1)", "M236"),
        ("data when[n] : Circle(24)\nwhen ~ VonMises(0, 1)", "M218"),
        ("data b[n] : Circle(-1)\ny ~ Normal(0, 1)", "M209"),
        ("data w[n] : Real^3\nw ~ ProjectedNormal(0 * w)", "M218"),
        ("u : Sphere(2) ~ Normal(0, 1)\ny ~ Normal(0, 1)", "M219"),
    ],
)
def test_what_makes_no_sense_on_a_curved_space_is_an_error(text, code) -> None:
    with pytest.raises(MercerError) as caught:
        mercer.compile(HEAD + text)
    assert [d.code for d in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data w[n] : Circle^2\nf : Circle^2 -> Real ~ GP(RBF())\ny ~ Normal(f(w), 1)", "M302"),
        ("f : Real -> Sphere(2) ~ GP(RBF())\ny ~ Normal(0, 1)", "M248"),
        ("f ~ GP(RBF())\ninfer f by Inducing(count = 5)\ny ~ Normal(f(turn), 1)", "M321"),
    ],
)
def test_what_has_no_engine_on_a_curved_space_is_refused(text, code) -> None:
    with pytest.raises(MercerError) as caught:
        mercer.compile(HEAD + text).plan()
    assert [d.code for d in caught.value.diagnostics] == [code]
