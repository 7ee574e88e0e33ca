"""Hourly temperatures in vega_datasets turned into `hours.csv`, one in ten, and `rest.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SHARE = 0.1
"""Of all hours, how many are there to learn from."""


def write(folder: Path) -> None:
    """Writes `hours.csv` and, of the others, 3,000 rows to `rest.csv` (city, day, hour, temp)."""
    from vega_datasets import data

    tables = []
    for city, source in (("Seattle", data.seattle_temps), ("San Francisco", data.sf_temps)):
        hourly: pd.DataFrame = source()
        date = pd.DatetimeIndex(hourly["date"])
        celsius = (hourly["temp"].to_numpy() - 32.0) / 1.8
        columns = {"city": city, "day": date.day_of_year - 1, "hour": date.hour, "temp": celsius}
        tables.append(pd.DataFrame(columns).round({"temp": 2}))
    every = pd.concat(tables, ignore_index=True)
    order = np.random.default_rng(0).permutation(len(every))
    count = int(SHARE * len(every))
    parts = {"hours.csv": order[:count], "rest.csv": order[count : count + 3000]}
    for name, rows in parts.items():
        every.iloc[np.sort(rows)].to_csv(folder / name, index=False)
