"""Turns model text into coloured words, as a Pygments lexer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pygments.lexer import RegexLexer
from pygments.lexer import bygroups as _untyped_bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Whitespace

bygroups: Callable[..., Any] = _untyped_bygroups
_NAME = r"[^\W\d_]\w*'?"


class MercerLexer(RegexLexer):
    """Mercer models; a name with a capital is shown as a word of the library."""

    name = "Mercer"
    url = ""
    aliases: ClassVar[list[str]] = ["mercer"]
    filenames: ClassVar[list[str]] = ["*.mercer"]
    mimetypes: ClassVar[list[str]] = ["text/x-mercer"]

    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r"#.*", Comment.Single),
            (
                r"^([ \t]*)(data|index|use|infer)(?=[ \t]+[^\W\d_]|[ \t]*\")",
                bygroups(Whitespace, Keyword.Declaration),
            ),
            (
                rf"^([ \t]*)(def)([ \t]+)({_NAME})",
                bygroups(Whitespace, Keyword.Declaration, Whitespace, Name.Function),
            ),
            (r"\b(else|by)\b(?=[ \t]+[^ \t=:~,\]])", Operator.Word),
            (r"\b(true|false|inf)\b", Keyword.Constant),
            (rf"^([ \t]*)({_NAME})(?=[ \t]*[\[~=:])", bygroups(Whitespace, Name.Variable)),
            (rf"{_NAME}(?=[ \t]*\()", Name.Function),
            (r"[A-Z]\w*", Name.Class),
            (_NAME, Name),
            (r"\d+(\.\d+)?([eE][+-]?\d+)?", Number),
            (r'"', String, "string"),
            (r"\|>|->|\.\.|<=|>=|==|!=|[-+*/^<>=~:]", Operator),
            (r"[()\[\],.]", Punctuation),
        ],
        "string": [
            (r'[^"\\\n]+', String),
            (r"\\.", String.Escape),
            (r'"', String, "#pop"),
            (r"\n", Whitespace, "#pop"),
        ],
    }
