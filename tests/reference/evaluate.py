"""Expressions of a syntax tree into arrays with names, by walking the tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from mercer.dsl import syntax
from tests.reference.arrays import BASIS, Named, elementwise, reduced, scalar
from tests.reference.functions import Function, Operator, Space, factors_of

BINARY: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}

WORDS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "logistic": special.expit,
    "sigmoid": special.expit,
    "logit": special.logit,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "relu": lambda x: np.maximum(x, 0.0),
    "Phi": special.ndtr,
    "probit": special.ndtri,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "where": lambda c, x, y: np.where(c != 0, x, y),
}

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "mean": np.mean,
    "sd": lambda x, axis: np.std(x, axis=axis, ddof=1),
    "max": np.max,
    "min": np.min,
    "size": lambda x, axis: np.prod([x.shape[a] for a in axis]),
}


@dataclasses.dataclass(frozen=True)
class Lifted:
    """Arithmetic between functions: applied, it is the same arithmetic between their values."""

    combine: Callable[..., Any]
    parts: tuple[Any, ...]


class Evaluator:
    """Evaluates expressions; what names stand for is the business of a subclass."""

    defs: dict[str, syntax.Def]
    sizes: dict[str, int]

    def name(self, name: str) -> Any:
        raise NotImplementedError

    def apply(self, function: Function, points: list[Named], text: str) -> Named:
        raise NotImplementedError

    def label_code(self, base: Named, label: Any) -> tuple[str, int]:
        raise NotImplementedError

    def codes(self, node: syntax.Expression) -> Named:
        raise NotImplementedError

    def size(self, dim: str) -> int:
        plain = dim.rstrip("'")
        return int(plain) if plain.isdigit() else self.sizes[plain]

    # --- expressions ---

    def value(self, node: syntax.Expression) -> Any:
        match node:
            case syntax.Number():
                return scalar(node.value)
            case syntax.Name(name):
                return self.name(name)
            case syntax.Unary(operator, operand):
                inner = self.value(operand)
                return inner if operator == "+" else combined(np.negative, inner)
            case syntax.Binary("|>", left, right):
                argument = syntax.Argument(left, span=left.span)
                return self.value(syntax.Call(right, (argument,), span=node.span))
            case syntax.Binary(operator, left, right):
                return combined(BINARY[operator], self.value(left), self.value(right))
            case syntax.Lookup(base, items):
                return self.lookup(self.value(base), items, text_of(node))
            case syntax.Call():
                return self.call(node)
        raise NotImplementedError(f"the reference cannot evaluate {node}")

    def number(self, node: syntax.Expression) -> Named:
        value = self.value(node)
        if not isinstance(value, Named):
            raise TypeError(f"{text_of(node)} is no number")
        return value

    def lookup(self, base: Any, items: tuple[syntax.Expression, ...], text: str) -> Any:
        for item in items:
            if isinstance(item, syntax.String | syntax.Number):
                dim, code = self.label_code(base, item.value)
                at = Named((), np.asarray(code), (), dim)
            else:
                at = self.codes(item)
                if at.labels is None:
                    raise TypeError(f"{text_of(item)} is no label")
                dim = at.labels
            if isinstance(base, Function):
                base = dataclasses.replace(base, at={**base.at, dim: at})
            elif dim in base.dims:
                base = base.gathered(dim, at)
            else:
                raise TypeError(f"{text} has no index {dim}")
        return dataclasses.replace(base, text=text) if isinstance(base, Function) else base

    def call(self, node: syntax.Call) -> Any:
        arguments = node.arguments
        if isinstance(node.function, syntax.Name):
            word = node.function.id
            if word in self.defs:
                return self.value(self.expanded(word, arguments))
            if word in REDUCTIONS:
                return self.reduction(word, arguments)
            if word in WORDS:
                return combined(WORDS[word], *(self.value(a.value) for a in arguments))
            if word == "standardize":
                x = self.number(arguments[0].value)
                rows = tuple(d for d in x.dims if d not in x.coordinates)
                return elementwise(
                    lambda v, m, s: (v - m) / s,
                    x,
                    reduced(np.mean, x, rows),
                    reduced(REDUCTIONS["sd"], x, rows),
                )
            if word in ("D", "Laplacian", "Integral"):
                return self.operator(word, node)
        function = self.value(node.function)
        return self.applied(function, arguments, text_of(node))

    def applied(self, function: Any, arguments: tuple[syntax.Argument, ...], text: str) -> Any:
        if isinstance(function, Lifted):
            inside = f"({', '.join(argument_text(a) for a in arguments)})"
            values = []
            for part in function.parts:
                own = part.text + inside if isinstance(part, Function) else text
                values.append(
                    part if isinstance(part, Named) else self.applied(part, arguments, own)
                )
            return combined(function.combine, *values)
        if not isinstance(function, Function):
            raise TypeError(f"{text}: not a function")
        given: list[tuple[str | None, Any]] = []
        for argument in arguments:
            if isinstance(argument.value, syntax.Record):
                given += [(f.name, self.number(f.value)) for f in argument.value.fields]
            else:
                given.append((argument.name, self.number(argument.value)))
        if function.domain is None:
            function = dataclasses.replace(function, domain=domain_of([v for _, v in given]))
        names = [name for name, _ in factors_of(function.domain)]
        points: dict[int, Named] = {}
        for position, (name, value) in enumerate(given):
            points[names.index(name) if name else position] = value
        return self.apply(function, [points[i] for i in sorted(points)], text)

    def reduction(self, word: str, arguments: tuple[syntax.Argument, ...]) -> Named:
        inner = self.number(arguments[0].value)
        over = [
            a.value.id for a in arguments[1:] if not a.name and isinstance(a.value, syntax.Name)
        ]
        by = next((self.number(a.value) for a in arguments if a.name == "by"), None)
        if by is None:
            dims = tuple(over) or tuple(d for d in inner.dims if d != BASIS)
            return reduced(REDUCTIONS[word], inner, dims)
        (dim,) = by.dims
        axis = inner.axis(dim)
        group = by.labels or ""
        parts = [
            REDUCTIONS[word](np.compress(by.array == g, inner.array, axis=axis), axis=(axis,))
            for g in range(self.size(group))
        ]
        dims = tuple(group if d == dim else d for d in inner.dims)
        return Named(dims, np.stack(parts, axis=axis), inner.coordinates)

    def operator(self, word: str, node: syntax.Call) -> Any:
        function = self.value(node.arguments[0].value)
        if isinstance(function, Lifted):
            raise NotImplementedError("operators of arithmetic between functions")
        if word == "Laplacian":
            return function.under(Operator("Laplacian"), text_of(node))
        if word == "Integral":
            low, high = (float(self.number(a.value).array) for a in node.arguments[1:])
            return self.apply(
                function.under(Operator("Integral", low=low, high=high), text_of(node)),
                [],
                text_of(node),
            )
        domain = function.domain or ("Real",)
        if len(node.arguments) > 1:
            along = node.arguments[1].value
            assert isinstance(along, syntax.Name)
            names = [name for name, _ in factors_of(domain)]
            return function.under(Operator("D", ((names.index(along.id), 0),)), text_of(node))
        if domain[0] == "Vector":
            places = tuple((0, i) for i in range(self.size(domain[1])))
            return function.under(Operator("D", places, domain[1]), text_of(node))
        return function.under(Operator("D", ((0, 0),)), text_of(node))

    def expanded(self, word: str, arguments: tuple[syntax.Argument, ...]) -> syntax.Expression:
        chosen = self.defs[word]
        values = {}
        for position, argument in enumerate(arguments):
            values[argument.name or chosen.parameters[position]] = argument.value
        result: syntax.Expression = replaced(chosen.value, values)
        return result

    # --- spaces ---

    def space(self, node: syntax.Expression) -> Space:
        match node:
            case syntax.NamedProduct(fields):
                return ("Product", tuple((n, self.space(s)) for n, s in fields))
            case syntax.Binary("*", left, right):
                first = self.space(left)
                head = first[1] if first[0] == "Product" else (("", first),)
                return ("Product", (*head, ("", self.space(right))))
            case syntax.Binary("^", _, syntax.Name(dim)):
                return ("Vector", dim)
            case syntax.Binary("^", _, syntax.Number(text)):
                return ("Vector", text)
            case syntax.Name(name):
                return (name,)
            case syntax.Call(syntax.Name("Interval"), (low, high)):
                return ("Interval", self.number(low.value), self.number(high.value))
            case syntax.Call(syntax.Name(word), (first, *_)):
                return (word, text_of(first.value))
        raise NotImplementedError(f"no space {node}")


def coordinates_of(space: Space) -> tuple[str, ...]:
    if space[0] in ("Correlation", "Covariance"):
        return (space[1], space[1] + "'")
    if space[0] == "SO":
        return (space[1], space[1] + "'")
    if space[0] == "Sphere":
        return (str(int(space[1]) + 1),)
    return (space[1],) if space[0] in ("Vector", "Simplex", "Ordered", "ZeroSum") else ()


def domain_of(points: list[Named]) -> Space:
    """The domain of a function without a signature, from one of its uses."""
    spaces: list[Space] = []
    for point in points:
        if point.labels:
            spaces.append(("Label", point.labels))
        else:
            spaces.append(("Vector", point.coordinates[-1]) if point.coordinates else ("Real",))
    return spaces[0] if len(spaces) == 1 else ("Product", tuple(("", s) for s in spaces))


def combined(function: Callable[..., Any], *values: Any) -> Any:
    if all(isinstance(v, Named) for v in values):
        return elementwise(function, *values)
    return Lifted(function, values)


def replaced(node: Any, values: dict[str, syntax.Expression]) -> Any:
    if isinstance(node, syntax.Name):
        return values.get(node.id, node)
    if isinstance(node, tuple):
        return tuple(replaced(part, values) for part in node)
    if isinstance(node, syntax.Node):
        parts = {
            f.name: replaced(getattr(node, f.name), values)
            for f in dataclasses.fields(node)
            if f.name != "span"
        }
        return dataclasses.replace(node, **parts)
    return node


# --- text ---------------------------------------------------------------------------------------

_LEVELS = {"|>": 0, "else": 1, "+": 3, "-": 3, "*": 4, "/": 4, "^": 6}


def text_of(node: syntax.Expression, level: int = 0) -> str:
    """An expression as a model would write it."""
    match node:
        case syntax.Number(text):
            return text
        case syntax.String(value):
            return f'"{value}"'
        case syntax.Name(name):
            return name
        case syntax.Call(function, arguments):
            return f"{text_of(function, 9)}({', '.join(argument_text(a) for a in arguments)})"
        case syntax.Lookup(base, items):
            return f"{text_of(base, 9)}[{', '.join(text_of(i) for i in items)}]"
        case syntax.Member(base, name):
            return f"{text_of(base, 9)}.{name}"
        case syntax.Unary(operator, operand):
            return f"{operator}{text_of(operand, 5)}"
        case syntax.Binary(operator, left, right):
            own = _LEVELS.get(operator, 2)
            gap = "" if operator == "^" else " "
            text = f"{text_of(left, own)}{gap}{operator}{gap}{text_of(right, own + 1)}"
            return f"({text})" if own < level else text
        case syntax.Record(fields):
            return f"({', '.join(argument_text(f) for f in fields)})"
    return str(node)


def argument_text(argument: syntax.Argument) -> str:
    value = text_of(argument.value)
    return f"{argument.name} {argument.operator} {value}" if argument.name else value
