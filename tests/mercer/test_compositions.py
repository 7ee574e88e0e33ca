"""Every kind of composition goes the user's road: compiled, fitted, asked, saved, reopened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mercer

_RBF = "RBF(lengthscale = 1, scale = 1)"
_NORMAL = "data y[n] : Real\ny ~ Normal({}, 0.3)\n"
_OUTCOMES = {
    "Normal": _NORMAL,
    "Bernoulli": "data y[n] : Bool\ny ~ Bernoulli(logits = {})\n",
    "Categorical": "data y[n] : Label(k)\ny ~ Categorical(logits = {})\n",
    "Poisson": "data y[n] : Count\ny ~ Poisson(exp({}))\n",
}
_INNER = {
    "process": f"h : Real^d -> Real^2 ~ GP({_RBF})\n",
    "machine": f"h : Real^d -> Real^inf ~ GP({_RBF}, nu = 2)\n",
    "linear": "h : Real^d -> Real^2 ~ Linear()\n",
    "network": "h : Real^d -> Real^2 ~ Network(hidden = [4])\n",
}
_BATCHES = "infer SVI(steps = 20, batch = 10, samples = 2)\n"
_CHAINS = "infer NUTS(chains = 1, warmup = 10, draws = 5)\n"


def _text(outcome: str, inner: str, method: str = _BATCHES) -> str:
    """f(h(x)) behind an outcome."""
    domain = "Real^inf" if inner == "machine" else "Real^2"
    codomain = "Real^k" if outcome == "Categorical" else "Real"
    f = f"f : {domain} -> {codomain} ~ GP({_RBF})\n"
    text = "data x[n] : Real^d\n" + _OUTCOMES[outcome].format("f(h(x))") + _INNER[inner] + f
    return text + method


_X = f"data x[n] : Real^d\nh : Real^d -> Real^2 ~ GP({_RBF})\n"
ROADS = {
    "three layers": f"""data x[n] : Real^d
{_NORMAL.format("f(h(g(x)))")}g : Real^d -> Real^d ~ GP({_RBF}, mean = Identity())
h : Real^d -> Real^2 ~ GP({_RBF})
f : Real^2 -> Real ~ GP({_RBF})
{_BATCHES}""",
    "a process over time inside": f"""data t[n] : Real
{_NORMAL.format("f(h(t))")}h ~ GP(Matern32(lengthscale = 1, scale = 1))
f : Real -> Real ~ GP({_RBF})
{_BATCHES}""",
    "a skip connection": f"""{_X}{_NORMAL.format("f(at = x, through = h(x))")}
f : (at: Real^d, through: Real^2) -> Real ~ GP({_RBF}[at] * {_RBF}[through])
{_BATCHES}""",
    "a sum of a composition and a process": f"""{_X}{_NORMAL.format("f(h(x)) + g(x)")}
f : Real^2 -> Real ~ GP({_RBF})
g : Real^d -> Real ~ GP({_RBF})
{_BATCHES}""",
    "a sum of compositions": f"""{_X}{_NORMAL.format("f(h(x)) + g(k(x))")}
k : Real^d -> Real^2 ~ GP({_RBF})
f : Real^2 -> Real ~ GP({_RBF})
g : Real^2 -> Real ~ GP({_RBF})
{_BATCHES}""",
    "two layers of infinite width": f"""data x[n] : Real^d
{_NORMAL.format("f(h(g(x)))")}g : Real^d -> Real^inf ~ GP({_RBF}, nu = 2)
h : Real^inf -> Real^inf ~ GP({_RBF}, nu = 2)
f : Real^inf -> Real ~ GP({_RBF})
""",
    "a process before a layer of infinite width": f"""data x[n] : Real^d
{_NORMAL.format("f(h(g(x)))")}g : Real^d -> Real^d ~ GP({_RBF}, mean = Identity())
h : Real^d -> Real^inf ~ GP({_RBF}, nu = 2)
f : Real^inf -> Real ~ GP({_RBF})
{_BATCHES}""",
    **{
        f"{outcome} behind a {inner}": _text(outcome, inner)
        for outcome in _OUTCOMES
        for inner in _INNER
    },
    **{
        f"{outcome} behind a {inner}, sampled": _text(outcome, inner, _CHAINS)
        for outcome, inner in (
            ("Normal", "process"),
            ("Bernoulli", "process"),
            ("Normal", "linear"),
            ("Normal", "network"),
            ("Poisson", "network"),
        )
    },
}


def _data(text: str, rows: slice) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 3))
    f = np.sin(2 * x[:, 0]) + x[:, 1]
    y: Any = f
    if "Bernoulli" in text:
        y = f > 0
    elif "Categorical" in text:
        y = np.array(["a", "b", "c"])[np.digitize(f, [-0.5, 0.5])]
    elif "Poisson" in text:
        y = rng.poisson(np.exp(f / 2))
    inputs = {"t": np.linspace(0, 3, 24)[rows]} if "data t" in text else {"x": x[rows]}
    return {**inputs, "y": y[rows]}


def _goes(text: str, path: Any) -> None:
    fit = mercer.compile(text).fit(
        _data(text, slice(20)), seed=1, chains=1, draws=5, progress=False
    )
    new = _data(text, slice(20, 24))
    found, again = fit.predict(new), mercer.open(fit.save(path)).predict(new)
    assert np.isfinite(found.density("y")).all()
    np.testing.assert_array_equal(found.means["y"], again.means["y"])
    np.testing.assert_array_equal(found.draws["y"].values, again.draws["y"].values)


def test_a_composition_goes_the_road(tmp_path):
    _goes(_text("Poisson", "process"), tmp_path / "fit.nc")


def test_what_moves_points_begins_at_a_draw_and_the_plan_says_so():
    plan = mercer.compile(_text("Normal", "network")).explain()
    assert "Points of functions are made of h.layer1.weights, h.layer1.bias" in plan


@pytest.mark.slow
@pytest.mark.parametrize(
    "inside",
    [
        "h(x)|h : Real^d -> Real ~ Linear()|Real",
        "h(g(x))|g : Real^d -> Real^2 ~ Linear()\n"
        "h : Real^2 -> Real^2 ~ GP(RBF(lengthscale = 1, scale = 1), mean = Identity())|Real^2",
    ],
)
def test_the_direction_in_which_a_function_varies_is_found_in_batches(inside):
    """y = sin(3 x.w) of five inputs: held-out rows are foretold to the noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    y = np.sin(3 * x @ [0.3, -0.5, 0.6, 0.4, 0.37]) + 0.1 * rng.normal(size=600)
    argument, declared, domain = inside.split("|")
    text = f"""data x[n] : Real^d
data y[n] : Real
{declared}
f : {domain} -> Real ~ GP(RBF(lengthscale ~ LogNormal(0, 1), scale = 1))
noise ~ LogNormal(-1, 1)
y ~ Normal(f({argument}), noise)
infer SVI(batch = 100, steps = 3000)
infer f by Inducing(count = 30)
"""
    fit = mercer.compile(text).fit(
        {"x": x[:400], "y": y[:400]}, seed=0, draws=25, chains=1, progress=False
    )
    found = fit.predict({"x": x[400:]}).means["y"]
    assert np.sqrt(np.mean((found - y[400:]) ** 2)) < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROADS)
def test_every_composition_goes_the_road(kind, tmp_path):
    _goes(ROADS[kind], tmp_path / "fit.nc")
