"""The threes and eights of scikit-learn's digits turned into `eights.csv` and `eights_test.csv`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write(folder: Path) -> None:
    """Writes (image.1, ..., image.400, eight), 180 rows and 177; ink is from 0 to 1.

    Pixels are made half as large, by linear interpolation, and two are put around, so that strokes
    are some of them wide, and what is turned stays inside.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    found = load_digits()
    finer = zoom(found.images / 16.0, (1, 2, 2), order=1, grid_mode=True, mode="nearest")
    padded = np.pad(finer, ((0, 0), (2, 2), (2, 2))).reshape(len(finer), 400)
    table = pd.DataFrame(padded.round(4), columns=[f"image.{i + 1}" for i in range(400)])
    table["eight"] = (found.target == 8).astype(int)
    table = table[np.isin(found.target, (3, 8))]
    table = table.iloc[np.random.default_rng(0).permutation(len(table))]
    table[:180].to_csv(folder / "eights.csv", index=False)
    table[180:].to_csv(folder / "eights_test.csv", index=False)
