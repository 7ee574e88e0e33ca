"""Grunfeld's panel of statsmodels turned into `firms.csv`, investment as its logarithm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write(folder: Path) -> None:
    """Writes `firms.csv` (year, firm, log_invest): 11 firms, 1935 to 1954."""
    from statsmodels.datasets import grunfeld

    panel: pd.DataFrame = grunfeld.load_pandas().data
    table = pd.DataFrame(
        {
            "year": panel["year"].astype(int),
            "firm": panel["firm"],
            "log_invest": np.log(panel["invest"]).round(6),
        }
    )
    table.to_csv(folder / "firms.csv", index=False)
