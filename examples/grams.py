"""A fit with a layer to `Real^inf` into a figure of its Gram matrix, the kernel's and learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Settings = Mapping[str, Any]


def grams(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Of the inducing points of a `layer`, in the order of what the model says of their `outcome`;
    with lines between labels, where it has some."""
    layer, outcome = settings["layer"], settings["outcome"]
    points = fit.learned[f"{layer}_inducing"]
    said = fit.predict({settings["input"]: points}).table()
    is_label = f"{outcome}.most_likely" in said
    value = np.asarray(said[f"{outcome}.most_likely" if is_label else f"{outcome}.mean"])
    order = np.argsort(value, kind="stable")
    figure = Figure(figsize=(7.6, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    posterior = fit.idata["posterior"]
    names = (("as the kernel has it", f"prior gram({layer})"), ("learned", f"gram({layer})"))
    for axes, (title, name) in zip(panels, names, strict=True):
        gram = np.asarray(posterior[name].mean(("chain", "draw")))
        sd = np.sqrt(np.diag(gram))
        image = axes.imshow(
            (gram / np.outer(sd, sd))[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r"
        )
        axes.set(title=title, xticks=[], yticks=[])
        if is_label:
            _divided(axes, value[order])
        else:
            axes.set(xlabel=settings["xlabel"])
    figure.colorbar(image, ax=panels, shrink=0.8, label="correlation")
    figure.suptitle(settings["title"])
    return figure


def _divided(axes: Any, labels: np.ndarray) -> None:
    kinds, starts = np.unique(labels, return_index=True)
    ends = [*starts[1:], len(labels)]
    middles = [(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)]
    axes.set_xticks(middles, kinds)
    axes.set_yticks(middles, kinds, rotation=90, va="center")
    axes.tick_params(length=0)
    for start in starts[1:]:
        axes.axhline(start - 0.5, color="0.2", lw=0.6)
        axes.axvline(start - 0.5, color="0.2", lw=0.6)
