"""The report: one page that parses, needs nothing else, escapes everything, and is whole."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from mercer.cli import run
from mercer.report import report_of, write_report
from tests.mercer import seen

_VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """What a browser would find: texts, addresses, and tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.wrong: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.heard: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.wrong.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.heard.append(data)


@pytest.fixture(scope="module")
def text() -> str:
    return report_of(seen.everything())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_well_formed(page: Page, text: str) -> None:
    assert text.startswith("<!doctype html>")
    assert page.wrong == [] and page.open == []


def test_the_page_needs_nothing_else(page: Page, text: str) -> None:
    inside = [a for a in page.addresses if a.startswith("#")]
    assert {a[1:] for a in inside} <= set(page.ids)
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "@import" not in text and "url(" not in text


def test_what_the_model_says_is_shown_and_escaped(page: Page, text: str) -> None:
    said = "".join(page.heard)
    assert "What <every> figure is of & more." in said
    for line in seen.MODEL.strip().splitlines():
        assert line in said
    assert "<every>" not in text
    assert "a group whose name is as long as a sentence" in said


def test_the_page_holds_all_that_the_fit_says(page: Page) -> None:
    fit = seen.everything()
    said = "".join(page.heard)
    assert all(sentence in said for sentence in fit.diagnostics)
    assert all(line in said for line in fit.plan_text.splitlines())
    assert page.tags.count("img") == len(seen.OF_EVERYTHING)
    for name in ("noise", "effect", "beta", "Omega"):
        assert name in said
    assert "hours since the start" in said


def test_a_label_that_is_markup_stays_text() -> None:
    from mercer.dsl.html import highlighted, sentences, table

    bad = "<img src=x onerror=alert(1)>&\"'"
    for made in (highlighted(f'"{bad}"'), sentences([bad]), table([bad], [[bad, bad]])):
        page = Page(made)
        assert page.wrong == [] and "img" not in page.tags
        assert bad in "".join(page.heard)


def test_a_report_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.html"
    target.write_text("the old one")

    def fails(fit: object) -> str:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("mercer.report.report_of", fails)
    with pytest.raises(RuntimeError):
        write_report(seen.curves(), target)
    assert target.read_text() == "the old one" and list(tmp_path.iterdir()) == [target]


def test_the_command_writes_the_page_of_a_saved_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen.curves().save(tmp_path / "fit.nc")
    target = tmp_path / "report.html"
    assert run(["report", str(tmp_path / "fit.nc"), "-o", str(target)]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"wrote {target}"
    page = Page(target.read_text(encoding="utf-8"))
    assert page.wrong == [] and page.tags.count("img") == len(seen.OF_CURVES)
    assert run(["report", str(tmp_path / "fit.nc"), "-o", str(tmp_path / "report.pdf")]) == 2
    assert "write -o" in capsys.readouterr().err
    assert run(["report", str(tmp_path / "none.nc"), "-o", str(target)]) == 3
