"""Unknown numbers turned into pictures: what they may be, and how they were sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mercer.runtime.pictures import style
from mercer.runtime.pictures.inputs import PANELS
from mercer.runtime.pictures.study import Study

_NAMED = 60
"""Labels that a forest names; more are drawn in order of their means."""
_COLUMN = 30
_ENDS = 5
_CELLS = 30
"""Sides of a table of numbers that can be read."""
_PLACES = 2000
"""Unknown places that one figure shows."""
_NORMAL = (1.959964, 0.674490)
"""Standard deviations about the mean that hold 95 % and half of a normal law."""


def draw_posterior(study: Study, _: str) -> Figure:
    """The posterior of each unknown number."""
    return _panels(
        study, "Posterior (black line: mean; orange bar: 95 % interval)", "value", _density
    )


def draw_trace(study: Study, _: str) -> Figure:
    """The draws of each chain, in their order."""
    return _panels(study, "Draws in their order, a colour a chain", "draw", _trace)


def draw_rank(study: Study, _: str) -> Figure:
    """Where the draws of each chain stand among all. Vehtari et al. (2021), section 4.2."""
    return _panels(study, "Ranks of the draws among all chains, a colour a chain", "rank", _rank)


def draw_forest(study: Study, name: str) -> Figure:
    """Mean, half and 95 % interval of each entry of a labelled unknown."""
    labels, what = _labels(study, name)
    entries = _intervals_of(study, name)
    columns = min(-(-len(labels) // _COLUMN), 2)
    rows = -(-len(labels) // columns)
    made = style.figure(7.5, 1.3 + 0.24 * rows, f"Posterior of {name}, for each {what}")
    panels = made.subplots(1, columns, squeeze=False, sharex=True)[0]
    limits = style.limits_of(*entries.most, margin=0.05)
    for number, panel in enumerate(panels):
        part = slice(number * rows, (number + 1) * rows)
        places = np.arange(len(labels[part]))[::-1]
        _intervals(panel, entries.at(np.arange(len(labels))[part]), places, is_flat=True)
        panel.set_yticks(places, labels[part])
        panel.set_ylim(len(places) - rows - 0.6, len(places) - 0.4)
        panel.set_xlim(*limits)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color=style.FAINT, linewidth=0.6)
        panel.locator_params(axis="x", nbins=6)
        panel.set_xlabel(study.titled(name))
    style.legend_below(made, panels[0])
    return made


def draw_caterpillar(study: Study, name: str) -> Figure:
    """More labels than can be named: in order of their means, the extreme ones by name."""
    labels, what = _labels(study, name)
    entries = _intervals_of(study, name)
    order = np.argsort(entries.mean, kind="stable")
    made = style.figure(7.5, 4.6, f"Posterior of {name}: {len(labels)} × {what}, in order")
    axes = made.subplots()
    places = style.evenly(len(order))
    _intervals(axes, entries.at(order[places]), places, is_flat=False)
    lowest = style.joined(labels[i] for i in order[:_ENDS])
    highest = style.joined(labels[i] for i in order[::-1][:_ENDS])
    ends = [style.wrapped(f"lowest: {lowest}", 90), style.wrapped(f"highest: {highest}", 90)]
    axes.set_xlabel("\n".join([f"rank of the {what}", *ends]))
    axes.set_ylabel(study.titled(name))
    axes.margins(x=0.02)
    axes.grid(axis="y", color=style.FAINT, linewidth=0.6)
    style.legend_below(made, axes)
    return made


def draw_matrix(study: Study, name: str) -> Figure:
    """An unknown over two indices: its mean, and how uncertain it is, cell by cell."""
    values = study.posterior[name]
    draws = values.values.reshape(-1, *values.shape[2:])
    dims = [str(dim) for dim in values.dims[2:]]
    names = [study.labels(d, n) for d, n in zip(study.fit.program.DIMS[name], values.shape[2:])]
    mean, sd = draws.mean(axis=0), draws.std(axis=0)
    sd = np.where(sd < 1e-9 * max(sd.max(), np.abs(mean).max()), 0.0, sd)
    rows, columns = mean.shape
    longest = max(len(label) for label in names[0])
    side = float(np.clip(0.42 * max(columns, 4), 2.4, 5.0))
    tall = float(np.clip(0.34 * max(rows, 4), 2.0, 7.0))
    made = style.figure(2 * (side + 0.07 * longest + 0.7), tall + 1.4, f"Posterior of {name}")
    bound = float(np.max(np.abs(mean))) or 1.0
    is_correlation = rows == columns and np.allclose(np.diagonal(draws, axis1=1, axis2=2), 1)
    is_signed = is_correlation or mean.min() < 0
    maps = [
        (mean, "mean", style.DIVERGING if is_signed else style.SEQUENTIAL,
         (-bound, bound) if is_signed else style.limits_of(mean)),
        (sd, "sd", "Greys", (0.0, float(sd.max()) or 1.0)),
    ]  # fmt: skip
    panels = made.subplots(1, 2, sharey=True)
    for panel, (table, what, colours, limits) in zip(panels, maps, strict=True):
        image = panel.imshow(table, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
        if max(rows, columns) <= 8:
            _write_cells(panel, image, table)
        turned = sum(len(label) for label in names[1]) > 5 * side
        panel.set_xticks(range(columns), names[1], rotation=90 if turned else 0)
        panel.set_yticks(range(rows), names[0])
        panel.set(title=what, xlabel="" if dims[1].isdigit() else dims[1])
        panel.tick_params(length=0)
        for spine in panel.spines.values():
            spine.set_visible(False)
        made.colorbar(image, ax=panel, shrink=0.85, aspect=18)
    panels[0].set_ylabel("" if dims[0].isdigit() else dims[0])
    return made


def draw_places(study: Study, name: str) -> Figure:
    """Points in the plane that are unknown: their means, and how far they may be off."""
    values = study.posterior[name]
    draws = values.values.reshape(-1, *values.shape[2:])
    mean, sd = draws.mean(axis=0), draws.std(axis=0)
    made = style.figure(5.4, 5.2, f"Posterior of {name}: means, bars of one sd")
    axes = made.subplots()
    axes.errorbar(
        *mean.T, xerr=sd[:, 0], yerr=sd[:, 1], fmt="o", markersize=3.5, linewidth=0.7,
        color=style.BLUE, ecolor=style.SKY, alpha=0.8,
    )  # fmt: skip
    dim = study.fit.program.DIMS[name][1]
    first, second = (study.label(dim, place) for place in range(2))
    axes.set(xlabel=f"{name}, {dim} {first}", ylabel=f"{name}, {dim} {second}")
    return made


def numbers(study: Study) -> list[str]:
    """The unknowns that are one number each and vary."""
    return [n for n in study.unknowns if _shape(study, n) == () and _varies(study, n)]


def is_labelled(study: Study, name: str) -> bool:
    shape = _shape(study, name)
    return len(shape) == 1 and 1 < shape[0] <= _NAMED


def is_long(study: Study, name: str) -> bool:
    shape = _shape(study, name)
    return len(shape) == 1 and shape[0] > _NAMED


def is_table(study: Study, name: str) -> bool:
    shape = _shape(study, name)
    return _has_draws(study, name) and len(shape) == 2 and max(shape) <= _CELLS and min(shape) > 1


def is_places(study: Study, name: str) -> bool:
    shape = _shape(study, name)
    return (
        _has_draws(study, name)
        and len(shape) == 2
        and shape[1] == 2
        and _CELLS // 2 < shape[0] <= _PLACES
    )


def _has_draws(study: Study, name: str) -> bool:
    return name in study.posterior.data_vars


def _shape(study: Study, name: str) -> tuple[int, ...]:
    if _has_draws(study, name):
        return study.posterior[name].shape[2:]
    return study.fit.statistics()[name].shape[1:]


def _varies(study: Study, name: str) -> bool:
    values = study.posterior[name].values
    return bool(np.isfinite(values).any() and np.ptp(values[np.isfinite(values)]) > 0)


@dataclass(frozen=True)
class Entries:
    """The mean of each entry of an unknown, and the ends of what holds 95 % and half of it."""

    mean: np.ndarray
    most: np.ndarray
    half: np.ndarray

    def at(self, places: np.ndarray) -> Entries:
        return Entries(self.mean[places], self.most[:, places], self.half[:, places])


def _intervals_of(study: Study, name: str) -> Entries:
    """From the draws, or from mean and sd as of a normal law where these stand for them."""
    if _has_draws(study, name):
        values = study.posterior[name].values
        draws = values.reshape(-1, values.shape[-1])
        ends = np.quantile(draws, (0.025, 0.25, 0.75, 0.975), axis=0)
        return Entries(draws.mean(axis=0), ends[[0, 3]], ends[[1, 2]])
    mean, sd = study.fit.statistics()[name].values[:2]
    return Entries(mean, *(np.stack([mean - z * sd, mean + z * sd]) for z in _NORMAL))


def _labels(study: Study, name: str) -> tuple[list[str], str]:
    """The labels of the entries of an unknown, and what they are labels of."""
    count = _shape(study, name)[-1]
    dim = study.fit.program.DIMS.get(name, (str(count),))[0]
    return study.labels(dim, count), "entry" if dim.isdigit() else dim


def _intervals(panel: Any, entries: Entries, places: np.ndarray, *, is_flat: bool) -> None:
    lines = panel.hlines if is_flat else panel.vlines
    thick = 1.0 if is_flat else float(np.clip(300 / len(places), 0.25, 1.0))
    for ends, width, alpha, what in (
        (entries.most, 1.4, 0.6, "95 %"),
        (entries.half, 4.0, 0.9, "50 %"),
    ):
        lines(
            places, *ends, color=style.BLUE, linewidth=width * thick, alpha=alpha,
            label=f"{what} interval",
        )  # fmt: skip
    centre = (entries.mean, places) if is_flat else (places, entries.mean)
    panel.plot(
        *centre, "o", color="white", markeredgecolor=style.INK, markersize=4.5 * thick,
        markeredgewidth=0.9 * thick, label="mean",
    )  # fmt: skip


def _write_cells(panel: Any, image: Any, table: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(table):
        red, green, blue, _ = image.cmap(image.norm(value))
        is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        colour = "white" if is_dark else style.INK
        panel.text(column, row, f"{value:.2g}", ha="center", va="center", color=colour, size=8)


def _panels(
    study: Study, title: str, x_label: str, draw: Callable[[Any, np.ndarray], None]
) -> Figure:
    names = numbers(study)
    count = len(names)
    names = names[:PANELS]
    if count > len(names):
        title = f"{title} ({len(names)} of {count})"
    made, axes = style.grid(len(names), title, single=(5.0, 3.4))
    for panel, name in zip(axes, names, strict=True):
        draw(panel, np.asarray(study.posterior[name].values, float))
        panel.set_title(style.short(study.titled(name).replace("\n", " "), 34))
    style.share_x_label(axes, [x_label] * len(axes))
    return made


def _density(panel: Any, draws: np.ndarray) -> None:
    """Histogram of all draws, mean and 95 % interval marked; far tails are cut, and said to be."""
    values = draws[np.isfinite(draws)]
    low, high = np.quantile(values, (0.025, 0.975))
    # A tail that would flatten all the rest is cut two interval widths from the interval.
    ends = max(values.min(), low - 2 * (high - low)), min(values.max(), high + 2 * (high - low))
    panel.hist(values, bins=40, range=ends, density=True, color=style.BLUE, alpha=0.75)
    panel.axvline(values.mean(), color=style.INK, linewidth=1.2)
    panel.plot(
        [low, high], [0, 0], color=style.ORANGE, linewidth=5, clip_on=False,
        solid_capstyle="butt",
    )  # fmt: skip
    panel.set_yticks([])
    panel.spines["left"].set_visible(False)


def _trace(panel: Any, draws: np.ndarray) -> None:
    for number, chain in enumerate(draws):
        colour = style.CYCLE[number % len(style.CYCLE)]
        panel.plot(chain, linewidth=0.5, alpha=0.75, color=colour)
    panel.margins(x=0)


def _rank(panel: Any, draws: np.ndarray) -> None:
    from scipy.stats import rankdata

    ranks = rankdata(draws, method="average").reshape(draws.shape) - 0.5
    bins = np.linspace(0, draws.size, 21)
    for number, chain in enumerate(ranks):
        colour = style.CYCLE[number % len(style.CYCLE)]
        panel.stairs(np.histogram(chain, bins)[0], bins, color=colour, linewidth=1.2)
    panel.axhline(draws.shape[1] / 20, color=style.INK, linewidth=0.8, linestyle="--")
    panel.set_ylim(0)
