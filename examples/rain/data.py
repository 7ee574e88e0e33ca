"""Daily weather of Seattle in vega_datasets turned into `rain.csv`: wet days of each month."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

LEAST = 10.0
"""Millimetres that make a day a wet one."""


def write(folder: Path) -> None:
    """Writes `rain.csv` (t, wet): the 48 months of 2012 to 2015."""
    from vega_datasets import data

    daily: pd.DataFrame = data.seattle_weather().set_index("date")
    wet = (daily["precipitation"] >= LEAST).resample("MS").sum()
    dates = pd.DatetimeIndex(wet.index)
    years = dates.year.to_numpy() + (dates.month.to_numpy() - 0.5) / 12.0
    table = pd.DataFrame({"t": years.round(6), "wet": wet.to_numpy().astype(int)})
    table.to_csv(folder / "rain.csv", index=False)
