"""Turns a syntax tree into an indented listing: `mercer compile --show syntax`."""

from __future__ import annotations

from dataclasses import fields

from mercer.dsl import syntax


def show_syntax(model: syntax.Model) -> str:
    """One node a line: its kind, its words, the line and column where it begins.

    A part stands below its whole, two blanks further in, behind the name of its role.
    """
    lines = [f"Model {model.doc!r}" if model.doc is not None else "Model"]
    for declaration in model.declarations:
        _show(declaration, "", 1, lines)
    return "\n".join(lines) + "\n"


def _show(node: syntax.Node, role: str, depth: int, lines: list[str]) -> None:
    words: list[str] = []
    below: list[tuple[str, syntax.Node]] = []
    for field in fields(node):
        value = getattr(node, field.name)
        if not field.compare or value is None or value == ():
            continue
        if isinstance(value, syntax.Node):
            below.append((field.name, value))
        elif isinstance(value, tuple) and not all(isinstance(item, str) for item in value):
            for item in value:
                # A coordinate of a named product is a pair.
                name, part = item if isinstance(item, tuple) else ("", item)
                below.append((name, part))
        elif field.name == "doc":
            words.append(f"doc={value!r}")
        elif isinstance(value, tuple):
            words.append(f"[{', '.join(value)}]")
        else:
            words.append(
                repr(value) if isinstance(node, (syntax.String, syntax.Use)) else str(value)
            )
    label = f"{role}: " if role else ""
    text = " ".join([type(node).__name__, *words])
    lines.append(f"{'  ' * depth}{label}{text}  @{node.span.line}:{node.span.column}")
    for name, part in below:
        _show(part, name, depth + 1, lines)
