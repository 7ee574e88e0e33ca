"""A fit with a layer to `Real^inf` into a figure of its Gram matrix, the kernel's and learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Settings = Mapping[str, Any]


def grams(fit: Any, folder: Path, settings: Settings) -> Figure:
    """Of a `layer` whose inducing points are the rows: in the order of the outcome, with lines
    between its labels where it has some."""
    outcome = pd.read_csv(folder / settings["data"])[settings["by"]]
    order = np.argsort(outcome.to_numpy(), kind="stable")
    figure = Figure(figsize=(7.6, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    posterior, layer = fit.idata["posterior"], settings["layer"]
    for axes, (title, name) in zip(
        panels,
        (("as the kernel has it", f"prior gram({layer})"), ("learned", f"gram({layer})")),
        strict=True,
    ):
        gram = np.asarray(posterior[name].mean(("chain", "draw")))
        sd = np.sqrt(np.diag(gram))
        image = axes.imshow(
            (gram / np.outer(sd, sd))[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r"
        )
        axes.set(title=title, xticks=[], yticks=[])
        if outcome.dtype == object:
            kinds, starts = np.unique(outcome.to_numpy()[order], return_index=True)
            ends = [*starts[1:], len(order)]
            middles = [(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)]
            axes.set_xticks(middles, kinds)
            axes.set_yticks(middles, kinds, rotation=90, va="center")
            axes.tick_params(length=0)
            for start in starts[1:]:
                axes.axhline(start - 0.5, color="0.2", lw=0.6)
                axes.axvline(start - 0.5, color="0.2", lw=0.6)
        else:
            axes.set(xlabel=settings["xlabel"], ylabel=settings["xlabel"])
    figure.colorbar(image, ax=panels, shrink=0.8, label="correlation")
    figure.suptitle(settings["title"])
    return figure
