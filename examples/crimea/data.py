"""Florence Nightingale's table in vega_datasets turned into `crimea.csv`, a row a month and cause."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write(folder: Path) -> None:
    """Writes `crimea.csv` (month, cause, deaths): 24 months, three causes."""
    from vega_datasets import data

    wide: pd.DataFrame = data.crimea()
    dates = pd.DatetimeIndex(wide["date"])
    wide["month"] = 12 * (dates.year - 1854) + dates.month - 0.5
    table = wide.melt("month", ["disease", "wounds", "other"], "cause", "deaths")
    table.to_csv(folder / "crimea.csv", index=False)
