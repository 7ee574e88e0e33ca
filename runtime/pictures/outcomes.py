"""An outcome turned into the data under what the model expects of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mercer.dsl.spaces import Bool, Count, Label
from mercer.runtime.pictures import style
from mercer.runtime.pictures.curves import (
    Curve,
    curves_of,
    draw_band,
    heading,
    name_axes,
    share_range,
)
from mercer.runtime.pictures.inputs import PANELS
from mercer.runtime.pictures.study import Study

_ROWS = 60
"""Labels of rows that one figure names."""
_LABELS = 6
"""Labels whose probabilities one panel can show."""


def draw_numbers(study: Study, outcome: str) -> Figure:
    """Numbers or counts over an input: the data in the band where 95 % of them are expected."""
    curves, count = curves_of(study, outcome)
    curves = curves[:PANELS]
    made, axes = style.grid(
        len(curves), heading(f"{outcome} and what the model expects", len(curves), count)
    )
    seen = study.observed(outcome)
    parts = [seen[(curve.data, *curve.entry)] for curve in curves]
    for panel, curve, values in zip(axes, curves, parts, strict=True):
        draw_band(panel, curve, of=" of outcomes", inner=False)
        at = (curve.data, *curve.entry)
        for marker, label, rows in _marks(study.censored(outcome), at, values.shape):
            many = len(values) > 150
            style.dots(
                panel, curve.data_x[rows], values[rows], marker, label, color=style.INK,
                markersize=2.2 if many else 3.6, alpha=0.5 if many else 0.8,
            )  # fmt: skip
        panel.set_title(curve.title)
    name_axes(axes, curves, study.titled(outcome))
    share_range(axes, curves, *parts)
    if isinstance(study.space(outcome), Count):
        for panel in axes:
            panel.set_ylim(bottom=min(panel.get_ylim()[0], 0) if panel.get_ylim()[0] < 1 else None)
    style.legend_below(made, axes[0])
    return made


def draw_yes_no(study: Study, outcome: str) -> Figure:
    """The probability of yes over an input, with each observation at its side of the panel."""
    curves, count = curves_of(study, outcome)
    curves = curves[:PANELS]
    title = heading(f"Probability of {outcome}", len(curves), count)
    made, axes = style.grid(len(curves), title)
    seen = study.observed(outcome)
    for panel, curve in zip(axes, curves, strict=True):
        draw_band(panel, curve)
        value = seen[(curve.data, *curve.entry)]
        for answer, place in ((0, -0.07), (1, 1.07)):
            x = style.marks(curve.data_x[value == answer])
            panel.plot(
                x, np.full(len(x), place), "|", color=style.INK, alpha=0.5, markersize=7,
                label="data (yes above, no below)" if answer else None,
            )  # fmt: skip
        panel.set_ylim(-0.14, 1.14)
        panel.set_yticks([0, 0.5, 1])
        panel.set_title(curve.title)
    name_axes(axes, curves, f"P({style.short(outcome, 20)})")
    style.legend_below(made, axes[0])
    return made


def draw_labels(study: Study, outcome: str) -> Figure:
    """The probability of each label over an input, above a strip of the data."""
    space = study.space(outcome)
    assert isinstance(space, Label)
    every, count = curves_of(study, outcome)
    names = study.labels(space.index)
    seen = study.observed(outcome)
    commonest = np.argsort([-np.sum(seen == place) for place in range(len(names))], kind="stable")
    shown = sorted(commonest[:_LABELS].tolist())
    groups: dict[Any, list[Curve]] = {}
    for curve in every:
        if curve.entry[-1] in shown:
            groups.setdefault((curve.title, curve.entry[:-1]), []).append(curve)
    panels = list(groups.values())[:PANELS]
    title = heading(f"Probability of each {outcome}", len(panels), count // max(len(names), 1))
    made, axes = style.grid(len(panels), title, height=3.0, single=(7.5, 4.6))
    colours = style.label_colours(len(shown), is_ordered=study.is_ordered(outcome))
    firsts = [panel[0] for panel in panels]
    for axis, panel in zip(axes, panels, strict=True):
        for curve, colour in zip(panel, colours, strict=True):
            label = names[curve.entry[-1]]
            axis.plot(curve.x, curve.mean, color=colour, linewidth=1.6, label=label)
            ends = curve.quantile(0.025), curve.quantile(0.975)
            axis.fill_between(curve.x, *ends, color=colour, alpha=0.18, linewidth=0)
        _strip(axis, panel, seen, colours)
        axis.set_title(panel[0].title)
        axis.margins(x=0.01)
    name_axes(axes, firsts, "probability")
    style.legend_below(made, axes[0])
    return made


def draw_rows(study: Study, outcome: str) -> Figure:
    """An outcome whose rows have names: each with what the model expects of it."""
    seen, shown = study.observed(outcome), study.at_data
    labels = study.labels(study.fit.program.DIMS[outcome][0])
    made = style.figure(7.5, 1.5 + 0.26 * len(labels), f"{outcome} and what the model expects")
    axes = made.subplots()
    places = np.arange(len(labels))[::-1]
    for low, high, width, label in ((0.025, 0.975, 1.4, "95 %"), (0.25, 0.75, 4.5, "50 %")):
        ends = shown.quantile(outcome, low), shown.quantile(outcome, high)
        axes.hlines(
            places, *ends, color=style.BLUE, alpha=0.55, linewidth=width,
            label=f"{label} of outcomes",
        )  # fmt: skip
    axes.plot(seen, places, "o", color=style.INK, markersize=4.5, label="data")
    axes.set_yticks(places, labels)
    axes.set_xlabel(study.titled(outcome))
    style.legend_below(made, axes)
    return made


def draw_scatter(study: Study, outcome: str) -> Figure:
    """Observed against expected, for outcomes of more inputs than a page has sides."""
    seen, shown = study.seen_at(outcome), study.at_data
    censored = study.censored(outcome)
    if censored is not None:
        censored = study.taken(outcome, censored[0]), study.taken(outcome, censored[1])
    mean = shown.means[outcome]
    low, high = (shown.quantile(outcome, level) for level in (0.025, 0.975))
    extra = [tuple(int(i) for i in e) for e in np.ndindex(*mean.shape[1:])][:PANELS]
    made, axes = style.grid(
        len(extra),
        f"{outcome}: observed against expected{study.of_how_many_rows(outcome)}",
        height=3.0,
        single=(5.4, 4.9),
    )
    for panel, entry in zip(axes, extra, strict=True):
        at = (slice(None), *entry)
        x, y = mean[at], seen[at]
        keep = np.isfinite(y)
        many = keep.sum() > 200
        panel.hlines(
            y[keep], low[at][keep], high[at][keep], color=style.BLUE, linewidth=0.8,
            alpha=max(min(0.15, 150 / keep.sum()), 0.05) if many else 0.4, label="95 % of outcomes",
        )  # fmt: skip
        for marker, label, rows in _marks(censored, at, y.shape):
            panel.plot(
                x[rows], y[rows], marker, color=style.BLUE, markersize=2.5 if many else 3.8,
                alpha=0.6, markeredgewidth=0, label=label,
            )  # fmt: skip
        ends = style.limits_of(x[keep], y[keep], margin=0.05)
        panel.plot(ends, ends, color=style.GREY, linewidth=0.9, linestyle="--", label="equal")
        panel.set_title(study.entry_title(outcome, entry))
    if len(axes) > 1:
        style.share_x_label(axes, ["expected"] * len(axes))
        made.supylabel(study.titled(outcome), fontsize=9.5, color=style.INK)
    else:
        axes[0].set(xlabel=f"{outcome}, expected", ylabel=f"{study.titled(outcome)}, observed")
    style.legend_below(made, axes[0])
    return made


def has_named_rows(study: Study, outcome: str) -> bool:
    """Whether the rows have names, and the model an unknown for each of them."""
    dims = study.fit.program.DIMS.get(outcome, ())
    if len(dims) != 1 or dims[0] in study.fit.bound.numbered:
        return False
    own = [n for n in study.unknowns if study.fit.program.DIMS.get(n, ()) == dims]
    return bool(own) and study.fit.bound.sizes[dims[0]] <= _ROWS


def is_numbers(study: Study, outcome: str) -> bool:
    return not isinstance(study.space(outcome), Bool | Label)


def _marks(
    censored: tuple[np.ndarray, np.ndarray] | None, at: tuple[Any, ...], shape: tuple[int, ...]
) -> list[tuple[str, str, np.ndarray]]:
    """Dots for the data; triangles that point to where the true value lies, if it is not known."""
    if censored is None:
        return [("o", "data", np.ones(shape, bool))]
    below, above = (part[at] for part in censored)
    marks = [
        ("o", "data", ~below & ~above),
        ("^", "at least this", above),
        ("v", "at most this", below),
    ]
    return [mark for mark in marks if mark[2].any()]


def _strip(axis: Any, panel: list[Curve], seen: np.ndarray, colours: list[Any]) -> None:
    """The data below the axis: a row of marks for each label, in its colour."""
    size = len(panel)
    for place, (curve, colour) in enumerate(zip(panel, colours, strict=True)):
        value = seen[(curve.data, *curve.entry[:-1])]
        x = style.marks(curve.data_x[value == curve.entry[-1]])
        height = -0.07 * (size - place)
        axis.plot(x, np.full(len(x), height), "|", color=colour, markersize=5, alpha=0.9)
    axis.set_ylim(-0.07 * (size + 1), 1.03)
    axis.set_yticks([0, 0.5, 1])
    axis.axhline(0, color=style.FAINT, linewidth=0.8)
