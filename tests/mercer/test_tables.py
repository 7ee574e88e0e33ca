"""A fit depends on what a table says, never on its format or the order of its rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mercer
from mercer.runtime.data.readers import read_file

# Everything is integrated out: a fit is its closed form, and no sampling stands in between.
MODEL = """data t[n] : Real
data site[n] : Label(s)
data height[s] : Real
data y[n] : Real
f ~ GP(RBF(lengthscale = 20, scale = 1))
b ~ Normal(0, 1)
a[s] ~ Normal(0, 1)
y ~ Normal(f(t) + a[site] + b * height[site], 0.5)
"""
SITES = pd.DataFrame({"s": ["b", "a", "c"], "height": [1.0, 2.0, -1.0]})
NEW = {"t": ["2021-02-03", "2021-05-01"], "site": ["c", "a"]}


def _rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    count = 30
    return pd.DataFrame(
        {
            "t": pd.Timestamp("2021-01-01") + pd.to_timedelta(np.arange(count) * 3, unit="D"),
            "site": random.choice(["a", "b", "c"], count),
            "y": random.normal(size=count).round(3),
        }
    )


@pytest.fixture(scope="module")
def first() -> np.ndarray:
    return _predicted([_rows(), SITES])


def _predicted(data: object) -> np.ndarray:
    fit = mercer.compile(MODEL).fit(data, progress=False, chains=1, draws=20)
    foretold = fit.predict(NEW)
    return np.stack([foretold.means["y"], foretold.sds["y"]])


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_tables_give_the_same_fit(first: np.ndarray, seed: int) -> None:
    rows, sites = (table.sample(frac=1, random_state=seed) for table in (_rows(), SITES))
    # Sums in another order: rounding alone.
    np.testing.assert_allclose(_predicted([sites, rows]), first, rtol=1e-9)


def test_files_give_the_same_fit_as_frames(first: np.ndarray, tmp_path: Path) -> None:
    _rows().to_parquet(tmp_path / "rows.parquet")
    SITES.to_csv(tmp_path / "sites.csv", index=False)
    found = _predicted([tmp_path / "rows.parquet", tmp_path / "sites.csv"])
    np.testing.assert_array_equal(found, first)


def test_a_saved_fit_still_knows_that_an_input_was_dates(tmp_path: Path) -> None:
    fit = mercer.compile(MODEL).fit([_rows(), SITES], progress=False, chains=1, draws=20)
    fit.save(tmp_path / "fit.nc")
    again = mercer.open(tmp_path / "fit.nc")
    assert again.bound.dated == {"t"} and again.bound.numbered == {"n"}
    np.testing.assert_array_equal(again.bound.labels["n"], np.arange(30))
    np.testing.assert_array_equal(again.predict(NEW).means["y"], fit.predict(NEW).means["y"])
    assert [w.code for w in again.predict({**NEW, "t": [18661, 18748]}).bound.warnings] == ["M426"]


def test_a_fit_to_a_file_on_disk_is_that_of_the_table(
    first: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("columns", "read_parquet"):
        monkeypatch.setattr(f"mercer.runtime.data.{module}.ROWS", 7)
    _rows().to_parquet(tmp_path / "rows.parquet", row_group_size=10)
    table = read_file(tmp_path / "rows.parquet", large=0)
    assert all(isinstance(table.columns[name], np.memmap) for name in ("t", "y"))
    np.testing.assert_array_equal(_predicted([table, SITES]), first)
