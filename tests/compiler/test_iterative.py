"""When a block is solved for iteratively, and when that is refused."""

import pytest

import mercer
from mercer.dsl.diagnostic import MercerError

MODEL = """
data x[n] : Real^d
data y[n] : Real
f : Real^d -> Real ~ GP(RBF())
y ~ Normal(f(x), 1)
"""
ASKED = MODEL + "infer f by Iterative(tolerance = 1e-4, rank = 30)\n"


def test_it_is_taken_where_it_is_asked_for_and_finds_a_mode():
    plan = mercer.compile(ASKED).plan({"n": 60, "d": 2})
    assert (plan.engine_name, plan.method) == ("Iterative", "map")
    assert plan.engine_text == "Iterations(tolerance=0.0001, rank=30, probes=10)"
    assert plan.settings["restarts"] == 1
    assert "relative residual of 0.0001" in " ".join(plan.sentences)


def test_inducing_points_are_taken_where_nobody_asks():
    plan = mercer.compile(MODEL).plan({"n": 20_000, "d": 2})
    assert plan.engine_name != "Iterative"


def test_it_is_taken_where_a_factorisation_has_no_room_and_the_points_are_unknown():
    moving = """
data w[n] : Real
data y[n] : Real
h[n] ~ Normal(w, 0.1)
f ~ GP(RBF())
y ~ Normal(f(h), 1)
"""
    few, many = (mercer.compile(moving).plan({"n": n}) for n in (1_000, 20_000))
    assert few.engine_name == "Dense"
    assert many.engine_name == "Iterative"
    assert "takes no inducing points" in " ".join(many.sentences)


@pytest.mark.parametrize(
    ("text", "size", "method", "word"),
    [
        (ASKED, 200_000, "auto", "more than 100,000 rows"),
        (ASKED, 100, "nuts", "NUTS with a block that is integrated out iteratively"),
        (
            ASKED.replace("Normal(f(x), 1)", "Poisson(exp(f(x)))").replace(
                "y[n] : Real", "y[n] : Count"
            ),
            100,
            "auto",
            "cannot be integrated out",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(text, size, method, word):
    with pytest.raises(MercerError) as caught:
        mercer.compile(text).plan({"n": size, "d": 2}, method)
    assert word in str(caught.value) + " ".join(
        d.problem + (d.why or "") for d in caught.value.diagnostics
    )
