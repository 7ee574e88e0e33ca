"""Laws of what a fit chooses by what is held out, and of what Gram matrices are learned by."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import mercer
from mercer.choosing import Race, held_out_densities, turns_of
from mercer.dsl.diagnostic import MercerError
from mercer.runtime.engines.terms import RandomFunction, Site
from mercer.runtime.inner import Facts, Inner, divergence, gram_of, unpacked
from mercer.runtime.posterior.blocks import apart
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

MACHINE = """
data x[n] : Real^d
data y[n] : Real
h : Real^d -> Real^inf ~ GP(RBF(lengthscale = 2, scale = 1), nu = [1, inf])
f : Real^inf -> Real ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(f(h(x)), 0.3)
infer h by Inducing(count = 50)
infer MAP(chains = 1, draws = 4, held = 0.25)
"""


def _rows(n: int = 20) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    return {"x": x, "y": np.sin(2 * x[:, 0]) + x[:, 1] + 0.2 * rng.normal(size=n)}


@lru_cache
def _chosen() -> Any:
    return mercer.compile(MACHINE).fit(_rows(), seed=1, progress=False)


def _scores(fit: Any) -> dict[str, float]:
    (note,) = [said for said in fit.diagnostics if "was chosen" in said]
    found = re.findall(r"(-?\d+\.\d+) with (\w+)", note)
    return {number: float(score) for score, number in found}


def test_the_number_with_the_highest_held_out_density_is_chosen():
    fit = _chosen()
    scores = _scores(fit)
    assert set(scores) == {"1", "inf"}
    best = max(scores, key=scores.__getitem__)
    assert f"nu = {best})" in fit.model_source
    assert fit.bound.sizes["n"] == 20  # the last fit has all rows


def test_a_score_is_that_of_a_fit_to_the_other_rows():
    """The same by hand: rows by the rule of the docstring, the exact process by NumPy."""
    data = _rows()

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 8)

        # With nu = inf: RBF of the distance between images, 2 - 2 k(x, z).
        return np.exp(-(1 - inner(a, b)))

    def densities(held: np.ndarray) -> np.ndarray:
        own = np.setdiff1d(np.arange(20), held)
        x, y = data["x"], data["y"]
        total = kernel(x[own], x[own]) + 0.09 * np.eye(len(own))
        cross = kernel(x[held], x[own])
        mean = cross @ np.linalg.solve(total, y[own])
        variance = 1.09 - np.einsum("ij,ji->i", cross, np.linalg.solve(total, cross.T))
        return stats.norm.logpdf(y[held], mean, np.sqrt(variance))

    order = np.random.default_rng((1, 17)).permutation(20)
    wanted = np.mean([densities(order[first : first + 5]) for first in range(0, 20, 5)])
    assert _scores(_chosen())["inf"] == pytest.approx(wanted, abs=2e-3)


def test_each_row_is_held_out_once_where_rows_are_few():
    turns = turns_of(22, 0.2, 0)
    every = np.concatenate(turns)
    assert {len(turn) for turn in turns} == {4}  # of one size, so that one program serves
    assert len(set(every)) == len(every) == 20
    assert [len(turn) for turn in turns_of(50_000, 0.2, 0)] == [10_000]
    with pytest.raises(ValueError, match="at least two rows"):
        turns_of(1, 0.2, 0)


def test_a_number_leaves_the_race_where_it_is_surely_worse():
    rng = np.random.default_rng(0)
    good = rng.normal(size=50)
    wild = good + 0.1
    wild[0] -= 100  # on the mean worse, by one row: that is not sure yet
    race = Race(("good", "bad", "wild"))
    race.add({"good": good, "bad": good - 1 + 0.1 * rng.normal(size=50), "wild": wild})
    assert race.running == ("good", "wild")
    race.add({"good": good, "wild": good + 5})
    assert race.best == "wild"
    assert "with bad (of 50 rows, after which it left)" in race.told
    seen = np.where(np.arange(50) < 25, np.nan, good)  # what was not observed says nothing
    race.add({"good": seen, "wild": seen})
    assert race.means["good"] == pytest.approx(np.concatenate([good, good, good[25:]]).mean())


def test_a_density_is_that_of_the_mixture_over_draws():
    fit, new = _chosen(), _rows(6)
    found = fit.predict(new)
    mean, sd = found.normals["y"]
    each = stats.norm.logpdf(new["y"], mean, sd)
    wanted = logsumexp(each, axis=0) - math.log(len(each))
    np.testing.assert_allclose(found.density("y"), wanted, rtol=1e-10)
    bound = fit.bound_to(new)
    np.testing.assert_allclose(held_out_densities(fit, bound), wanted, rtol=1e-10)
    with pytest.raises(ValueError, match="given at these rows"):
        fit.predict({"x": new["x"]}).density("y")


def test_rows_apart_are_rows_that_came_alone():
    bound = mercer.compile(MACHINE).bind(_rows())
    part = apart(bound, "n", np.array([2, 5]), after=18)
    np.testing.assert_array_equal(part.arrays["x"], bound.arrays["x"][[2, 5]])
    np.testing.assert_array_equal(part.codes["n"], [18, 19])
    assert part.sizes["n"] == 2


def test_the_text_with_one_number_keeps_its_lines():
    model = mercer.compile(MACHINE.replace("nu = [1, inf]", "nu = [1,\n  inf]"))
    text = model.at(math.inf).text
    assert "nu = inf)\n\nf : Real^inf" in text
    assert len(text.split("\n")) == len(model.text.split("\n"))
    assert (
        "chosen among 1, inf by the log density of rows held out from a fit for each, 25 %"
        in model.explain()
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[1, inf]", "[1]"), "M245.*at least two numbers, each once"),
        (("[1, inf]", "[1, 1]"), "M245.*at least two numbers, each once"),
        (("[1, inf]", "[1, -2]"), "M245.*`nu` must be `Positive`"),
        (("[1, inf]", "[0, 1]"), "M245.*`nu` must be `Positive`"),
        (("[1, inf]", "[1, mean(y)]"), "M249.*numbers written here"),
        (("count = 50", "count = 50, wishart = 4"), "M321.*by MAP"),
        (("count = 50", "count = 50, wishart = 0.5"), "M245.*at least 1"),
        (("count = 50", "order = 3"), "order"),
        (("infer h by Inducing(count = 50)", "infer f by Inducing(order = 2)"), "M321.*`order`"),
    ],
)
def test_what_cannot_be_chosen_is_told(change, said):
    with pytest.raises(MercerError, match=f"(?s){said}"):
        mercer.compile(MACHINE.replace(*change)).plan()


def test_layers_share_the_number_that_is_chosen():
    deep = MACHINE.replace("f(h(x))", "f(g(h(x)))") + (
        "g : Real^inf -> Real^inf ~ GP(RBF(lengthscale = 1), nu = [1, inf])\n"
    )
    assert mercer.compile(deep).at(1).text.count("nu = 1)") == 2
    with pytest.raises(MercerError, match=r"(?s)M304.*all layers get the same `nu`"):
        mercer.compile(
            deep.replace("lengthscale = 1), nu = [1", "lengthscale = 1), nu = [2")
        ).plan()
    with pytest.raises(MercerError, match=r"(?s)M331.*chooses among several"):
        mercer.compile(deep).recover(_rows())


# --- options ------------------------------------------------------------------------------------


def _layer() -> tuple[Inner, dict[str, jax.Array]]:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(9, 2)))
    own = Site("h", Points((x[:6],)), 6, is_inducing=True)
    process = RandomFunction(RBF(lengthscale=1.0, scale=1.0))
    layer = Inner("h(x)", process, Site("h", Points((x,)), 9), (9,), lambda: own)
    root = jnp.tril(jnp.asarray(np.random.default_rng(1).normal(size=(6, 6)) * 0.3))
    return layer, {"root": root}


def test_draws_of_a_gram_matrix_have_it_as_their_mean():
    """And as many degrees of freedom as there are inducing points over `wishart`."""
    layer, known = _layer()
    facts = Facts("h_x", "h", (), ("root",), 1.0, wishart=2.0)

    @jax.jit
    def drawn(key: jax.Array) -> Any:
        rows, images = gram_of(facts, known, layer, key)
        return images @ images.T, rows @ images.T, images[:, :3]

    grams, crosses, points = jax.vmap(drawn)(jax.random.split(jax.random.key(0), 20_000))
    rows, images = gram_of(facts, known, layer)
    np.testing.assert_allclose(grams.mean(0), images @ images.T, atol=0.05)
    np.testing.assert_allclose(crosses.mean(0), rows @ images.T, atol=0.05)
    assert np.linalg.matrix_rank(np.asarray(grams[0])) == 3
    np.testing.assert_allclose(points[0] @ points[0].T, grams[0], atol=1e-12)


def test_the_second_order_of_the_divergence_is_that_of_its_series():
    """|G^-1 K - I|^2 / 4 by eigenvalues, and the divergence itself up to third order."""
    _, known = _layer()
    lower = np.asarray(unpacked(known["root"]))
    values = np.linalg.eigvalsh(lower @ lower.T)
    full, second = (Facts("h_x", "h", (), ("root",), 3.0, order=order) for order in (0, 2))
    wanted = 0.25 * 3.0 * np.sum((1 / values - 1) ** 2)
    assert float(divergence(second, known)) == pytest.approx(wanted, rel=1e-10)
    gaps = []
    for size in (1e-2, 1e-3):
        near = {"root": size * known["root"]}
        gaps.append(float(divergence(second, near) / divergence(full, near)) - 1)
    assert abs(gaps[0]) < 0.1
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.2)


def test_draws_stand_for_a_gram_matrix_only_while_it_is_learned():
    text = MACHINE.replace("[1, inf]", "1").replace(
        "count = 50", "count = 6, wishart = 3, order = 2"
    )
    text = text.replace("MAP(chains = 1, draws = 4, held = 0.25)", "SVI(steps = 20, batch = 10)")
    model = mercer.compile(text)
    assert "a Wishart draw about it" in model.explain()
    assert "second order of its Taylor series" in model.explain()
    fit = model.fit(_rows(), seed=1, chains=1, draws=3, progress=False)
    found = fit.predict({"x": _rows(4)["x"]})
    mean, _ = found.normals["y"]
    np.testing.assert_array_equal(mean[0], mean[1])  # all draws have the one Gram matrix
    assert fit.idata["sample_stats"]["divergence of h"].values.min() >= 0
