"""Laws of the formatter: it keeps the meaning and the comments, and is idempotent."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercer.dsl.format import format_model
from mercer.dsl.layout import WIDTH, flat
from mercer.dsl.parse import parse
from mercer.dsl.show import show_syntax
from mercer.dsl.syntax import Define, Model
from tests.dsl.strategies import models

MODELS = sorted((Path(__file__).parents[1] / "models").rglob("*.mercer"))


def formatted(text: str) -> str:
    return format_model(parse(text))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_formatting_a_model_keeps_its_meaning_and_is_idempotent(path: Path) -> None:
    model = parse(path.read_text(encoding="utf-8"))
    text = format_model(model)
    assert parse(text) == model
    assert formatted(text) == text
    # A string stays in one piece, however long.
    assert all(len(row) <= WIDTH for row in text.split("\n") if '"' not in row)


@given(models())
def test_any_tree_is_parsed_back_from_its_text(model: Model) -> None:
    text = format_model(model)
    assert parse(text) == model
    assert formatted(text) == text


@given(models(), st.randoms(use_true_random=False))
def test_blanks_comments_and_empty_lines_change_no_meaning(model: Model, random: object) -> None:
    choose = getattr(random, "choice")  # noqa: B009
    rows = format_model(model).split("\n")
    noisy: list[str] = []
    for row in rows:
        noisy.append(row + choose(["", "  # why", "   ", "#"]))
        noisy += choose([[], [""], ["", "", "# alone"], ["   # in"]])
    text = "\n".join(noisy)
    once = formatted(text)
    assert parse(once) == model
    assert formatted(once) == once
    assert sorted(c.text for c in parse(once).comments) == sorted(
        c.text for c in parse(text).comments
    )
    assert "\n\n\n" not in once


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("((a+b))*c", "(a + b) * c"),
        ("(a*b)+c", "a * b + c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("(-x)^2", "(-x)^2"),
        ("-(x^2)", "-x^2"),
        ("2^(-1)", "2^-1"),
        ("(2^3)^4", "(2^3)^4"),
        ("2^(3^4)", "2^3^4"),
        ("(a<b)*(b<c)", "(a < b) * (b < c)"),
        ("(y[t-1]else mu)*phi", "(y[t - 1] else mu) * phi"),
        ("(f)(x,)", "f(x)"),
        ("(a|>f).b", "(a |> f).b"),
        ("(3).b", "(3).b"),
        ("(u=1,v=2).u", "(u = 1, v = 2).u"),
    ],
)
def test_parentheses_stand_only_where_they_are_needed(text: str, canonical: str) -> None:
    (declaration,) = parse(f"x = {text}").declarations
    assert isinstance(declaration, Define)
    assert flat(declaration.value) == canonical


def test_columns_are_kept_where_they_were_written() -> None:
    text = 'data a   : Real    "one"\ndata bcd : Count   "two"\n\nx ~ f()\nlong ~ f()\n'
    assert formatted(text) == (
        'data a   : Real     "one"\ndata bcd : Count    "two"\n\nx ~ f()\nlong ~ f()\n'
    )
    assert formatted("s[k] : Real ~ f()\nab   ~ g()\nabcdef ~ h()") == (
        "s[k] : Real ~ f()\nab   ~ g()\nabcdef ~ h()\n"
    )


def test_comments_stay_where_they_belong() -> None:
    text = """\
#  top
"doc"   # of the model


# own
x = f(a, # inside
      b)   # behind
#last
"""
    assert (
        formatted(text)
        == """\
# top
"doc"  # of the model

# own
# inside
x = f(a, b)  # behind
# last
"""
    )


def test_a_long_line_is_wrapped_inside_brackets() -> None:
    terms = " + ".join(f"coefficient_{i} * column_{i}" for i in range(8))
    assert (
        formatted(f"y ~ Normal({terms}, 1)")
        == """\
y ~ Normal(
    coefficient_0 * column_0 + coefficient_1 * column_1 + coefficient_2 * column_2
    + coefficient_3 * column_3 + coefficient_4 * column_4 + coefficient_5 * column_5
    + coefficient_6 * column_6 + coefficient_7 * column_7,
    1
)
"""
    )
    assert formatted(f"y = {terms}").startswith("y = (\n    coefficient_0")


@pytest.mark.parametrize(
    "shape", ["{a}^({a} + {a})", "({a} + {a})^{a}", "-({a} * {a})", "f({a})^2 + {a}^-{a}(b)"]
)
def test_what_is_too_wide_is_wrapped_to_the_same_meaning(shape: str) -> None:
    for length in (20, 45, 60, 99, 150):
        text = f"x = g({shape.format(a='a' * length)}, {shape.format(a='b' * length)})[k]\n"
        once = formatted(text)
        assert parse(once) == parse(text)
        assert formatted(once) == once


@pytest.mark.parametrize("shape", ["({}) * a", "f({})", "-{}", "a[{}]", "[{}]", "(u = {})"])
def test_the_deepest_trees_are_formatted_and_listed(shape: str) -> None:
    expression = "x"
    for _ in range(99):
        expression = shape.format(expression)
    model = parse(f"y = {expression} + a")
    once = format_model(model)
    assert parse(once) == model
    assert show_syntax(model).count("\n") > 99
