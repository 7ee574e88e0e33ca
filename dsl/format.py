"""Turns a model into its canonical text: what `mercer fmt` writes.

Kept are comments, single blank lines between groups, and columns: where neighbouring lines have
their `:`, `~` or documentation in one column, they have so afterwards. A comment inside a
declaration moves above it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mercer.dsl import syntax
from mercer.dsl.layout import flat, wrapped
from mercer.dsl.scan import scan
from mercer.dsl.words import string_literal

_BEFORE_DOC = " " * 4
_BEFORE_COMMENT = " " * 2


@dataclass
class _Row:
    """One piece of the output, with the lines of the source that it came from.

    `cells` are the parts that may stand in columns, `columns` where each of them was written.
    `kinds` tells which cells belong together: the n-th mark of a declaration, "doc", "comment".
    """

    first_line: int
    last_line: int
    cells: list[str]
    kinds: list[str]
    columns: list[int]


def format_model(model: syntax.Model) -> str:
    """The canonical text of a model; formatting it again changes nothing."""
    rows = _rows(model)
    _align(rows)
    lines: list[str] = []
    for i, row in enumerate(rows):
        if i and row.first_line > rows[i - 1].last_line + 1:
            lines.append("")
        lines.append("".join(row.cells).rstrip())
    return "\n".join(lines) + "\n" if lines else ""


def format_declaration(declaration: syntax.Declaration) -> str:
    """The canonical text of one declaration, its documentation included."""
    cells, _ = _cells(declaration)
    return "".join(cells)


def _rows(model: syntax.Model) -> list[_Row]:
    """Everything that is written, in order; comments find their places."""
    columns = _mark_columns(model)
    rows: list[_Row] = []
    if model.doc is not None:
        line = _doc_line(model)
        rows.append(_Row(line, line, [string_literal(model.doc)], ["text"], [1]))
    for number, declaration in enumerate(model.declarations):
        span = declaration.span
        cells, kinds = _cells(declaration)
        row = _Row(
            span.line, span.end_line, cells, kinds, columns.get((span.line, span.column), [])
        )
        if len(row.columns) != len(cells):
            row.columns = [-1 - number] * len(cells)  # in no column with any other
        rows.append(row)
    by_end = {row.last_line: row for row in rows}
    long = [row for row in rows if row.last_line > row.first_line]
    for comment in model.comments:
        rows.append(_place(comment, by_end, long))
    return sorted(
        (row for row in rows if row.cells), key=lambda row: (row.first_line, row.last_line)
    )


def _place(comment: syntax.Comment, by_end: dict[int, _Row], long: list[_Row]) -> _Row:
    """Puts a comment behind what ends on its line; else it is a row of its own.

    A comment inside of a declaration stands above it.
    """
    line, text = comment.span.line, f"# {comment.text}".rstrip()
    row = by_end.get(line)
    if row is not None:
        row.cells.append(_BEFORE_COMMENT + text)
        row.kinds.append("comment")
        row.columns.append(comment.span.column)
        return _Row(line, line, [], [], [])
    while long and long[0].last_line < line:
        del long[0]
    if long and long[0].first_line <= line:
        above = long[0].first_line
        return _Row(above, above - 1, [text], ["above"], [1])
    return _Row(line, line, [text], ["comment"], [comment.span.column])


def _cells(declaration: syntax.Declaration) -> tuple[list[str], list[str]]:
    """The parts of a declaration, each with the mark that it begins with."""
    parts: list[tuple[str, syntax.Expression | None]]
    match declaration:
        case syntax.Data(targets=targets, space=space):
            head = "data " + ", ".join(_target(target) for target in targets)
            parts = [(head, None), (" : ", space)]
        case syntax.Index(name=name, labels=labels):
            parts = [(f"index {name}", None), (" = ", labels)]
        case syntax.Tilde(target=target, signature=None, prior=prior):
            parts = [(_target(target), None), (" ~ ", prior)]
        case syntax.Tilde(target=target, signature=syntax.Signature() as signature, prior=prior):
            spaces: list[tuple[str, syntax.Expression | None]] = [(" : ", signature.codomain)]
            if signature.domain is not None:
                spaces = [(" : ", signature.domain), (" -> ", signature.codomain)]
            parts = [(_target(target), None), *spaces, (" ~ ", prior)]
        case syntax.Define(target=target, value=value):
            parts = [(_target(target), None), (" = ", value)]
        case syntax.Def(name=name, parameters=parameters, value=value):
            parts = [(f"def {name}({', '.join(parameters)})", None), (" = ", value)]
        case syntax.Use(path=path):
            parts = [(f"use {string_literal(path)}", None)]
        case syntax.Infer(name=name, method=method):
            parts = [("infer " if name is None else f"infer {name} by ", method)]
        case _:
            raise TypeError(f"no text for {type(declaration).__name__}")
    cells = _lay_out(parts)
    kinds = ["text", *(str(i) for i in range(1, len(cells)))]
    if declaration.doc is not None:
        cells.append(_BEFORE_DOC + string_literal(declaration.doc))
        kinds.append("doc")
    return cells, kinds


def _lay_out(parts: list[tuple[str, syntax.Expression | None]]) -> list[str]:
    """The text of each part; the last is broken first, the others where that is not enough."""
    cells = [lead + (flat(node) if node else "") for lead, node in parts]
    for i in reversed(range(len(parts))):
        lead, node = parts[i]
        before = sum(len(cell) for cell in cells[:i]) + len(lead)
        if node is not None:
            cells[i] = lead + wrapped(node, before, 0)
    return cells


def _target(target: syntax.Target) -> str:
    return target.name + (f"[{', '.join(target.indices)}]" if target.indices else "")


def _align(rows: list[_Row]) -> None:
    """Pads the cells that stood in one column on neighbouring lines."""
    for kind in ("1", "2", "3", "doc", "comment"):
        run: list[tuple[_Row, int]] = []
        for i, row in enumerate(rows):
            at = row.kinds.index(kind) if kind in row.kinds[1:] else None
            if any("\n" in cell for cell in row.cells):
                at = None
            if run and (
                at is None
                or row.first_line != rows[i - 1].last_line + 1
                or row.columns[at] != run[-1][0].columns[run[-1][1]]
            ):
                _pad(run)
                run = []
            if at is not None:
                run.append((row, at))
        _pad(run)


def _pad(run: list[tuple[_Row, int]]) -> None:
    widths = [sum(len(cell) for cell in row.cells[:at]) for row, at in run]
    for (row, at), width in zip(run, widths, strict=True):
        row.cells[at] = " " * (max(widths) - width) + row.cells[at]


def _mark_columns(model: syntax.Model) -> dict[tuple[int, int], list[int]]:
    """For each declaration of the source, by its place, the columns where its cells begin."""
    found: dict[tuple[int, int], list[int]] = {}
    for line in scan(model.source)[0]:
        tokens = line.tokens
        if not tokens:
            continue
        start = tokens[0].span
        columns = [start.column]
        depth = 0
        for token in tokens[1:-1]:
            depth += (token.type in "([") - (token.type in ")]")
            wanted = {1: ("~", ":", "="), 2: ("->", "~"), 3: ("~",)}.get(len(columns), ())
            if depth == 0 and token.type in wanted:
                columns.append(token.span.column)
        if len(tokens) > 3 and tokens[-2].type == "STRING" and tokens[-3].type not in ("=", "~"):
            columns.append(tokens[-2].span.column)
        found[start.line, start.column] = columns
    return found


def _doc_line(model: syntax.Model) -> int:
    """The line of the string that documents the model, which is the first line with a word."""
    for number, text in enumerate(model.source.text.split("\n"), 1):
        if text.lstrip(" \t").startswith('"'):
            return number
    return 0
