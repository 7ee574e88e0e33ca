"""A fit turned into figures that can be read as they are; `kinds.py` is the table of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from mercer.dsl.whole import replace_whole
from mercer.runtime.pictures import style
from mercer.runtime.pictures.kinds import Picture, pictures_of
from mercer.runtime.pictures.study import Study

if TYPE_CHECKING:
    from mercer.runtime.posterior.fit import Fit

__all__ = ["Figures", "Picture", "pictures", "plot_fit", "png_of", "save", "uri_of"]


class Figures(dict[str, Figure]):
    """Figures by name. A notebook shows them all."""

    def _repr_html_(self) -> str:
        return "".join(
            f'<div><img src="{uri_of(figure)}" alt="{escape(name)}" '
            f'width="{int(96 * figure.get_figwidth())}" style="background:white"></div>'
            for name, figure in self.items()
        )


def pictures(fit: Fit) -> list[Picture]:
    """Every picture that the fit has something for."""
    with style.style():
        return list(pictures_of(Study(fit)))


def plot_fit(fit: Fit, folder: str | Path | None = None) -> Figures:
    """Figures by name; PNG files of those names in `folder`."""
    drawn = pictures(fit)
    if folder is not None:
        save(drawn, folder)
    return Figures({picture.name: picture.figure for picture in drawn})


def save(drawn: Iterable[Picture], folder: str | Path) -> list[Path]:
    """Writes a PNG for each picture, whole or not at all, and an HTML page of what can be turned
    round; makes the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for picture in drawn:
        stem, number = _file_name(picture.name), 1
        path = folder / f"{stem}.png"
        while path in paths:  # `f(x)` and `f[x]` are one name to a file system
            number += 1
            path = folder / f"{stem}_{number}.png"
        with replace_whole(path) as temporary:
            temporary.write_bytes(png_of(picture.figure))
        paths.append(path)
        if picture.page is not None and (text := picture.page()) is not None:
            page = path.with_suffix(".html")
            with replace_whole(page) as temporary:
                temporary.write_text(text, encoding="utf-8")
            paths.append(page)
    return paths


def png_of(figure: Figure, dpi: int = style.DPI) -> bytes:
    """The figure as a PNG file."""
    written = io.BytesIO()
    with style.style():
        figure.savefig(written, format="png", dpi=dpi)
    return written.getvalue()


def uri_of(figure: Figure, dpi: int = style.DPI) -> str:
    """The figure as a `data:` address, which a page needs no other file for."""
    return "data:image/png;base64," + base64.b64encode(png_of(figure, dpi)).decode()


def _file_name(title: str) -> str:
    """A title without what a file system or a shell takes amiss: `f(x)` is `f_x_`."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in title)
