"""Model texts, sentences and tables turned into HTML, everything escaped.

What a notebook shows has its colours inline, of a kind that reads on white and on black alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import ClassVar

from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.style import Style
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token

from mercer.dsl.highlight import MercerLexer

_PRE = "margin:0.4em 0; padding:0.2em 0; line-height:1.45; overflow-x:auto"
_TABLE = "border-collapse:collapse; margin:0.4em 0"


class MercerStyle(Style):
    """Colours of a contrast of at least 3 on white and on black."""

    background_color = "transparent"
    styles: ClassVar = {
        Token: "",
        Comment: "italic #7a7a7a",
        Keyword: "bold #a05fb4",
        Keyword.Constant: "nobold #a05fb4",
        Name.Variable: "#2f82c4",
        Name.Function: "#b5651d",
        Name.Class: "#b5651d",
        Number: "#2a8f7a",
        String: "#5a8f29",
        Operator: "#7a7a7a",
        Operator.Word: "bold #a05fb4",
    }


def highlighted(text: str) -> str:
    """A model with its words in colours."""
    formatter: HtmlFormatter[str] = HtmlFormatter(
        style=MercerStyle, noclasses=True, prestyles=_PRE, wrapcode=True
    )
    return highlight(text, MercerLexer(), formatter)


def sentences(lines: Iterable[str]) -> str:
    """A list of sentences."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines if line.strip())
    return f'<ul style="margin:0.4em 0; padding-left:1.3em">{items}</ul>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = 30) -> str:
    """A table of at most `most` rows, its first column the names; numbers to four digits."""
    rows = list(rows)
    cells = "".join(f'<th style="text-align:right">{escape(str(name))}</th>' for name in head)
    body = "".join(_row(row) for row in rows[:most])
    more = f"<p>and {len(rows) - most} more rows</p>" if len(rows) > most else ""
    return (
        f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{body}</tbody></table>{more}</div>"
    )


def number(value: object) -> str:
    """A cell: a number to four digits, or the text itself."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _row(row: Sequence[object]) -> str:
    first, *rest = row
    cells = "".join(f'<td style="text-align:right">{escape(number(cell))}</td>' for cell in rest)
    return f'<tr><th style="text-align:left">{escape(number(first))}</th>{cells}</tr>'
