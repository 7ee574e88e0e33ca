"""Turns what one grammar rule has read into a node of the syntax tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from mercer.dsl import syntax
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.scan import Token
from mercer.dsl.span import Span
from mercer.dsl.words import string_value


class Refused(Exception):
    """What the grammar lets through and the language does not."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


def build_node(rule: str, parts: list[Any], span: Span) -> Any:
    """The node, or the list of nodes, of the grammar's `-> rule` from its parts in order."""
    return _BUILD[rule](parts, span)


# --- lists -------------------------------------------------------------------------------


def _first(parts: list[Any], span: Span) -> list[Any]:
    return [parts[0]]


def _more(parts: list[Any], span: Span) -> list[Any]:
    parts[0].append(parts[2])
    items: list[Any] = parts[0]
    return items


# --- expressions -------------------------------------------------------------------------


def _binary(parts: list[Any], span: Span) -> syntax.Binary:
    return syntax.Binary(parts[1].text, parts[0], parts[2], span=span)


def _call(parts: list[Any], span: Span) -> syntax.Call:
    return syntax.Call(parts[0], tuple(parts[2]), span=span)


def _named_argument(parts: list[Any], span: Span) -> syntax.Argument:
    left, operator, value = parts
    base, items = (left.base, left.items) if isinstance(left, syntax.Lookup) else (left, ())
    names = [item.id for item in items if isinstance(item, syntax.Name)]
    if not isinstance(base, syntax.Name) or len(names) != len(items):
        raise Refused(_no_argument_name(left, operator))
    if names and operator.text == "=":
        raise Refused(
            Diagnostic(
                code="M115",
                problem="an argument given with `=` takes no index",
                span=left.span,
                why="The value brings its own indices; only `~` makes copies.",
                mend=f"write `{base.id} = ...`",
            )
        )
    _refuse_prime(base.id, base.span)
    return syntax.Argument(
        value, base.id, tuple(names), operator.text, name_span=base.span, span=span
    )


def _no_argument_name(left: syntax.Expression, operator: Token) -> Diagnostic:
    if operator.text == "=":
        mend = "a comparison is written `==`"
    else:
        mend = "write `name ~ ...` or `name[index] ~ ...`"
    return Diagnostic(
        code="M114",
        problem=f"only the name of an argument can stand before `{operator.text}` here",
        span=left.span,
        mend=mend,
    )


def _field(parts: list[Any], span: Span) -> syntax.Argument:
    name, _, value = parts
    _refuse_prime(name.text, name.span)
    return syntax.Argument(value, name.text, (), "=", name_span=name.span, span=span)


def _coordinate(parts: list[Any], span: Span) -> tuple[str, syntax.Expression]:
    _refuse_prime(parts[0].text, parts[0].span)
    return parts[0].text, parts[2]


def _refuse_prime(name: str, span: Span) -> None:
    if name.endswith("'"):
        raise Refused(
            Diagnostic(
                code="M116",
                problem=f"only an index can have a prime: `{name}`",
                span=span,
                why="`k'` is a second index over the labels of `k`.",
                mend=f"call it `{name[:-1]}` or `{name[:-1]}2`",
            )
        )


# --- declarations ------------------------------------------------------------------------


def _target(parts: list[Any], span: Span) -> syntax.Target:
    name = parts[0]
    _refuse_prime(name.text, name.span)
    indices = parts[2] if len(parts) > 1 else []
    return syntax.Target(
        name.text,
        tuple(index.text for index in indices),
        index_spans=tuple(index.span for index in indices),
        span=span,
    )


def _index(parts: list[Any], span: Span) -> syntax.Index:
    _refuse_prime(parts[1].text, parts[1].span)
    return syntax.Index(parts[1].text, parts[3], name_span=parts[1].span, span=span)


def _def(parts: list[Any], span: Span) -> syntax.Def:
    name, value = parts[1], parts[-1]
    parameters = parts[3] if isinstance(parts[3], list) else []
    for word in (name, *parameters):
        _refuse_prime(word.text, word.span)
    names = tuple(parameter.text for parameter in parameters)
    return syntax.Def(name.text, names, value, name_span=name.span, span=span)


def _infer_one(parts: list[Any], span: Span) -> syntax.Infer:
    unknown = parts[1]
    name = _dotted(unknown)
    if name is None:
        raise Refused(
            Diagnostic(
                code="M117",
                problem="the name of one unknown is expected before `by`",
                span=unknown.span,
                mend="write `infer f by Inducing(...)`, or leave `f by` out for the whole model",
            )
        )
    return syntax.Infer(name, parts[3], name_span=unknown.span, span=span)


def _dotted(expression: syntax.Expression) -> str | None:
    """`trend.lengthscale` as one name: an unknown that was declared in place."""
    if isinstance(expression, syntax.Name):
        return expression.id
    if isinstance(expression, syntax.Member):
        owner = _dotted(expression.base)
        return None if owner is None else f"{owner}.{expression.name}"
    return None


_BUILD: dict[str, Callable[[list[Any], Span], Any]] = {
    "first": _first,
    "more": _more,
    "binary": _binary,
    "unary": lambda p, span: syntax.Unary(p[0].text, p[1], span=span),
    "name": lambda p, span: syntax.Name(p[0].text, span=span),
    "number": lambda p, span: syntax.Number(p[0].text, span=span),
    "string": lambda p, span: syntax.String(string_value(p[0].text), span=span),
    "group": lambda p, span: p[1],
    "call": _call,
    "call_plain": lambda p, span: syntax.Call(p[0], (), span=span),
    "lookup": lambda p, span: syntax.Lookup(p[0], tuple(p[2]), span=span),
    "member": lambda p, span: syntax.Member(p[0], p[2].text, span=span),
    "argument": lambda p, span: syntax.Argument(p[0], span=span),
    "argument_named": _named_argument,
    "record": lambda p, span: syntax.Record(tuple(p[1]), span=span),
    "field": _field,
    "product_named": lambda p, span: syntax.NamedProduct(tuple(p[1]), span=span),
    "coordinate": _coordinate,
    "list": lambda p, span: syntax.List(tuple(p[1]), span=span),
    "list_empty": lambda p, span: syntax.List((), span=span),
    "range": lambda p, span: syntax.Range(p[0], p[2], span=span),
    "target": _target,
    "target_of": _target,
    "value_in": lambda p, span: syntax.Signature(None, p[0], span=span),
    "function_between": lambda p, span: syntax.Signature(p[0], p[2], span=span),
    "data": lambda p, span: syntax.Data(tuple(p[1]), p[3], span=span),
    "index": _index,
    "tilde": lambda p, span: syntax.Tilde(p[0], None, p[2], span=span),
    "tilde_in": lambda p, span: syntax.Tilde(p[0], p[2], p[4], span=span),
    "define": lambda p, span: syntax.Define(p[0], p[2], span=span),
    "def_plain": _def,
    "def_of": _def,
    "use": lambda p, span: syntax.Use(string_value(p[1].text), span=span),
    "infer": lambda p, span: syntax.Infer(None, p[1], span=span),
    "infer_one": _infer_one,
    "alone": lambda p, span: p[0],
    "declared": lambda p, span: p[0],
    "documented": lambda p, span: _documented(p[0], p[1], span),
}


def _documented(declaration: syntax.Declaration, doc: Token, span: Span) -> syntax.Declaration:
    whole = declaration.span.to(doc.span)
    return dataclasses.replace(declaration, doc=string_value(doc.text), span=whole)
