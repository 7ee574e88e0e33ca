"""The Mauna Loa record of statsmodels turned into two CSV files of monthly means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HELD_OUT = 120
"""Months kept from the fit: the last ten years."""


def write_record(folder: Path) -> tuple[Path, Path]:
    """Writes `co2.csv` and `co2_test.csv` (columns t, co2) into `folder`.

    `t` is the decimal year of the middle of the month; months without a measurement are left out.
    """
    from statsmodels.datasets import co2

    weekly: pd.Series = co2.load_pandas().data["co2"]
    monthly = weekly.resample("MS").mean().dropna()
    dates = pd.DatetimeIndex(monthly.index)
    years = dates.year.to_numpy() + (dates.month.to_numpy() - 0.5) / 12.0
    table = pd.DataFrame({"t": years.round(6), "co2": monthly.to_numpy().round(4)})
    is_test = table["t"] > table["t"].max() - (HELD_OUT - 0.5) / 12.0
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "co2.csv", folder / "co2_test.csv"
    for path, part in zip(paths, (table[~is_test], table[is_test]), strict=True):
        part.to_csv(path, index=False)
    return paths
