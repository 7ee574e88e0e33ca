"""Laws of parsing: precedence, spans, contextual words, recovery, hostile texts."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercer.dsl import syntax
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.layout import flat
from mercer.dsl.parse import parse, parse_partial

ROOT = Path(__file__).parents[2]
MODELS = sorted((ROOT / "tests" / "models").rglob("*.mercer"))


def expression(text: str) -> syntax.Expression:
    (declaration,) = parse(f"x = {text}").declarations
    assert isinstance(declaration, syntax.Define)
    return declaration.value


def codes(text: str) -> list[str]:
    return [diagnostic.code for diagnostic in parse_partial(text)[1]]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_of_the_gallery_parses(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row and not row.startswith(('"', "#"))]
    assert len(parse(text).declarations) == len(rows)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a |> f else b", "(a) |> ((f) else (b))"),
        ("a else b else c", "((a) else (b)) else (c)"),
        ("a else b < c", "(a) else ((b) < (c))"),
        ("a < b + c", "(a) < ((b) + (c))"),
        ("a - b - c", "((a) - (b)) - (c)"),
        ("a / b * c", "((a) / (b)) * (c)"),
        ("a + b * c", "(a) + ((b) * (c))"),
        ("-a * b", "(-(a)) * (b)"),
        ("-x^2", "-((x)^(2))"),
        ("2^-1", "(2)^(-(1))"),
        ("2^3^4", "(2)^((3)^(4))"),
        ("2^-3^4", "(2)^(-((3)^(4)))"),
        ("f(x)^2", "(f(x))^(2)"),
        ("f[a](x).y", "((f[a])(x)).y"),
    ],
)
def test_operators_bind_as_the_language_says(text: str, meaning: str) -> None:
    assert expression(text) == expression(meaning)


def test_a_comparison_does_not_chain() -> None:
    assert codes("x = a < b < c") == ["M191"]


def test_arguments_are_positional_fixed_or_random() -> None:
    call = expression("f(a, b = c == d, e[k'] ~ g)")
    assert isinstance(call, syntax.Call)
    seen = [(a.name, a.indices, a.operator, flat(a.value)) for a in call.arguments]
    assert seen == [(None, (), None, "a"), ("b", (), "=", "c == d"), ("e", ("k'",), "~", "g")]


def test_contextual_words_are_names_elsewhere() -> None:
    text = "data by, index : Real\nuse[data] ~ f(index, by = by)\ninfer = data + def\ndef ~ def"
    data, use, infer, definition = parse(text).declarations
    assert isinstance(data, syntax.Data)
    assert [target.name for target in data.targets] == ["by", "index"]
    assert isinstance(use, syntax.Tilde) and use.target.name == "use"
    assert isinstance(infer, syntax.Define) and infer.target.name == "infer"
    assert isinstance(definition, syntax.Tilde) and definition.target.name == "def"


def test_infer_names_one_unknown_also_a_dotted_one_or_none() -> None:
    text = "infer NUTS()\ninfer by by A()\ninfer f.lengthscale by B(by = 1)"
    declarations = parse(text).declarations
    assert [getattr(d, "name", "") for d in declarations] == [None, "by", "f.lengthscale"]


def test_a_line_goes_on_inside_brackets_only() -> None:
    assert parse("x = f(\n\n a, # one\n b\n)\ny = 1") == parse("x = f(a, b)\ny = 1")
    assert codes("x = 1 +\ny = 2") == ["M154"]


def test_a_dot_needs_its_digit_and_two_dots_are_a_range() -> None:
    (index,) = parse("index k = 1..3").declarations
    assert isinstance(index, syntax.Index) and isinstance(index.labels, syntax.Range)
    assert codes("x = 1.") == codes("x = .5") == ["M105"]
    assert expression("1e-3") == syntax.Number("1e-3", span=expression("1").span)


def test_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    plain = "x ~ Normal(0, 1)  # c\ny = x"
    for text in (plain.replace("\n", "\r\n"), plain.replace("\n", "\r"), "\ufeff" + plain):
        assert parse(text) == parse(plain)
        assert [d.span for d in parse(text).declarations] == [
            d.span for d in parse(plain).declarations
        ]


def test_a_string_alone_at_the_top_documents_the_model() -> None:
    model = parse('# comment\n"All of it."\nx = 1 "a \\"one\\""')
    assert model.doc == "All of it." and model.declarations[0].doc == 'a "one"'
    assert codes('x = 1\n"late"') == ["M118"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_span_of_a_name_or_number_is_where_it_is_written(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    rows = source.split("\n")
    for node in walk(parse(source)):
        span = node.span
        if isinstance(node, (syntax.Name, syntax.Number)):
            word = node.id if isinstance(node, syntax.Name) else node.text
            assert rows[span.line - 1][span.column - 1 : span.end_column - 1] == word


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_span_of_a_part_lies_in_that_of_the_whole(path: Path) -> None:
    for node in walk(parse(path.read_text(encoding="utf-8"))):
        for part in parts(node):
            assert (node.span.line, node.span.column) <= (part.span.line, part.span.column)
            assert (part.span.end_line, part.span.end_column) <= (
                node.span.end_line,
                node.span.end_column,
            )


def test_parentheses_count_in_the_span_of_what_they_are_a_part_of() -> None:
    product = expression("(a + b) * c")
    assert isinstance(product, syntax.Binary)
    assert (product.span.column, product.span.end_column) == (5, 16)
    assert (product.left.span.column, product.left.span.end_column) == (6, 11)


# --- recovery ----------------------------------------------------------------------------


def test_five_independent_mistakes_give_five_diagnostics() -> None:
    text = """\
x ~ Normal(0 1)
data y[n] Real
z = 3.
w ~ GP(RBF(lengthscale ~ LogNormal(0, 1)
ok ~ Normal(0, 1)
v = = 2
"""
    model, found = parse_partial(text)
    assert [d.code for d in found] == ["M156", "M127", "M105", "M107", "M135"]
    assert [d.span.line for d in found if d.span] == [1, 2, 3, 4, 6]
    assert len(model.declarations) == 1
    assert model.lost == ("x", "y", "z", "w", "v")


def test_an_unclosed_bracket_is_reported_where_it_opened() -> None:
    model, (found,) = parse_partial("y ~ Normal(0,\nz ~ Normal(1, 0)\nw ~ Normal(0, 1)")
    assert found.code == "M107" and found.span is not None
    assert (found.span.line, found.span.column) == (1, 11)
    assert len(model.declarations) == 2


def test_a_missing_comma_in_a_wrapped_call_is_not_an_unclosed_bracket() -> None:
    assert codes("f ~ GP(RBF(\n  lengthscale ~ A(1)\n  scale ~ B(1)))\ny = f") == ["M156"]


def test_a_declaration_broken_off_outside_brackets_is_one_mistake() -> None:
    assert codes("data y[t]\n  : Real\nz = 1") == ["M127"]
    assert codes("x = a +\n  b\nz = 1") == ["M154"]
    assert codes("x = a\n  + b\nz = 1") == ["M198"]


def test_an_unclosed_string_takes_no_further_line_with_it() -> None:
    assert codes('y ~ f("abc, 0)\nz = 1') == ["M103"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_fault_in_one_line_leaves_the_other_declarations(path: Path) -> None:
    rows = path.read_text(encoding="utf-8").split("\n")
    whole = parse("\n".join(rows)).declarations
    for i, row in enumerate(rows):
        if "(" not in row or row.startswith('"'):
            continue
        broken = row[: row.rindex(")")] + row[row.rindex(")") + 1 :]
        model, found = parse_partial("\n".join([*rows[:i], broken, *rows[i + 1 :]]))
        assert [d.code for d in found] == ["M107"]
        assert len(model.declarations) == len(whole) - 1


# --- hostile texts -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", '"Only words."', "\ufeff", "   "])
def test_a_model_that_declares_nothing_is_told_how_to_begin(text: str) -> None:
    (found,) = parse_partial(text)[1]
    assert found.code == "M101" and found.mend and "data" in found.mend


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 5000 + "1" + ")" * 5000,
        "x = " + "f(" * 5000,
        "x = " + "-" * 5000 + "1",
        "x = " + "+".join("1" * 5000),
        "x = " + "^".join("1" * 5000),
        "x = a" + "[b]" * 5000,
        "x = " + "[" * 300 + "]" * 300,
    ],
)
def test_what_is_nested_too_deep_is_refused_and_not_a_recursion_error(text: str) -> None:
    assert codes(text) == ["M110"]


@given(st.text(max_size=80))
def test_any_text_gives_a_model_or_diagnostics(text: str) -> None:
    model, found = parse_partial(text)
    assert model.declarations or found
    str(MercerError(found, {"<model>": model.source}))


_WORDS = [*"xk'()[],.:~=+-*^<>#\"\n ", "data ", "infer ", " by ", " else ", "1", "..", "->", "|>"]


@given(st.lists(st.sampled_from(_WORDS), max_size=40).map("".join))
def test_any_heap_of_words_gives_a_model_or_diagnostics(text: str) -> None:
    model, found = parse_partial(text)
    assert model.declarations or found
    for diagnostic in found:
        assert diagnostic.span is not None
        assert diagnostic.span.line <= text.count("\n") + 1


@pytest.mark.parametrize("character", ["\x00", "\u202e", "\ud800", "\u2028"])
def test_invisible_characters_are_refused_everywhere_and_not_printed(character: str) -> None:
    for text in (f"x = {character}", f'x = "{character}"', f"x = 1 # {character}"):
        with pytest.raises(MercerError) as caught:
            parse(text)
        assert [d.code for d in caught.value.diagnostics] == ["M113"]
        assert character not in str(caught.value)


def test_time_grows_no_faster_than_the_text() -> None:
    row = "v ~ Normal(a + b[n] * exp(x[n]^2), scale ~ HalfNormal(1))\n"
    unclosed = "x = f(\n"

    def seconds(text: str) -> float:
        start = time.process_time()
        parse_partial(text)
        return time.process_time() - start

    for text in (row, unclosed, "x = (]\n", "é = 1 # c\n"):
        seconds(text)
        assert seconds(text * 2000) < 40 * max(seconds(text * 200), 0.01)


def test_opening_a_file_takes_milliseconds_and_no_heavy_import() -> None:
    program = (
        "import sys\n"
        "from mercer.dsl.parse import parse\n"
        "parse('x ~ Normal(0, 1)')\n"
        "print([m for m in ('lark', 'jax', 'numpy', 'pygments') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def parts(node: syntax.Node) -> list[syntax.Node]:
    found: list[syntax.Node] = []
    for field in fields(node):
        value = getattr(node, field.name) if field.compare else None
        items = list(value) if isinstance(value, tuple) else [value]
        items += [item[1] for item in items if isinstance(item, tuple)]
        found += [item for item in items if isinstance(item, syntax.Node)]
    return found


def walk(node: syntax.Node) -> list[syntax.Node]:
    return [node, *(below for part in parts(node) for below in walk(part))]


@pytest.mark.parametrize("at", [0, 5_000, 9_990])
def test_of_a_line_without_end_a_message_shows_the_stretch_around_the_place(at: int) -> None:
    text = "x = " + "a" * at + " $ " + "b" * (9_990 - at)
    with pytest.raises(MercerError) as caught:
        parse(text)
    _, _, line, carets, *_ = str(caught.value).split("\n")
    assert len(line) < 700
    assert line[carets.index("^")] == "$" and carets.count("^") == 1


@pytest.mark.parametrize("text", ["(\n" * 20_000, "x = f(" + "\n(a" * 20_000])
def test_brackets_without_end_are_one_mistake(text: str) -> None:
    assert len(parse_partial(text)[1]) == 1
