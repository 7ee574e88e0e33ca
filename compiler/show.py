"""Turns typed things into the text that names them: `trend(t)`, `swing[state](year)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mercer.compiler import typed as ir

INFIX = {
    "add": ("+", 4),
    "subtract": ("-", 4),
    "multiply": ("*", 5),
    "divide": ("/", 5),
    "power": ("^", 7),
    "less": ("<", 3),
    "less_equal": ("<=", 3),
    "greater": (">", 3),
    "greater_equal": (">=", 3),
    "equal": ("==", 3),
    "not_equal": ("!=", 3),
}


def show_expression(
    node: ir.Expr | ir.FunctionExpr, names: Mapping[ir.Expr, str] = MappingProxyType({})
) -> str:
    """The canonical text: pipes and named arguments are gone, every call is positional.

    `names`: the texts of what was a call before it became something else (a linear map).
    """
    return _Shower(names).show(node, 0)


def show_distribution(law: ir.Distribution) -> str:
    """A distribution with its arguments in their order."""
    return f"{law.entry}({_Shower({}).listed(tuple(law.arguments.values()))})"


def show_types(typed: ir.TypedModel) -> str:
    """Each name with its type, one a line, in the order in which they are known."""
    rows: list[tuple[str, str, str]] = []
    for index in typed.indices.values():
        labels = "the data" if index.labels is None else ", ".join(_label(x) for x in index.labels)
        rows.append(("index", index.name, f"= {labels}"))
    for name in typed.order:
        if name in typed.data:
            rows.append(("data", name, f": {typed.data[name].type}"))
        elif name in typed.shapes:
            rows.append(("space", name, f": {getattr(typed.shapes[name].space, 'kind', '')}"))
        elif name in typed.unknowns:
            rows.append(("unknown", name, f": {typed.unknowns[name].type}"))
        elif name in typed.functions:
            kind = typed.functions[name].type
            rows.append(("function", name, str(kind) if kind.dims else f": {kind}"))
        elif name in typed.definitions:
            rows.append(("value", name, f": {typed.definitions[name].type}"))
    for observation in typed.observations.values():
        rows.append(("outcome", observation.name, f": {observation.type}"))
    width = max((len(word) for word, _, _ in rows), default=0)
    wide = max((len(name) for _, name, _ in rows), default=0)
    lines = [f"{word:<{width}}  {name:<{wide}}  {text}".rstrip() for word, name, text in rows]
    return "\n".join([*lines, f"{'dims':<{width}}  {', '.join(typed.dims)}".rstrip()])


@dataclass(frozen=True)
class _Shower:
    names: Mapping[ir.Expr, str]

    def show(self, node: ir.Expr | ir.FunctionExpr, level: int) -> str:
        if isinstance(node, ir.Expr) and node in self.names:
            return self.names[node]
        match node:
            case ir.Constant(_, _, value):
                text = f"{value:.17g}"
                short = repr(value).removesuffix(".0")
                return _within(
                    short if float(short) == value else text, 6 if value < 0 else 9, level
                )
            case ir.Text(_, _, value):
                return f'"{value}"'
            case ir.Ref(_, _, name) | ir.Labels(_, _, name) | ir.Opaque(_, _, name):
                return name
            case ir.LabelConstant(_, _, _, label):
                return _label(label)
            case ir.Gather(_, _, base, _, at):
                return f"{self.show(base, 8)}[{self.show(at, 0)}]"
            case ir.Rename(_, _, base, _, new):
                return f"{self.show(base, 8)}[{new}]"
            case ir.Lag(_, _, base, dim, by):
                return f"{self.show(base, 8)}[{dim} - {by}]"
            case ir.Else(_, _, first, second):
                return _within(f"{self.show(first, 2)} else {self.show(second, 3)}", 2, level)
            case ir.Elementwise(_, _, "negative", (operand,)):
                return _within(f"-{self.show(operand, 6)}", 6, level)
            case ir.Elementwise(_, _, word, (left, right)) if word in INFIX:
                sign, own = INFIX[word]
                power = word == "power"
                a, b = self.show(left, own + power), self.show(right, own + (not power))
                return _within(f"{a}^{b}" if power else f"{a} {sign} {b}", own, level)
            case ir.Elementwise(_, _, word, arguments):
                return f"{word}({self.listed(arguments)})"
            case ir.Reduce(_, _, word, argument, over, by):
                if by is not None:
                    return f"{word}({self.show(argument, 0)}, by = {self.show(by, 0)})"
                if set(over) == set(argument.type.dims):
                    return f"{word}({self.show(argument, 0)})"
                return f"{word}({self.show(argument, 0)}, {', '.join(over)})"
            case ir.Spread(_, _, kind, argument, link):
                tail = f", {link}" if kind == "outcome" and link != "identity" else ""
                return f"spread({self.show(argument, 0)}{tail})"
            case ir.Stack(_, _, _, parts):
                return f"[{self.listed(parts)}]"
            case ir.Point(_, _, parts):
                names = getattr(node.type.space, "names", ())
                if not names:
                    return f"({self.listed(parts)})"
                pairs = zip(names, parts, strict=True)
                return "(" + ", ".join(f"{n} = {self.show(p, 0)}" for n, p in pairs) + ")"
            case ir.OnSphere(_, _, latitude, longitude):
                return f"lat = {self.show(latitude, 0)}, lon = {self.show(longitude, 0)}"
            case ir.Coordinate(_, _, base, position):
                names = getattr(base.type.space, "names", ())
                return f"{self.show(base, 8)}.{names[position] if names else position + 1}"
            case ir.Centred(_, _, base):
                return f"centre({self.show(base, 0)})"
            case ir.OverField(_, _, word, base):
                return f"{word}({self.show(base, 0)})"
            case ir.Convolved(_, _, name, base):
                return f"{name}({self.show(base, 0)})"
            case ir.Apply(_, _, _, _, text):
                return text
            case ir.FunctionRef(_, _, name, at):
                return name + (f"[{', '.join(self.show(e, 0) for _, e in at)}]" if at else "")
            case ir.Derivative(_, _, of, factor, coordinate):
                if factor is None:
                    return f"D({self.show(of, 0)})"
                names = getattr(of.type.domain, "names", ())
                word = names[factor] if names and coordinate is None else str((coordinate or 0) + 1)
                return f"D({self.show(of, 0)}, {word})"
            case ir.Laplacian(_, _, of):
                return f"Laplacian({self.show(of, 0)})"
            case ir.Integral(_, _, of, low, high):
                return f"Integral({self.show(of, 0)}, {self.show(low, 0)}, {self.show(high, 0)})"
            case _:
                return getattr(node, "name", "a function")

    def listed(self, parts: tuple[ir.Expr, ...]) -> str:
        return ", ".join(self.show(p, 0) for p in parts)


def _within(text: str, own: int, level: int) -> str:
    return f"({text})" if own < level else text


def _label(label: str | float) -> str:
    return f'"{label}"' if isinstance(label, str) else f"{label:g}"
