"""The same data give the same `Bound` through every door, read at once or in chunks from disk."""

from __future__ import annotations

import datetime
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data import columns as on_disk
from mercer.runtime.data.bind import Bound, bind
from mercer.runtime.data.readers import read_file
from tests.runtime.data_models import needs

MODEL = needs(
    "data t[n] : Real\ndata site[n] : Label(s)\ndata count[n] : Count\n"
    "data wet[n] : Bool\ndata y[n] : Real"
)
TABLE = pd.DataFrame(
    {
        "t": pd.to_datetime(
            ["2020-01-31", "1969-12-31 06:00", "2021-12-01 12:30:15.5"], format="ISO8601"
        ),
        "site": ["b", "NA", "a"],
        "count": [3, 0, 2],
        "wet": [True, False, True],
        "y": [1.5, np.nan, -2e-300],
    }
)
DAYS = [18292.0, -0.75, 18962 + (12.5 * 3600 + 15.5) / 86400]


def _same(a: Bound, b: Bound) -> None:
    assert a.arrays.keys() == b.arrays.keys() and dict(a.sizes) == dict(b.sizes)
    for name, values in a.arrays.items():
        assert values.dtype == b.arrays[name].dtype
        np.testing.assert_array_equal(values, b.arrays[name])
    for name, found in a.labels.items():
        assert list(found) == list(b.labels[name])
    assert a.numbered == b.numbered and a.dated == b.dated
    assert a.describe() == b.describe()


def _texts() -> dict[str, list[Any]]:
    times = [time.isoformat() for time in TABLE["t"]]
    rest = {name: TABLE[name].tolist() for name in ("site", "count", "wet")}
    return {"t": times, **rest, "y": [1.5, None, -2e-300]}


def _netcdf(folder: Path, version: str) -> Path:
    path = folder / f"{version}.nc"
    found = xarray.Dataset.from_dataframe(TABLE.rename_axis("row")).drop_vars("row")
    if version == "3":  # it has neither truth values nor whole numbers of eight bytes
        found["wet"] = found["wet"].astype("int8")
        found["t"].encoding = {"units": "seconds since 1970-01-01", "dtype": "float64"}
    engine = {"3": "scipy", "4": "h5netcdf"}[version]
    found.to_netcdf(path, engine=engine)
    return path


def _written(path: Path, write: Callable[[Path], Any]) -> Path:
    write(path)
    return path


def _rows() -> list[dict[str, Any]]:
    texts = _texts()
    return [{name: cells[row] for name, cells in texts.items()} for row in range(len(TABLE))]


def _npz(path: Path, save: Callable[..., None]) -> Path:
    text = TABLE["site"].to_numpy().astype(str)
    rest = {k: TABLE[k].to_numpy() for k in ("t", "count", "wet", "y")}
    save(path, site=text, **rest)
    return path


DOORS: dict[str, Callable[[Path], Any]] = {
    "csv": lambda f: _written(f / "a.csv", lambda p: TABLE.to_csv(p, index=False)),
    "iso csv": lambda f: _written(f / "a.csv", lambda p: pd.DataFrame(_texts()).to_csv(p)),
    "tsv": lambda f: _written(f / "a.tsv", lambda p: TABLE.to_csv(p, index=False, sep="\t")),
    "parquet": lambda f: _written(f / "a.parquet", TABLE.to_parquet),
    "feather": lambda f: _written(f / "a.feather", TABLE.to_feather),
    "json": lambda f: _written(f / "a.json", lambda p: p.write_text(json.dumps(_texts()))),
    "records": lambda f: _written(f / "a.json", lambda p: p.write_text(json.dumps(_rows()))),
    "json lines": lambda f: _written(
        f / "a.jsonl", lambda p: p.write_text("\n".join(map(json.dumps, _rows())))
    ),
    "pandas' json": lambda f: _written(
        f / "a.json", lambda p: TABLE.to_json(p, date_format="iso", date_unit="us")
    ),
    "npz": lambda f: _npz(f / "a.npz", np.savez),
    "packed npz": lambda f: _npz(f / "a.npz", np.savez_compressed),
    "npy": lambda f: _written(f / "a.npy", lambda p: np.save(p, _structured())),
    "netcdf 3": lambda f: _netcdf(f, "3"),
    "netcdf 4": lambda f: _netcdf(f, "4"),
    "pandas": lambda _: TABLE,
    "pandas by index": lambda _: {"n": TABLE},
    "polars": lambda _: polars.from_pandas(TABLE),
    "lazy polars": lambda _: polars.from_pandas(TABLE).lazy(),
    "polars columns": lambda _: {k: polars.from_pandas(TABLE)[k] for k in TABLE},
    "arrow": lambda _: polars.from_pandas(TABLE).to_arrow(),
    "xarray": lambda _: xarray.Dataset({k: ("n", TABLE[k].to_numpy()) for k in TABLE}),
    "structured": lambda _: _structured(),
    "dict": lambda _: _texts(),
    "dict of arrays": lambda _: {k: TABLE[k].to_numpy() for k in TABLE},
    "masked arrays": lambda _: {
        **{k: TABLE[k].to_numpy() for k in TABLE},
        "y": np.ma.masked_array([1.5, 7.0, -2e-300], [False, True, False]),
    },
    "datetimes": lambda _: {**_texts(), "t": [t.to_pydatetime() for t in TABLE["t"]]},
    "two tables": lambda _: [
        TABLE[["t", "site", "y"]],
        polars.from_pandas(TABLE[["count", "wet"]]),
    ],
}


def _structured() -> np.ndarray:
    found = np.zeros(
        3, [("t", "M8[us]"), ("site", "U2"), ("count", "i4"), ("wet", "?"), ("y", "f8")]
    )
    for name in found.dtype.names or ():
        found[name] = TABLE[name].to_numpy()
    return found


@pytest.mark.parametrize("door", DOORS)
def test_every_door_leads_to_the_same_data(door: str, tmp_path: Path) -> None:
    first = bind(MODEL, TABLE)
    np.testing.assert_array_equal(first.arrays["t"], DAYS)
    assert list(first.labels["s"]) == ["NA", "a", "b"] and first.dated == {"t"}
    _same(first, bind(MODEL, DOORS[door](tmp_path)))


IN_FILES = [name for name in DOORS if name not in ("json", "records", "json lines", "pandas' json")]


@pytest.mark.parametrize("door", IN_FILES[: IN_FILES.index("pandas")])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_file_read_in_chunks_gives_the_same_data(
    door: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = DOORS[door](tmp_path)
    whole = bind(MODEL, path)
    in_chunks(monkeypatch, rows)
    chunked = bind(MODEL, [read_file(path, large=0)])
    assert not isinstance(whole.arrays["y"], np.memmap)
    _same(whole, chunked)


def in_chunks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Makes files of few rows large ones: chunks of `rows` rows, or of some bytes of CSV."""
    from mercer.runtime.data import read_csv, read_netcdf, read_npz, read_parquet

    for module in (on_disk, read_netcdf, read_npz, read_parquet):
        monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(on_disk, "SMALL", 0)
    monkeypatch.setattr(read_npz, "SMALL", 0)
    monkeypatch.setattr(read_csv, "_PIECE", 24 * rows)


CELLS = st.one_of(
    st.sampled_from(["", "1", "007", "2.5", "-1e3", "true", "False", "a", "2020-02-29", "é;,"]),
    st.integers(-(2**40), 2**40).map(str),
)


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=12), size=st.integers(1, 40))
def test_where_a_csv_is_cut_into_chunks_does_not_matter(
    cells: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nor what kinds of cells meet in a column: its labels and its numbers are the same."""
    path = tmp_path_factory.mktemp("cut") / "a.csv"
    quoted = ['"' + cell.replace('"', '""') + '"' if "," in cell else cell for cell in cells]
    path.write_text("g,z\n" + "".join(f"{cell},0\n" for cell in quoted), encoding="utf-8")
    for text in ("data g[n] : Label(s)\ndata z[n] : Real", "data g[n] : Real\ndata z[n] : Real"):
        model = needs(text, outcomes="g z")
        with pytest.MonkeyPatch.context() as patch:
            whole = _bound_or_said(lambda model=model: bind(model, path))
            in_chunks(patch, 3)
            patch.setattr("mercer.runtime.data.read_csv._PIECE", size)
            cut = _bound_or_said(lambda model=model: bind(model, [read_file(path, large=0)]))
        if isinstance(whole, Bound) and isinstance(cut, Bound):
            _same(whole, cut)
        else:
            assert whole == cut


def _bound_or_said(action: Callable[[], Bound]) -> Bound | str:
    try:
        return action()
    except MercerError as error:
        return str(error)


def test_columns_of_a_large_file_are_maps_of_files_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    in_chunks(monkeypatch, 2)
    bound = bind(MODEL, [read_file(DOORS["csv"](tmp_path), large=0)])
    assert all(isinstance(values, np.memmap) for values in bound.arrays.values())
    assert list(folder.iterdir()) == []
    np.testing.assert_array_equal(bound.arrays["count"][np.array([2, 0])], [2, 3])


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "nc"])
def test_the_memory_that_binding_a_file_takes_does_not_grow_with_its_rows(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks(monkeypatch, 1 << 12)
    monkeypatch.setattr("mercer.runtime.data.read_csv._PIECE", 1 << 17)
    model = needs("data x[n], z[n] : Real\ndata site[n] : Label(s)\ndata y[n] : Real")
    peaks = []
    for rows in (10_000, 20_000, 160_000):  # the first one warms up what is made once
        path = _written(tmp_path / f"{rows}.{suffix}", lambda p, rows=rows: _table(p, rows))
        tracemalloc.start()
        bound = bind(model, [read_file(path, large=0)])
        bound.describe()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert all(isinstance(values, np.memmap) for values in bound.arrays.values())
        assert bound.sizes["n"] == rows
    # One column of the additional rows would take more than a megabyte.
    assert peaks[2] - peaks[1] < 500_000


def _table(path: Path, rows: int) -> None:
    random = np.random.default_rng(0)
    numbers = {name: random.normal(size=rows) for name in ("x", "z", "y")}
    site = random.integers(0, 50, rows)
    table = pd.DataFrame({**numbers, "site": site.astype(str)})
    if path.suffix == ".csv":
        table.to_csv(path, index=False, float_format="%.3f")
    elif path.suffix == ".parquet":
        table.to_parquet(path, row_group_size=1 << 13)
    elif path.suffix == ".npz":
        np.savez(path, **numbers, site=site)
    else:
        arrays = {name: ("n", values) for name, values in {**numbers, "site": site}.items()}
        xarray.Dataset(arrays).to_netcdf(path, engine="h5netcdf")


def test_arrays_of_an_uncompressed_file_are_mapped_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_chunks(monkeypatch, 2)
    x = np.arange(12.0).reshape(4, 3)
    np.savez(tmp_path / "a.npz", x=x, y=x[:, 0])
    np.save(tmp_path / "y.npy", x[:, 0])
    model = needs("data x[n] : Real^d\ndata y[n] : Real")
    bound = bind(model, [read_file(tmp_path / "a.npz", large=0)])
    whole = bind(model, {"x": x, "y": x[:, 0]})
    _same(whole, bound)
    for values in bound.arrays.values():
        assert isinstance(values, np.memmap) and values.filename == tmp_path / "a.npz"
    alone = bind(needs("data y[n] : Real"), [read_file(tmp_path / "y.npy", large=0)])
    assert isinstance(alone.arrays["y"], np.memmap)


def test_a_column_that_the_model_does_not_use_is_not_read(tmp_path: Path) -> None:
    """Bytes that are no text would stop the reading of `note`."""
    path = tmp_path / "a.parquet"
    TABLE.assign(note=[b"\xff", b"\xfe", b"\xfd"]).to_parquet(path)
    _same(bind(MODEL, TABLE), bind(MODEL, path))


# --- dates --------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 30)))
def test_a_date_is_the_days_since_1970(moment: datetime.datetime) -> None:
    model = needs("data t[n] : Real")
    expected = (moment - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
    for given_ in (moment, moment.isoformat(), moment.isoformat(" "), np.datetime64(moment)):
        (found,) = bind(model, {"t": [given_]}).arrays["t"]
        assert abs(found - expected) <= np.spacing(abs(expected))


def test_a_zone_is_taken_to_utc_and_a_month_is_its_first_day() -> None:
    model = needs("data t[n] : Real")
    bound = bind(model, {"t": ["2020-03-01T00:00:00+01:00", "2020-02-29 23:00Z"]})
    np.testing.assert_array_equal(bound.arrays["t"], [18321 + 23 / 24] * 2)
    np.testing.assert_array_equal(bind(model, {"t": ["1970-02", "1970-01"]}).arrays["t"], [31, 0])


def test_dates_of_a_prediction_have_the_unit_of_the_fit() -> None:
    model = needs("data t[n] : Real\ndata y[n] : Real")
    fitted = bind(model, {"t": ["2020-01-01", "2020-01-02"], "y": [1, 2]})
    new = bind(model, pd.DataFrame({"t": pd.to_datetime(["2020-01-08"])}), fitted=fitted)
    assert new.arrays["t"] - fitted.arrays["t"][0] == 7 and new.dated == {"t"}
    assert "t: dates, as days since 1970-01-01." in fitted.describe()
    assert "2020-01-01 to 2020-01-02" in fitted.describe()


def test_numbers_where_the_fit_had_dates_are_a_warning_and_the_reverse_an_error() -> None:
    model = needs("data t[n] : Real\ndata y[n] : Real")
    dates, numbers = {"t": ["2020-01-01"], "y": [1]}, {"t": [2020.0], "y": [1]}
    bound = bind(model, numbers, fitted=bind(model, dates))
    assert [w.code for w in bound.warnings] == ["M426"]
    with pytest.raises(MercerError, match="M426"):
        bind(model, dates, fitted=bind(model, numbers))


def test_dates_that_are_labels_are_written_alike_from_every_door() -> None:
    model = needs("data day[n] : Label(d)\ndata y[n] : Real")
    table = pd.DataFrame({"day": pd.to_datetime(["2020-01-02", "2020-01-01"]), "y": [1.0, 2.0]})
    labels = ["2020-01-01", "2020-01-02"]
    for given_ in (table, {"day": ["2020-01-02", "2020-01-01"], "y": [1, 2]}):
        assert list(bind(model, given_).labels["d"]) == labels


# --- damage -------------------------------------------------------------------------------------

DAMAGED = [name for name in DOORS if name in ("csv", "json", "records", "json lines")]
DAMAGED += ["parquet", "feather", "npz", "packed npz", "npy", "netcdf 3", "netcdf 4"]


@pytest.mark.parametrize("door", DAMAGED)
@pytest.mark.parametrize("large", [0, 1 << 30])
def test_a_damaged_file_gives_data_or_a_message_and_never_a_traceback(
    door: str, large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large == 0:
        in_chunks(monkeypatch, 2)
    path = DOORS[door](tmp_path)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for place in random.integers(0, len(content), random.integers(0, 4)):
            content[place] = random.integers(0, 256)
        path.write_bytes(bytes(content))
        said = _bound_or_said(lambda: bind(MODEL, [read_file(path, large=large)]))
        assert isinstance(said, Bound) or " error M" in f" {said}"
