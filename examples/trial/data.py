"""A trial that never was: survival drawn from a known law of age and ward, ended by month 24."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

PATIENTS, WARDS, END = 120, 6, 24.0
SHAPE = 1.5


def effect(age: np.ndarray) -> np.ndarray:
    """The logarithm of the Weibull scale, but for the ward: falls ever faster."""
    return 3.6 - 1.4 * ((age - 30.0) / 60.0) ** 2


def write(folder: Path) -> None:
    """Writes `trial.csv` (months, died, age, ward), and `truth.csv`, the effect of age."""
    random = np.random.default_rng(4)
    age = random.uniform(30.0, 90.0, PATIENTS).round(1)
    ward = random.integers(0, WARDS, PATIENTS)
    frail = 0.4 * random.normal(size=WARDS)
    scale = np.exp(effect(age) + frail[ward])
    months = scale * random.weibull(SHAPE, PATIENTS)
    died = months <= END
    table = pd.DataFrame(
        {
            "months": np.minimum(months, END).round(2).clip(0.01),
            "died": died.astype(int),
            "age": age,
            "ward": [f"ward {chr(ord('A') + w)}" for w in ward],
        }
    )
    table.to_csv(folder / "trial.csv", index=False)
    grid = np.linspace(30.0, 90.0, 61)
    truth = pd.DataFrame({"age": grid, "value": effect(grid)})
    truth.to_csv(folder / "truth.csv", index=False)
