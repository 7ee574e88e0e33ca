"""Writes out abbreviations: each use of a `def` becomes its expression, with its arguments in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mercer.compiler.problems import Failed, Problems, meant
from mercer.dsl import syntax
from mercer.dsl.span import Span


@dataclass(frozen=True)
class Push(syntax.Expression):
    """`base |> g` where `base` is a distribution: `image` is g of the draw called `variable`."""

    base: syntax.Expression
    variable: str
    image: syntax.Expression


@dataclass(frozen=True)
class Lambda(syntax.Expression):
    """A `def` by its name where a function is wanted; its parameters are free in `body`."""

    name: str
    parameters: tuple[str, ...]
    body: syntax.Expression


@dataclass(frozen=True)
class Expander:
    """`is_law(name)` tells the distributions, after which `|>` transforms the draw."""

    defs: Mapping[str, syntax.Def]
    problems: Problems
    is_law: Callable[[str], bool]
    told: set[frozenset[str]] = field(default_factory=set)

    def expand(self, node: syntax.Expression, owner: str) -> syntax.Expression:
        """`node` without abbreviations; `owner` is the declaration that it stands in."""
        result: syntax.Expression = self._visit(node, owner, ())
        return result

    def _visit(self, node: Any, owner: str, within: tuple[str, ...]) -> Any:
        match node:
            case syntax.Name(name) if name in self.defs:
                chosen = self.defs[name]
                self._refuse_circle(name, node.span, within)
                body = self._visit(chosen.value, owner, (*within, name))
                return Lambda(name, chosen.parameters, body, span=node.span)
            case syntax.Call(syntax.Name(name), arguments) if name in self.defs:
                inside = tuple(self._visit(a, owner, within) for a in arguments)
                return self._use(self.defs[name], inside, node.span, owner, within)
            case syntax.Binary("|>", left, right):
                return self._pipe(self._visit(left, owner, within), right, node, owner, within)
            case tuple():
                return tuple(self._visit(item, owner, within) for item in node)
            case syntax.Node():
                return _rebuilt(node, lambda part: self._visit(part, owner, within))
            case _:
                return node

    def _pipe(
        self,
        left: syntax.Expression,
        right: syntax.Expression,
        node: syntax.Binary,
        owner: str,
        within: tuple[str, ...],
    ) -> syntax.Expression:
        head = _leftmost(left)
        law = isinstance(head, Push) or (
            isinstance(head, syntax.Call)
            and isinstance(head.function, syntax.Name)
            and self.is_law(head.function.id)
        )
        variable = f"{owner}.draw"
        operand = syntax.Name(variable, span=left.span) if law else left
        argument = syntax.Argument(operand, span=left.span)
        if isinstance(right, syntax.Name) and right.id in self.defs:
            image = self._use(self.defs[right.id], (argument,), node.span, owner, within)
        else:
            function = self._visit(right, owner, within)
            image = syntax.Call(function, (argument,), span=node.span)
        return Push(left, variable, image, span=node.span) if law else image

    def _use(
        self,
        chosen: syntax.Def,
        arguments: tuple[syntax.Argument, ...],
        span: Span,
        owner: str,
        within: tuple[str, ...],
    ) -> syntax.Expression:
        self._refuse_circle(chosen.name, span, within)
        values: dict[str, syntax.Expression] = {}
        note = ((chosen.name_span, f"`{chosen.name}` is abbreviated here"),)
        for position, argument in enumerate(arguments):
            name = argument.name
            if argument.operator == "~":
                raise self.problems.report(
                    "M244",
                    f"`{chosen.name}` is an abbreviation and has no unknowns of its own to declare",
                    argument.span,
                    mend="write the prior inside the `def`, or give the unknown a line and a name",
                    notes=note,
                )
            if name is None:
                if position >= len(chosen.parameters):
                    raise self._wrong_count(chosen, len(arguments), span)
                name = chosen.parameters[position]
            elif name not in chosen.parameters:
                raise self.problems.report(
                    "M210",
                    f"`{chosen.name}` has no parameter `{name}`",
                    argument.name_span or argument.span,
                    mend=meant(name, chosen.parameters),
                    notes=note,
                )
            if name in values:
                raise self.problems.report(
                    "M212", f"`{name}` is given twice", argument.span, notes=note
                )
            values[name] = argument.value
        if len(values) != len(chosen.parameters):
            raise self._wrong_count(chosen, len(arguments), span)
        body = self._visit(chosen.value, owner, (*within, chosen.name))
        result: syntax.Expression = replaced(body, values)
        return result

    def _wrong_count(self, chosen: syntax.Def, count: int, span: Span) -> Failed:
        wanted = len(chosen.parameters)
        return self.problems.report(
            "M244",
            f"`{chosen.name}` takes {_counted(wanted)}, and {count} came",
            span,
            mend=f"write `{chosen.name}({', '.join(chosen.parameters)})`",
            notes=((chosen.name_span, f"`{chosen.name}` is abbreviated here"),),
        )

    def _refuse_circle(self, name: str, span: Span, within: tuple[str, ...]) -> None:
        if name in within:
            circle = frozenset(within[within.index(name) :])
            if circle in self.told:
                raise Failed(name)
            self.told.add(circle)
            way = " -> ".join((*within[within.index(name) :], name))
            first = self.defs[within[within.index(name)]]
            raise self.problems.report(
                "M243",
                f"the abbreviation `{name}` needs itself: {way}",
                first.name_span,
                why="A `def` is written out wherever it is used, which would never end.",
                mend="a quantity that depends on the row before is a recurrence: `z[t - 1]`",
            )


def replaced(node: Any, values: Mapping[str, syntax.Expression]) -> Any:
    """`node` with each name of `values` replaced, also where it stands as an index."""
    match node:
        case syntax.Name(name):
            return values.get(name, node)
        case syntax.Argument():
            new = _rebuilt(node, lambda part: replaced(part, values))
            return replace(new, indices=tuple(_index(i, values) for i in node.indices))
        case Lambda(_, parameters):
            inner = {n: v for n, v in values.items() if n not in parameters}
            return replace(node, body=replaced(node.body, inner))
        case tuple():
            return tuple(replaced(item, values) for item in node)
        case syntax.Node():
            return _rebuilt(node, lambda part: replaced(part, values))
        case _:
            return node


def _index(index: str, values: Mapping[str, syntax.Expression]) -> str:
    value = values.get(index)
    return value.id if isinstance(value, syntax.Name) else index


def _rebuilt(node: Any, visit: Callable[[Any], Any]) -> Any:
    parts = {f.name: visit(getattr(node, f.name)) for f in fields(node) if f.name != "span"}
    return replace(node, **parts)


def _leftmost(node: syntax.Expression) -> syntax.Expression:
    while isinstance(node, syntax.Binary) and node.operator == "|>":
        node = node.left
    return node


def _counted(count: int) -> str:
    return "one argument" if count == 1 else f"{count or 'no'} arguments"
