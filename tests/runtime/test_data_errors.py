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
import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.bind import bind
from mercer.runtime.tables import columns_of, read
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
    "coordinates_differ": (
        "data x[n] : Real^d\ndata z[m] : Real^d",
        lambda _: {"x": np.ones((2, 3)), "z": np.ones((4, 2))},
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_mistake_in_what_is_given_is_told_in_these_words(name: str, tmp_path: Path) -> None:
    text, given = GIVEN[name]
    _same_as_golden(name, lambda: bind(needs(text), given(tmp_path)), tmp_path)


def test_new_labels_need_the_inputs_of_their_index(tmp_path: Path) -> None:
    fitted = bind(needs(RADON), [HOUSES, COUNTIES])
    new = pd.DataFrame({"county": ["A", "C"], "basement": [1, 1]})
    _same_as_golden(
        "new_label_without_input", lambda: bind(needs(RADON), new, fitted=fitted), tmp_path
    )


def test_a_constant_column_is_a_warning() -> None:
    bound = bind(needs(LINE), {"x": [1, 1], "y": [1, 2]})
    assert [w.code for w in bound.warnings] == ["M415"]
    assert [w.problem for w in bound.warnings] == ["x is 1 everywhere"]


def test_labels_counted_from_one_are_a_warning_where_rows_count_from_zero() -> None:
    model = needs("data a[e] : Label(area)\ndata y[area] : Count")
    bound = bind(model, {"a": [1, 2], "y": [4, 0, 2]})
    assert [w.code for w in bound.warnings] == ["M418"]


def test_every_golden_file_belongs_to_a_mistake() -> None:
    names = {*FILES, *GIVEN, "new_label_without_input"}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == names


def _same_as_golden(name: str, action: Callable[[], Any], folder: Path) -> None:
    with pytest.raises(MercerError) as caught:
        action()
    said = str(caught.value).replace(str(folder), "FOLDER") + "\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MERCER_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(said)
    assert said == path.read_text()
