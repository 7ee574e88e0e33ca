"""Turns a word that cannot be one into the diagnostic that says why."""

from __future__ import annotations

import math
import re
import unicodedata

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.span import Span

# Characters and words of other languages, and what is written here instead.
_INSTEAD = {
    "−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "∼": "~", "˜": "~", "～": "~", "…": "..",
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "′": "'",
    "（": "(", "）": ")", "，": ",", "：": ":",
    "\u00a0": "a plain blank", "\u3000": "a plain blank",
    "**": "^", ":=": "=", "=>": "->", "=<": "<=", "<>": "!=", "!": "!=",
    "{": "(", "}": ")", "\ufeff": "nothing",
}  # fmt: skip

# Never shown as they are: they could make a text look like another than it is.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n", "\\t": "\t"}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def word_fault(word: str, span: Span) -> Diagnostic | None:
    """What is wrong with a word, a string or a comment, if anything."""
    hidden = _HIDDEN.search(word)
    if hidden:
        return _hidden(hidden.group(), span, hidden.start())
    if word.startswith("#"):
        return None
    if word.startswith('"'):
        return _string_fault(word, span)
    if word[0] == "_" or word[0].isalpha():
        return _name_fault(word, span)
    if word[0].isdigit() or (word[0] == "." and len(word) > 1):
        return _number_fault(word, span)
    return _character_fault(word, span)


def string_value(word: str) -> str:
    """The characters that a string literal stands for."""
    return re.sub(r"\\.", lambda escape: _ESCAPES[escape.group()], word[1:-1])


def string_literal(value: str) -> str:
    """The literal that stands for `value`; the inverse of `string_value`."""
    for escape in ("\\\\", '\\"', "\\n", "\\t"):
        value = value.replace(_ESCAPES[escape], escape)
    return f'"{value}"'


def _name_fault(word: str, span: Span) -> Diagnostic | None:
    if word.startswith("_"):
        rest = word.strip("_'")
        return Diagnostic(
            code="M106",
            problem=f"a name cannot begin with `_`: `{word}`",
            span=span,
            mend=f"call it `{rest}`" if rest[:1].isalpha() else "begin it with a letter",
        )
    if word.endswith("''"):
        return Diagnostic(
            code="M112",
            problem=f"a name has at most one prime: `{word}`",
            span=span,
            why="`k'` is a second index over the labels of `k`; there is no third.",
            mend="declare another index for it: `index j = 1..3`",
        )
    if not word.removesuffix("'").isidentifier():
        odd = next((c for c in word if not ("a" + c).isidentifier()), word[0])
        return Diagnostic(
            code="M102",
            problem=f"`{odd}` cannot be part of a name",
            span=span,
            mend="use letters, digits and `_`; a power is written `x^2`",
        )
    return None


def _number_fault(word: str, span: Span) -> Diagnostic | None:
    if _NUMBER.fullmatch(word):
        if math.isfinite(float(word)):
            return None
        return Diagnostic(
            code="M119",
            problem=f"`{word}` is too large a number",
            span=span,
            mend="numbers go up to 1.8e308; `inf` is infinity",
        )
    if word.startswith("."):
        mend = f"write `0{word}`" if _NUMBER.fullmatch("0" + word) else None
        return Diagnostic("M105", "a number needs a digit before its dot", span, mend=mend)
    number = _NUMBER.match(word)
    rest = word[number.end() :] if number else word
    if number is None:
        return Diagnostic(
            code="M111",
            problem=f"`{word}` is not a number",
            span=span,
            mend="write numbers with the digits 0 to 9",
        )
    if rest.startswith("."):
        return Diagnostic(
            code="M105",
            problem="a number needs a digit after its dot",
            span=span,
            mend=f"write `{number.group()}.0`" if rest == "." else None,
        )
    mend = f"write `{number.group()} * {rest}` for a product"
    if rest.strip("0123456789_") == "":
        mend = f"write `{word.replace('_', '')}`"
    return Diagnostic(
        code="M111",
        problem=f"`{word}` is neither a number nor a name",
        span=span,
        why="A name begins with a letter; the digits of a number stand together.",
        mend=mend if rest[:1] != "_" or mend.count("*") == 0 else None,
    )


def _string_fault(word: str, span: Span) -> Diagnostic | None:
    closed = re.fullmatch(r'"([^"\\]|\\.)*"', word)
    if not closed:
        return Diagnostic(
            code="M103",
            problem="this string is never closed",
            span=span,
            why="A string ends on the line where it begins.",
            mend='add the `"`',
        )
    for escape in re.finditer(r"\\.", word):
        if escape.group() not in _ESCAPES:
            column = span.column + escape.start()
            return Diagnostic(
                code="M104",
                problem=f"`{escape.group()}` means nothing inside a string",
                span=Span(span.file, span.line, column, span.line, column + 2),
                mend='write `\\\\` for a backslash; `\\"`, `\\n` and `\\t` are the other escapes',
            )
    return None


def _character_fault(word: str, span: Span) -> Diagnostic:
    if word == "'":
        mend: str | None = "write strings with `\"`; the prime of an index follows its name: `k'`"
    elif word == ";":
        mend = "write one declaration a line"
    elif word == "@":
        mend = "a product of vectors is a sum over their index: `sum(x * beta, d)`"
    elif word in {"//", "%", "/*"}:
        mend = "a comment begins with `#`"
    elif word in {"&", "&&", "|", "||"}:
        mend = "multiply Bools for `and`; `x |> f` is a pipeline"
    elif word in _INSTEAD:
        instead = _INSTEAD[word]
        mend = f"use {instead}" if " " in instead else f"write `{instead}`"
        mend = "remove it" if instead == "nothing" else mend
    else:
        mend = None
    shown = f"`{word}`" if word.isprintable() else _code_point(word)
    return Diagnostic("M102", f"{shown} does not belong to the language", span, mend=mend)


def _hidden(character: str, span: Span, at: int) -> Diagnostic:
    column = span.column + at
    return Diagnostic(
        code="M113",
        problem=f"an invisible character: {_code_point(character)}",
        span=Span(span.file, span.line, column, span.line, column + 1),
        why="A model is plain text, in UTF-8.",
        mend="remove it",
    )


def _code_point(character: str) -> str:
    name = unicodedata.name(character[0], "")
    return f"U+{ord(character[0]):04X} {name}".strip()
