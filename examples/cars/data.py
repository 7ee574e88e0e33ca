"""The cars of vega_datasets turned into `cars.csv`: consumption and four properties."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

_LITRES = 235.215
"""Litres for 100 km of one mile a gallon; of more miles, fewer."""


def write(folder: Path) -> None:
    """Writes `cars.csv` (tonnes, horsepower, seconds, year, consumption), complete rows only."""
    from vega_datasets import data

    cars: pd.DataFrame = data.cars().dropna(subset=["Miles_per_Gallon", "Horsepower"])
    table = pd.DataFrame(
        {
            "tonnes": (cars["Weight_in_lbs"] * 0.45359237e-3).round(3),
            "horsepower": cars["Horsepower"] / 100.0,
            "seconds": cars["Acceleration"] / 10.0,
            "year": (pd.DatetimeIndex(cars["Year"]).year - 1970) / 10.0,
            "consumption": (_LITRES / cars["Miles_per_Gallon"]).round(2),
        }
    )
    table.to_csv(folder / "cars.csv", index=False)
