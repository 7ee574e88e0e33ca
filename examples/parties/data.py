"""The American National Election Study of 1996 in statsmodels turned into `parties.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

_ANSWERS = (
    "strong Dem",
    "weak Dem",
    "indep. Dem",
    "independent",
    "indep. Rep",
    "weak Rep",
    "strong Rep",
)
_EVERY = 8


def write(folder: Path) -> None:
    """Writes `parties.csv` (left_right, age, party): every eighth of the 944 persons."""
    from statsmodels.datasets import anes96

    persons: pd.DataFrame = anes96.load_pandas().data[::_EVERY]
    table = pd.DataFrame(
        {
            "left_right": persons["selfLR"].astype(int),
            "age": persons["age"].astype(int),
            "party": np.asarray(_ANSWERS)[persons["PID"].astype(int)],
        }
    )
    table.to_csv(folder / "parties.csv", index=False)
