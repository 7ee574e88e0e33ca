"""Waves kept in files: the same again, made anew where a file is no good, replaced whole."""

import os
import subprocess
import sys

import numpy as np
import pytest

import mercer.geometry
from mercer.runtime.geometry import stored
from mercer.runtime.geometry.graphs import Graph
from mercer.runtime.geometry.manifold import Manifold
from mercer.runtime.geometry.waves import Waves


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MERCER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(stored, "_LEAST", 1)
    return tmp_path / "geometry"


def on_sphere(count=150):
    points = np.random.default_rng(3).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


def fresh(cloud, modes=12):
    return Manifold(cloud, dim=2, neighbours=10, modes=modes, name="M")


def test_waves_are_found_again_to_the_last_digit_and_not_made(folder, monkeypatch) -> None:
    one = fresh(on_sphere()).tangents
    assert len(list(folder.glob("*.npz"))) == 1

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(sys.modules[Manifold.__module__], "lowest_waves", never)
    again = fresh(on_sphere()).tangents
    np.testing.assert_array_equal(again.values, one.values)
    np.testing.assert_array_equal(again.frequencies, one.frequencies)
    assert (again.width, again.roughness) == (one.width, one.roughness) == (2, 1.0)


def test_other_points_or_settings_have_a_file_of_their_own(folder) -> None:
    cloud = on_sphere()
    keys = {fresh(cloud).key, fresh(cloud, modes=13).key, fresh(cloud + 1e-9).key}
    keys |= {Manifold(cloud, dim=2, neighbours=11, modes=12, name="M").key}
    assert len(keys) == 4
    assert Manifold(cloud, dim=2, neighbours=10, modes=12, name="other").key in keys


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", None])
def test_a_damaged_file_is_made_anew_and_replaced(folder, damage) -> None:
    one = fresh(on_sphere()).numbers
    (path,) = folder.glob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(fresh(on_sphere()).numbers.values, one.values)
    with np.load(path) as parts:
        np.testing.assert_array_equal(parts["values"], one.values)


def test_nothing_is_kept_where_the_cache_is_turned_off(folder, monkeypatch) -> None:
    monkeypatch.setenv("MERCER_CACHE_DIR", "")
    assert len(fresh(on_sphere()).numbers.frequencies) == 12
    assert not folder.exists()


def test_files_that_were_not_asked_for_longest_go_first(folder, monkeypatch) -> None:
    waves = Waves(np.zeros(4), np.zeros((100, 4)))
    monkeypatch.setattr(stored, "_MOST_BYTES", 10_000)
    for number, name in enumerate(("first", "second", "third")):
        stored.stored(name, "numbers", 100, lambda: waves)
        os.utime(folder / f"{name}-numbers.npz", (number, number))
    stored.stored("first", "numbers", 100, lambda: waves)  # asked for now
    stored.stored("fourth", "numbers", 100, lambda: waves)
    left = {path.name.split("-")[0] for path in folder.glob("*.npz")}
    assert left == {"first", "fourth"}


def test_processes_that_make_the_same_waves_at_once_leave_one_whole_file(folder) -> None:
    text = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_stored import fresh, on_sphere, "
        "stored; stored._LEAST = 1; print(repr(float(fresh(on_sphere(300)).tangents.values.sum())))"
    )
    command = [sys.executable, "-c", text, os.path.dirname(__file__)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate()[0] for process in running}
    assert len(said) == 1 and said != {""}
    (path,) = folder.iterdir()
    with np.load(path) as parts:
        assert parts["values"].shape == (600, 12)


def test_shapes_can_be_looked_at_from_python(folder) -> None:
    found = mercer.geometry.manifold(on_sphere(), dim=2, modes=12)
    assert isinstance(found, Manifold)
    assert found is mercer.geometry.manifold(on_sphere(), dim=2, modes=12)
    assert found.frames.shape == (150, 3, 2) and found.graph.first.shape == found.weights.shape
    assert found.turns.shape == (len(found.graph.first), 2, 2)
    ring = mercer.geometry.graph(np.arange(20), np.roll(np.arange(20), 1))
    assert isinstance(ring, Graph) and len(ring.numbers.frequencies) == 20
