"""The Mauna Loa record of statsmodels turned into two CSV files of monthly means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HELD_OUT = 120
"""Months kept from the fit: the last ten years."""


def write(folder: Path) -> None:
    """Writes `co2.csv` and `co2_test.csv` (columns t, co2).

    `t` is the decimal year of the middle of the month; months without a measurement are left out.
    """
    from statsmodels.datasets import co2

    weekly: pd.Series = co2.load_pandas().data["co2"]
    monthly = weekly.resample("MS").mean().dropna()
    dates = pd.DatetimeIndex(monthly.index)
    years = dates.year.to_numpy() + (dates.month.to_numpy() - 0.5) / 12.0
    table = pd.DataFrame({"t": years.round(6), "co2": monthly.to_numpy().round(4)})
    is_test = table["t"] > table["t"].max() - (HELD_OUT - 0.5) / 12.0
    table[~is_test].to_csv(folder / "co2.csv", index=False)
    table[is_test].to_csv(folder / "co2_test.csv", index=False)
