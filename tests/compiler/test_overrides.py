"""Every line `infer` changes the emitted program, or is an error with its reason."""

from __future__ import annotations

import pytest

from mercer.compiler.emit import emit
from mercer.dsl.diagnostic import MercerError
from mercer.model import Model

TWO_FUNCTIONS = """
data x[n], y[n] : Real
f ~ GP(RBF(lengthscale = 1, scale = 1))
g ~ GP(Matern32(lengthscale = 3, scale = 1))
b ~ Normal(0, 1)
s ~ HalfNormal(1)
y ~ Normal(f(x) + g(x) + b, s)
"""
WEIGHTS = """
data x[n], y[n] : Real
a ~ Normal(0, 1)
b ~ Normal(0, 1)
y ~ Normal(a + b * x, 0.5)
"""
COUNTS = """
data x[n] : Real
data y[n] : Count
f ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Poisson(exp(f(x)))
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TWO_FUNCTIONS, "f by Whitened()"),
        (TWO_FUNCTIONS, "g by NUTS()"),
        (TWO_FUNCTIONS, "b by NUTS()"),
        (TWO_FUNCTIONS, "f by Inducing()"),
        (TWO_FUNCTIONS, "f by Inducing(count = 20)"),
        (TWO_FUNCTIONS, "f by Inducing(at = x)"),
        (TWO_FUNCTIONS, "b by MAP()"),
        (TWO_FUNCTIONS, "SVI()"),
        (TWO_FUNCTIONS, "NUTS(target = 0.95)"),
        (TWO_FUNCTIONS, "NUTS(chains = 2)"),
        (TWO_FUNCTIONS, "MAP(restarts = 2)"),
        (WEIGHTS, "a by Exact()"),
        (WEIGHTS, "a by NUTS()"),
        (COUNTS, "MAP()"),
    ],
)
def test_a_line_changes_the_program(text: str, line: str) -> None:
    model = Model.from_text(text)
    assert emit(model.plan()) != emit(model.plan(infer=line))
    assert emit(model.plan(infer=line)) == emit(Model.from_text(f"{text}\ninfer {line}").plan())


def test_what_is_asked_is_what_is_planned() -> None:
    model = Model.from_text(TWO_FUNCTIONS)
    whitened = model.plan(infer="f by Whitened()")
    assert whitened.latent == ("f",)
    assert whitened.structure.block == {"g", "b"}
    assert any("f is a random function" in s and "as asked" in s for s in whitened.sentences)
    sampled = model.plan(infer="b by MAP()")
    assert (sampled.method, sampled.sampled) == ("map", ("b", "s"))
    assert "Not integrated out, as asked: b." in sampled.sentences
    assert Model.from_text(WEIGHTS).plan(infer="b by Exact()").engine_name == "Dense"
    assert Model.from_text(WEIGHTS).plan().engine_name == "WeightSpace"


@pytest.mark.parametrize(
    ("text", "line", "code", "words"),
    [
        (TWO_FUNCTIONS, "f by Inducing(count = 0)", "M245", "at least 1"),
        (TWO_FUNCTIONS, "f by Inducing()\ninfer g by Exact()", "M321", "by Inducing and"),
        (TWO_FUNCTIONS, "f by Inducing(at = b)", "M321", "cannot be integrated out by Inducing"),
        (WEIGHTS, "a by Inducing()", "M321", "cannot be integrated out by Inducing"),
        (TWO_FUNCTIONS, "Messages()", "M321", "messages cannot be passed"),
        (TWO_FUNCTIONS, "f by Kalman()", "M321", "cannot be integrated out by Kalman"),
        (TWO_FUNCTIONS, "Kalman()", "M321", "for one unknown"),
        (TWO_FUNCTIONS, "Whitened()", "M321", "for one unknown"),
        (TWO_FUNCTIONS, "b by Whitened()", "M321", "no random function"),
        (COUNTS, "f by Exact()", "M321", "cannot be integrated out"),
        (TWO_FUNCTIONS, "s by Exact()", "M321", "cannot be integrated out"),
        (TWO_FUNCTIONS, "f by NUTS()\ninfer g by MAP()", "M321", "the rest by NUTS"),
        (TWO_FUNCTIONS, "SVI()\ninfer g by MAP()", "M321", "the rest by SVI"),
        (TWO_FUNCTIONS, "f by NUTS()\ninfer f by Exact()", "M321", "`f` is asked for twice"),
        (TWO_FUNCTIONS, "NUTS()\ninfer MAP()", "M321", "the whole model is asked for twice"),
        (TWO_FUNCTIONS, "NUTS(target = 2)", "M245", "target"),
        (TWO_FUNCTIONS, "NUTS(draws = 1.5)", "M245", "draws"),
        (TWO_FUNCTIONS, "NUTS(chains = 0)", "M245", "at least 1"),
        (TWO_FUNCTIONS, "NUTS(draws = s)", "M249", "number written here"),
        (TWO_FUNCTIONS, 'NUTS(draws = "many")', "M251", "no string"),
        (TWO_FUNCTIONS, "NUTS(draws ~ Normal(0, 1))", "M214", "no unknown"),
        (TWO_FUNCTIONS, "NUTS(drows = 5)", "M210", "drows"),
        (TWO_FUNCTIONS, "NUT()", "M241", "no inference method"),
    ],
)
def test_what_cannot_be_had_is_an_error(text: str, line: str, code: str, words: str) -> None:
    with pytest.raises(MercerError) as caught:
        Model.from_text(f"{text}\ninfer {line}\n").plan()
    found = [d for d in caught.value.diagnostics if d.code == code]
    assert found, [d.code for d in caught.value.diagnostics]
    assert any(words in d.problem for d in found), [d.problem for d in found]


@pytest.mark.parametrize(
    ("own", "line"), [("f by Whitened()", "f by Exact()"), ("MAP(\n    restarts = 2)", "SVI()")]
)
def test_what_is_asked_from_outside_replaces_what_the_model_says_of_the_same(
    own: str, line: str
) -> None:
    model = Model.from_text(f"infer {own}  # for now\n{TWO_FUNCTIONS}")
    alone = Model.from_text(TWO_FUNCTIONS).plan(infer=line)
    assert model.plan(infer=line).sentences == alone.sentences
    assert model.plan(infer=line) != model.plan()
