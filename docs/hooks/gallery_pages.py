"""Folders of examples turned into a gallery: picture, model, data, and what to see."""

from __future__ import annotations

import re
from pathlib import Path

from examples.spec import Example, example, names

PICTURE = "picture.png"
_LINK = re.compile(r"(!?\[[^]]*\])\(([^)#:]+)\)")


def gallery() -> dict[str, str | bytes]:
    """The files of the gallery by their place in the site."""
    found: dict[str, str | bytes] = {"gallery/index.md": _index([example(n) for n in names()])}
    for name in names():
        chosen = example(name)
        found[f"gallery/{name}.md"] = _page(chosen)
        for picture in chosen.folder.glob("*.png"):
            found[f"gallery/{name}/{picture.name}"] = picture.read_bytes()
    return found


def _index(examples: list[Example]) -> str:
    cards = [
        f"-   [![{e.title}]({e.name}/{PICTURE})]({e.name}.md)\n\n"
        f"    **[{e.title}]({e.name}.md)**\n\n    {e.shows}\n"
        for e in examples
    ]
    return (
        "# Gallery\n\nEach is a folder of `examples/`, which the tests run; the pictures are what "
        "`python -m examples.run NAME` draws.\n\n"
        '<div class="grid cards" markdown>\n\n' + "\n".join(cards) + "\n</div>\n"
    )


def _page(chosen: Example) -> str:
    """The README of the folder, with picture and model before it."""
    body = (chosen.folder / "README.md").read_text(encoding="utf-8")
    _, body = body.split("\n", 1)  # its title is that of the example
    model = chosen.model.read_text(encoding="utf-8").rstrip()
    body = _LINK.sub(lambda found: _moved(chosen, found), body)
    return f"# {chosen.title}\n\n{body.strip()}\n\n## The model\n\n```mercer\n{model}\n```\n"


def _moved(chosen: Example, found: re.Match[str]) -> str:
    """A link beside the README, from where its page stands in the site."""
    words, target = found.groups()
    if Path(target).suffix == ".png":
        return f"{words}({chosen.name}/{target})"
    return words.strip("[]") if not words.startswith("!") else ""
