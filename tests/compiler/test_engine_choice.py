"""The table of what `auto` chooses, by structure and size."""

from __future__ import annotations

import pytest

from mercer.model import Model

LINE = """
data x[n], y[n] : Real
f ~ GP(RBF(lengthscale ~ LogNormal(0, 1)))
y ~ Normal(f(x), 0.1)
"""
PLANE = """
data x[n] : Real^d
data y[n] : Real
f ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))
noise ~ HalfNormal(1)
y ~ Normal(f(x), noise)
"""
GROUPS = """
data x[n] : Real^d
data g[n] : Label(group)
data y[n] : Real
level[group] ~ Normal(0, 1)
f[group] ~ GP(RBF())
y ~ Normal(level[g] + f[g](x), 0.1)
"""
WEIGHTS = """
data x[n], y[n] : Real
a ~ Normal(0, 1)
b ~ Normal(0, 1)
y ~ Normal(a + b * x, 0.5)
"""


@pytest.mark.parametrize(
    ("text", "sizes", "engine", "method"),
    [
        (PLANE, {"n": 200, "d": 2}, "Dense", "nuts"),
        (PLANE, {"n": 2_000, "d": 2}, "Dense", "map"),
        (PLANE, {"n": 10_000, "d": 2}, "Inducing", "map"),
        (GROUPS, {"n": 10_000, "d": 2, "group": 30}, "Inducing", "map"),
        (WEIGHTS, {"n": 100}, "WeightSpace", "nuts"),
        (WEIGHTS, {"n": 1_000_000}, "WeightSpace", "nuts"),
    ],
)
def test_the_plan_takes_what_the_size_affords(text, sizes, engine, method):
    plan = Model.from_text(text).plan(sizes)
    assert (plan.engine_name, plan.method) == (engine, method)


@pytest.mark.parametrize(
    ("text", "sizes", "infer", "counts"),
    [
        (PLANE, {"n": 10_000, "d": 2}, "auto", {"f": 400}),
        (PLANE, {"n": 10_000, "d": 2}, "f by Inducing(count = 70)", {"f": 70}),
        (PLANE, {"n": 60, "d": 2}, "f by Inducing(count = 70)", {"f": 60}),
        (GROUPS, {"n": 50_000, "d": 2, "group": 60}, "f by Inducing()", {"f": 600}),
        (GROUPS, {"n": 50_000, "d": 2, "group": 5000}, "f by Inducing()", {"f": 1000}),
        (PLANE, {"n": 2_000, "d": 2}, "auto", {}),
    ],
)
def test_inducing_points_are_as_many_as_asked_or_as_copies_call_for(text, sizes, infer, counts):
    plan = Model.from_text(text).plan(sizes, infer)
    assert {name: use.size(sizes) for name, use in plan.inducing.items()} == counts


def test_the_plan_names_the_approximation_and_its_points():
    sentences = " ".join(Model.from_text(PLANE).plan({"n": 10_000, "d": 2}).sentences)
    for words in ("approximately", "f at 400 points", "lower bound", "25 draws"):
        assert words in sentences
    exact = " ".join(Model.from_text(PLANE).plan({"n": 100, "d": 2}).sentences)
    assert "nducing" not in exact


def test_an_engine_that_is_asked_for_is_taken_whatever_the_size():
    few = Model.from_text(LINE).plan({"n": 20}, "f by Inducing(count = 5)")
    many = Model.from_text(LINE).plan({"n": 20_000}, "f by Exact()")
    assert (few.engine_name, many.engine_name) == ("Inducing", "Dense")
