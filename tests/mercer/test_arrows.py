"""Outcomes that are tangent vectors: taken in the frames of their points, drawn in their planes."""

from functools import lru_cache

import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy.stats import multivariate_normal, t

import mercer
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.geometry import manifold

HEAD = """
data cloud[m] : Real^3
data x[n] : Real^3
M = Manifold(cloud, dim = 2, modes = 20)
data arrow[n] : Tangent(M)
field : M -> Tangent(M) ~ GP(Matern32(lengthscale = 1, scale = 1))
"""
NORMAL = HEAD + "noise ~ HalfNormal(1)\narrow ~ Normal(field(x), noise)\n"
HEAVY = HEAD + "noise ~ HalfNormal(1)\narrow ~ StudentT(4, field(x), noise)\n"
FEW = {"seed": 0, "progress": False}


def on_sphere(count, seed):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


CLOUD, NEW = on_sphere(120, 0), on_sphere(30, 7)
X = CLOUD[:40]
ARROW = np.cross([0.0, 0.0, 1.0], X) + 0.1 * np.random.default_rng(1).normal(size=X.shape)
DATA = {"cloud": CLOUD, "x": X, "arrow": ARROW}


@lru_cache
def program_of(text):
    model = mercer.compile(text)
    return model.program(model.plan())


def prepared(text, **changed):
    program = program_of(text)
    data = {**DATA, **changed}
    words = {**program.prepare(**data), **program.summaries(**data)}
    return program, words


def density(text, unknowns, **changed):
    program, words = prepared(text, **changed)
    return float(log_density(program.model, (), words, unknowns)[0])


def in_frames():
    """Waves and arrows in the frames of the points, and the weights' variances."""
    shape = manifold(CLOUD, dim=2, modes=20, name="M")
    frames = shape.frames_at(X)
    waves = np.einsum("nDi,nDk->nik", frames, shape.tangents_at(X).reshape(40, 3, -1))
    rates = (shape.tangents.frequencies + 3.0) ** (-1.5 - 1.0)
    arrows = np.einsum("nDi,nD->ni", frames, ARROW)
    return frames, waves.reshape(80, -1), arrows.ravel(), rates / rates.sum()


def test_an_arrow_has_the_density_of_its_coordinates_in_the_frame_of_its_point() -> None:
    _, waves, arrows, variances = in_frames()
    covariance = (waves * variances) @ waves.T + 0.3**2 * np.eye(80)
    law = multivariate_normal(np.zeros(80), covariance)
    prior = np.log(2 / np.sqrt(2 * np.pi)) - 0.5 * 0.3**2
    found = density(NORMAL, {"noise": 0.3})
    np.testing.assert_allclose(found, law.logpdf(arrows) + prior, rtol=1e-9)


def test_what_is_normal_to_the_surface_says_nothing() -> None:
    bent = ARROW + np.random.default_rng(2).normal(size=(40, 1)) * normals()
    for text, unknowns in ((NORMAL, {"noise": 0.3}), (HEAVY, unknown_weights())):
        one = density(text, unknowns)
        np.testing.assert_allclose(density(text, unknowns, arrow=bent), one, rtol=1e-9)


def normals():
    frames = in_frames()[0]
    return np.cross(frames[:, :, 0], frames[:, :, 1])


def unknown_weights():
    return {"noise": 0.3, "field.whitened": np.linspace(-1, 1, 20)}


def test_heavy_tails_are_those_of_the_coordinates_in_the_frames() -> None:
    _, waves, arrows, variances = in_frames()
    weights = np.sqrt(variances) * np.linspace(-1, 1, 20)
    law = t(4, loc=waves @ weights, scale=0.3)
    prior = np.log(2 / np.sqrt(2 * np.pi)) - 0.5 * 0.3**2
    prior -= 0.5 * np.sum(np.linspace(-1, 1, 20) ** 2 + np.log(2 * np.pi))
    found = density(HEAVY, unknown_weights())
    np.testing.assert_allclose(found, law.logpdf(arrows).sum() + prior, rtol=1e-9)


@lru_cache
def fitted():
    return mercer.compile(NORMAL).fit(DATA, infer="map", draws=40, chains=2, **FEW)


def test_arrows_are_drawn_and_foretold_in_the_tangent_planes() -> None:
    drawn = fitted().idata.posterior_predictive["arrow"].values.reshape(-1, 40, 3)
    assert np.abs(np.einsum("snD,nD->sn", drawn, normals())).max() < 1e-10
    found = fitted().predict({"x": NEW})
    shape = manifold(CLOUD, dim=2, modes=20, name="M")
    frames = shape.frames_at(NEW)
    across = np.cross(frames[:, :, 0], frames[:, :, 1])
    joint = found.draws["arrow"].values.reshape(-1, 30, 3)
    assert np.abs(np.einsum("snD,nD->sn", joint, across)).max() < 1e-10
    spread = np.einsum("nD,nD->n", found.sds["arrow"] ** 2, across**2)
    assert np.all(spread < np.sum(found.sds["arrow"] ** 2, axis=1))
    np.testing.assert_allclose(joint.mean(axis=0), found.means["arrow"], atol=0.12)
    truth = np.cross([0.0, 0.0, 1.0], NEW)
    assert np.sqrt(np.mean((found.means["arrow"] - truth) ** 2)) < 0.15


def test_ranks_of_arrows_are_those_of_their_coordinates() -> None:
    """A place on the normal has none."""
    likelihood = fitted().idata.log_likelihood["arrow"].values
    assert np.isfinite(likelihood[..., :2]).all() and np.isnan(likelihood[..., 2]).all()
    from mercer.runtime.posterior.pit import foretold_ranks

    ranks = foretold_ranks(fitted(), "arrow", ARROW)
    assert ranks.shape == (80,) and 0.3 < ranks.mean() < 0.7


def test_a_missing_arrow_is_left_out_and_foretold() -> None:
    gap = ARROW.copy()
    gap[5] = np.nan
    one = density(NORMAL, {"noise": 0.3}, arrow=gap)
    keep = np.delete(np.arange(40), 5)
    rest = density(NORMAL, {"noise": 0.3}, x=X[keep], arrow=ARROW[keep])
    np.testing.assert_allclose(one, rest, rtol=1e-9)
    gap[5, 0] = 0.0
    with pytest.raises(MercerError, match="a part of arrow is missing at row 6"):
        density(NORMAL, {"noise": 0.3}, arrow=gap)


def test_a_sum_with_a_process_around_the_surface_is_taken_in_the_frames_too() -> None:
    text = NORMAL.replace(
        "arrow ~ Normal(field(x), noise)", "arrow ~ Normal(2 * field(x) + wind(x), noise)"
    )
    text = text.replace(
        "noise ~", "wind : Real^3 -> Real^3 ~ GP(RBF(lengthscale = 1, scale = 0.5))\nnoise ~"
    )
    frames, waves, arrows, variances = in_frames()
    distance = np.sum((X[:, None] - X) ** 2, axis=2)
    around = 0.25 * np.exp(-0.5 * distance)
    covariance = 4 * (waves * variances) @ waves.T + 0.3**2 * np.eye(80)
    covariance += np.einsum("nDi,nm,mDj->nimj", frames, around, frames).reshape(80, 80)
    prior = np.log(2 / np.sqrt(2 * np.pi)) - 0.5 * 0.3**2
    law = multivariate_normal(np.zeros(80), covariance)
    found = density(text, {"noise": 0.3})
    np.testing.assert_allclose(found, law.logpdf(arrows) + prior, rtol=1e-8)


def test_fields_of_one_shape_are_observed_together() -> None:
    """Two columns of arrows, of which the second sees both fields."""
    text = NORMAL.replace("data arrow[n]", "data arrow[n], other[n]")
    text += (
        "own : M -> Tangent(M) ~ GP(Matern32(lengthscale = 1, scale = 0.5))\n"
        "other ~ Normal(field(x) - own(x), noise)\n"
    )
    _, waves, arrows, variances = in_frames()
    shared = (waves * variances) @ waves.T
    covariance = np.block([[shared, shared], [shared, 1.25 * shared]]) + 0.3**2 * np.eye(160)
    law = multivariate_normal(np.zeros(160), covariance)
    prior = np.log(2 / np.sqrt(2 * np.pi)) - 0.5 * 0.3**2
    found = density(text, {"noise": 0.3}, other=ARROW)
    wanted = law.logpdf(np.concatenate([arrows, arrows])) + prior
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("arrow ~ Normal(0, noise)", "whose law does not say at which one point of `M`"),
        ("arrow ~ Normal(field(x) + field(cloud[first]), noise)", "at which one point of `M`"),
        ("arrow ~ Weighted(Normal(field(x), noise), 2)", "under a changed law"),
    ],
)
def test_an_arrow_without_one_place_or_shifted_law_is_refused_by_name(change, said) -> None:
    text = NORMAL.replace("arrow ~ Normal(field(x), noise)", change)
    text = (
        text.replace("data x[n]", "data first[n] : Label(m)\ndata x[n]")
        if "first" in change
        else text
    )
    with pytest.raises(MercerError) as caught:
        mercer.compile(text).plan()
    assert [d.code for d in caught.value.diagnostics] == ["M308"]
    assert said in caught.value.diagnostics[0].problem
