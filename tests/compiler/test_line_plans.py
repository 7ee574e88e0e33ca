"""What runs along a line, by which engine, and why not."""

from __future__ import annotations

import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.model import Model

ONE = """
data t[n], y[n] : Real
f ~ GP({kernel})
level ~ Normal(0, 10)
noise ~ HalfNormal(1)
y ~ Normal({mean}, noise)
"""


def one(kernel: str = "Matern32()", mean: str = "level + f(t)") -> str:
    return ONE.format(kernel=kernel, mean=mean)


LABELS = """
data t[n], y[n] : Real
data g[n] : Label(s)
f[s] : Real -> Real ~ GP(Matern52())
trend : Real -> Real ~ GP(Matern32())
base[s] ~ Normal(0, 1)
noise ~ HalfNormal(1)
y ~ Normal({mean}, noise)
"""
OUTPUTS = """
index k = ["a", "b"]
data t[n] : Real
data y[n, k] : Real
f : Real -> Real^k ~ GP(Matern32(){outputs})
shift[k] ~ Normal(0, 1)
noise ~ HalfNormal(1)
y ~ Normal(f(t) + shift, noise)
"""
SHARED_OUTPUTS = OUTPUTS.format(outputs="").replace("shift, noise", "trend(t), noise") + (
    "trend : Real -> Real ~ GP(Matern12())\n"
)


@pytest.mark.parametrize(
    ("text", "rows", "engine"),
    [
        (one(), 50, "Dense"),
        (one(), 1000, "Markov"),
        (one(), 10**6, "Markov"),
        (one("RBF()"), 1000, "Dense"),
        (one("Matern12() + Brownian() + Cosine(period = 1)"), 1000, "Markov"),
        (one("Matern52() * Cosine(period = 1)"), 1000, "Markov"),
        (one("Periodic(period = 1)"), 1000, "Dense"),  # exact before all but exact
        (one("Periodic(period = 1) + Matern32()"), 10**5, "Markov"),  # what has room
        (one("Linear()"), 1000, "Markov"),
        (LABELS.format(mean="base[g] + f[g](t)"), 1000, "Markov"),
        (LABELS.format(mean="f[g](t) + trend(t)"), 300, "Dense"),  # a state of 14 numbers
        (LABELS.format(mean="f[g](t) + trend(t)"), 3000, "Markov"),
        (OUTPUTS.format(outputs=""), 1000, "Markov"),
        (SHARED_OUTPUTS, 1000, "Markov"),
        (OUTPUTS.format(outputs=", outputs = Coregion()"), 1000, "Markov"),
    ],
)
def test_the_engine_goes_by_structure_and_size(text: str, rows: int, engine: str) -> None:
    assert Model.from_text(text).plan({"n": rows, "s": 4, "k": 2}).engine_name == engine


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (one("RBF()"), "the kernel `RBF` of `f` has no state of finite size"),
        (one(mean="f(t) + f(t + 1)"), "reads functions at different points"),
        (one(mean="f(t) + Integral(f, 0, 1)"), "is no part of a state"),
        (
            "data p[n] : Real^2\ndata y[n] : Real\nf ~ GP(Matern32())\ny ~ Normal(f(p), 1)",
            "not on a line",
        ),
        (
            "data y[n] : Real\nx[n] ~ Normal(0, 1)\nf : Real -> Real ~ GP(Matern32())\n"
            "y ~ Normal(f(x), 1)",
            "the points of `f(x)` are unknown",
        ),
        (one("(" + " * ".join(4 * ["Matern52(lengthscale = 1)"]) + ")"), "has 81 numbers"),
    ],
)
def test_what_does_not_run_along_a_line_says_why(text: str, words: str) -> None:
    with pytest.raises(MercerError) as caught:
        Model.from_text(f"{text}\ninfer f by Kalman()").plan()
    (found,) = caught.value.diagnostics
    assert found.code == "M321"
    assert words in str(found.why)


def test_copies_that_rows_read_at_once_are_one_state_where_it_has_room() -> None:
    model = Model.from_text(LABELS.format(mean="f[g](t) + trend(t)"))
    told = "\n".join(model.plan({"n": 3000, "s": 4}).sentences)
    assert "one state of 14 numbers holds all copies" in told
    many = model.plan({"n": 3000, "s": 40})
    assert many.engine_name == "Inducing"
    assert any("a state that holds all copies has 122 numbers" in s for s in many.sentences)
    asked = Model.from_text(LABELS.format(mean="f[g](t) + trend(t)") + "\ninfer f by Kalman()")
    with pytest.raises(MercerError, match="cannot be integrated out by Kalman"):
        asked.plan({"n": 3000, "s": 40})


def test_a_plan_says_the_size_of_the_state_and_what_a_series_leaves_out() -> None:
    model = Model.from_text(one("Matern52() + Periodic(period = 1)") + "\ninfer f by Kalman()")
    text = "\n".join(model.plan({"n": 100}).sentences)
    assert "The state along the line has 3 numbers, and 30 weights" in text
    assert "`Periodic` is its first 14 waves, which leaves out" in text
    assert "as long as its lengthscale is above 0.5" in text
    assert not model.plan({"n": 100}).inducing
    exact = Model.from_text(one("Matern52()") + "\ninfer f by Kalman()").plan({"n": 100})
    assert any("exactly, by filtering and smoothing" in s for s in exact.sentences)


def test_labelled_effects_belong_to_the_chains_of_their_labels() -> None:
    asking = "\ninfer f by Kalman()"
    source = Model.from_text(LABELS.format(mean="base[g] + f[g](t)") + asking).source
    assert "local=('base',)" in source
    source = Model.from_text(OUTPUTS.format(outputs="") + asking).source
    assert "local=('shift',)" in source
    shared = OUTPUTS.format(outputs=", outputs = Coregion()") + asking
    assert "local=" not in Model.from_text(shared).source
