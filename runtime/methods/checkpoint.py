"""The state of a long computation turned into a file beside its result, and back after a `kill -9`.

A driver works in blocks. Before the first it asks for the state that an earlier run left; after
each it hands over its own, which is written when it is time:

    state = checkpoint.load("weights", like=state) or state
    while state.step < steps:
        state = advance(state)
        checkpoint.save("weights", state)

That is all, on one condition: the rest of the computation must follow from the state (with the
seed and the data), so that it is the same, bit for bit, whether it was interrupted or not. A
state is a pytree: named tuples, dicts, lists, of arrays, JAX's keys, numbers and texts. What is
costly to gather is given as a function, which is called only when the file is written. Several
parts of a computation, in several threads, have names of their own. `Checkpoint()` keeps nothing,
for runs without a file.

The file holds arrays (NPZ) and a header (JSON): to read it runs no code. It is replaced whole, so
there is always the old state or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
import time
import warnings
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.whole import check_writable, replace_whole
from mercer.runtime.hosts import hosts

T = TypeVar("T")

SECONDS = 10.0
"""Between two writings: what a crash costs, beside the block that was running."""

_SHARE = 0.05
"""Of the time that writing may take: a large state is written more seldom."""

_FORMAT = 1
_KINDS = "biufcU"
"""Kinds of NumPy types that NPZ keeps as they are."""

_PACKAGES = ("mercer", "jax", "jaxlib", "numpyro", "optax", "numpy", "scipy")

Paths = list[list[str]]


class CheckpointNotice(UserWarning):
    """Something about a checkpoint that the user should know; the fit goes on."""


class Checkpoint:
    """Where the parts of one computation leave their states. `Checkpoint()` keeps nothing.

    `belongs`: what the computation is of, by its name in a message; see `begin`, which makes it.
    """

    def __init__(
        self,
        path: Path | None = None,
        belongs: Mapping[str, Any] | None = None,
        *,
        every: float | None = None,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self._belongs = path, dict(belongs or {})
        self._every = SECONDS if every is None else every
        self._found = dict(found or {})  # what was read, as leaves by path
        self._states: dict[str, Any] = {}
        self._states_lock, self._writing = threading.Lock(), threading.Lock()
        self._due = time.monotonic() + self._every
        self._has_failed = False

    @property
    def has_found(self) -> bool:
        """Whether an earlier run left something to go on from."""
        return bool(self._found)

    def load(self, name: str, like: T | None = None) -> T | None:
        """The state of one part as an earlier run left it; None where there is none.

        It has the structure of `like`, and its leaves are JAX arrays, keys, NumPy arrays or
        numbers as those of `like` are; left out, nested dicts of NumPy arrays.
        """
        leaves = self._found.get(name)
        if leaves is None:
            return None
        return _nested(leaves) if like is None else self._as(like, leaves)

    def save(self, name: str, state: Any, *, alone: bool = False) -> None:
        """Takes the state of one part, or a function that gives it; writes all when it is time.

        `alone`: it replaces those of all other parts, which led to it.
        """
        if self.path is None:
            return
        with self._states_lock:
            if alone:
                self._states, self._found = {}, {}
            self._states[name] = state
            self._found.pop(name, None)
        # While one thread writes, the others go on.
        if time.monotonic() >= self._due and self._writing.acquire(blocking=False):
            try:
                self._try()
            finally:
                self._writing.release()

    def write(self) -> bool:
        """Writes what there is now; whether that went well."""
        if self.path is None:
            return False
        try:
            with self._writing:
                self._write()
        except MercerError:
            return False
        return True

    def discard(self) -> None:
        """Removes the file, the result being safe, and what writings cut short have left."""
        if self.path is None:
            return
        unfinished = self.path.parent.glob(f".{self.path.stem}.*{self.path.suffix}")
        for path in (self.path, *unfinished):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _try(self) -> None:
        """A disk that is full must not end a computation that needs no disk yet."""
        start = time.monotonic()
        try:
            self._write()
        except MercerError as error:
            if not self._has_failed:
                why = error.diagnostics[0].why or "it cannot be written"
                text = f"no checkpoint {self.path}: {why}; the fit goes on without"
                warnings.warn(text, CheckpointNotice, stacklevel=2)
            self._has_failed = True
        now = time.monotonic()
        # At every call, where that is asked for: what writing costs does not count then.
        self._due = now + max(self._every, (now - start) / _SHARE if self._every else 0.0)

    def _write(self) -> None:
        assert self.path is not None
        with self._states_lock:
            # A part that has not gone on yet stays as an earlier run left it.
            every, states = dict(self._found), dict(self._states)
        every |= {name: dict(_leaves(_gathered(state))) for name, state in states.items()}
        parts: dict[str, Paths] = {}
        arrays: dict[str, np.ndarray] = {}
        for name, found in every.items():
            leaves = list(found.items())
            parts[name] = [list(path) for path, _ in leaves]
            arrays |= {f"{name}/{i}": _stored(leaf) for i, (_, leaf) in enumerate(leaves)}
        header = {"format": _FORMAT, "belongs": self._belongs, "parts": parts}
        every_array: dict[str, Any] = {"header": np.array(json.dumps(header)), **arrays}
        with replace_whole(self.path) as temporary, temporary.open("wb") as out:
            np.savez(out, **every_array)

    def _as(self, like: T, leaves: Mapping[tuple[str, ...], np.ndarray]) -> T:
        wanted = _leaves(like)
        if [path for path, _ in wanted] != list(leaves):
            raise _unreadable(self.path, "its parts are not those of this fit")
        back = [_like(leaf, leaves[path]) for path, leaf in wanted]
        return jax.tree.unflatten(jax.tree.structure(like), back)


def begin(
    path: str | Path,
    belongs: Mapping[str, Any],
    *,
    resume: bool = False,
    every: float | None = None,
) -> Checkpoint:
    """The checkpoint of a computation that begins, or goes on with `resume`, at `path`.

    `belongs` says by name what the computation is of: texts and numbers, shown where they differ,
    or digests (`digest`). `every`: seconds between two writings, `SECONDS` where left out.
    Raises MercerError M504 where `path` cannot be written, M511 where the file is of another
    computation, M512 where it cannot be read. A file that is not used, or not there, is a
    `CheckpointNotice`.
    """
    if hosts().count > 1:
        return _begin_together(Path(path), belongs, resume, every)
    return _begin(Path(path), belongs, resume, every)


def _begin_together(
    path: Path, belongs: Mapping[str, Any], resume: bool, every: float | None
) -> Checkpoint:
    """Process 0 keeps the checkpoint; of what it reads the others get a copy."""
    if hosts().is_first:
        kept = _begin(path, belongs, resume, every)
        hosts().shared_bytes(path.read_bytes() if kept.has_found else b"")
        return kept
    content = hosts().shared_bytes(b"")
    found = _read(io.BytesIO(content), path)[1] if content else {}
    return Checkpoint(found=found)


def _begin(path: Path, belongs: Mapping[str, Any], resume: bool, every: float | None) -> Checkpoint:
    belongs = json.loads(json.dumps(dict(belongs)))
    with contextlib.suppress(OSError):  # what it raises, the trial says better
        path.parent.mkdir(parents=True, exist_ok=True)
    check_writable(path)
    if not path.exists():
        if resume:
            text = f"there is no checkpoint {path}: the fit starts anew"
            warnings.warn(text, CheckpointNotice, stacklevel=2)
        return Checkpoint(path, belongs, every=every)
    if not resume:
        text = f"the checkpoint {path} of an earlier fit is not used, as `resume` was not asked for"
        warnings.warn(f"{text}: the fit starts anew", CheckpointNotice, stacklevel=2)
        return Checkpoint(path, belongs, every=every)
    then, found = _read(path, path)
    if differing := differences(then, belongs):
        raise MercerError(
            [
                Diagnostic(
                    "M511",
                    f"the checkpoint {path} is of another fit",
                    why="; ".join(differing),
                    mend="ask for the same fit again, or leave `resume` out to start anew",
                )
            ]
        )
    return Checkpoint(path, belongs, every=every, found=found)


def digest(values: Any) -> str:
    """What tells arrays and texts in dicts and lists apart: 64 hexadecimal digits."""
    found = hashlib.sha256()
    for path, leaf in _leaves(values):
        array = np.asarray(leaf)
        text = array.dtype == object
        array = np.asarray([str(value) for value in array.ravel()]) if text else array
        found.update(f"{path} {array.dtype} {np.shape(leaf)} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def surroundings() -> dict[str, str]:
    """What else decides about the last bit: the versions of packages, the device."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[f"the version of {package}"] = version(package)
    device = f"{jax.local_device_count()} × {jax.devices()[0].device_kind}"
    if hosts().count > 1:
        found["the number of processes"] = str(hosts().count)
    return {**found, "the device": device, "the precision": str(jnp.zeros(()).dtype)}


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Sentences, one for each thing that is not what it was."""
    found = []
    for name in [*then, *(n for n in now if n not in then)]:
        before, after = then.get(name), now.get(name)
        if before == after:
            continue
        if max(len(str(before)), len(str(after))) > 60:  # a digest, or a long text
            found.append(f"{name} is not the same")
        else:
            found.append(f"{name} was {_shown(before)} and now is {_shown(after)}")
    return found


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)


def _read(file: Path | io.BytesIO, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file belongs to, and the leaves of its parts by their paths."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            header = json.loads(str(stored["header"]))
            if header["format"] > _FORMAT:
                raise _unreadable(path, "it was written by a newer Mercer")
            parts = {
                name: {tuple(p): stored[f"{name}/{i}"] for i, p in enumerate(paths)}
                for name, paths in header["parts"].items()
            }
            return header["belongs"], parts
    except MercerError:
        raise
    except Exception as error:
        raise _unreadable(path, "it is damaged, or no checkpoint of Mercer") from error


def _unreadable(path: Path | None, why: str) -> MercerError:
    mend = "remove it, or leave `resume` out to start anew"
    return MercerError(
        [Diagnostic("M512", f"the checkpoint {path} cannot be used", why=why, mend=mend)]
    )


def _gathered(state: Any) -> Any:
    return state() if isinstance(state, FunctionType | MethodType | partial) else state


def _leaves(tree: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The leaves of a pytree, each with the names that lead to it."""
    found, _ = jax.tree.flatten_with_path(tree)
    return [(tuple(_word(step) for step in path), leaf) for path, leaf in found]


def _word(step: Any) -> str:
    """A step into a dict, a sequence, a named tuple or another node, as text."""
    for attribute in ("key", "idx", "name"):
        if hasattr(step, attribute):
            return str(getattr(step, attribute))
    return str(step)


def _nested(leaves: Mapping[tuple[str, ...], np.ndarray]) -> Any:
    if () in leaves:  # no dict, but one array
        return leaves[()]
    found: dict[str, Any] = {}
    for path, leaf in leaves.items():
        inner = found
        for word in path[:-1]:
            inner = inner.setdefault(word, {})
        inner[path[-1]] = leaf
    return found


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _stored(leaf: Any) -> np.ndarray:
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    if array.dtype.kind not in _KINDS:
        raise ValueError(f"state: a checkpoint keeps numbers and texts, got {array.dtype}")
    return array


def _like(leaf: Any, array: np.ndarray) -> Any:
    """An array that was read, as the kind of thing that `leaf` is."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        return jnp.asarray(array, leaf.dtype)
    return array if isinstance(leaf, np.ndarray) else array.item()
