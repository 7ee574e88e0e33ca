"""A forecast and the parts of a fit turned into pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

_INK, _BAND, _HELD_OUT = "#1f3a5f", "#9db8d9", "#c0392b"


def draw_forecast(
    data: pd.DataFrame, truth: pd.DataFrame, foretold: pd.DataFrame, path: Path
) -> None:
    """The record, the forecast with its 95 % band, and the months that the model never saw."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    recent = data[data["t"] > data["t"].max() - 15]
    axes.plot(recent["t"], recent["co2"], ".", color="0.45", markersize=3, label="record")
    years = truth["t"].to_numpy()
    low, high = foretold["co2.q2.5"].to_numpy(), foretold["co2.q97.5"].to_numpy()
    axes.fill_between(years, low, high, color=_BAND, alpha=0.7, lw=0, label="95 % of the forecast")
    axes.plot(years, foretold["co2.mean"], color=_INK, lw=1, label="mean of the forecast")
    axes.plot(years, truth["co2"], ".", color=_HELD_OUT, markersize=4, label="held out")
    axes.axvline(data["t"].max(), color="0.6", lw=0.8, ls=":")
    axes.set(xlabel="year", ylabel="CO2 (ppm)", title="Mauna Loa: ten years foretold")
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_components(fit: Any, data: pd.DataFrame, truth: pd.DataFrame, path: Path) -> None:
    """Each random function of the sum by itself: mean and 95 % band, over data and forecast."""
    years = np.concatenate([data["t"].to_numpy(), truth["t"].to_numpy()])
    figure, rows = plt.subplots(3, 1, figsize=(9, 7.5), layout="constrained", sharex=True)
    for axes, name in zip(rows, ("trend", "seasonal", "short"), strict=True):
        part = fit.component(name, {"t": years})
        (word,) = part.means
        low, high = part.quantile(word, 0.025), part.quantile(word, 0.975)
        axes.fill_between(years, low, high, color=_BAND, alpha=0.7, lw=0)
        axes.plot(years, part.means[word], color=_INK, lw=0.9)
        axes.axvline(data["t"].max(), color="0.6", lw=0.8, ls=":")
        axes.set(ylabel=f"{name} (ppm)")
    rows[-1].set(xlabel="year")
    rows[0].set_title("The parts of the sum (right of the dotted line: forecast)")
    figure.savefig(path, dpi=150)
    plt.close(figure)
