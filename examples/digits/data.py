"""The digits of scikit-learn turned into `digits.csv` and `digits_test.csv`, 600 in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write(folder: Path) -> None:
    """Writes (image.1, ..., image.64, digit); the ink of a pixel goes from 0 to 1."""
    from sklearn.datasets import load_digits

    found = load_digits()
    table = pd.DataFrame(found.data / 16.0, columns=[f"image.{i + 1}" for i in range(64)])
    table["digit"] = found.target
    table = table.iloc[np.random.default_rng(0).permutation(len(table))]
    table[:600].to_csv(folder / "digits.csv", index=False)
    table[600:1200].to_csv(folder / "digits_test.csv", index=False)
