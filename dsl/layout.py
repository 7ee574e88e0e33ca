"""Turns an expression into text: canonical blanks, no needless parentheses, lines that fit.

`flat` writes on one line. `wrapped` breaks what is too long, and only inside brackets, because
elsewhere the end of the line ends the declaration.
"""

from __future__ import annotations

from collections.abc import Sequence

from mercer.dsl import syntax
from mercer.dsl.words import string_literal

WIDTH = 100
INDENT = 4

_ATOM, _POSTFIX, _POWER, _SIGN = 9, 8, 7, 6
_LEVEL = {"|>": 1, "else": 2, "+": 4, "-": 4, "*": 5, "/": 5, "^": _POWER}
_COMPARISON = 3


def flat(node: syntax.Expression) -> str:
    """The expression on one line."""
    match node:
        case syntax.Name(id=name):
            return name
        case syntax.Number(text=text):
            return text
        case syntax.String(value=value):
            return string_literal(value)
        case syntax.Unary(operator=operator, operand=operand):
            return operator + _operand(operand, _SIGN)
        case syntax.Binary():
            left, right = _sides(node)
            blank = "" if node.operator == "^" else " "
            return (
                f"{_operand(node.left, left)}{blank}{node.operator}{blank}"
                f"{_operand(node.right, right)}"
            )
        case syntax.Member(base=base, name=name):
            return f"{_member_base(base)}.{name}"
        case syntax.Range(low=low, high=high):
            return f"{flat(low)}..{flat(high)}"
    opening, items, closing = _bracketed(node)
    return opening + ", ".join(lead + flat(value) for lead, value in items) + closing


def wrapped(node: syntax.Expression, column: int, indent: int, tail: int = 0) -> str:
    """The expression from `column` on, in lines that fit where they can.

    Lines after the first begin at `indent`; `tail` columns are kept free behind the last.
    """
    text = flat(node)
    if column + len(text) + tail <= WIDTH:
        return text
    match node:
        case syntax.Name() | syntax.Number() | syntax.String() | syntax.Range():
            return text
        case syntax.Binary(operator="^"):
            text = _wrapped_operand(node.left, _POSTFIX, column, indent, 1) + "^"
            at = len(text.rsplit("\n", 1)[-1]) + (0 if "\n" in text else column)
            return text + _wrapped_operand(node.right, _SIGN, at, indent, tail)
        case syntax.Binary():
            return _in_parentheses(node, indent)
        case syntax.Unary(operator=operator, operand=operand):
            return operator + _wrapped_operand(operand, _SIGN, column + 1, indent, tail)
        case syntax.Member(base=base, name=name):
            if _level(base) < _POSTFIX or isinstance(base, syntax.Number):
                return f"{_in_parentheses(base, indent)}.{name}"
            return wrapped(base, column, indent, tail + len(name) + 1) + f".{name}"
    opening, items, closing = _bracketed(node)
    if not items:
        return text
    inner = indent + INDENT
    one_line = ", ".join(lead + flat(value) for lead, value in items)
    if inner + len(one_line) <= WIDTH:
        lines = [one_line]
    else:
        lines = [lead + _inside(value, inner + len(lead), inner) for lead, value in items]
    body = ",\n".join(" " * inner + line for line in lines)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def _wrapped_operand(
    node: syntax.Expression, least: int, column: int, indent: int, tail: int
) -> str:
    if _level(node) >= least:
        return wrapped(node, column, indent, tail)
    text = f"({flat(node)})"
    return text if column + len(text) + tail <= WIDTH else _in_parentheses(node, indent)


def _in_parentheses(node: syntax.Expression, indent: int) -> str:
    inner = indent + INDENT
    return f"(\n{' ' * inner}{_inside(node, inner, inner)}\n{' ' * indent})"


def _inside(node: syntax.Expression, column: int, indent: int) -> str:
    """The expression where a bracket is open, so that a line may end before an operator."""
    text = flat(node)
    fits = column + len(text) < WIDTH
    if fits or not isinstance(node, syntax.Binary) or node.operator == "^":
        return wrapped(node, column, indent, 1)
    chain = _chain(node)
    lines = [""]
    at = column
    for lead, operand, least in chain:
        piece = lead + _operand(operand, least)
        if lines[-1] and at + len(piece) + 1 >= WIDTH:
            lines.append("")
            at = indent
        elif lines[-1]:
            lines[-1] += " "
            at += 1
        if at + len(piece) >= WIDTH:
            if _level(operand) < least:
                piece = lead + _in_parentheses(operand, indent)
            else:
                piece = lead + wrapped(operand, at + len(lead), indent, 1)
        lines[-1] += piece
        at = len(piece.rsplit("\n", 1)[-1]) + (0 if "\n" in piece else at)
    return ("\n" + " " * indent).join(lines)


def _chain(node: syntax.Binary) -> list[tuple[str, syntax.Expression, int]]:
    """The operands of one level from left to right, each with its operator and least level."""
    level = _level(node)
    parts: list[tuple[str, syntax.Expression, int]] = []
    rest: syntax.Expression = node
    while isinstance(rest, syntax.Binary) and _level(rest) == level:
        left, right = _sides(rest)
        parts.append((f"{rest.operator} ", rest.right, right))
        rest = rest.left
        if level == _COMPARISON:
            break
    parts.append(("", rest, left))
    return parts[::-1]


def _bracketed(
    node: syntax.Expression,
) -> tuple[str, Sequence[tuple[str, syntax.Expression]], str]:
    """What stands between brackets: the opening, the items with their leads, the closing."""
    match node:
        case syntax.Call(function=function, arguments=arguments):
            return f"{_operand(function, _POSTFIX)}(", [_argument(a) for a in arguments], ")"
        case syntax.Lookup(base=base, items=items):
            return f"{_operand(base, _POSTFIX)}[", [("", item) for item in items], "]"
        case syntax.List(items=items):
            return "[", [("", item) for item in items], "]"
        case syntax.Record(fields=fields):
            return "(", [_argument(field) for field in fields], ")"
        case syntax.NamedProduct(fields=coordinates):
            return "(", [(f"{name}: ", space) for name, space in coordinates], ")"
    raise TypeError(f"no text for {type(node).__name__}")


def _argument(argument: syntax.Argument) -> tuple[str, syntax.Expression]:
    if argument.name is None:
        return "", argument.value
    indices = f"[{', '.join(argument.indices)}]" if argument.indices else ""
    return f"{argument.name}{indices} {argument.operator} ", argument.value


def _operand(node: syntax.Expression, least: int) -> str:
    """The text of a part, in parentheses where it binds less tightly than `least`."""
    return flat(node) if _level(node) >= least else f"({flat(node)})"


def _member_base(base: syntax.Expression) -> str:
    # `3.time` would be a number that lacks its digit.
    return f"({flat(base)})" if isinstance(base, syntax.Number) else _operand(base, _POSTFIX)


def _sides(node: syntax.Binary) -> tuple[int, int]:
    """How tightly the left and the right operand must bind to need no parentheses."""
    level = _level(node)
    if node.operator == "^":
        return _POSTFIX, _SIGN
    if level == _COMPARISON:
        return level + 1, level + 1
    return level, level + 1


def _level(node: syntax.Expression) -> int:
    match node:
        case syntax.Binary(operator=operator):
            return _LEVEL.get(operator, _COMPARISON)
        case syntax.Unary():
            return _SIGN
        case syntax.Call() | syntax.Lookup() | syntax.Member():
            return _POSTFIX
        case syntax.Range():
            return 0
    return _ATOM
