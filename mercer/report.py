"""A fit turned into one HTML page that needs nothing else: model, plan, data, tables, pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import mercer
from mercer.dsl.html import highlighted, number
from mercer.dsl.whole import replace_whole

if TYPE_CHECKING:
    from mercer.runtime.pictures import Picture
    from mercer.runtime.posterior.fit import Fit

_MOST_ROWS = 400
"""Entries of one unknown that are tabulated; of more, a picture says more."""
_CHECKS = ("calibration", "predictive", "trace", "rank")
"""The kinds of picture that say whether to believe the others."""
_DPI, _CSS = 144, 96
"""Pixels an inch: of the picture, and of the page, which a sharp screen divides further."""
_COLUMNS = {
    "mean": "mean",
    "sd": "sd",
    "hdi_3%": "94 % from",
    "hdi_97%": "to",
    "ess_bulk": "effective draws",
    "r_hat": "R-hat",
}


@dataclass(frozen=True)
class Table:
    """The summary of one unknown, or of all single numbers: cells as they are shown."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Image:
    """A picture as a data URI, with its size in pixels of the page, and what to see in it."""

    name: str
    see: str
    uri: str
    width: int
    height: int
    is_check: bool


def write_report(fit: Fit, path: str | Path) -> Path:
    """Writes the page whole or not at all."""
    page = report_of(fit)
    with replace_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def report_of(fit: Fit) -> str:
    """The page. It loads nothing, runs no script, and all text in it is escaped."""
    from mercer.runtime.pictures import pictures

    images = [_image(picture) for picture in pictures(fit)]
    sources = _sources(fit)
    head, *data = fit.bound.described()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        title=fit.docs.get("") or f"{next(iter(sources))}: a fit",
        version=mercer.__version__,
        settings=[f"{name} {number(value)}" for name, value in fit.settings.items()],
        diagnostics=fit.diagnostics,
        plan=[line for line in fit.plan_text.splitlines() if line.strip()],
        sources={name: highlighted(text) for name, text in sources.items()},
        data=Table("", (*head, "meaning"), tuple((*row, fit.docs.get(row[0], "")) for row in data)),
        tables=list(_tables(fit)),
        found=[image for image in images if not image.is_check],
        checks=[image for image in images if image.is_check],
    )


def _sources(fit: Fit) -> dict[str, str]:
    """The texts of the model by file name, its own first."""
    parts = json.loads(fit.model_source)
    own = {parts["name"]: parts["sources"][parts["name"]]}
    return {Path(name).name: text for name, text in {**own, **parts["sources"]}.items()}


def _tables(fit: Fit) -> Iterator[Table]:
    """The single numbers together, then each labelled unknown."""
    posterior: Any = fit.idata["posterior"]
    names = [str(n) for n in posterior.data_vars if "(" not in str(n)]
    single = [n for n in names if posterior[n].ndim == 2]
    several = [
        n for n in names if posterior[n].ndim > 2 and 0 < posterior[n][0, 0].size <= _MOST_ROWS
    ]
    groups = [("Single numbers", single)] if single else []
    for title, members in [*groups, *((name, [name]) for name in several)]:
        frame = fit.summary(members)
        columns = [c for c in _COLUMNS if c in frame.columns and frame[c].notna().any()]
        rows = tuple(
            (_entry(label, title), *(_cell(c, row[c]) for c in columns))
            for label, row in frame.iterrows()
        )
        yield Table(title, ("", *(_COLUMNS[c] for c in columns)), rows)


def _entry(label: Any, title: str) -> str:
    """`theta[A]` is `A` in the table of theta."""
    text = str(label)
    return text[len(title) + 1 : -1] if text.startswith(f"{title}[") else text


def _cell(column: str, value: Any) -> str:
    if not np.isfinite(value):
        return "–"
    if column.startswith("ess"):
        return f"{value:.0f}"
    return f"{value:.2f}" if column == "r_hat" else f"{value:.3g}"


def _image(picture: Picture) -> Image:
    """The picture as PNG. Its figure goes with its last reference."""
    from mercer.runtime.pictures import uri_of

    width, height = (int(_CSS * inches) for inches in picture.figure.get_size_inches())
    is_check = picture.name.split(" ")[0] in _CHECKS
    return Image(picture.name, picture.see, uri_of(picture.figure, _DPI), width, height, is_check)
