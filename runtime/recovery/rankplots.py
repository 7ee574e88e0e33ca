"""A calibration turned into a picture: where ranks leave the diagonal, and how far they may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mercer.runtime.recovery.ranks import ecdf_band, ecdf_counts

if TYPE_CHECKING:
    from mercer.runtime.recovery.calibration import Calibration

_GOOD, _BAD, _BAND = "#2b6ca3", "#c0392b", "#d5dde6"
_MOST = 24
"""Panels at most: those with the smallest chances."""
_LEVEL = 0.95


def plot_ranks(calibration: Calibration) -> Figure:
    """A panel a quantity: ECDF of the ranks less that of uniform ones, in a 95 % band for all ranks
    at once. A quantity that fails is red."""
    order = np.argsort(calibration.chances.min(axis=1), kind="stable")[:_MOST]
    chosen = sorted(order.tolist())
    columns = min(4, max(1, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(2.9 * columns, 2.2 * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, (axes, number) in enumerate(zip(grid.flat, chosen, strict=False)):
        _panel(axes, calibration, number)
        if place + columns >= len(chosen):  # nothing below it
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("rank / draws", fontsize=8)
    for axes in grid.flat[len(chosen) :]:
        axes.set_visible(False)
    count = len(calibration.numbers)
    figure.suptitle(
        f"Ranks of the truth in {count} simulations: ECDF less that of uniform ranks\n"
        f"grey: where {100 * _LEVEL:.0f} % of right models stay everywhere; red: fails",
        fontsize=10,
    )
    return figure


def _panel(axes: Any, calibration: Calibration, number: int) -> None:
    name, kept = calibration.quantities[number], calibration.kept
    count = len(calibration.numbers)
    places = np.arange(1, kept + 1) / (kept + 1)
    low, high = ecdf_band(count, kept, _LEVEL)
    found = ecdf_counts(calibration.ranks[:, number], kept) / count
    # Between two ranks the ECDF is what it was at the first: everything is a step.
    ends = np.concatenate([[0.0], places, [1.0]])
    zero = [0.0]
    band = [np.concatenate([zero, edge / count - places, zero]) for edge in (low, high)]
    axes.fill_between(ends, *band, color=_BAND, lw=0)
    axes.axhline(0.0, color="0.5", lw=0.7)
    colour = _BAD if name in calibration.failed else _GOOD
    axes.plot(ends, np.concatenate([zero, found - places, zero]), color=colour, lw=1.4, marker=".")
    axes.set_title(name, fontsize=9, color=colour)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
