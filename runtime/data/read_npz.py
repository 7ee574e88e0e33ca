"""NumPy's files turned into a `Table`: arrays by name (NPZ), or one array (NPY).

Of a large file the arrays that lie in it as they are (`numpy.savez`) are mapped, not read; packed
ones (`numpy.savez_compressed`) are unpacked block by block.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from mercer.dsl.diagnostic import MercerError
from mercer.runtime.data.columns import ROWS, SMALL, Lazy, gather, on_disk
from mercer.runtime.data.datafile import File, fail
from mercer.runtime.data.frames import Table, array, arrays, structured

_LOCAL_HEADER = 30  # bytes of a ZIP member's own header, before its name and extra field


def read_npz(file: File) -> Table:
    """The arrays of an NPZ file."""
    try:
        if file.is_large:
            with zipfile.ZipFile(file.path) as opened:
                names = [m.filename.removesuffix(".npy") for m in opened.infolist()]
            return Table(file.name, Lazy(names, lambda name: _member(file, name)), is_frame=False)
        with np.load(io.BytesIO(file.content()), allow_pickle=False) as loaded:
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise zipfile.BadZipFile("one array without a name")
            found = {name: _unpickled(loaded, name, file.name) for name in loaded.files}
    except MercerError:
        raise
    except Exception as error:  # of zipfile, zlib, struct, and the parser of NumPy's headers
        _damaged(error, file, "an NPZ file", "numpy.savez")
    if not found:
        fail("M411", f"{file.name} holds no arrays")
    return arrays(found, file.name)


def read_npy(file: File) -> Table:
    """The array of an NPY file, called by the name of the file, or its fields by theirs."""
    try:
        if file.is_large:
            loaded = np.load(file.path, mmap_mode="r", allow_pickle=False)
        else:
            loaded = np.load(io.BytesIO(file.content()), allow_pickle=False)
    except Exception as error:
        _damaged(error, file, "an NPY file", "numpy.save")
    if loaded.dtype.names:
        return structured(loaded, file.name)
    found = loaded if _is_plain(loaded.dtype) else array(loaded)
    return Table(file.name, {file.path.stem: found}, is_frame=False)


def _unpickled(loaded: Any, name: str, file: str) -> np.ndarray:
    try:
        values: np.ndarray = loaded[name]
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        _pickled(name, file)
    return values


def _pickled(name: str, file: str) -> NoReturn:
    fail(
        "M423",
        f"{name} in {file} is pickled",
        why="a pickle can run any program when it is read, so it is never opened",
        mend=f"save it as numbers or text: {name}.astype(float) or {name}.astype(str)",
    )


def _damaged(error: Exception, file: File, kind: str, writer: str) -> NoReturn:
    if "pickle" in str(error).lower():
        fail("M423", f"{file.name} is not {kind}", mend=f"write it with {writer}")
    problem = f"{file.name} is not {kind}, or a damaged one"
    fail("M423", problem, mend=f"write it with {writer}")


# --- large files --------------------------------------------------------------------------------


def _member(file: File, name: str) -> Any:
    """One array of a large NPZ file."""
    try:
        with zipfile.ZipFile(file.path) as opened:
            inside = f"{name}.npy" if f"{name}.npy" in opened.namelist() else name
            info = opened.getinfo(inside)
            with opened.open(info) as stream:
                shape, is_fortran, dtype = _header(stream)
                if dtype.hasobject:
                    _pickled(name, file.name)
                if info.file_size < SMALL or not shape or (is_fortran and len(shape) > 1):
                    stream.seek(0)
                    return array(np.lib.format.read_array(stream, allow_pickle=False))
                if info.compress_type == zipfile.ZIP_STORED and _is_plain(dtype):
                    offset = _start(file.path, info) + stream.tell()
                    return np.memmap(file.path, dtype, mode="r", offset=offset, shape=shape)
                if _is_plain(dtype):
                    return on_disk((b for b in _blocks(stream, shape, dtype)), dtype, shape)
                if len(shape) == 1:
                    parts = ({name: array(b)} for b in _blocks(stream, shape, dtype))
                    return gather(parts)[name]
                stream.seek(0)
                return array(np.lib.format.read_array(stream, allow_pickle=False))
    except MercerError:
        raise
    except Exception as error:  # of zipfile, zlib, struct, and the parser of NumPy's headers
        _damaged(error, file, "an NPZ file", "numpy.savez")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin in its file."""
    with path.open("rb") as opened:
        opened.seek(info.header_offset)
        name, extra = struct.unpack("<26xHH", opened.read(_LOCAL_HEADER))
    return int(info.header_offset + _LOCAL_HEADER + name + extra)


def _blocks(
    stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[np.ndarray]:
    width = math.prod(shape[1:])
    for start in range(0, shape[0], ROWS):
        rows = min(ROWS, shape[0] - start)
        part = stream.read(rows * width * dtype.itemsize)
        yield np.frombuffer(part, dtype).reshape(rows, *shape[1:])


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Numbers and times of this machine, which can be used where they lie."""
    return dtype.kind in "biufMm" and dtype.isnative
