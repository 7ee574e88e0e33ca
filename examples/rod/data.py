"""The heat equation on a rod solved, and read off by five thermometers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

NOISE = 0.5


def temperature(x: np.ndarray) -> np.ndarray:
    """The solution of u'' = -600 (0.5 - x) with u(0) = 20 and u(1) = 30."""
    return 20.0 + 600.0 * (x**3 / 6.0 - x**2 / 4.0) + 60.0 * x


def write(folder: Path) -> None:
    """Writes `thermometers.csv` (x, temperature), `rod.csv` (rod), and `truth.csv`."""
    random = np.random.default_rng(2)
    x = np.array([0.05, 0.1, 0.2, 0.3, 0.95])
    read = temperature(x) + NOISE * random.normal(size=x.size)
    table = pd.DataFrame({"x": x, "temperature": read.round(3)})
    table.to_csv(folder / "thermometers.csv", index=False)
    pd.DataFrame({"rod": np.linspace(0.0, 1.0, 15).round(6)}).to_csv(
        folder / "rod.csv", index=False
    )
    grid = np.linspace(0.0, 1.0, 101)
    pd.DataFrame({"x": grid, "value": temperature(grid)}).to_csv(folder / "truth.csv", index=False)
