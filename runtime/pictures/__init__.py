"""A fit turned into figures that can be read as they are; `kinds.py` is the table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mercer.dsl.whole import replace_whole
from mercer.runtime.pictures import style
from mercer.runtime.pictures.kinds import Picture, pictures_of
from mercer.runtime.pictures.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mercer.runtime.fit import Fit

__all__ = ["Picture", "file_name", "pictures", "plot_fit", "save"]


def pictures(fit: Fit) -> list[Picture]:
    """Every picture that the fit has something for."""
    with style.style():
        return list(pictures_of(Study(fit)))


def plot_fit(fit: Fit, folder: str | Path | None = None) -> dict[str, Figure]:
    """Figures by name; PNG files of those names in `folder`."""
    figures = {picture.name: picture.figure for picture in pictures(fit)}
    if folder is not None:
        for title, figure in figures.items():
            save(figure, Path(folder) / f"{file_name(title)}.png")
    return figures


def save(figure: Figure, path: Path) -> Path:
    """Writes a PNG whole or not at all; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with style.style(), replace_whole(path) as temporary:
        figure.savefig(temporary, dpi=style.DPI)
    return path


def file_name(title: str) -> str:
    """A title without what a file system or a shell takes amiss: `f(x)` is `f_x_`."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in title)
