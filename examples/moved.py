"""A fit to images turned into a figure of where its predictions hold, and where they break."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mercer.dsl.spaces import Label
from mercer.stdlib.groups.polar import Polar, stretch, unpolar
from mercer.stdlib.groups.warp import moved as moved_images

INK, BAND = "#1f3a5f", "#9db8d9"

Settings = Mapping[str, Any]


def moved(fit: Any, folder: Path, settings: Settings) -> Figure:
    """How many images are still named right when they are turned, stretched or shifted; under each
    panel one of them, as it then is."""
    table, side = pd.read_csv(folder / settings["held_out"]), settings["side"]
    table = table[: settings["count"]]
    columns = [f"{settings['image']}.{i + 1}" for i in range(side * side)]
    images = table[columns].to_numpy().reshape(-1, side, side)
    truth = table[settings["label"]].to_numpy().astype(str)
    nothing = np.zeros(2)
    ways = {
        "turned (degrees)": (
            np.linspace(-180, 180, 9),
            lambda v: (unpolar(Polar(np.zeros(3), np.asarray(np.deg2rad(v)))), nothing),
        ),
        "scaled": (
            np.linspace(0.5, 1.5, 5),
            lambda v: (stretch(np.array([np.log(v), 0.0, 0.0])), nothing),
        ),
        "stretched one way": (
            np.linspace(0.5, 2.0, 4),
            lambda v: (stretch(np.array([0.0, np.log(v) / 2, 0.0])), nothing),
        ),
        "shifted (pixels)": (np.linspace(-3, 3, 7), lambda v: (np.eye(2), np.array([v, 0.0]))),
    }
    versions = {
        word: [np.asarray(moved_images(images, *element(v))) for v in values]
        for word, (values, element) in ways.items()
    }
    every = np.concatenate([image for found in versions.values() for image in found])
    named, kinds = _named(fit, {settings["image"]: every}, settings["label"])
    right = (named.reshape(-1, len(truth)) == truth).mean(axis=1)
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subfigures(2, 1, height_ratios=(3, 1))
    panels = upper.subplots(1, len(ways), sharey=True)
    start = 0
    for place, (word, (values, _)) in enumerate(ways.items()):
        axes, count = panels[place], len(values)
        axes.plot(values, right[start : start + count], color=INK, marker="o", ms=3, lw=1.2)
        start += count
        axes.set(xlabel=word, ylim=(0, 1))
        axes.axhline(1 / kinds, color=BAND, lw=1)
        axes.spines[["top", "right"]].set_visible(False)
        chosen = np.linspace(0, count - 1, 4).round().astype(int)
        shown = [versions[word][i][settings["shown"]] for i in chosen]
        below = lower.add_subplot(1, len(ways), place + 1)
        below.imshow(np.concatenate(shown, axis=1), cmap="gray_r", vmin=0, vmax=1)
        below.set_axis_off()
    panels[0].set_ylabel(settings["ylabel"])
    figure.suptitle(settings["title"])
    return figure


def _named(fit: Any, rows: Mapping[str, np.ndarray], label: str) -> tuple[np.ndarray, int]:
    """The most probable label of each row, and how many labels there are; of yes or no 1 or 0."""
    space, found = fit.bound.needs.of(label).space, fit.predict(rows)
    if isinstance(space, Label):
        names = np.asarray([str(name) for name in fit.bound.labels[space.index]])
        return names[found.probabilities[label].argmax(-1)], len(names)
    return (found.means[label] > 0.5).astype(int).astype(str), 2
