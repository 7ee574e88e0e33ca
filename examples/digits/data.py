"""The digits of scikit-learn turned into `digits.csv` and `digits_test.csv`, 600 in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write(folder: Path) -> None:
    """Writes (image.1, ..., image.400, digit); the ink of a pixel goes from 0 to 1.

    Pixels are made half as large, by linear interpolation, so that strokes are some of them wide,
    and two are put around, so that what is turned stays inside.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    found = load_digits()
    finer = zoom(found.images / 16.0, (1, 2, 2), order=1, grid_mode=True, mode="nearest")
    padded = np.pad(finer, ((0, 0), (2, 2), (2, 2))).reshape(len(finer), 400)
    table = pd.DataFrame(padded.round(4), columns=[f"image.{i + 1}" for i in range(400)])
    table["digit"] = found.target
    table = table.iloc[np.random.default_rng(0).permutation(len(table))]
    table[:600].to_csv(folder / "digits.csv", index=False)
    table[600:1200].to_csv(folder / "digits_test.csv", index=False)
