"""A fit of a product of functions into figures of its modes, and of what they make together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#1f6fb2", "#d1812b", "#3a8f5c", "#8e4ea5", "#b23a48")

Settings = Mapping[str, Any]


def modes(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Each vector-valued function over its input: a line and a 95 % band for each coordinate."""
    data, names = pd.read_csv(folder / settings["data"]), settings["names"]
    figure, panels = _panels(len(names))
    for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
        x = settings["inputs"][place]
        grid = np.linspace(data[x].min(), data[x].max(), 200)
        part = fit.component(name, {x: grid})
        word = next(key for key in part.means if key.startswith(f"{name}("))
        low, high = (part.quantile(word, level) for level in (0.025, 0.975))
        for number, colour in zip(range(low.shape[1]), COLOURS, strict=False):
            axes.fill_between(grid, low[:, number], high[:, number], color=colour, alpha=0.25, lw=0)
            axes.plot(grid, part.means[word][:, number], color=colour, lw=1.3)
        axes.set(title=name, xlabel=settings["labels"][place])
    figure.suptitle(settings["title"])
    return figure


def days(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Some days hour by hour, a colour for each city; hours that were learned from are filled."""
    tables = [pd.read_csv(folder / settings[key]) for key in ("data", "rest")]
    cities = sorted(set(tables[0]["city"]))
    figure, panels = _panels(len(settings["days"]))
    hours = np.linspace(0, 23, 93)
    for axes, day in zip(panels, settings["days"], strict=True):
        for city, colour in zip(cities, COLOURS, strict=False):
            new = pd.DataFrame({"hour": hours, "day": float(day), "city": city})
            found = fit.predict(new).table()
            axes.fill_between(
                hours, found["temp.q2.5"], found["temp.q97.5"], color=colour, alpha=0.25, lw=0
            )
            axes.plot(hours, found["temp.mean"], color=colour, lw=1.3, label=city)
            for table, face in zip(tables, (colour, "white"), strict=True):
                own = table[(table["day"] == day) & (table["city"] == city)]
                axes.plot(own["hour"], own["temp"], "o", ms=4, mec=colour, mfc=face)
        axes.set(title=f"day {day}", xlabel="hour of the day", ylabel="degrees C")
    panels[0].legend(frameon=False, fontsize=8)
    figure.suptitle(settings["title"])
    return figure


def _panels(count: int) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(4.6 * count, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, count, squeeze=False).flat)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
