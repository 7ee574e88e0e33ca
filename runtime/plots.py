"""A fit turned into figures that can be read as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from mercer.runtime.fit import Fit
    from mercer.runtime.predict import Prediction

_BLUE, _GREY = "#2b6ca3", "#444444"
_MOST = 12
"""Panels or rows at most in one figure."""


def plot_fit(fit: Fit, folder: str | Path | None = None) -> dict[str, Figure]:
    """Figures by name; PNG files of those names in `folder`."""
    figures: dict[str, Figure] = {}
    posterior = fit.idata["posterior"]
    axis = numeric_input(fit)
    if axis is not None:
        name, x = axis
        shown = fit.everything()
        outcomes = fit.outcomes()
        fitting = [key for key, mean in shown.means.items() if mean.shape == x.shape]
        parts = [key for key in fitting if key not in outcomes and "(" in key]
        owners = [key.split("(")[0] for key in parts]
        for key in outcomes.intersection(fitting):
            figures[f"data {key}"] = data_figure(fit, shown, key, name, x)
        for key, owner in zip(parts, owners, strict=True):
            title = owner if owners.count(owner) == 1 else key
            figures[f"component {title}"] = component_figure(shown, key, name, x)
    numbers = [n for n in posterior.data_vars if posterior[n].ndim == 2]
    if numbers:
        figures["posterior"] = panels(fit, numbers[:_MOST], density_panel)
        figures["trace"] = panels(fit, numbers[:_MOST], trace_panel)
        figures["rank"] = panels(fit, numbers[:_MOST], rank_panel)
    for name in posterior.data_vars:
        if posterior[name].ndim == 3 and "(" not in str(name) and posterior[name].shape[-1] <= 60:
            figures[f"forest {name}"] = forest_figure(posterior[name])
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for title, figure in figures.items():
            safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in title)
            figure.savefig(Path(folder) / f"{safe}.png", dpi=130)
    return figures


def numeric_input(fit: Fit) -> tuple[str, np.ndarray] | None:
    """The one numeric column that the outcomes are located by, where there is one."""
    outcomes = fit.outcomes()
    located = getattr(fit.program, "INPUTS", {})
    inputs = {name for outcome in outcomes for name in located.get(outcome, fit.bound.arrays)}
    columns = [
        (name, value)
        for name, value in fit.bound.arrays.items()
        if name in inputs - outcomes and value.ndim == 1 and value.dtype.kind == "f"
    ]
    return columns[0] if len(columns) == 1 and len(columns[0][1]) > 2 else None


def data_figure(fit: Fit, shown: Prediction, outcome: str, label: str, x: np.ndarray) -> Figure:
    """The data under the band in which 95 % of them are expected."""
    figure, axes = _figure()
    _band(axes, shown, outcome, x, "95 % of outcomes expected here")
    axes.plot(x, fit.bound.arrays[outcome], ".", color=_GREY, label=outcome, markersize=5)
    axes.set(xlabel=label, ylabel=outcome, title=f"{outcome} and what the model predicts")
    axes.legend(frameon=False)
    return figure


def component_figure(shown: Prediction, part: str, label: str, x: np.ndarray) -> Figure:
    """One function with its 95 % band."""
    figure, axes = _figure()
    _band(axes, shown, part, x, "95 % interval")
    axes.set(xlabel=label, ylabel=part, title=f"Posterior of {part}")
    axes.legend(frameon=False)
    return figure


def forest_figure(values: Any) -> Figure:
    """Mean, half and 95 % interval of each entry of a labelled unknown."""
    draws = values.values.reshape(-1, values.shape[-1])
    labels = [str(label) for label in values[values.dims[-1]].values]
    figure, axes = _figure(height=1.2 + 0.28 * len(labels))
    places = np.arange(len(labels))[::-1]
    for low, high, width in ((0.025, 0.975, 1.5), (0.25, 0.75, 4.5)):
        axes.hlines(places, *np.quantile(draws, (low, high), axis=0), color=_BLUE, linewidth=width)
    axes.plot(draws.mean(0), places, "o", color="white", markeredgecolor=_BLUE, markersize=5)
    axes.set_yticks(places, labels)
    axes.set(xlabel=str(values.name), ylabel=str(values.dims[-1]))
    axes.set_title(f"{values.name}: mean, 50 % and 95 % intervals")
    return figure


def panels(fit: Fit, names: list[str], draw: Callable[[Any, np.ndarray], None]) -> Figure:
    """One panel for each number."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(grid, names, strict=False):
        draw(axes, fit.idata["posterior"][name].values)
        axes.set_title(name, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure


def density_panel(axes: Any, draws: np.ndarray) -> None:
    """Histogram of all draws, mean and 95 % interval marked."""
    values = draws[np.isfinite(draws)]
    axes.hist(values, bins=40, density=True, color=_BLUE, alpha=0.75)
    low, high = np.quantile(values, (0.025, 0.975))
    axes.axvline(values.mean(), color=_GREY)
    axes.plot([low, high], [0, 0], color=_GREY, linewidth=5, clip_on=False, solid_capstyle="butt")
    axes.set_yticks([])
    axes.set_xlabel("value (line: mean, bar: 95 %)", fontsize=8)


def trace_panel(axes: Any, draws: np.ndarray) -> None:
    """Each chain over its draws: all should cover the same range without drift."""
    for number, chain in enumerate(draws):
        axes.plot(chain, linewidth=0.6, alpha=0.8, color=f"C{number % 10}")
    axes.set_xlabel("draw", fontsize=8)


def rank_panel(axes: Any, draws: np.ndarray) -> None:
    """Where the draws of each chain stand among all: flat lines where chains agree."""
    ranks = draws.ravel().argsort().argsort().reshape(draws.shape)
    bins = np.linspace(0, draws.size, 21)
    for number, chain in enumerate(ranks):
        axes.stairs(np.histogram(chain, bins)[0], bins, color=f"C{number % 10}")
    axes.axhline(draws.shape[1] / 20, color=_GREY, linewidth=0.8, linestyle="--")
    axes.set_ylim(0)
    axes.set_xlabel("rank among all draws, a line a chain", fontsize=8)


def _band(axes: Any, shown: Prediction, name: str, x: np.ndarray, label: str) -> None:
    order = np.argsort(x)
    low, high = (shown.quantile(name, level)[order] for level in (0.025, 0.975))
    axes.fill_between(x[order], low, high, color=_BLUE, alpha=0.25, linewidth=0, label=label)
    axes.plot(x[order], shown.means[name][order], color=_BLUE, label="mean")


def _figure(height: float = 4.2) -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.5, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
