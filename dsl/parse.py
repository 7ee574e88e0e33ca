"""Turns the text of a model into its syntax tree, or into all the syntax errors that it has."""

from __future__ import annotations

from typing import Any

from mercer.dsl import syntax
from mercer.dsl.build import Refused, build_node
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.messages import syntax_error
from mercer.dsl.scan import (
    DEPTH,
    KEYWORDS,
    Line,
    Token,
    begins_declaration,
    read_source,
    scan,
    too_deep,
)
from mercer.dsl.span import Source, Span
from mercer.dsl.table import lalr_table
from mercer.dsl.words import string_value


def parse(text: str, name: str = "<model>") -> syntax.Model:
    """The syntax tree of a model; raises a MercerError with all of its syntax errors."""
    model, diagnostics = parse_partial(text, name)
    if diagnostics:
        raise MercerError(diagnostics, {name: model.source})
    return model


def parse_partial(text: str, name: str = "<model>") -> tuple[syntax.Model, list[Diagnostic]]:
    """The declarations that did parse, and a diagnostic for each that did not.

    `Model.lost` names what the others would have declared, so that a later stage need not report
    their names as unknown.
    """
    source = read_source(text, name)
    lines, comments = scan(source)
    declarations: list[syntax.Declaration] = []
    diagnostics: list[Diagnostic] = []
    lost: list[str] = []
    doc: str | None = None
    ended_early = False
    for line in lines:
        try:
            node = _parse_line(line)
        except Refused as refused:
            if ended_early and not begins_declaration(line.tokens):
                continue  # the rest of a declaration that was broken off: one mistake, told once
            ended_early = bool(line.tokens) and refused.diagnostic.span == line.tokens[-1].span
            diagnostics.append(refused.diagnostic)
            lost += _declared_names(line.tokens)
            continue
        ended_early = False
        if isinstance(node, syntax.Declaration):
            declarations.append(node)
        elif doc is None and not declarations:
            doc = string_value(node.text)
        else:
            diagnostics.append(_misplaced_doc(node))
    whole = _whole(source)
    if not declarations and not diagnostics:
        diagnostics.append(_empty(whole))
    model = syntax.Model(
        tuple(declarations),
        doc,
        source=source,
        comments=tuple(comments),
        lost=tuple(lost),
        span=whole,
    )
    return model, diagnostics


def _parse_line(line: Line) -> Any:
    """The declaration, or the string token, of a logical line; raises Refused."""
    if line.fault:
        raise Refused(line.fault)
    table = lalr_table()
    actions, gotos, rules = table.actions, table.gotos, table.rules
    end = Token("END", "", line.tokens[-1].span)
    states, values, spans = [table.start], list[Any](), list[Span]()
    for token in (*line.tokens, end):
        while True:
            action = actions[states[-1]].get(token.type)
            if action is None:
                raise Refused(syntax_error(states, token, line.tokens))
            if action >= 0:
                states.append(action)
                values.append(token)
                spans.append(token.span)
                break
            origin, count, rule = rules[-1 - action]
            if rule:
                span = spans[-count] if count == 1 else spans[-count].to(spans[-1])
                node = build_node(rule, values[-count:], span)
                if token is end:
                    _check_depth(node, len(line.tokens))
                    return node
                del states[-count:], values[-count:], spans[-count:]
                values.append(node)
                spans.append(span)
            else:
                del states[-1]
            states.append(gotos[states[-1]][origin])
    raise AssertionError("a line ends with END")


def _check_depth(node: Any, words: int) -> None:
    """Refuses a tree that recursion could not walk; it is itself walked without."""
    if words <= DEPTH:
        return
    todo: list[tuple[Any, int]] = [(node, 0)]
    while todo:
        node, depth = todo.pop()
        if isinstance(node, tuple):
            todo += [(item, depth) for item in node if isinstance(item, (tuple, syntax.Node))]
        elif depth > DEPTH:
            raise Refused(too_deep(node.span))
        elif isinstance(node, syntax.Node):
            deeper = depth + isinstance(node, syntax.Expression)
            todo += [
                (value, deeper)
                for value in vars(node).values()
                if isinstance(value, (tuple, syntax.Node))
            ]


def _declared_names(tokens: list[Token]) -> list[str]:
    """The names that a declaration which did not parse was probably meant to declare."""
    words = list(tokens)
    if words and words[0].text in KEYWORDS and words[0].type in (*KEYWORDS, "NAME"):
        keyword = words.pop(0).text
        if keyword in ("use", "infer"):
            return []
        if keyword == "data":
            return _listed_names(words)
    return [words[0].text] if words and words[0].type == "NAME" else []


def _listed_names(words: list[Token]) -> list[str]:
    """The names between commas, outside of brackets."""
    names: list[str] = []
    depth = 0
    expected = True
    for word in words:
        depth += (word.type == "[") - (word.type == "]")
        if word.type == "NAME" and depth == 0 and expected:
            names.append(word.text)
        expected = word.type == "," and depth == 0
    return names


def _whole(source: Source) -> Span:
    lines = source.text.split("\n")
    return Span(source.name, 1, 1, len(lines), len(lines[-1]) + 1)


def _misplaced_doc(string: Token) -> Diagnostic:
    return Diagnostic(
        code="M118",
        problem="a string alone documents the model, once, and stands above all declarations",
        span=string.span,
        mend="put it at the end of the declaration that it documents, or write it behind `#`",
    )


def _empty(whole: Span) -> Diagnostic:
    first = Span(whole.file, 1, 1, 1, 2)
    return Diagnostic(
        code="M101",
        problem="this model declares nothing",
        span=first,
        mend="a first one: `data y[n] : Real`, `mu ~ Flat()` and `y ~ Normal(mu, 1)`, a line each",
    )
