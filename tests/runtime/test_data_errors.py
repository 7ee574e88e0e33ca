"""Every mistake in data has its message, held word by word in `data_errors/`.

`MERCER_GOLDEN=write pytest tests/runtime/test_data_errors.py` writes the files anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars
import pytest
import xarray as xr

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.bind import bind
from mercer.runtime.data.columns import on_disk
from mercer.runtime.data.tables import columns_of, read
from tests.runtime.data_models import needs

GOLDEN = Path(__file__).parent / "data_errors"

LINE = "data x[n] : Real\ndata y[n] : Real"
PLANE = "data x[n] : Real^2\ndata y[n] : Real"
ANY = "data x[n] : Real^d\ndata y[n] : Real"
RADON = (
    "data county[house] : Label(c)\ndata basement[house] : Real\n"
    "data y[house] : Real\ndata uranium[c] : Real"
)
DOGS = "data y[dog, t] : Real"

# A model, and a file: its name, its bytes.
FILES: dict[str, tuple[str, str, bytes]] = {
    "empty_file": (LINE, "a.csv", b"\n"),
    "only_a_header": (LINE, "a.csv", b"x,y\n"),
    "binary": (LINE, "a.csv", b"x,y\n\0\1\2"),
    "latin_1": (LINE, "a.csv", b"x,y,stra\xdfe\n1,2,3\n"),
    "spreadsheet": (LINE, "a.xlsx", b"PK\3\4"),
    "no_header": (LINE, "a.csv", b"1,2\n3,4\n"),
    "short_row": (LINE, "a.csv", b"x,y\n1,2\n3\n"),
    "long_row": (LINE, "a.csv", b"x,y\n1,2\n\n3,4,5\n"),
    "open_quote": (LINE, "a.csv", b'x,y\n1,"2\n'),
    "column_twice": (LINE, "a.csv", b"x,y,y\n1,2,3\n"),
    "column_misspelt": (LINE, "a.csv", b"X_,y\n1,2\n"),
    "column_missing": (LINE, "a.csv", b"time,y\n1,2\n"),
    "columns_of_vector_missing": (ANY, "a.csv", b"lon,lat,y\n1,2,3\n"),
    "vector_too_short": (PLANE, "a.csv", b"x.1,y\n1,2\n"),
    "vector_too_long": (PLANE, "a.csv", b"x.1,x.2,x.3,y\n1,2,3,4\n"),
    "text": (LINE, "a.csv", b"x,y\n1,2\none,3\n"),
    "decimal_comma": (LINE, "a.csv", b"x;y\n1,5;2\n2,5;3\n3,5;4\n"),
    "missing_input": (LINE, "a.csv", b"x,y\n1,2\n,3\n"),
    "missing_word": (LINE, "a.csv", b"x,y\nNA,2\n2,3\n"),
    "infinite": (LINE, "a.csv", b"x,y\n1,2\ninf,3\n"),
    "infinite_outcome": (LINE, "a.csv", b"x,y\n1,-inf\n2,3\n"),
    "all_outcomes_missing": (LINE, "a.csv", b"x,y\n1,\n2,NA\n"),
    "half_a_count": ("data y[n] : Count", "a.csv", b"y\n2\n2.5\n"),
    "not_positive": ("data s[n] : Positive\ndata y[n] : Real", "a.csv", b"s,y\n0,1\n-1,2\n"),
    "not_a_share": ("data y[n] : Unit", "a.csv", b"y\n0.5\n42\n"),
    "not_true": ("data y[n] : Bool", "a.csv", b"y\ntrue\nmaybe\n"),
    "not_bool": ("data y[n] : Bool", "a.csv", b"y\n1\n2\n"),
    "outside_interval": ("data y[n] : Interval(0, 10)", "a.csv", b"y\n1\n11\n"),
    "label_misspelt": (
        'index r = ["bad", "good"]\ndata g[n] : Label(r)\ndata y[n] : Real',
        "a.csv",
        b"g,y\nbad,1\nGod,2\n",
    ),
    "label_out_of_range": ("index r = 1..3\ndata y[n] : Label(r)", "a.csv", b"y\n1\n4\n"),
    "label_missing": ("data g[n] : Label(s)\ndata y[n] : Real", "a.csv", b"g,y\na,1\n,2\n"),
    "cell_twice": (DOGS, "a.csv", b"dog,t,y\nrex,1,5\nrex,2,6\nrex,1,7\n"),
    "long_without_labels": (DOGS, "a.csv", b"dog,y\nrex,5\n"),
    "row_without_label": (DOGS, "a.csv", b"dog,t,y\nrex,1,5\n,2,6\n"),
    "input_cell_absent": (
        "data x[dog, t] : Real",
        "a.csv",
        b"dog,t,x\nrex,1,5\nrex,2,6\nbo,1,7\n",
    ),
    "several_values_for_one": ("data s : Positive\ndata y[n] : Real", "a.csv", b"s,y\n1,2\n3,4\n"),
    "group_value_among_rows": (
        RADON,
        "a.csv",
        b"county,basement,y,uranium\nA,0,1,5\nA,1,2,5\nB,1,3,6\n",
    ),
    "product": ("data z[n] : Real^2 * Real", "a.csv", b"z,y\n1,2\n"),
    "json_broken": (LINE, "a.json", b'{"x": [1, 2],\n "y": [1, }'),
    "json_list": (LINE, "a.json", b"[1, 2]"),
    "json_ragged": (PLANE, "a.json", b'{"x": [[1, 2], [3]], "y": [1, 2]}'),
    "json_lengths": (LINE, "a.json", b'{"x": [1, 2, 3], "y": [1, 2]}'),
    "json_text": (LINE, "a.json", b'{"x": [1, "two"], "y": [1, 2]}'),
    "json_dims": (LINE, "a.json", b'{"x": [[1, 2], [3, 4]], "y": [1, 2]}'),
    "json_no_dims": (LINE, "a.json", b'{"x": 1, "y": [1, 2]}'),
    "json_simplex": (
        "data p[n] : Simplex(k)",
        "a.json",
        b'{"p": [[0.5, 0.5], [0.5, 0.6]], "n": ["a", "b"]}',
    ),
    "npz_damaged": (LINE, "a.npz", b"PK\3\4 and no more"),
    "utf_16": (LINE, "a.csv", "x,y\n1,2\n".encode("utf-16")),
    "compressed": (LINE, "a.csv.gz", b"\x1f\x8b\x08\0"),
    "object_of_r": (LINE, "a.rds", b"X\n\0"),
    "file_of_stata": (LINE, "a.dta", b"<stata_dta>"),
    "pickled_file": (LINE, "a.pkl", b"\x80\x04"),
    "model_as_data": (LINE, "a.mercer", b"data x : Real"),
    "other_separator": (LINE, "a.csv", b"x|y\n1|2\n"),
    "spaces_between": (LINE, "a.txt", b"x y\n1 2\n"),
    "header_of_blanks": (LINE, "a.csv", b" , \n1,2\n"),
    "column_twice_quoted": (LINE, "a.csv", b'x,"y", y\n1,2,3\n'),
    "header_differs_in_case": (LINE, "a.csv", b"X,Y\n1,2\n"),
    "unit_in_a_cell": (LINE, "a.csv", b"x,y\n5 kg,2\n6 kg,3\n"),
    "share_in_percent": (LINE, "a.csv", b"x,y\n5%,2\n"),
    "money": (LINE, "a.csv", b"x,y\n$1.50,2\n"),
    "thousand": (LINE, "a.csv", b'x,y\n"1,000",2\n'),
    "millions": (LINE, "a.csv", b'x,y\n"-1,000,000",2\n'),
    "minus_of_print": (LINE, "a.csv", "x,y\n\u22121,2\n".encode()),
    "comment_first": (LINE, "a.csv", b"# measured in May\nx,y\n1,2\n"),
    "line_of_a_spreadsheet": (LINE, "a.csv", b"sep=;\nx;y\n1;2\n"),
    "thousands": (LINE, "a.csv", b'x,y\n"1,234.5",2\n'),
    "dash_for_missing": (LINE, "a.csv", b"x,y\n1,2\n-,3\n"),
    "dot_for_missing_outcome": (LINE, "a.csv", b"x,y\n1,.\n2,3\n"),
    "error_of_a_spreadsheet": (LINE, "a.csv", b"x,y\n#DIV/0!,2\n"),
    "truth_beside_numbers": (LINE, "a.csv", b"x,y\n1,2\nyes,3\n"),
    "infinite_in_several": (LINE, "a.csv", b"x,y\n1,2\n-Inf,3\ninf,4\ninfinity,5\n"),
    "overflow": (LINE, "a.csv", b"x,y\n1e400,2\n2,3\n"),
    "negative_count": ("data y[n] : Count", "a.csv", b"y\n2\n-1\n"),
    "count_in_words": ("data y[n] : Count", "a.csv", b"y\nthree\n"),
    "below_interval": ("data x[n] : Interval(0, 10)\ndata y[n] : Real", "a.csv", b"x,y\n-1,1\n"),
    "date_day_first": (LINE, "a.csv", b"x,y\n31/12/2020,1\n"),
    "date_month_in_words": (LINE, "a.csv", b"x,y\n31 Dec 2020,1\n"),
    "date_not_in_the_calendar": (LINE, "a.csv", b"x,y\n2020-02-31,1\n"),
    "date_among_numbers": (LINE, "a.csv", b"x,y\n1,1\n2020-02-29,1\n"),
    "number_among_dates": (LINE, "a.csv", b"x,y\n2020-02-29,1\n7,1\n"),
    "text_among_dates": (LINE, "a.csv", b"x,y\n2020-02-29,1\nsoon,1\n"),
    "dates_written_in_two_ways": (LINE, "a.csv", b"x,y\n2020-02-29,1\n1.3.2020,1\n"),
    "date_missing": (LINE, "a.csv", b"x,y\n2020-02-29,1\n,1\n"),
    "truth_is_not_yes": (
        'index r = ["no", "yes"]\ndata g[n] : Label(r)\ndata y[n] : Real',
        "a.csv",
        b"g,y\ntrue,1\nfalse,2\n",
    ),
    "label_in_capitals": (
        'index r = ["bad", "good"]\ndata g[n] : Label(r)\ndata y[n] : Real',
        "a.csv",
        b"g,y\nBAD,1\n",
    ),
    "label_between_numbers": ("index r = 1..3\ndata y[n] : Label(r)", "a.csv", b"y\n1\n1.5\n"),
    "label_of_a_dog_missing": (DOGS, "a.csv", b"dog,t,y\nrex,1,5\nrex,,6\n"),
    "json_cut_short": (LINE, "a.json", b'{"x": [1, 2], "y": [3'),
    "json_number": (LINE, "a.json", b"42"),
    "json_nothing": (LINE, "a.json", b"{}"),
    "json_name_twice": (LINE, "a.json", b'{"x": [1], "y": [2], "x": [3]}'),
    "json_latin_1": (LINE, "a.json", b'{"x": "stra\xdfe"}'),
    "json_deep": (LINE, "a.json", b"[" * 100_000),
    "json_no_rows": (LINE, "a.json", b'{"x": [], "y": []}'),
    "json_lines_broken": (LINE, "a.jsonl", b'{"x": 1, "y": 2}\n{"x": 1, "y": }\n'),
    "json_lines_of_numbers": (LINE, "a.jsonl", b"1\n2\n"),
    "json_record_without_input": (LINE, "a.json", b'[{"x": 1, "y": 2}, {"y": 3}]'),
    "json_negative_share": (
        "data p[n] : Simplex(k)",
        "a.json",
        b'{"p": [[0.5, 0.5], [1.5, -0.5]]}',
    ),
    "json_not_rising": ("data p[n] : Ordered(k)", "a.json", b'{"p": [[1, 2], [2, 2]]}'),
    "json_not_symmetric": ("data S : Covariance(k)", "a.json", b'{"S": [[1, 0.5], [0.2, 1]]}'),
    "json_no_correlation": ("data S : Correlation(k)", "a.json", b'{"S": [[2, 0.5], [0.5, 1]]}'),
    "json_not_square": ("data S : Covariance(k)", "a.json", b'{"S": [[1, 0], [0, 1], [0, 0]]}'),
    "npy_damaged": (LINE, "a.npy", b"\x93NUMPY\1\0 and no more"),
    "parquet_damaged": (LINE, "a.parquet", b"PAR1 and no more"),
    "netcdf_damaged": (LINE, "a.nc", b"\x89HDF\r\n\x1a\n and no more"),
    "netcdf_that_is_text": (LINE, "a.nc", b"x,y\n1,2\n"),
    "counted_from_one": (
        "data a[e] : Label(area)\ndata y[area] : Count",
        "a.json",
        b'{"a": [1, 2, 3], "y": [4, 0, 2]}',
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_in_a_file_is_told_in_these_words(name: str, tmp_path: Path) -> None:
    text, file, content = FILES[name]
    (tmp_path / file).write_bytes(content)
    _same_as_golden(name, lambda: bind(needs(text), tmp_path / file), tmp_path)


def _pickled(folder: Path) -> Path:
    np.savez(folder / "a.npz", x=np.array([1, None], dtype=object), y=np.ones(2))
    return folder / "a.npz"


def _beside(folder: Path) -> Path:
    (folder / "co2.csv").write_text("x,y\n1,2\n")
    return folder / "co3.csv"


def _cut(write: Callable[[Path], Any], name: str) -> Callable[[Path], Path]:
    """A file that is written, and then loses its second half."""

    def cut(folder: Path) -> Path:
        path = folder / name
        write(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return cut


NUMBERS = pd.DataFrame({"x": np.arange(500.0), "y": np.arange(500.0)})


def _is_a_fit(folder: Path) -> Path:
    xr.Dataset({"x": ("n", [1.0])}, attrs={"mercer": "{}"}).to_netcdf(folder / "fit.nc")
    return folder / "fit.nc"


HOUSES = pd.DataFrame({"county": ["B", "A"], "basement": [0, 1], "y": [1.0, 2.0]})
COUNTIES = pd.DataFrame({"c": ["A", "B"], "uranium": [0.5, 0.7]})

# A model, and what is given.
GIVEN: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "no_file": (LINE, _beside),
    "folder": (LINE, lambda folder: folder),
    "pickle": (LINE, _pickled),
    "nothing": (LINE, lambda _: []),
    "two_tables": (LINE, lambda _: [{"x": [1, 2], "y": [1, 2]}, {"y": [3, 4]}]),
    "label_not_in_table": (RADON, lambda _: [HOUSES, COUNTIES[:1]]),
    "no_table_of_labels": (RADON, lambda _: HOUSES),
    "rows_without_labels": (LINE, lambda _: [{"x": [1, 2], "n": ["a", "b"]}, {"y": [1, 2]}]),
    "unknown_option": (LINE, lambda _: read({"x": [1]}, columns={"xx": ["x"]})),
    "option_without_column": (
        PLANE,
        lambda _: read({"lon": [1.0], "lat": [1.0], "y": [1]}, columns={"x": ["lon", "lad"]}),
    ),
    "option_unreadable": (LINE, lambda _: read({}, columns=columns_of(["x"]))),
    "several_at_once": (
        RADON,
        lambda _: [HOUSES.assign(basement=["a", "b"], y=np.inf), COUNTIES],
    ),
    "no_labels_anywhere": ("index k = 1..2\ndata y[n, m] : Real", lambda _: {"z": 1}),
    "parquet_cut_short": (LINE, _cut(NUMBERS.to_parquet, "a.parquet")),
    "npz_cut_short": (LINE, _cut(lambda p: np.savez(p, **dict(NUMBERS.items())), "a.npz")),
    "netcdf_cut_short": (LINE, _cut(lambda p: NUMBERS.to_xarray().to_netcdf(p), "a.nc")),
    "fit_as_data": (LINE, _is_a_fit),
    "frame_without_rows": (LINE, lambda _: pd.DataFrame({"x": [], "y": []})),
    "polars_without_rows": (LINE, lambda _: polars.DataFrame({"x": [], "y": []})),
    "records_without_rows": (LINE, lambda _: np.zeros(0, [("x", float), ("y", float)])),
    "frame_column_twice": (
        LINE,
        lambda _: pd.DataFrame([[1, 2, 3]], columns=["x", "y", "y"]),
    ),
    "lists_of_unlike_length": (PLANE, lambda _: pd.DataFrame({"x": [[1, 2], [3]], "y": [1, 2]})),
    "complex_numbers": (LINE, lambda _: {"x": np.array([1j, 2]), "y": [1, 2]}),
    "a_set": (LINE, lambda _: {"x": {1, 2}, "y": [1, 2]}),
    "matrix_for_a_number": (LINE, lambda _: {"x": np.ones((2, 3)), "y": [1, 2]}),
    "cube_for_a_vector": (PLANE, lambda _: {"x": np.ones((2, 2, 2)), "y": [1, 2]}),
    "three_coordinates_of_two": (PLANE, lambda _: {"x": np.ones((2, 3)), "y": [1, 2]}),
    "pixels_too_few": ("data x[n] : Image(2, 3)", lambda _: {"x": np.ones((2, 5))}),
    "nan_in_a_matrix": (PLANE, lambda _: {"x": np.array([[1, 2], [3, np.nan]]), "y": [1, 2]}),
    "mixed_kinds": (LINE, lambda _: {"x": [1, "2", True, "b"], "y": [1, 2, 3, 4]}),
    "not_a_time": (LINE, lambda _: {"x": pd.to_datetime(["2020-01-01", None]), "y": [1, 2]}),
    "time_among_numbers": (LINE, lambda _: {"x": [1.0, pd.Timestamp("2020-01-01")], "y": [1, 2]}),
    "three_tables": (LINE, lambda _: [{"x": [1], "y": [1]}, {"y": [3]}, {"y": [4]}]),
    "row_of_the_table_twice": (
        RADON,
        lambda _: [HOUSES, pd.DataFrame({"c": ["A", "B", "A"], "uranium": [1, 2, 3]})],
    ),
    "label_of_the_table_misspelt": (
        RADON,
        lambda _: [
            HOUSES.assign(county=["Cass", "Clay"]),
            pd.DataFrame({"c": ["Case", "Clay"], "uranium": [1, 2]}),
        ],
    ),
    "row_without_a_number": (
        LINE,
        lambda _: pd.DataFrame({"n": [1, np.nan], "x": [1, 2], "y": [1, 2]}),
    ),
    "coordinates_differ": (
        "data x[n] : Real^d\ndata z[m] : Real^d",
        lambda _: {"x": np.ones((2, 3)), "z": np.ones((4, 2))},
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_mistake_in_what_is_given_is_told_in_these_words(name: str, tmp_path: Path) -> None:
    text, given = GIVEN[name]
    _same_as_golden(name, lambda: bind(needs(text), given(tmp_path)), tmp_path)


# A model that was fitted, the data of the fit, and new data.
NEW: dict[str, tuple[str, Any, Any]] = {
    "new_label_without_input": (
        RADON,
        [HOUSES, COUNTIES],
        pd.DataFrame({"county": ["A", "C"], "basement": [1, 1]}),
    ),
    "dates_where_the_fit_had_numbers": (LINE, {"x": [1], "y": [1]}, {"x": ["2020-01-01"]}),
    "coordinates_unlike_the_fit": (
        ANY,
        {"x": np.ones((2, 3)), "y": [1, 2]},
        {"x": np.ones((2, 2))},
    ),
    "new_label_of_declared": (
        'index r = ["bad", "good"]\ndata g[n] : Label(r)\ndata y[n] : Real',
        {"g": ["bad"], "y": [1]},
        {"g": ["better"]},
    ),
    "coordinates_more_than_named_ones": (
        "data x[n] : Real^part\ndata w[part] : Real\ndata y[n] : Real",
        [
            xr.Dataset(
                {"x": (("n", "part"), np.ones((2, 2))), "y": ("n", [1.0, 2.0])},
                coords={"part": ["lon", "lat"]},
            ),
            pd.DataFrame({"part": ["lon", "lat"], "w": [1.0, 2.0]}),
        ],
        {"x": np.ones((2, 3))},
    ),
    "rows_of_labels_without_labels": (RADON, [HOUSES, COUNTIES], {"uranium": [0.1, 0.2]}),
    "no_input_of_a_prediction": (LINE, {"x": [1], "y": [1]}, {"X": [2]}),
}


@pytest.mark.parametrize("name", NEW)
def test_a_mistake_in_new_data_is_told_in_these_words(name: str, tmp_path: Path) -> None:
    text, old, new = NEW[name]
    fitted = bind(needs(text), old)
    _same_as_golden(name, lambda: bind(needs(text), new, fitted=fitted), tmp_path)


# What does not stop a fit, but is said.
WORDS: dict[str, tuple[str, Any]] = {
    "constant_input": (LINE, {"x": [1, 1], "y": [1, 2]}),
    "constant_outcome": (LINE, {"x": [1, 2], "y": [3, 3]}),
    "one_row": (LINE, {"x": [1], "y": [3]}),
    "one_value_of_several": (LINE, {"x": [1, 2, 3], "y": [None, 3, None]}),
    "column_not_used": (LINE, {"x": [1, 2], "y": [1, 2], "z": [1, 2]}),
    "columns_not_used": (
        LINE,
        pd.DataFrame(np.eye(3, 12)).add_prefix("c").assign(x=[3, 2, 1], y=[1, 2, 3]),
    ),
    "labels_under_another_name": (
        "data sigma[school] : Positive\ndata y[school] : Real",
        pd.DataFrame({"School": ["A", "B"], "sigma": [1, 2], "y": [3, 4]}),
    ),
    "rows_counted_from_one": (
        "data a[e] : Label(area)\ndata y[area] : Count",
        {"a": [1, 2], "y": [4, 0, 2]},
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_what_looks_odd_is_said_in_these_words(name: str) -> None:
    text, given = WORDS[name]
    model = needs(text)
    said = [word.render(model.sources) for word in bind(model, given).warnings]
    _golden(name, "\n\n".join(said))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    NUMBERS.to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _same_as_golden(
        "parquet_without_pyarrow", lambda: bind(needs(LINE), tmp_path / "a.parquet"), tmp_path
    )


def test_a_full_disk_is_told_with_the_variable_that_moves_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.ascontiguousarray", full)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    _same_as_golden("disk_is_full", lambda: on_disk([np.ones(2)], float), tmp_path)


def test_every_golden_file_belongs_to_a_mistake() -> None:
    names = {*FILES, *GIVEN, *NEW, *WORDS, "parquet_without_pyarrow", "disk_is_full"}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == names


def _same_as_golden(name: str, action: Callable[[], Any], folder: Path) -> None:
    with pytest.raises(MercerError) as caught:
        action()
    _golden(name, str(caught.value).replace(str(folder), "FOLDER"))


def _golden(name: str, said: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MERCER_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(said + "\n")
    assert said + "\n" == path.read_text()
