"""Turns the text of a model into words, comments and logical lines.

A logical line is what one declaration is written on: it ends with the text line, unless a bracket
is open. A line on which the words themselves are at fault carries its first fault, and scanning
goes on with the next line that begins like a declaration, so that each mistake is told once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.span import Source, Span
from mercer.dsl.syntax import Comment
from mercer.dsl.table import lalr_table
from mercer.dsl.words import word_fault

DEPTH = 200
"""How deep brackets and expressions may nest: later stages walk trees by recursion, in 1000 frames
of Python, of which a caller such as a notebook takes a hundred."""

KEYWORDS = ("data", "index", "def", "use", "infer")

_CLOSER = {"(": ")", "[": "]"}
_OPENER = {")": "(", "]": "["}
# Behind one of these an expression is complete, and a name cannot follow.
_COMPLETE = {"NAME", "NUMBER", "STRING", ")", "]"}
# What follows a name that only looks like the word which begins a declaration.
_NAME_GOES_ON = {"~", "=", ":", "[", "(", ".", ",", ")", "]"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word: `type` is the word itself or NAME, NUMBER, STRING, EOL, END (see `Table`)."""

    type: str
    text: str
    span: Span


@dataclass
class Line:
    """A logical line: its words with EOL last, or what is wrong with one of them."""

    tokens: list[Token] = field(default_factory=list)
    fault: Diagnostic | None = None


@dataclass
class _Row:
    """A line of the text: its words, without EOL."""

    tokens: list[Token]
    fault: Diagnostic | None
    ends_in_fault: bool  # a string never closed has swallowed the rest of the line


def read_source(text: str, name: str) -> Source:
    """The text with its line ends as `\\n` and without a byte order mark."""
    text = text.removeprefix("\ufeff")
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))


def scan(source: Source) -> tuple[list[Line], list[Comment]]:
    """The logical lines that hold a word, and all comments, in the order of the text."""
    comments: list[Comment] = []
    rows = [
        _scan_row(text, number, source.name, comments)
        for number, text in enumerate(source.text.split("\n"), 1)
    ]
    lines: list[Line] = []
    at = 0
    while at < len(rows):
        if rows[at].tokens or rows[at].fault:
            line, at = _join(rows, at)
            lines.append(line)
        else:
            at += 1
    return lines, comments


def too_deep(span: Span) -> Diagnostic:
    """The diagnostic for an expression nested beyond `DEPTH`."""
    return Diagnostic(
        code="M110",
        problem=f"this expression is nested more than {DEPTH} deep",
        span=span,
        mend="give a part of it a name on a line of its own, or sum over an index",
    )


def begins_declaration(tokens: Sequence[Token]) -> bool:
    """Whether a row looks like the start of a declaration."""
    if _begins_with_keyword(tokens):
        return True
    types = [token.type for token in tokens] + ["EOL", "EOL"]
    if types[1] == "[" and "]" in types:
        del types[1 : types.index("]") + 1]
    return types[0] == "NAME" and types[1] in {"~", "=", ":"}


def _join(rows: list[_Row], start: int) -> tuple[Line, int]:
    """The logical line that begins at a row, and the number of the row behind it."""
    line = Line()
    open_brackets: list[Token] = []
    at = start
    while at == start or open_brackets:
        if at == len(rows) or (at > start and _interrupts(line, rows[at])):
            return _unclosed(line, rows, start, at, open_brackets)
        row = rows[at]
        line.fault = line.fault or row.fault
        fault = _match(row.tokens, open_brackets)
        line.fault = line.fault or fault
        line.tokens += row.tokens
        at += 1
        if len(open_brackets) > DEPTH:
            if _next_declaration(rows, start + 1, at, line) < at:
                line.fault = None if line.fault is fault else line.fault
                return _unclosed(line, rows, start, at, open_brackets)
            return line, _next_declaration(rows, at, len(rows), line)
        if row.ends_in_fault and open_brackets:
            return line, _next_declaration(rows, at, len(rows), line)
    if line.tokens:
        _mark_words(line.tokens)
        end = line.tokens[-1].span
        here = Span(end.file, end.line, end.end_column, end.line, end.end_column + 1)
        line.tokens.append(Token("EOL", "", here))
    return line, at


def _mark_words(tokens: list[Token]) -> None:
    """The word that begins a declaration, and the `by` of `infer`, as more than names."""
    first = tokens[0]
    if first.text not in KEYWORDS or (len(tokens) > 1 and tokens[1].type in _NAME_GOES_ON):
        return
    tokens[0] = Token(first.text, first.text, first.span)
    if first.text == "infer":
        depth = 0
        for i, token in enumerate(tokens):
            depth += (token.type in _CLOSER) - (token.type in _OPENER)
            is_by = i > 1 and depth == 0 and token.text == "by"
            # An expression is complete there: it cannot go on with a name.
            if is_by and tokens[i - 1].type in _COMPLETE:
                tokens[i] = Token("by", "by", token.span)
                return


def _begins_with_keyword(tokens: Sequence[Token]) -> bool:
    return len(tokens) > 1 and tokens[0].text in KEYWORDS and tokens[1].type in {"NAME", "STRING"}


def _interrupts(line: Line, row: _Row) -> bool:
    """Whether a row is a new declaration although a bracket is open: no expression goes on so."""
    if not row.tokens or not line.tokens:
        return False
    if row.tokens[0].span.column > line.tokens[0].span.column:
        return False
    if _begins_with_keyword(row.tokens):
        return True
    return line.tokens[-1].type in _COMPLETE and begins_declaration(row.tokens)


def _unclosed(
    line: Line, rows: list[_Row], start: int, end: int, open_brackets: list[Token]
) -> tuple[Line, int]:
    """Reports the brackets that are open, and goes back to where a declaration may begin."""
    outer = open_brackets[0]
    number = line.tokens[0].span.line
    resume = _next_declaration(rows, start + outer.span.line - number + 1, end, line)
    inner = [b for b in open_brackets[1:] if start + b.span.line - number < resume]
    line.fault = line.fault or Diagnostic(
        code="M107",
        problem=f"this `{outer.text}` is never closed",
        span=outer.span,
        mend="add `" + "".join(_CLOSER[b.text] for b in (*reversed(inner), outer)) + "`",
        notes=tuple((b.span, f"this `{b.text}` is open as well") for b in inner),
    )
    return line, resume


def _next_declaration(rows: list[_Row], at: int, end: int, line: Line) -> int:
    """The next row that begins like a declaration, no further in than the line that failed."""
    column = line.tokens[0].span.column if line.tokens else 1
    while at < end:
        tokens = rows[at].tokens
        # A row that ends in a comma is an argument of the bracket that was not closed.
        at_margin = bool(tokens) and tokens[0].span.column <= column
        if at_margin and tokens[-1].type != "," and begins_declaration(tokens):
            break
        at += 1
    return at


def _match(tokens: list[Token], open_brackets: list[Token]) -> Diagnostic | None:
    """Follows the brackets of a row; the first that does not fit."""
    fault: Diagnostic | None = None
    for token in tokens:
        if token.type in _CLOSER:
            open_brackets.append(token)
            if len(open_brackets) > DEPTH:
                fault = fault or too_deep(token.span)
        elif token.type in _OPENER and not open_brackets:
            fault = fault or Diagnostic(
                code="M109",
                problem=f"no `{_OPENER[token.text]}` is open that this `{token.text}` could close",
                span=token.span,
                mend=f"remove it, or add the `{_OPENER[token.text]}`",
            )
        elif token.type in _OPENER:
            opener = open_brackets.pop()
            if _CLOSER[opener.text] != token.text:
                fault = fault or Diagnostic(
                    code="M108",
                    problem=f"`{opener.text}` is closed by `{token.text}`",
                    span=token.span,
                    mend=f"write `{_CLOSER[opener.text]}` here",
                    notes=((opener.span, "opened here"),),
                )
    return fault


def _scan_row(text: str, number: int, file: str, comments: list[Comment]) -> _Row:
    tokens: list[Token] = []
    row = _Row(tokens, None, False)
    for match in _scanner().finditer(text):
        kind = match.lastgroup
        if kind == "BLANK":
            continue
        start, end = match.span()
        word = match.group()
        span = Span(file, number, start + 1, number, end + 1)
        if kind == "MARK":
            tokens.append(Token(word, word, span))
            continue
        if kind == "COMMENT":
            comments.append(Comment(word[1:].strip(), span=span))
        elif kind == "NAME":
            # Python reads names so: two that it would take for one are one here as well.
            text_ = word if word.isascii() else unicodedata.normalize("NFKC", word)
            tokens.append(Token("else" if word == "else" else "NAME", text_, span))
            if word.isascii():
                continue
        elif kind in ("NUMBER", "STRING"):
            tokens.append(Token(kind, word, span))
        else:
            row.ends_in_fault = word.startswith('"')
        row.fault = row.fault or word_fault(word, span)
    return row


@cache
def _scanner() -> re.Pattern[str]:
    """One pattern for all words; what is none of them is WRONG, as far as it belongs together."""
    table = lalr_table()
    marks = sorted((w for w in table.words if not w[0].isalpha()), key=len, reverse=True)
    number, name, string = (table.patterns[kind] for kind in ("NUMBER", "NAME", "STRING"))
    # A number that runs on (`1.`, `3x`, `1_000`, `1.2.3`) is wrong as a whole; `1..3` is a range.
    runs_on = rf"(?>{number})(?:\w|\.(?!\.))(?:\w|\.(?!\.))*"
    wrong = rf"{runs_on}|\.[0-9]\w*|_\w*'*|(?>{name})'+|\*\*|//|:=|=>|=<|<>|&&|\|\|"
    return re.compile(
        r"(?P<BLANK>[ \t]+)"
        rf"|(?P<WRONG1>{wrong})"
        rf"|(?P<NAME>{name})"
        rf"|(?P<NUMBER>{number})"
        rf"|(?P<STRING>{string})"
        rf"|(?P<MARK>{'|'.join(map(re.escape, marks))})"
        r"|(?P<COMMENT>\#.*)"
        r'|(?P<WRONG2>".*|.)'
    )
