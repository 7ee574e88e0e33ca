"""The table of what `auto` chooses, by structure and size."""

from __future__ import annotations

import pytest

from mercer.dsl.diagnostic import MercerError
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
ROUGH = LINE.replace("RBF", "Matern32")
SHARED = """
data x[n], y[n] : Real
data g[n] : Label(group)
f[group] ~ GP(Matern32())
trend ~ GP(Matern52())
y ~ Normal(f[g](x) + trend(x), 0.1)
"""
ALONG = """
data x[n] : Real
data y[n] : Count
f ~ GP(Matern32())
y ~ Poisson(exp(f(x)))
"""
WEIGHTS = """
data x[n], y[n] : Real
a ~ Normal(0, 1)
b ~ Normal(0, 1)
y ~ Normal(a + b * x, 0.5)
"""
COUNTS = """
data x[n] : Real^d
data g[n] : Label(group)
data y[n] : Count
level[group] ~ Normal(0, 1)
f : Real^d -> Real ~ GP(RBF())
y ~ Poisson(exp(level[g] + f(x)))
"""
CLASSES = """
data x[n] : Real^d
data y[n] : Label(kind)
f : Real^d -> Real^kind ~ GP(RBF())
y ~ Categorical(logits = f(x))
"""
SPREADS = """
data x[n] : Real^d
data y[n] : Real
f : Real^d -> Real ~ GP(RBF())
g : Real^d -> Real ~ GP(RBF())
y ~ Normal(f(x), exp(g(x)))
"""
A_LEVEL_FOR_EACH_ROW = """
data x[n] : Real^d
data y[n] : Count
excess[n] ~ Normal(0, 1)
f : Real^d -> Real ~ GP(RBF())
y ~ Poisson(exp(excess + f(x)))
"""
MANY = {"n": 2_000_000, "d": 3, "group": 200, "kind": 4}


@pytest.mark.parametrize(
    ("text", "sizes", "engine", "method"),
    [
        (PLANE, {"n": 200, "d": 2}, "Dense", "nuts"),
        (PLANE, {"n": 2_000, "d": 2}, "Dense", "map"),
        (PLANE, {"n": 10_000, "d": 2}, "Inducing", "map"),
        (GROUPS, {"n": 10_000, "d": 2, "group": 30}, "Inducing", "map"),
        (LINE, {"n": 100}, "Dense", "nuts"),
        (ROUGH, {"n": 100}, "Dense", "nuts"),
        (ROUGH, {"n": 2_000}, "Markov", "nuts"),
        (ROUGH, {"n": 1_000_000}, "Markov", "map"),
        (SHARED, {"n": 1_000, "group": 20}, "Dense", "map"),
        (ALONG, {"n": 50}, "", "nuts"),
        (ALONG, {"n": 50_000}, "Markov", "map"),
        (WEIGHTS, {"n": 100}, "WeightSpace", "nuts"),
        (WEIGHTS, {"n": 1_000_000}, "WeightSpace", "nuts"),
    ],
)
def test_the_plan_takes_what_the_size_affords(text, sizes, engine, method):
    plan = Model.from_text(text).plan(sizes)
    assert (plan.engine_name, plan.method) == (engine, method)


@pytest.mark.parametrize(
    ("text", "sizes", "kinds"),
    [
        (PLANE, MANY, {"y": "closed form"}),
        (PLANE, {"n": 50_000, "d": 8}, {"y": "closed form"}),
        (GROUPS, MANY, {"y": "closed form"}),
        (COUNTS, MANY, {"y": "quadrature"}),
        (COUNTS, {"n": 20_000, "d": 3, "group": 200}, {"y": "quadrature"}),
        (CLASSES, MANY, {"y": "draws"}),
        (SPREADS, MANY, {"y": "draws"}),
    ],
)
def test_very_many_rows_are_taken_a_few_at_a_time(text, sizes, kinds):
    plan = Model.from_text(text).plan(sizes)
    assert (plan.lane, plan.method) == ("variational", "svi")
    assert plan.batches is not None
    assert (plan.batches.rows, plan.batches.size) == ("n", 1024)
    assert dict(plan.batches.kinds) == kinds


@pytest.mark.parametrize(
    ("infer", "size", "steps"),
    [
        ("SVI(batch = 64)", 64, 20_000),
        ("SVI(batch = 64, steps = 100)", 64, 100),
        ("f by Inducing(count = 9)", 80, 20_000),
    ],
)
def test_batches_are_as_asked_and_never_more_than_the_rows(infer, size, steps):
    plan = Model.from_text(COUNTS).plan({"n": 80, "d": 2, "group": 3}, infer)
    assert plan.batches is not None
    assert (plan.batches.size, plan.batches.steps) == (size, steps)
    assert dict(plan.settings) == {"batch": size, "steps": steps, "draws": 25}


@pytest.mark.parametrize(
    ("text", "infer", "words"),
    [
        (A_LEVEL_FOR_EACH_ROW, "f by Inducing()", "`excess` has an entry for each row"),
        (COUNTS, "f by Inducing()\ninfer NUTS()", "outcome is not Normal"),
        (WEIGHTS, "SVI(batch = 10)", "there is no random function"),
        (PLANE.replace("f(x)", "f(x) - mean(f(x))"), "SVI(batch = 9)", "reduction over `n`"),
    ],
)
def test_rows_that_hang_together_are_not_taken_apart(text, infer, words):
    with pytest.raises(MercerError) as caught:
        Model.from_text(f"{text}\ninfer {infer}\n").plan({"n": 80, "d": 2, "group": 3})
    (told,) = caught.value.diagnostics
    assert told.code == "M321" and words in str(told.why)


def test_the_plan_of_batches_says_what_it_approximates_and_what_it_leaves_out():
    sentences = " ".join(Model.from_text(COUNTS).plan(MANY).sentences)
    for words in (
        "level, f are Gaussian under y",
        "one joint Normal law",
        "f at 400 points",
        "Gauss-Hermite quadrature",
        "1,024 rows of `n`",
        "f.lengthscale, f.scale: each has a Normal law of its own",
        "lower bound",
    ):
        assert words in sentences


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


def test_the_plan_says_why_functions_of_a_line_do_not_run_along_it():
    sentences = " ".join(Model.from_text(SHARED).plan({"n": 1_000, "group": 80}).sentences)
    assert "Not along the line" in sentences and "a state that holds all copies" in sentences
    assert "Not along" not in " ".join(Model.from_text(LINE).plan({"n": 100}).sentences)
    assert "Not along" not in " ".join(Model.from_text(ROUGH).plan({"n": 100}).sentences)


def test_an_engine_that_is_asked_for_is_taken_whatever_the_size():
    few = Model.from_text(LINE).plan({"n": 20}, "f by Inducing(count = 5)")
    many = Model.from_text(LINE).plan({"n": 20_000}, "f by Exact()")
    assert (few.engine_name, many.engine_name) == ("Inducing", "Dense")
