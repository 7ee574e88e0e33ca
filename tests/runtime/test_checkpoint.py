"""What a checkpoint keeps it gives back bit for bit, and only to the computation that left it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.methods import checkpoint
from mercer.runtime.methods.checkpoint import (
    Checkpoint,
    CheckpointNotice,
    begin,
    differences,
    digest,
)

OF = {"seed": 0, "draws": 500, "the data": digest({"y": np.arange(3.0)})}


class State(NamedTuple):
    step: int
    point: Any
    key: Any
    rest: Any


def a_state(seed: int = 0) -> State:
    key = jax.random.key(seed)
    point = {"a": jax.random.normal(key, (3,)), "b/c (x)": jnp.float32(0.1)}
    moments = optax.adam(0.1).init(point)
    rest = [moments, np.array([np.nan, -0.0, np.inf, 5e-324]), np.array(["é", "ab"]), ()]
    return State(7, point, key, rest)


def leaves_of(tree: Any) -> list[tuple[str, bytes]]:
    """Types and bits of all leaves."""
    leaves = [
        jax.random.key_data(x) if hasattr(x, "dtype") and "key" in str(x.dtype) else x
        for x in jax.tree.leaves(tree)
    ]
    return [(f"{type(x)} {np.asarray(x).dtype}", np.asarray(x).tobytes()) for x in leaves]


def left(path: Path, **states: Any) -> None:
    """A checkpoint as a run leaves it that is killed."""
    kept = begin(path, OF, every=0)
    for name, state in states.items():
        kept.save(name, state)


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    left(tmp_path / "fit.partial", weights=a_state(1))
    found = begin(tmp_path / "fit.partial", OF, resume=True).load("weights", like=a_state(2))
    assert isinstance(found, State) and leaves_of(found) == leaves_of(a_state(1))
    assert jax.random.normal(found.key) == jax.random.normal(a_state(1).key)


def test_a_state_without_a_pattern_is_dicts_of_arrays(tmp_path: Path) -> None:
    posterior = {"f(x)/z": np.arange(4.0), "k'": np.arange(2)}
    left(tmp_path / "fit.partial", groups={"posterior": posterior, "note": "by chance"})
    found = begin(tmp_path / "fit.partial", OF, resume=True).load("groups")
    assert found.keys() == {"posterior", "note"} and str(found["note"]) == "by chance"
    for name, value in posterior.items():
        np.testing.assert_array_equal(found["posterior"][name], value)


def test_a_part_that_has_not_gone_on_stays_as_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "fit.partial"
    left(path, first=np.arange(3.0), second=np.arange(4.0))
    begin(path, OF, resume=True, every=0).save("first", np.arange(5.0))
    kept = begin(path, OF, resume=True)
    np.testing.assert_array_equal(kept.load("first", like=np.zeros(0)), np.arange(5.0))
    np.testing.assert_array_equal(kept.load("second", like=np.zeros(0)), np.arange(4.0))


def test_a_result_takes_the_place_of_the_parts_that_led_to_it(tmp_path: Path) -> None:
    path = tmp_path / "fit.partial"
    left(path, first=np.arange(3.0), second=np.arange(4.0))
    begin(path, OF, resume=True, every=0).save("result", np.ones(2), alone=True)
    kept = begin(path, OF, resume=True)
    assert kept.load("first") is None and kept.load("second") is None
    np.testing.assert_array_equal(kept.load("result", like=np.zeros(0)), np.ones(2))


def test_what_is_costly_is_gathered_only_when_it_is_written(tmp_path: Path) -> None:
    gathered: list[int] = []

    def state(number: int) -> Any:
        return lambda: gathered.append(number) or {"number": number}

    kept = begin(tmp_path / "fit.partial", OF, every=3600)
    for number in range(5):
        kept.save("part", state(number))
    assert gathered == [] and not (tmp_path / "fit.partial").exists()
    assert kept.write() and gathered == [4]
    kept = begin(tmp_path / "other.partial", OF, every=0)
    kept.save("part", state(7))
    assert gathered == [4, 7]


def test_without_a_path_nothing_is_kept() -> None:
    kept = Checkpoint(every=0)
    kept.save("part", lambda: pytest.fail("gathered"))
    assert kept.load("part") is None and not kept.write()
    kept.discard()


def test_a_checkpoint_of_something_else_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "fit.partial"
    left(path, part=np.zeros(1))
    other = {**OF, "seed": 1, "target": 0.9, "the data": digest({"y": np.ones(3)})}
    with pytest.raises(MercerError) as refused:
        begin(path, other, resume=True)
    (told,) = refused.value.diagnostics
    assert told.code == "M511" and told.why == (
        "seed was 0 and now is 1; the data is not the same; target was not given and now is 0.9"
    )
    assert begin(path, OF, resume=True).load("part") is not None
    assert differences(OF, OF) == []


def test_a_checkpoint_not_used_and_one_not_there_are_told(tmp_path: Path) -> None:
    path = tmp_path / "fit.partial"
    with pytest.warns(CheckpointNotice, match="there is no checkpoint"):
        begin(path, OF, resume=True)
    left(path, part=np.zeros(1))
    with pytest.warns(CheckpointNotice, match="not used"):
        assert begin(path, OF).load("part") is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begin(path, OF, resume=True)
        begin(tmp_path / "other.partial", OF)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_an_error_that_says_so(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fit.partial").write_bytes(content)
    with pytest.raises(MercerError) as refused:
        begin(tmp_path / "fit.partial", OF, resume=True)
    assert refused.value.diagnostics[0].code == "M512"


def test_a_checkpoint_with_objects_is_not_unpickled(tmp_path: Path) -> None:
    with (tmp_path / "fit.partial").open("wb") as out:
        np.savez(out, header=np.array([print], dtype=object))
    with pytest.raises(MercerError) as refused:
        begin(tmp_path / "fit.partial", OF, resume=True)
    assert refused.value.diagnostics[0].code == "M512"


def test_a_state_of_other_parts_is_refused(tmp_path: Path) -> None:
    left(tmp_path / "fit.partial", part={"a": np.zeros(2)})
    kept = begin(tmp_path / "fit.partial", OF, resume=True)
    with pytest.raises(MercerError):
        kept.load("part", like={"b": np.zeros(2)})


def test_a_disk_that_fills_up_ends_no_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fit.partial"
    kept = begin(path, OF, every=0)
    kept.save("part", np.arange(3.0))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mercer.dsl.whole.os.fsync", full)
        with pytest.warns(CheckpointNotice, match="the disk is full; the fit goes on"):
            kept.save("part", np.arange(4.0))
        found = begin(path, OF, resume=True).load("part", like=np.zeros(0))
        np.testing.assert_array_equal(found, np.arange(3.0))
    assert kept.write()
    found = begin(path, OF, resume=True).load("part", like=np.zeros(0))
    np.testing.assert_array_equal(found, np.arange(4.0))
    assert [p.name for p in tmp_path.iterdir()] == ["fit.partial"]


def test_writing_takes_a_small_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    written: list[float] = []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    kept = Checkpoint(tmp_path / "fit.partial", OF, every=10)

    def slow_disk() -> None:
        written.append(clock[0])
        clock[0] += 7.0

    monkeypatch.setattr(kept, "_write", slow_disk)
    while clock[0] < 1000:
        clock[0] += 1.0
        kept.save("part", np.zeros(1))
    assert len(written) > 3 and 7.0 * (len(written) - 1) < 0.06 * 1000


def test_what_was_cut_short_goes_with_the_checkpoint(tmp_path: Path) -> None:
    kept = begin(tmp_path / "fit.nc.partial", OF, every=0)
    kept.save("part", np.zeros(1))
    (tmp_path / ".fit.nc.0123456789ab.partial").write_bytes(b"half")
    (tmp_path / "fit.nc").write_bytes(b"the result")
    kept.discard()
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


@pytest.mark.parametrize(
    "other",
    [{"y": np.arange(3)}, {"y": np.arange(3.0)[None]}, {"z": np.arange(3.0)}, {"y": [0.0, 1, 2]}],
)
def test_a_digest_tells_names_types_and_shapes_apart(other: Any) -> None:
    assert digest(other) != digest({"y": np.arange(3.0)})
    texts = np.array(["a", "bc"], object)
    assert digest(texts) == digest(texts.copy()) != digest(np.array(["ab", "c"], object))
