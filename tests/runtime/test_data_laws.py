"""Laws of binding: what is bound depends on labels and values, never on format or row order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.bind import Bound, bind
from mercer.runtime.data.readers import read_file
from mercer.runtime.data.tables import read
from mercer.runtime.files import replace_whole, write_csv, write_npz
from tests.runtime.data_models import needs

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
DOGS = needs("data y[dog, t] : Real")
PLANE = needs("data x[n] : Real^d\ndata y[n] : Real")
RADON = needs("data county[n] : Label(c)\ndata u[c] : Real\ndata y[n] : Real")


def _same(a: Bound, b: Bound) -> None:
    assert a.arrays.keys() == b.arrays.keys() and dict(a.sizes) == dict(b.sizes)
    for name, values in a.arrays.items():
        np.testing.assert_array_equal(values, b.arrays[name])
    for name, found in a.labels.items():
        assert list(found) == list(b.labels[name])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_long_and_wide_are_the_same_data(data: st.DataObject) -> None:
    dogs, times = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    values = np.array(data.draw(st.lists(NUMBERS, min_size=dogs * times, max_size=dogs * times)))
    wide = {"y": values.reshape(dogs, times)}
    cells = np.array([(i, j) for i in range(dogs) for j in range(times)])
    order = data.draw(st.permutations(range(dogs * times)))
    long = pd.DataFrame({"dog": cells[:, 0], "t": cells[:, 1], "y": values}).iloc[order]
    columns = {f"y.{j}": values.reshape(dogs, times)[:, j] for j in range(times)}
    _same(bind(DOGS, wide), bind(DOGS, long))
    _same(bind(DOGS, wide), bind(DOGS, pd.DataFrame(columns)))


@pytest.mark.parametrize("label", [2.5, 2.0**52, 2.0**60, 1e20, -1e300])
def test_a_number_is_its_own_label_however_large(label: float) -> None:
    found = bind(RADON, {"county": [label, 1.0], "c": [1.0, label], "u": [0.0, 2.0], "y": [3, 4]})
    assert set(found.labels["c"]) == {label, 1.0}
    assert list(found.arrays["u"][found.arrays["county"]]) == [2.0, 0.0]


BEYOND = 2**53 + 1


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["01001", "1001", ""], ["01001", "1001"]),
        (["1", "2", "+03"], ["+03", "1", "2"]),
        ([str(BEYOND), str(BEYOND - 1), ""], [str(BEYOND - 1), str(BEYOND)]),
        ([str(2**64 - 1), str(2**64 - 2), "3"], [str(2**64 - 2), str(2**64 - 1), "3"]),
    ],
)
@pytest.mark.parametrize("large", [1 << 20, 0])
def test_labels_in_a_csv_keep_their_zeros_and_all_their_digits(
    cells: list[str], wanted: list[str], large: int, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("g,y\n" + "".join(f"{cell},1\n" for cell in cells))
    model = needs("data g[n] : Label(s)\ndata y[n] : Real", outcomes="g y")
    bound = bind(model, [read_file(tmp_path / "a.csv", large=large)])
    assert list(bound.labels["s"]) == wanted
    assert [wanted[i] if i >= 0 else "" for i in bound.arrays["g"]] == cells


def test_whole_numbers_beside_a_gap_keep_all_their_digits(tmp_path: Path) -> None:
    model = needs("data g[n] : Label(s)\ndata y[n] : Real", outcomes="g y")
    cells = [BEYOND, BEYOND - 1, None]
    table = pd.DataFrame({"g": pd.array(cells, dtype="Int64"), "y": [1.0, 2.0, 3.0]})
    table.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps({"g": cells, "y": [1, 2, 3]}))
    for door in (table, tmp_path / "a.parquet", tmp_path / "a.json"):
        bound = bind(model, door)
        assert list(bound.labels["s"]) == [BEYOND - 1, BEYOND]
        assert list(bound.arrays["g"]) == [1, 0, -1]
    huge = {"g": np.array([2**63 + 1, 2**63, 7], dtype=np.uint64), "y": [1, 2, 3]}
    assert set(bind(model, huge).labels["s"]) == {str(2**63 + 1), str(2**63), "7"}


def test_a_label_with_zeros_in_front_is_no_number_of_the_fit() -> None:
    model = needs("data g[n] : Label(s)\ndata y[n] : Real")
    fitted = bind(model, {"g": [1001, 1002], "y": [1, 2]})
    new = bind(model, {"g": ["01001", "1002"]}, fitted=fitted)
    assert list(new.new_labels["s"]) == ["01001"]


PARTS = "data x[n] : Real^part\ndata w[part] : Real\ndata y[n] : Real"


def test_coordinates_without_names_are_those_of_the_fit_in_order() -> None:
    model = needs(PARTS)
    frame = pd.DataFrame({"lon": [1.0, 2.0], "lat": [3.0, 4.0], "y": [0, 1]})
    weights = pd.DataFrame({"part": ["lon", "lat"], "w": [1.0, 2.0]})
    fitted = bind(model, read([frame, weights], columns={"x": ["lon", "lat"]}))
    assert list(fitted.labels["part"]) == ["lon", "lat"]
    plain = np.array([[5.0, 6.0], [7.0, 8.0]])
    by_name = pd.DataFrame({"lat": plain[:, 1], "lon": plain[:, 0]})
    numbered = pd.DataFrame({"x.1": plain[:, 0], "x.2": plain[:, 1]})
    for new in ({"x": plain}, numbered, by_name):
        bound = bind(model, new, fitted=fitted)
        np.testing.assert_array_equal(bound.arrays["x"], plain)
        assert list(bound.labels["part"]) == ["lon", "lat"] and "part" not in bound.new_labels


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_order_of_the_rows_of_a_table_does_not_matter_to_what_meets_by_label(
    data: st.DataObject,
) -> None:
    labels = data.draw(st.lists(st.text("abcÄ ", min_size=1), min_size=1, unique_by=str.strip))
    labels = [label.strip() for label in labels if label.strip()] or ["a"]
    uranium = {label: float(place) for place, label in enumerate(labels)}
    county = data.draw(st.lists(st.sampled_from(labels), min_size=2, max_size=6))
    houses = pd.DataFrame({"county": county, "y": np.arange(len(county)) + 0.5})
    table = pd.DataFrame({"c": labels, "u": list(uranium.values())})
    shuffled = table.iloc[data.draw(st.permutations(range(len(labels))))]
    for counties in (table, shuffled):
        bound = bind(RADON, [houses, counties])
        met = bound.arrays["u"][bound.arrays["county"]]
        np.testing.assert_array_equal(met, [uranium[label] for label in county])
        assert list(bound.labels["c"][bound.arrays["county"]]) == county


def test_all_formats_give_the_same_data(tmp_path: Path) -> None:
    x, y = np.array([[1.0, 2.0], [3.5, 4.0], [0.1, 1 / 3]]), np.array([1.0, np.nan, -2e-300])
    columns = {"x.1": x[:, 0], "x.2": x[:, 1], "y": y}
    write_csv(tmp_path / "a.csv", columns)
    (tmp_path / "b.csv").write_text(
        "\ufeff" + (tmp_path / "a.csv").read_text().replace(",", ";").replace("\n", "\r\n")
    )
    (tmp_path / "c.tsv").write_text((tmp_path / "a.csv").read_text().replace(",", "\t"))
    write_npz(tmp_path / "a.npz", {"x": x, "y": y})
    flat = {"x": x.tolist(), "y": [1.0, None, -2e-300]}
    (tmp_path / "a.json").write_text(json.dumps(flat))
    (tmp_path / "b.json").write_text(json.dumps({"model": "m", "data": flat}))
    first = bind(PLANE, {"x": x, "y": y})
    for name in ("a.csv", "b.csv", "c.tsv", "a.npz", "a.json", "b.json"):
        _same(first, bind(PLANE, tmp_path / name))
    _same(first, bind(PLANE, pd.DataFrame(columns)))
    _same(first, bind(PLANE, [pd.DataFrame({"x.2": x[:, 1], "x.1": x[:, 0]}), {"y": y}]))


def test_new_data_may_call_their_columns_as_the_fit_did() -> None:
    table = pd.DataFrame({"lon": [1.0, 2], "lat": [3.0, 4], "y": [0.0, 1]})
    fitted = bind(PLANE, read(table, columns={"x": ["lat", "lon"]}))
    new = table.drop(columns="y") + 1
    np.testing.assert_array_equal(
        bind(PLANE, new, fitted=fitted).arrays["x"], new[["lat", "lon"]].to_numpy()
    )
    again = bind(PLANE, read(new, columns={"x": ["lon", "lat"]}), fitted=fitted)
    np.testing.assert_array_equal(again.arrays["x"], new[["lon", "lat"]].to_numpy())
    own = new.assign(**{"x.1": [7.0, 8], "x.2": [9.0, 0]})
    np.testing.assert_array_equal(bind(PLANE, own, fitted=fitted).arrays["x"], [[7.0, 9], [8, 0]])


def test_columns_may_be_called_otherwise() -> None:
    table = pd.DataFrame({"lon": [1.0, 2], "lat": [3.0, 4], "y": [0.0, 1]})
    first = bind(PLANE, read(table, columns={"x": ["lon", "lat"]}))
    _same(first, bind(PLANE, read(table, columns={"x": "*"})))
    assert list(first.labels["d"]) == ["lon", "lat"]


def test_the_axes_stand_in_the_order_wanted() -> None:
    bound = bind(needs("data y[dog, t] : Real", order=("t", "dog")), {"y": [[1, 2, 3], [4, 5, 6]]})
    np.testing.assert_array_equal(bound.arrays["y"], [[1, 4], [2, 5], [3, 6]])
    assert bound.dims["y"] == ("t", "dog")


def test_absent_cells_of_an_outcome_are_missing() -> None:
    bound = bind(DOGS, pd.DataFrame({"dog": ["b", "a"], "t": [2, 1], "y": [1.0, 2.0]}))
    np.testing.assert_array_equal(bound.arrays["y"], [[2, np.nan], [np.nan, 1]])
    assert list(bound.labels["dog"]) == ["a", "b"] and list(bound.labels["t"]) == [1, 2]


def test_declared_labels_keep_their_order() -> None:
    model = needs('index r = ["bad", "good"]\ndata y[n] : Label(r)')
    np.testing.assert_array_equal(bind(model, {"y": ["good", "bad", None]}).arrays["y"], [1, 0, -1])
    model = needs("index r = 1..3\ndata y[n] : Label(r)")
    np.testing.assert_array_equal(bind(model, {"y": [3, 1]}).arrays["y"], [2, 0])


def test_without_a_table_labels_are_the_sorted_union_of_all_columns() -> None:
    model = needs("data a[n], b[n] : Label(p)\ndata y[n] : Real")
    bound = bind(model, {"a": ["z", "c"], "b": ["c", "m"], "y": [1, 2]})
    assert list(bound.labels["p"]) == ["c", "m", "z"]
    np.testing.assert_array_equal(bound.arrays["a"], [2, 0])
    np.testing.assert_array_equal(bound.arrays["b"], [0, 1])


def test_na_is_a_label_and_a_missing_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("g,y\nNA,1\nDE,NA\n")
    bound = bind(needs("data g[n] : Label(country)\ndata y[n] : Real"), tmp_path / "a.csv")
    assert list(bound.labels["country"]) == ["DE", "NA"]
    np.testing.assert_array_equal(bound.arrays["y"], [1, np.nan])


def test_images_come_flat_or_whole() -> None:
    model = needs("data x[n] : Image(2, 3)")
    whole = np.arange(12.0).reshape(2, 2, 3)
    _same(bind(model, {"x": whole}), bind(model, {"x": whole.reshape(2, 6)}))


def test_xarray_axes_meet_by_name() -> None:
    xarray = pytest.importorskip("xarray")
    wide = xarray.DataArray(
        [[1.0, 2], [3, 4], [5, 6]], dims=("t", "dog"), coords={"dog": ["b", "a"]}, name="y"
    )
    bound = bind(DOGS, wide)
    assert list(bound.labels["dog"]) == ["b", "a"]
    np.testing.assert_array_equal(bound.arrays["y"], [[1, 3, 5], [2, 4, 6]])


# --- prediction ---------------------------------------------------------------------------------


def test_known_labels_keep_their_codes_and_new_ones_come_behind() -> None:
    houses = {"county": ["B", "A"], "y": [1, 2]}
    fitted = bind(RADON, [houses, pd.DataFrame({"c": ["A", "B"], "u": [0.5, 0.7]})])
    new = bind(
        RADON,
        [{"county": ["0", "B"]}, pd.DataFrame({"c": ["0"], "u": [0.9]})],
        fitted=fitted,
    )
    np.testing.assert_array_equal(new.arrays["county"], [2, 1])
    np.testing.assert_array_equal(new.arrays["u"], [0.5, 0.7, 0.9])
    assert list(new.new_labels["c"]) == ["0"] and "y" not in new.arrays
    np.testing.assert_array_equal(new.codes["n"], [2, 3])


def test_what_new_data_leave_out_is_as_it_was() -> None:
    model = needs("data s : Positive\ndata x[n] : Real\ndata z[m] : Real\ndata y[n] : Real")
    fitted = bind(model, {"s": 2, "x": [1, 2], "z": [5, 6, 7], "y": [0, 1]})
    new = bind(model, {"x": [9]}, fitted=fitted)
    assert new.arrays["s"] == 2 and new.sizes["n"] == 1
    np.testing.assert_array_equal(new.arrays["z"], [5, 6, 7])


def test_rows_with_labels_know_their_place_in_the_fit() -> None:
    model = needs("data sigma[school] : Positive\ndata y[school] : Real")
    fitted = bind(model, {"school": ["A", "B"], "sigma": [1, 2], "y": [3, 4]})
    new = bind(model, {"school": ["C", "B"], "sigma": [5, 6]}, fitted=fitted)
    np.testing.assert_array_equal(new.codes["school"], [2, 1])
    np.testing.assert_array_equal(new.arrays["sigma"], [5, 6])


def test_an_outcome_may_be_absent_only_where_nothing_is_fitted() -> None:
    with pytest.raises(MercerError, match="no column y"):
        bind(PLANE, {"x": [[1.0, 2.0], [2.0, 1.0]]})
    bound = bind(PLANE, {"x": [[1.0, 2.0], [2.0, 1.0]]}, require_outcomes=False)
    assert "y" not in bound.arrays


def test_a_million_rows_bind_in_seconds() -> None:
    size = 1_000_000
    random = np.random.default_rng(0)
    county = random.integers(0, 1000, size)
    bound = bind(RADON, {"county": county, "u": np.arange(1000.0), "y": random.normal(size=size)})
    np.testing.assert_array_equal(bound.arrays["county"], county)


# --- files --------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replace_whole(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replace_whole(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(MercerError, match="the disk is full"), replace_whole(path):
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MercerError, match="there is no folder"):
        write_csv(tmp_path / "none" / "a.csv", {"x": [1]})
    with pytest.raises(MercerError, match="it is a folder"):
        write_csv(tmp_path, {"x": [1]})


def test_describe_names_shapes_ranges_and_missing_values() -> None:
    assert bind(PLANE, {"x": [[1.0, 2.0], [2.0, 1.0]], "y": [1, None]}).describe() == (
        "name  space   shape      range   missing\n"
        "x     Real^d  n 2 × d 2  1 to 2\n"
        "y     Real    n 2        1       1"
    )


def test_what_was_read_keeps_its_columns_when_it_is_read_again() -> None:
    """As a prediction does with what the command line has read."""
    read_once = read(pd.DataFrame({"lon": [1.0], "lat": [2.0]}), columns={"x": ["lon", "lat"]})
    assert read(read_once).columns == read_once.columns == {"x": ("lon", "lat")}
