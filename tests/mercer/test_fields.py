"""Models of fields on shapes, from their text to predictions at new points and new labels."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.pictures import pictures, surfaces
from mercer.runtime.pictures.study import Study

MODELS = Path(__file__).parents[1] / "models"


def on_sphere(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


CLOUD, NEW = on_sphere(120, 0), on_sphere(40, 7)
FEW = {"infer": "map", "seed": 0, "progress": False}


def turning(points):
    """Rotation about the axis: a tangential field."""
    return np.cross([0.0, 0.0, 1.0], points)


@lru_cache
def fitted():
    text = (MODELS / "field.mercer").read_text().replace("dim = 2", "dim = 2, modes = 30")
    x = CLOUD[:60]
    arrow = turning(x) + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    data = {"cloud": CLOUD, "x": x, "arrow": arrow}
    return mercer.compile(text).fit(data, chains=2, draws=60, **FEW)


def test_a_field_is_found_at_points_that_are_not_in_the_cloud() -> None:
    found = fitted().component("field", {"x": NEW})
    mean, wanted = found.means["field(x)"], turning(NEW)
    cosine = np.sum(mean * wanted, axis=1)
    cosine /= np.linalg.norm(mean, axis=1) * np.linalg.norm(wanted, axis=1)
    assert np.mean(cosine) > 0.97
    assert np.sqrt(np.mean((mean - wanted) ** 2)) < 0.15


def test_new_points_that_are_those_of_the_fit_have_its_values() -> None:
    fit = fitted()
    own = fit.component("field").means["field(x)"]
    again = fit.component("field", {"x": CLOUD[:60]}).means["field(x)"]
    np.testing.assert_allclose(again, own, atol=1e-10)


def test_a_point_off_the_manifold_is_told_by_its_row() -> None:
    with pytest.raises(MercerError, match="row 2 is no point of M"):
        fitted().component("field", {"x": [[0.0, 0.0, 1.0], [3.0, 0.0, 0.0]]})


def test_a_field_is_drawn_over_its_surface_with_the_places_where_it_vanishes() -> None:
    found = surfaces.seen(Study(fitted()), "field(x)")
    assert found.is_whole and found.mean.shape == (120, 3)
    zeros = found.zeros()
    assert zeros.index.tolist() == [1, 1]
    np.testing.assert_allclose(np.abs(zeros.places[:, 2]), 1.0, atol=0.2)  # coarse: 120 points
    text = surfaces.page_of(Study(fitted()), "field(x)")
    assert "Plotly.newPlot" in text and '"cone"' in text and "+1" in text
    drawn = [p.name for p in pictures(fitted())]
    assert "component field" in drawn and "forest field(x)" not in drawn


def test_the_plan_says_how_many_waves_stand_for_a_field() -> None:
    assert "lowest 30 waves" in fitted().plan_text


@lru_cache
def by_animal():
    text = (MODELS / "gallery" / "field_by_animal.mercer").read_text()
    text = text.replace("dim = 2", "dim = 2, modes = 8")
    x = np.concatenate([CLOUD[:40], CLOUD[:40]])
    arrow = turning(x) + 0.1 * np.random.default_rng(1).normal(size=x.shape)
    data = {"cloud": CLOUD, "x": x, "arrow": arrow, "animal": ["cat"] * 40 + ["dog"] * 40}
    return mercer.compile(text).fit(data, chains=2, draws=40, **FEW)


def test_a_field_of_a_new_label_is_drawn_from_its_prior_and_is_one_field() -> None:
    found = by_animal().component(
        "own", {"x": CLOUD[[0, 0, 0, 1]], "animal": ["fox", "fox", "cat", "fox"]}
    )
    (name,) = found.means
    draws = found.draws[name].values.reshape(-1, 4, 3)
    np.testing.assert_allclose(draws[:, 0], draws[:, 1], atol=1e-10)
    assert np.abs(draws[:, 0] - draws[:, 2]).max() > 0.1
    variances = np.sum(found.sds[name] ** 2, axis=1)
    assert variances[0] > 1.1 * variances[2]


def test_values_at_known_labels_stay_those_of_the_fit_beside_new_ones() -> None:
    fit = by_animal()
    both = fit.component("own", {"x": CLOUD[[3, 4]], "animal": ["dog", "owl"]})
    alone = fit.component("own", {"x": CLOUD[[3]], "animal": ["dog"]})
    (name,) = both.means
    np.testing.assert_allclose(both.means[name][0], alone.means[name][0], atol=1e-6)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("f : M -> Real ~ GP(Matern32() * RBF())\ny ~ Normal(f(x), 1)", "M303"),
        ("f : M -> Real ~ GP(Periodic(period = 1))\ny ~ Normal(f(x), 1)", "M303"),
        (
            "f : M -> Real ~ GP(Matern32())\nz[n] : Real^3 ~ Normal(0, 1)\ny ~ Normal(f(z), 1)",
            "M308",
        ),
    ],
)
def test_what_has_no_waves_is_refused_by_name(field, code) -> None:
    head = "data cloud[m] : Real^3\ndata x[n] : Real^3\ndata y[n] : Real\nM = Manifold(cloud)\n"
    with pytest.raises(MercerError) as caught:
        mercer.compile(head + field).plan()
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_field_is_found_from_directions_alone_and_through_heavy_tails() -> None:
    """Both leave the weights of the waves to the sampler."""
    head = """
data cloud[m] : Real^3
data x[n] : Real^3
M = Manifold(cloud, dim = 2, modes = 16)
field : M -> Tangent(M) ~ GP(Heat(time = 0.3, scale ~ HalfNormal(5)))
"""
    random, x = np.random.default_rng(1), CLOUD[:80]
    way = 4 * turning(x) + random.normal(size=x.shape)
    way /= np.linalg.norm(way, axis=1)[:, None]
    arrow = turning(x) + 0.05 * random.standard_t(2, size=x.shape)
    arrow[3] += 10
    of_both = """
data way[n] : Sphere(2)
data arrow[n] : Real^3
strength ~ HalfNormal(5)
noise ~ HalfNormal(1)
way ~ ProjectedNormal(strength * field(x))
arrow ~ StudentT(3, field(x), noise)
"""
    model = mercer.compile(head + of_both)
    assert "weights are whitened and left to inference" in " ".join(model.plan().sentences)
    data = {"cloud": CLOUD, "x": x, "way": way, "arrow": arrow}
    few = {"infer": "nuts", "chains": 1, "warmup": 80, "draws": 60, "seed": 0, "progress": False}
    found = model.fit(data, **few).component("field", {"x": NEW}).means["field(x)"]
    cosine = np.sum(found * turning(NEW), axis=1)
    cosine /= np.linalg.norm(found, axis=1) * np.linalg.norm(turning(NEW), axis=1)
    assert np.mean(cosine) > 0.95
