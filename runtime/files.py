"""Arrays and columns turned into whole files: a reader finds the old or the new, never half."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError


@contextlib.contextmanager
def replace_whole(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` at the end.

    If the body raises (also on Ctrl-C), `path` is as it was and nothing is left beside it. What
    the disk refuses becomes a `Diagnostic` M504.
    """
    path = Path(path)
    # A link keeps pointing at its file: the file behind it is replaced.
    target = path.resolve() if path.is_symlink() else path
    if target.is_dir():
        raise _refused(path, "it is a folder", "name a file inside it")
    if target.exists() and not os.access(target, os.W_OK):
        raise _refused(path, "the file is read-only", "write to another file")
    temporary: Path | None = None
    try:
        # The last suffix is kept, as some writers choose their format by it.
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _settle(temporary, target)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None and not _is_of_writing(error, temporary, target):
            raise
        raise _refused(path, *_why(error, target)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_csv(path: str | Path, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    """Columns by name as CSV (UTF-8); numbers with all their digits, NaN as an empty cell."""
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns: all must have one length, these have {sorted(lengths)}")
    with replace_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(lists)
        writer.writerows([_cell(value) for value in row] for row in zip(*lists.values()))


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays by name as a compressed NPZ file, which holds numbers and text but no objects."""
    plain: dict[str, Any] = {name: _plain(name, values) for name, values in arrays.items()}
    with replace_whole(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, **plain)


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else value


def _plain(name: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype != object:
        return array
    if all(isinstance(value, str) for value in array.ravel()):
        return array.astype(str)
    raise ValueError(f"arrays: {name!r} holds objects; numbers or text are wanted")


def _settle(temporary: Path, target: Path) -> None:
    """The rights that the target has, or a fresh file gets; its bytes on the disk."""
    if target.exists():
        mode = target.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    temporary.chmod(mode)
    with temporary.open("rb") as written:
        os.fsync(written.fileno())


def _is_of_writing(error: OSError, temporary: Path, target: Path) -> bool:
    """Whether the fault lies in this file, not in something else that the body opened."""
    return error.filename in (None, str(temporary), str(target)) or error.errno == errno.ENOSPC


def _why(error: OSError, target: Path) -> tuple[str, str]:
    if error.errno == errno.ENOSPC:
        return "the disk is full", "free some space, or write to another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {target.parent} may not be written to", "write to another folder"
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}", "make the folder first, or name another"
    return error.strerror or str(error), "write to another place"


def _refused(path: Path, why: str, mend: str) -> MercerError:
    return MercerError([Diagnostic("M504", f"cannot write {path}", why=why, mend=mend)])
