"""A quantity over two inputs turned into maps of its mean and of what is left uncertain."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mercer.dsl.spaces import Bool, Label
from mercer.runtime.pictures import style
from mercer.runtime.pictures.curves import axis_title, heading, panel_title
from mercer.runtime.pictures.inputs import Panel, rows_of_panel
from mercer.runtime.pictures.study import Study, Values

_MOST = 4
"""Maps beside one another."""
_EAST, _NORTH = ("lon", "longitude", "lng", "east", "easting"), ("lat", "latitude", "north")


def draw_map(study: Study, key: str) -> Figure:
    """Mean and sd of one quantity; for an outcome with the data on the map."""
    values = study.values(key)
    assert values is not None
    sd = study.sds(key)
    shown = [
        (panel, tuple(int(i) for i in entry))
        for panel in values.rows.panels
        for entry in np.ndindex(*values.mean.shape[1:])
    ]
    is_outcome = key in study.outcomes
    heads = [_title(study, key, panel, entry, values) for panel, entry in shown]
    shown, count = shown[:_MOST], max(len(shown), values.rows.combinations)
    what = "The outcome expected" if is_outcome else "Posterior"
    title = heading(f"{what}: {study.titled(key)}", len(shown), count)
    if isinstance(study.space(key), Bool | Label):
        title = heading(f"Probability: {study.titled(key)}", len(shown), count)
    made, axes = _maps(study, values, len(shown), title)
    means = [values.mean[(panel.index, *entry)] for panel, entry in shown]
    sds = [sd[(panel.index, *entry)] for panel, entry in shown]
    data = [_data(study, key, panel, entry) if is_outcome else None for panel, entry in shown]
    scales = _scale(study, key, means, data), style.limits_of(*sds)
    for row, (surfaces, limits, colours) in enumerate(
        ((means, scales[0], style.SEQUENTIAL), (sds, scales[1], "Greys"))
    ):
        for place, (panel, _) in enumerate(shown):
            at = axes[row][place]
            mesh = _surface(study, at, panel, surfaces[place], limits, colours)
            _points(at, study, panel, data[place] if row == 0 else None, limits)
            at.set_title(style.joined(p for p in (heads[place], ("mean", "sd")[row]) if p))
        made.colorbar(mesh, ax=list(axes[row]), shrink=0.9, aspect=18, pad=0.02)
    return made


def _maps(study: Study, values: Values, count: int, title: str) -> tuple[Figure, Any]:
    """Mean beside sd for one map, above sd for several; sides in the proportion of the ground."""
    first, second = _sides(study, values.rows.panels[0])
    tall = float(np.clip(_proportion(study, values.rows.panels[0]) or 0.85, 0.4, 1.6))
    rows, columns = (1, 2) if count == 1 else (2, count)
    width = 3.1 if count == 1 else 2.5
    # A side has its labels, a row its colour bars (two where the maps stand alone).
    bars = 1.0 if count > 1 else 2.0
    size = width * columns + bars + 0.6, width * tall * rows + 0.55 * rows + 0.5
    made = style.figure(*size, title)
    axes = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for panel in axes[-1]:
        panel.set_xlabel(first)
    for panel in axes[:, 0]:
        panel.set_ylabel(second)
    for panel in axes.ravel():
        panel.locator_params(axis="both", nbins=4)
    return made, axes.reshape(2, count)


def _order(study: Study, panel: Panel) -> tuple[int, int]:
    """Which axis runs across and which up: longitudes run across."""
    names = [axis_title(study, axis).split(" ")[0].split(".")[-1].lower() for axis in panel.axes]
    return (1, 0) if names[0] in _NORTH or names[1] in _EAST else (0, 1)


def _sides(study: Study, panel: Panel) -> tuple[str, str]:
    across, up = _order(study, panel)
    return axis_title(study, panel.axes[across]), axis_title(study, panel.axes[up])


def _proportion(study: Study, panel: Panel) -> float | None:
    """Height over width of the ground, where both sides have one unit; None where they do not."""
    across, up = _order(study, panel)
    x, y = panel.points[across], panel.points[up]
    names = {axis_title(study, a).split(" ")[0].split(".")[-1].lower() for a in panel.axes}
    is_globe = bool(names & set(_EAST[:3])) and bool(names & set(_NORTH[:2]))
    is_place = panel.axes[0].data == panel.axes[1].data
    if not (is_globe or is_place) or not np.ptp(x):
        return None
    degree = np.cos(np.radians(np.mean(y))) if is_globe else 1.0
    found = float(np.ptp(y) / (np.ptp(x) * max(degree, 0.1)))
    return found if 0.25 < found < 4 else None


def _surface(
    study: Study, at: Any, panel: Panel, z: np.ndarray, limits: tuple[float, float], colours: str
) -> Any:
    across, up = _order(study, panel)
    x, y = np.unique(panel.points[across]), np.unique(panel.points[up])
    table = np.empty((len(y), len(x)))
    places = np.searchsorted(y, panel.points[up]), np.searchsorted(x, panel.points[across])
    table[places] = z
    mesh = at.pcolormesh(
        x, y, table, cmap=colours, vmin=limits[0], vmax=limits[1], shading="gouraud",
        rasterized=True,
    )  # fmt: skip
    if limits[1] > limits[0] and np.ptp(z) > 0.05 * (limits[1] - limits[0]) and colours != "Greys":
        at.contour(x, y, table, levels=6, colors="white", linewidths=0.5, alpha=0.6)
    if (tall := _proportion(study, panel)) is not None:
        at.set_aspect(tall * np.ptp(x) / max(np.ptp(y), 1e-300))
    return mesh


def _points(
    at: Any,
    study: Study,
    panel: Panel,
    data: tuple[np.ndarray, np.ndarray] | None,
    limits: tuple[float, float],
) -> None:
    """Where the data are; their values in the colours of the map, where they are those of it."""
    across, up = _order(study, panel)
    arrays = study.fit.bound.arrays
    x, y = panel.axes[across].values(arrays), panel.axes[up].values(arrays)
    if data is None:
        some = style.some(len(x))
        at.plot(x[some], y[some], ".", color=style.ORANGE, markersize=2.5, alpha=0.7)
        return
    rows, colour = data
    some = style.some(len(rows))
    rows, colour = rows[some], colour[some]
    at.scatter(
        x[rows], y[rows], c=colour, cmap=style.SEQUENTIAL, vmin=limits[0], vmax=limits[1],
        s=16, edgecolors="white", linewidths=0.6,
    )  # fmt: skip


def _data(
    study: Study, key: str, panel: Panel, entry: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a panel that have a value, and what their dots show."""
    inputs = study.inputs(key)
    assert inputs is not None
    rows = rows_of_panel(study.fit, inputs, panel.held)
    seen = study.observed(key)
    if isinstance(study.space(key), Label):
        value = np.where(np.isnan(seen), np.nan, seen == entry[-1])
        value = value[(slice(None), *entry[:-1])]
    else:
        value = seen[(slice(None), *entry)]
    rows &= np.isfinite(value)
    return np.flatnonzero(rows), value[rows]


def _scale(study: Study, key: str, means: list[np.ndarray], data: list[Any]) -> tuple[float, float]:
    if isinstance(study.space(key), Bool | Label):
        return 0.0, 1.0
    # A law with a heavy tail may have a mean beyond all bounds in some corner of the map.
    ends = [np.quantile(mean, (0.02, 0.98)) for mean in means]
    return style.limits_of(*ends, *(d[1] for d in data if d is not None))


def _title(study: Study, key: str, panel: Panel, entry: tuple[int, ...], values: Values) -> str:
    space = study.space(key)
    if isinstance(space, Label):
        last = study.label(space.index, entry[-1])
        held = panel_title(study, key, panel, entry[:-1], values.rows)
        return style.joined(p for p in (held, last) if p)
    return panel_title(study, key, panel, entry, values.rows)
