"""Laws of the highlighter, the tree listing and the suggestions."""

from __future__ import annotations

from pathlib import Path

import pytest
from pygments.token import Error, Keyword

from mercer.dsl.highlight import MercerLexer
from mercer.dsl.parse import parse
from mercer.dsl.show import show_syntax
from mercer.dsl.suggest import nearest

MODELS = sorted((Path(__file__).parents[1] / "models").rglob("*.mercer"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_character_of_a_model_has_a_colour(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tokens = list(MercerLexer(stripnl=False).get_tokens(text))
    assert "".join(word for _, word in tokens) == text
    assert not [word for kind, word in tokens if kind in Error]


def test_contextual_words_are_keywords_only_where_they_are_meant() -> None:
    text = "index k = 1..3\nx = index + mean(a, by = data)\ndef f(a) = a\n"
    words = [word for kind, word in MercerLexer().get_tokens(text) if kind in Keyword]
    assert words == ["index", "def"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_listing_shows_each_declaration_in_order(path: Path) -> None:
    model = parse(path.read_text(encoding="utf-8"))
    rows = show_syntax(model).splitlines()
    kinds = [row.split()[0] for row in rows[1:] if not row.startswith("    ")]
    assert kinds == [type(declaration).__name__ for declaration in model.declarations]


def test_equal_trees_list_alike_but_for_their_places() -> None:
    def without_places(text: str) -> list[str]:
        return [row.split("  @")[0] for row in show_syntax(parse(text)).splitlines()]

    assert without_places("x = (a+b)*c") == without_places("# c\nx = (a + b) * c")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Nornal", "Normal"), ("normal", "Normal"), ("Matern25", "Matern52"), ("zzz", None)],
)
def test_the_nearest_name_is_suggested(word: str, meant: str | None) -> None:
    assert nearest(word, ["Normal", "Matern52", "LogNormal"]) == meant
