"""A file turned into its next version: a reader finds the old or the new, never half."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mercer.dsl.diagnostic import Diagnostic, MercerError

_UNFINISHED: set[Path] = set()
"""Temporary files of this process: who ends it without unwinding must know them."""


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
    # The last suffix is kept, as some writers choose their format by it.
    temporary = target.parent / f".{target.stem}.{os.urandom(6).hex()}{target.suffix}"
    # Known before it is there: an interruption may come at any point.
    _UNFINISHED.add(temporary)
    is_open = False
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        is_open = True
        yield temporary
        _settle(temporary, target)
        os.replace(temporary, target)
    except OSError as error:
        if is_open and not _is_of_writing(error, temporary, target):
            raise
        raise _refused(path, *_why(error, target)) from error
    finally:
        with contextlib.suppress(OSError):  # a folder that is none holds nothing to remove
            temporary.unlink()
        _UNFINISHED.discard(temporary)


def reserve(temporary: Path, size: int) -> None:
    """Raises OSError now if `size` bytes would not find room in a file of `replace_whole`.

    For libraries that a full disk leaves in disorder: HDF5 writes much of a file as it closes it.
    """
    with temporary.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(size, 1))
            file.truncate(0)
        elif shutil.disk_usage(temporary.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_writable(path: str | Path) -> None:
    """Raises now what `replace_whole` would raise at the end, before hours are spent."""
    with contextlib.suppress(_Tried), replace_whole(path):
        raise _Tried


def discard_unfinished() -> None:
    """Removes what `replace_whole` has begun: for a process that ends without unwinding."""
    for temporary in list(_UNFINISHED):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


class _Tried(Exception):
    """Ends a trial before it replaces anything."""


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
    if error.errno in (errno.EFBIG, errno.EDQUOT):
        return "it would grow larger than is allowed there", "write to another disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {target.parent} may not be written to", "write to another folder"
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}", "make the folder first, or name another"
    return error.strerror or str(error), "write to another place"


def _refused(path: Path, why: str, mend: str) -> MercerError:
    return MercerError([Diagnostic("M504", f"cannot write {path}", why=why, mend=mend)])
