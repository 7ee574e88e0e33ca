"""Waves of a shape turned into a file of the cache, and found again by what they were made of.

A file is known by a digest of the points, the settings and the code that makes waves of them, so
that none is ever out of date. It is replaced whole: processes that make the same waves at once
write the same file, and a reader finds all of it or none. What cannot be read or written is made
anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import MercerError
from mercer.dsl.whole import replace_whole
from mercer.runtime.cache import cache_folder
from mercer.runtime.geometry.waves import Waves

_LEAST = 1000
"""Numbers in each wave below which it takes no longer to find than to look up."""

_MOST_BYTES = 2e9
"""What all files take together; those that were not asked for longest go first."""


def geometry_folder() -> Path | None:
    """Where the files lie; None where `MERCER_CACHE_DIR` is empty: nothing is kept."""
    return None if os.environ.get("MERCER_CACHE_DIR") == "" else cache_folder() / "geometry"


def digest(*parts: Any) -> str:
    """What an array or a setting is known by, in the code as it is."""
    found = hashlib.sha256(_code())
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype} {part.shape} ".encode())
            found.update(np.ascontiguousarray(part).tobytes())
        else:
            found.update(f"{part!r} ".encode())
    return found.hexdigest()


def stored(key: str, kind: str, size: int, make: Callable[[], Waves]) -> Waves:
    """The waves of `kind` of the shape `key`, of `size` numbers each: from their file, or made by
    `make()` and written to it."""
    folder = geometry_folder()
    if folder is None or size < _LEAST:
        return make()
    path = folder / f"{key}-{kind}.npz"
    found = _read(path)
    if found is None:
        found = make()
        _write(path, found)
    return found


def _read(path: Path) -> Waves | None:
    try:
        with np.load(path, allow_pickle=False) as parts:
            waves = Waves(
                parts["frequencies"],
                parts["values"],
                int(parts["width"]),
                float(parts["roughness"]),
            )
        os.utime(path)  # asked for now
    except Exception:  # a damaged file may raise anything: its waves are made anew
        return None
    return waves if waves.values.shape[1:] == waves.frequencies.shape else None


def _write(path: Path, waves: Waves) -> None:
    parts: dict[str, Any] = {
        "frequencies": waves.frequencies,
        "values": waves.values,
        "width": waves.width,
        "roughness": waves.roughness,
    }
    with contextlib.suppress(OSError, MercerError):  # a full disk, or a folder of others
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **parts)
        _prune(path.parent)


def _prune(folder: Path) -> None:
    """Removes the files that were not asked for longest, until the rest fits."""
    files = []
    for path in folder.glob("*.npz"):
        with contextlib.suppress(OSError):  # another process may have removed it
            about = path.stat()
            files.append((about.st_mtime, about.st_size, path))
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files)[:-1]:
        if left <= _MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        left -= size


@cache
def _code() -> bytes:
    """The code that makes waves, as one digest."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.digest()
