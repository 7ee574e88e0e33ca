"""No comment is ever lost, wherever it stands, and none changes what a model means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercer.dsl.format import format_model
from mercer.dsl.parse import parse

MODELS = sorted((Path(__file__).parents[1] / "models").rglob("*.mercer"))
NOTES = st.sampled_from(["# note", "#", "#  two  blanks ", '# "quoted"', "## y ~ f("])
NOTHING = st.just("")


@st.composite
def commented(draw: st.DrawFn, text: str) -> str:
    """`text` with comments, blank lines and line breaks wherever they may stand."""
    lines: list[str] = []
    for line in text.splitlines():
        for _ in range(draw(st.integers(0, 2))):
            lines.append(draw(st.sampled_from(["", "  ", "\t"]) | NOTES))
        depth, quoted, start = 0, False, 0
        for i, character in enumerate(line):
            quoted ^= character == '"'
            depth += 0 if quoted else (character in "([") - (character in ")]")
            if depth and not quoted and character in "([, " and not draw(st.integers(0, 5)):
                lines.append(line[start : i + 1] + draw(NOTHING | NOTES))
                start = i + 1
        lines.append("    " * bool(start) + line[start:] + draw(NOTHING | NOTES))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n\n"]))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_comments_are_kept_and_mean_nothing(path: Path, data: st.DataObject) -> None:
    plain = path.read_text(encoding="utf-8")
    model = parse(data.draw(commented(plain)))
    once = format_model(model)
    again = parse(once)
    assert again == model == parse(plain)
    assert sorted(c.text for c in again.comments) == sorted(c.text for c in model.comments)
    assert format_model(again) == once
