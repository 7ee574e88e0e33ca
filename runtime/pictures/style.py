"""Sizes, colours and layouts turned into figures that need no display and read well as they are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# Okabe & Ito (2008): told apart with every common form of colour blindness, and printed in grey.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, YELLOW = "#56B4E9", "#E69F00", "#C9B800"
INK, GREY, FAINT = "#222222", "#555555", "#D9D9D9"
CYCLE = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, YELLOW, GREY)
_COUNTS = LinearSegmentedColormap.from_list("counts", ["#DDDDDD", GREY])
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

DPI = 130
"""Pixels an inch: figures of 7.5 inches fill a page and half a screen."""

_STYLE: Any = {
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.solid_capstyle": "round",
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    # A name or a label of the data may hold a dollar, which is no formula.
    "text.parse_math": False,
    "axes.unicode_minus": True,
}

DOTS = 4000
"""Dots of a panel at most: more run together, and are counted in a grid instead."""
_MARKS = 1000
"""Marks along an axis at most: as many as it has pixels."""


@contextmanager
def style() -> Iterator[None]:
    """What is drawn inside has this style, whatever the user's settings are."""
    with rc_context(_STYLE):
        yield


def figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure, in inches. It belongs to no window and is freed with its last reference."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    if title:
        made.suptitle(wrapped(title, int(13 * width)), x=0.012, ha="left", fontsize=11, color=INK)
    return made


def grid(
    count: int,
    title: str = "",
    *,
    width: float = 3.2,
    height: float = 2.4,
    columns: int = 3,
    single: tuple[float, float] = (7.5, 4.0),
) -> tuple[Figure, list[Any]]:
    """A figure with `count` panels in rows of at most `columns`; one alone is of size `single`."""
    columns = min(columns, count) if count != 4 else 2
    rows = -(-count // columns)
    size = single if count == 1 else (max(width * columns, 5.0), height * rows + 0.4)
    made = figure(*size, title)
    axes = made.subplots(rows, columns, squeeze=False).ravel()
    for empty in axes[count:]:
        empty.remove()
    for one in axes[:count]:
        one.locator_params(axis="both", nbins=5 if count > 1 else 8)
    return made, list(axes[:count])


def share_x_label(axes: list[Any], names: list[str]) -> None:
    """Names under the panels; where all share one name, only under the lowest of each column."""
    columns = axes[0].get_subplotspec().get_gridspec().ncols
    for place, (panel, name) in enumerate(zip(axes, names, strict=True)):
        if len(set(names)) > 1 or place + columns >= len(axes):
            panel.set_xlabel(name)


def legend_below(made: Figure, axes: Any, columns: int = 4) -> None:
    """The key of `axes` under the panels, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        made.legend(handles, labels, loc="outside lower left", ncols=columns)


def dots(panel: Any, x: np.ndarray, y: np.ndarray, marker: str, label: str, **look: Any) -> None:
    """Points as dots; very many as a grid of hexagons, the darker the more points are in one."""
    seen = np.isfinite(x) & np.isfinite(y)
    if seen.sum() <= DOTS:
        panel.plot(x, y, marker, label=label, markeredgewidth=0, **look)
        return
    panel.hexbin(
        x[seen], y[seen], gridsize=(90, 30), bins="log", mincnt=1, cmap=_COUNTS, linewidths=0,
        zorder=0.5,
    )  # fmt: skip
    panel.plot([], [], "h", color=GREY, label=f"{label}: the darker, the more")


def some(count: int) -> np.ndarray:
    """Which of `count` dots to draw where a grid would hide what is below: all, or some by chance,
    as a map holds."""
    if count <= _MARKS:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, _MARKS, replace=False))


def marks(x: np.ndarray) -> np.ndarray:
    """Where to mark places along an axis: of very many some, evenly among them all."""
    return x if len(x) <= _MARKS else np.sort(x)[evenly(len(x))]


def evenly(count: int) -> np.ndarray:
    """Places among `count` that come in order: all, or of very many some, evenly."""
    return np.linspace(0, count - 1, min(count, _MARKS)).astype(int)


def short(text: object, most: int = 24) -> str:
    """A label that fits its place."""
    one_line = " ".join(str(text).split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def wrapped(text: str, width: int = 42) -> str:
    """A text in lines of at most `width` characters, if it has a place to be broken."""
    return "\n".join(textwrap.wrap(text, max(width, 12), break_long_words=False)) or text


def label_colours(count: int, *, is_ordered: bool = False) -> list[Any]:
    """Colours of labels: a scale where they have an order, else as different as can be."""
    from matplotlib import colormaps

    if is_ordered or count > len(CYCLE):
        return [colormaps[SEQUENTIAL](p) for p in np.linspace(0.0, 0.88, max(count, 1))]
    return list(CYCLE[:count])


def limits_of(*values: np.ndarray, margin: float = 0.0) -> tuple[float, float]:
    """The range of all finite values together, never empty."""
    finite = np.concatenate([v[np.isfinite(v)].ravel() for v in values] or [np.zeros(1)])
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = margin * (high - low) if high > low else 0.5 * abs(low) or 1.0
    return low - room, high + room


def joined(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts)
