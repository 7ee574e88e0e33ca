"""Two eddies and an upwelling turned into the velocities of sixty drifters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DRIFTERS, NOISE = 60, 0.08


def velocity(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two eddies that turn against one another, and water that wells up between them."""
    east, north = np.zeros_like(lon), np.zeros_like(lon)
    for strength, x, y in ((1.0, -1.0, 0.6), (-1.0, 1.0, -0.6)):
        bump = strength * np.exp(-((lon - x) ** 2 + (lat - y) ** 2) / (2 * 0.7**2)) / 0.7**2
        east -= bump * (lat - y)
        north += bump * (lon - x)
    source = 0.5 * np.exp(-(lon**2 + lat**2) / (2 * 0.6**2)) / 0.6**2
    return east + source * lon, north + source * lat


def write(folder: Path) -> None:
    """Writes `currents.csv` (lon, lat, east, north), and `truth.csv` on a grid."""
    random = np.random.default_rng(3)
    lon, lat = random.uniform(-2, 2, DRIFTERS), random.uniform(-1.6, 1.6, DRIFTERS)
    noise = NOISE * random.normal(size=(2, DRIFTERS))
    east, north = np.array(velocity(lon, lat)) + noise
    table = pd.DataFrame({"lon": lon, "lat": lat, "east": east, "north": north})
    table.round(4).to_csv(folder / "currents.csv", index=False)
    lon, lat = (v.ravel() for v in np.meshgrid(np.linspace(-2, 2, 17), np.linspace(-1.6, 1.6, 13)))
    east, north = velocity(lon, lat)
    truth = pd.DataFrame({"lon": lon, "lat": lat, "east": east, "north": north})
    truth.round(4).to_csv(folder / "truth.csv", index=False)
