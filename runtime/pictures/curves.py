"""A quantity on a line of inputs turned into its mean with bands, a panel for each label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mercer.runtime.pictures import style
from mercer.runtime.pictures.inputs import PANELS, Axis, Panel, Rows, rows_of_panel, told
from mercer.runtime.pictures.study import Study, Values

_WAVES = 20
"""Peaks of a curve above which a close-up is drawn too, of `_CLOSE` of them."""
_CLOSE = 6
_BESIDE = 3
"""Points to either side whose draws count too: 2 % of the range, as the grid is fine."""
_FEW = 4
"""Different inputs that are each marked on the axis."""


@dataclass(frozen=True)
class Curve:
    """One curve: `x`, the mean there, and quantiles by level, each [point].

    `entry`: which entry of the dims behind the rows it is. `data`: the rows of the data that have
    the labels of the panel, and `data_x` their inputs.
    """

    title: str
    x_label: str
    x: np.ndarray
    mean: np.ndarray
    quantile: Callable[[float], np.ndarray]
    entry: tuple[int, ...]
    data: np.ndarray
    data_x: np.ndarray


def curves_of(study: Study, key: str) -> tuple[list[Curve], int]:
    """The curves of a quantity, and how many panels there would be in all."""
    values = study.values(key)
    assert values is not None
    levels: dict[float, np.ndarray] = {}

    def quantile(level: float) -> np.ndarray:
        if level not in levels:
            levels[level] = values.quantile(level)
        return levels[level]

    curves = [
        _curve(study, key, values, panel, entry, quantile)
        for panel in values.rows.panels
        for entry in _entries(study, key, values, panel)
    ]
    each = len(curves) // len(values.rows.panels)
    return curves, max(len(curves), values.rows.combinations * each)


def draw_function(study: Study, key: str) -> Figure:
    """One random function with its 50 and 95 % bands."""
    curves, count = curves_of(study, key)
    curves = curves[:PANELS]
    waves = _peaks(curves[0].mean) if len(curves) == 1 else 0
    title = heading(f"Posterior of {key}", len(curves), count)
    if waves > _WAVES:
        curves = [*curves, _close_up(curves[0], waves)]
        made, axes = style.grid(2, title, columns=1, width=8.5)
    else:
        made, axes = style.grid(len(curves), title)
    for panel, curve in zip(axes, curves, strict=True):
        draw_band(panel, curve)
        draw_rug(panel, curve)
        panel.set_title(curve.title)
    name_axes(axes, curves, study.titled(key))
    share_range(axes, curves)
    style.legend_below(made, axes[0])
    return made


def draw_band(
    panel: Any, curve: Curve, *, colour: str = style.BLUE, of: str = "", inner: bool = True
) -> None:
    """The mean over the bands that hold half and 95 % of the probability."""
    bands = [(0.025, 0.975, 0.18, f"95 %{of}"), (0.25, 0.75, 0.30, f"50 %{of}")]
    for low, high, alpha, label in bands if inner else bands[:1]:
        ends = curve.quantile(low), curve.quantile(high)
        panel.fill_between(curve.x, *ends, color=colour, alpha=alpha, linewidth=0, label=label)
        if len(curve.data) > style.DOTS:  # the grid of their counts hides where a band ends
            panel.plot(curve.x, np.stack(ends, -1), color=colour, linewidth=0.8)
    panel.plot(curve.x, curve.mean, color=colour, linewidth=1.4, label="mean")
    panel.margins(x=0.01)


def draw_rug(panel: Any, curve: Curve) -> None:
    """Where there are data: short marks at the foot of the panel."""
    x = curve.data_x[(curve.data_x >= curve.x.min()) & (curve.data_x <= curve.x.max())]
    x = style.marks(np.unique(x))
    panel.plot(
        x, np.full(len(x), 0.015), "|", label="inputs of the data",
        transform=panel.get_xaxis_transform(), color=style.GREY, alpha=0.5, markersize=5,
    )  # fmt: skip


def name_axes(axes: list[Any], curves: list[Curve], y_label: str) -> None:
    """Names of the axes: once for each column and for the figure, where panels share them."""
    names = [curve.x_label for curve in curves]
    values = np.unique(np.concatenate([curve.data_x for curve in curves]))
    if len(values) <= _FEW:  # 0 and 1 are no scale
        for panel in axes:
            panel.set_xticks(values, [f"{value:g}" for value in values])
    if len(axes) > 1:
        style.share_x_label(axes, names)
        axes[0].get_figure().supylabel(y_label, fontsize=9.5, color=style.INK)
    else:
        axes[0].set(xlabel=names[0], ylabel=y_label)


def share_range(axes: list[Any], curves: list[Curve], *more: np.ndarray) -> None:
    """One range for all panels, so that they can be compared."""
    ends = [curve.quantile(level) for curve in curves for level in (0.025, 0.975)]
    limits = style.limits_of(*ends, *more, margin=0.06)
    for panel in axes:
        panel.set_ylim(*limits)


def heading(text: str, shown: int, count: int) -> str:
    return text if shown >= count else f"{text} ({shown} of {count} panels, those of most rows)"


def axis_title(study: Study, axis: Axis) -> str:
    if axis.place is None:
        return study.titled(axis.data)
    return study.coordinate(axis.data, axis.place)


def panel_title(study: Study, key: str, panel: Panel, entry: tuple[int, ...], rows: Rows) -> str:
    """The labels that a panel holds, and the entry of a vector that it shows."""
    inputs = study.inputs(key)
    assert inputs is not None
    facets = zip(inputs.facets, panel.held, strict=True)
    held = [told(study.fit, facet, value) for facet, value in facets]
    if rows.shape == "slices":
        return ""
    if rows.shape != "coordinates":
        held.append(study.entry_title(key, entry))
    return style.short(style.joined(part for part in held if part), 34)


def _curve(
    study: Study,
    key: str,
    values: Values,
    panel: Panel,
    entry: tuple[int, ...],
    quantile: Callable[[float], np.ndarray],
) -> Curve:
    inputs, axis = study.inputs(key), panel.axes[0]
    assert inputs is not None
    at = (panel.index, *entry)
    data = np.flatnonzero(rows_of_panel(study.fit, inputs, panel.held))
    return Curve(
        title=panel_title(study, key, panel, entry, values.rows),
        x_label=axis_title(study, axis),
        x=panel.points[0],
        mean=values.mean[at],
        quantile=_pooled(values, at) or (lambda level: quantile(level)[at]),
        entry=entry,
        data=data,
        data_x=axis.values(study.fit.bound.arrays)[data],
    )


def _pooled(values: Values, at: tuple[Any, ...]) -> Callable[[float], np.ndarray] | None:
    """Quantiles of draws, each with those of the points beside it: else a band would be ragged."""
    if values.samples is None or values.rows.shape == "slices":
        return None
    padded = np.pad(values.samples[(slice(None), *at)], ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _BESIDE + 1, axis=1)
    return lambda level: np.quantile(windows, level, axis=(0, 2))


def _entries(study: Study, key: str, values: Values, panel: Panel) -> list[tuple[int, ...]]:
    """The entries of the dims behind the rows that one panel shows."""
    every = [tuple(int(i) for i in entry) for entry in np.ndindex(*values.mean.shape[1:])]
    axis = panel.axes[0]
    dims = tuple(study.fit.program.DIMS[key])
    own = study.fit.bound.dims[axis.data][-1]
    if values.rows.shape != "coordinates" or axis.place is None or own not in dims:
        return every
    return [entry for entry in every if entry[dims.index(own) - 1] == axis.place]


def _close_up(curve: Curve, waves: int) -> Curve:
    """Some waves in the middle of a curve that has too many to be seen."""
    size = len(curve.x)
    half = max(_CLOSE * size // (2 * waves), 8)
    part = slice(max(size // 2 - half, 0), size // 2 + half)
    return Curve(
        title="closer, in the middle",
        x_label=curve.x_label,
        x=curve.x[part],
        mean=curve.mean[part],
        quantile=lambda level: curve.quantile(level)[part],
        entry=curve.entry,
        data=curve.data,
        data_x=curve.data_x,
    )


def _peaks(values: np.ndarray) -> int:
    """How many waves a curve has that are at least a tenth of its range high."""
    from scipy.signal import find_peaks

    return len(find_peaks(values, prominence=0.1 * float(np.ptp(values)) or 1.0)[0])
