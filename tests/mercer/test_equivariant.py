"""A model with equivariant layers, from its text to predictions: trained, kept and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mercer
from mercer.runtime.methods import training

MODEL = """data image[n] : Image(8, 8)
data kind[n] : Label(class)
lift : Image(8, 8) -> Field(SO(2), 3) ~ Equivariant(samples = 4, hidden = [6])
mix : Field(SO(2), 3) -> Field(SO(2), 4) ~ Equivariant(samples = 4, hidden = [6], radius = 1.5)
head : Real^4 -> Real^class ~ Linear(weights ~ Normal(0, 3), bias ~ Normal(0, 3))
kind ~ Categorical(logits = image |> lift |> relu |> mix |> relu |> pool |> head)
infer {method}
"""


def images_of(count: int, seed: int) -> dict[str, np.ndarray]:
    """Bars and rings, anywhere and at any angle."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:8, :8] - 3.5
    angle, down, right = random.uniform(-np.pi, np.pi, count), *random.uniform(-1, 1, (2, count))
    y = rows - down[:, None, None]
    x = columns - right[:, None, None]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    across = np.cos(angle)[:, None, None] * y - np.sin(angle)[:, None, None] * x
    bars = np.exp(-(along**2) / 8 - across**2)
    rings = np.exp(-((np.hypot(x, y) - 2) ** 2) * 2)
    is_ring = random.uniform(size=count) < 0.5
    image = np.where(is_ring[:, None, None], rings, bars)
    return {"image": image, "kind": np.where(is_ring, "ring", "bar")}


def model(method: str) -> mercer.Model:
    return mercer.compile(MODEL.format(method=method))


@pytest.fixture(scope="module")
def fit() -> Any:
    data = images_of(130, 0)
    data["kind"] = data["kind"].astype(object)
    data["kind"][5] = None  # a row without its outcome
    return model("MAP(epochs = 60, batch = 39)").fit(data, seed=2, progress=False)


def test_a_trained_model_tells_apart_what_it_was_shown(fit: Any) -> None:
    new = images_of(200, 1)
    chances = fit.predict({"image": new["image"]}).probabilities["kind"]
    assert chances.shape == (200, 2)
    np.testing.assert_allclose(chances.sum(-1), 1.0, rtol=1e-6)
    named = np.array(["bar", "ring"])[chances.argmax(-1)]
    assert (named == new["kind"]).mean() > 0.9


def test_its_predictions_do_not_change_under_quarter_turns(fit: Any) -> None:
    images = np.random.default_rng(3).uniform(size=(5, 8, 8))
    here = fit.predict({"image": images}).probabilities["kind"]
    for turns in (1, 2, 3):
        turned = np.rot90(images, turns, axes=(1, 2))
        there = fit.predict({"image": turned}).probabilities["kind"]
        np.testing.assert_allclose(there, here, atol=2e-5)  # layers are in single precision
    flat = fit.predict({"image": images.reshape(5, 64)}).probabilities["kind"]
    np.testing.assert_array_equal(flat, here)


def test_a_fit_says_what_was_held_out_left_out_and_how_symmetric_it_is(fit: Any) -> None:
    told = " ".join(fit.diagnostics)
    assert "1 rows in which an outcome is missing were left out" in told
    assert "the 13 rows held out have a log density of" in told and "an accuracy of" in told
    for layer in ("lift", "mix"):
        assert f"{layer}: under elements of its group" in told
        for word in ("equivariance error", "Monte Carlo floor"):
            assert 0.0 < fit.idata["posterior"].attrs[f"{word} of {layer}"] < 1.0


def test_the_weights_of_layers_are_shown_where_they_are_asked_for(fit: Any) -> None:
    assert set(fit.summary().index.str.partition("[").get_level_values(0)) == {
        "head.weights",
        "head.bias",
    }
    assert len(fit.summary(["mix.output.weights"])) == 6 * 3 * 4


def test_a_saved_fit_predicts_the_same(fit: Any, tmp_path: Path) -> None:
    images = images_of(7, 4)["image"]
    opened = mercer.open(fit.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(
        opened.predict({"image": images}).probabilities["kind"],
        fit.predict({"image": images}).probabilities["kind"],
    )


class Stopped(Exception):
    """Stands for a machine that goes down."""


def stopping_after(step: int) -> Any:
    """Training that ends after a step, whose state has just been kept."""
    plain = training._train

    def broken(objective: Any, settings: Any, seed: int, member: int, told: Any, kept: Any) -> Any:
        save = kept.save

        def saved(name: str, state: Any, **rest: Any) -> None:
            save(name, state, **rest)
            if getattr(state, "step", 0) == step:
                kept.write()
                raise Stopped

        kept.save = saved
        return plain(objective, settings, seed, member, told, kept)

    return broken


@pytest.mark.parametrize(
    "method", ["MAP(epochs = 3, batch = 20, chains = 2)", "SVI(epochs = 3, batch = 20, rank = 2)"]
)
def test_training_that_was_cut_short_goes_on_to_the_same_values(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kept = images_of(90, 5), tmp_path / "fit.checkpoint"
    own = model(method)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(training, "_train", stopping_after(7))
        own.fit(data, seed=1, progress=False, checkpoint=kept)
    resumed = own.fit(data, seed=1, progress=False, checkpoint=kept, resume=True)
    whole = own.fit(data, seed=1, progress=False)
    for name, values in whole.sampled.values.items():
        np.testing.assert_array_equal(resumed.sampled.values[name], values)
    assert whole.sampled.chains == (2 if method.startswith("MAP") else 1)
    if method.startswith("SVI"):
        spread = whole.sampled.values["head.bias"].std(axis=(0, 1))
        assert (spread > 0).all()


DEEP = """data image[n] : Image(8, 8)
data y[n] : Real
lift : Image(8, 8) -> Field(GL(2), 2) ~ Equivariant(samples = 4, hidden = [5])
kept = image |> lift |> normalize |> relu
features = peak(2 * kept)
f : Real^2 -> Real ~ GP(RBF())
noise ~ HalfNormal(1)
y ~ Normal(f(features), noise)
infer MAP(epochs = 15)
"""


def test_a_process_on_equivariant_features_is_integrated_out() -> None:
    """A deep kernel: exact given the layer, whose weights maximise the density with it."""
    data = images_of(40, 6)
    y = np.where(data["kind"] == "ring", 1.0, -1.0)
    own = mercer.compile(DEEP)
    assert "f enters y linearly" in own.explain() or "f enter y linearly" in own.explain()
    fit = own.fit({"image": data["image"], "y": y}, progress=False)
    assert "features" in fit.idata["posterior"] and "kept" not in fit.idata["posterior"]
    new = images_of(10, 7)["image"]
    here, there = (fit.predict({"image": x}) for x in (new, np.rot90(new, axes=(1, 2))))
    np.testing.assert_allclose(there.means["y"], here.means["y"], atol=1e-3)
    assert (here.sds["y"] > 0).all()


INVARIANT = """data image[n] : Image(8, 8)
data y[n] : Real
f : Image(8, 8) -> Real ~ GP(Invariant(RBF(), over = SO(2), angle ~ HalfNormal(0.5), samples = 3))
noise ~ HalfNormal(1)
y ~ Normal(f(centre(image)), noise)
infer MAP(restarts = 1, chains = 1, draws = 20, steps = 15)
"""


@pytest.mark.slow
def test_the_range_of_an_invariant_kernel_is_learnt_with_its_other_arguments() -> None:
    data, new = images_of(40, 8), images_of(60, 9)
    y, truth = (np.where(d["kind"] == "ring", 1.0, -1.0) for d in (data, new))
    fit = mercer.compile(INVARIANT).fit({"image": data["image"], "y": y}, progress=False)
    angle = fit.idata["posterior"]["f.angle"].values
    assert (angle > 0).all() and angle.std() > 0
    found = fit.predict({"image": new["image"]}).means["y"]
    assert (np.sign(found) == truth).mean() > 0.9
    # A whole pixel to one side is nothing to a centred image.
    shifted = np.zeros_like(new["image"])
    shifted[:, :, 1:] = new["image"][:, :, :-1]
    inside = new["image"][:, :, -1].max(axis=1) < 1e-3
    moved = fit.predict({"image": shifted}).means["y"]
    assert np.median(np.abs(moved - found)[inside]) < 0.1


HEAD = """data image[n] : Image(8, 8)
data y[n] : Real
lift : Image(8, 8) -> Field(SO(2), 2) ~ Equivariant(samples = 4, hidden = [4])
features = image |> lift |> relu |> peak
head : Real^2 -> Real ~ Linear(bias ~ Normal(0, 1))
y ~ Normal(head(features), 0.5)
infer MAP(epochs = 10)
infer head by NUTS(chains = 1, draws = 400, warmup = 150)
"""


def test_a_head_is_sampled_given_the_layers_before_it() -> None:
    """Against the Normal law of a linear head: the layers are held where training left them."""
    data = images_of(40, 10)
    y = np.where(data["kind"] == "ring", 1.0, 0.0)
    own = mercer.compile(HEAD)
    told = own.explain()
    assert "The layers are held there" in told and "all else is sampled by NUTS" in told
    fit = own.fit({"image": data["image"], "y": y}, seed=1, progress=False)
    found = fit.idata["posterior"]
    lift = found["lift.output.weights"].values
    assert (lift == lift[0, 0]).all()
    features = found["features"].values[0, 0]
    design = np.concatenate([features, np.ones((40, 1))], axis=1)
    precision = design.T @ design / 0.25 + np.eye(3)
    mean = np.linalg.solve(precision, design.T @ y / 0.25)
    draws = np.concatenate(
        [found["head.weights"].values[0], found["head.bias"].values[0][:, None]], 1
    )
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    # Of 400 draws some hundred count: a mean is off by a tenth of an sd, an sd by a fourteenth.
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), 0.4 * sd)
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.3)
