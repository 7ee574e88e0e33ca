"""The Nile record of statsmodels turned into `nile.csv`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def write(folder: Path) -> None:
    """Writes `nile.csv` (year, volume): 1871 to 1970."""
    from statsmodels.datasets import nile

    record: pd.DataFrame = nile.load_pandas().data
    record.astype(int).to_csv(folder / "nile.csv", index=False)
