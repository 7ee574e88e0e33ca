"""The diabetes study of scikit-learn as `diabetes.csv`, a third of it, and `diabetes_test.csv`."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path) -> None:
    """Writes ten measurements, in standard deviations from their mean, and the progression."""
    from sklearn.datasets import load_diabetes

    found = load_diabetes(as_frame=True, scaled=False)
    table = (found.data - found.data.mean()) / found.data.std(ddof=0)
    table["progression"] = found.target
    is_fitted = table.index % 3 == 0
    table[is_fitted].round(4).to_csv(folder / "diabetes.csv", index=False)
    table[~is_fitted].round(4).to_csv(folder / "diabetes_test.csv", index=False)
