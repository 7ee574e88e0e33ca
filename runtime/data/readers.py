"""One file of data turned into a `Table`, by its suffix or else by its first bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mercer.runtime.data.columns import LARGE
from mercer.runtime.data.datafile import File, fail, open_file
from mercer.runtime.data.frames import Table
from mercer.runtime.data.read_csv import read_csv
from mercer.runtime.data.read_json import read_json, read_json_lines
from mercer.runtime.data.read_mesh import read_mesh
from mercer.runtime.data.read_netcdf import read_netcdf
from mercer.runtime.data.read_npz import read_npy, read_npz
from mercer.runtime.data.read_parquet import read_feather, read_parquet

_BY_SUFFIX: dict[str, Callable[[File], Table]] = {
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".npz": read_npz,
    ".npy": read_npy,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".feather": read_feather,
    ".arrow": read_feather,
    ".nc": read_netcdf,
    ".nc4": read_netcdf,
    ".netcdf": read_netcdf,
    ".h5": read_netcdf,
    ".obj": read_mesh,
    ".ply": read_mesh,
    ".stl": read_mesh,
    ".off": read_mesh,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".txt": read_csv,
}

_BY_START: tuple[tuple[bytes, Callable[[File], Table]], ...] = (
    (b"PAR1", read_parquet),
    (b"ARROW1", read_feather),
    (b"\x89HDF", read_netcdf),
    (b"CDF", read_netcdf),
    (b"\x93NUMPY", read_npy),
    (b"PK", read_npz),
)

_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"(\xb5/\xfd": "unzstd",
}

_FOREIGN = {
    ".xlsx": "a spreadsheet",
    ".xls": "a spreadsheet",
    ".ods": "a spreadsheet",
    ".rds": "an object of R",
    ".rdata": "a workspace of R",
    ".rda": "a workspace of R",
    ".sav": "a file of SPSS",
    ".dta": "a file of Stata",
    ".sas7bdat": "a file of SAS",
    ".mat": "a file of MATLAB",
    ".pkl": "a pickle, which can run any program when it is read",
    ".pickle": "a pickle, which can run any program when it is read",
}


def read_file(path: Path, *, large: int = LARGE) -> Table:
    """The table in the file `path`; from `large` bytes on its columns are kept on disk.

    Errors: `MercerError` M501 to M503, M411, and M42x of its format.
    """
    file = open_file(path, large)
    suffix = path.suffix.lower()
    for start, tool in _COMPRESSED.items():
        if file.head.startswith(start):
            fail("M421", f"{file.name} is compressed", mend=f"unpack it first: {tool} {path}")
    if suffix == ".mercer":
        fail("M421", f"{file.name} is a model, not data", mend="name the files of data behind it")
    if suffix in _FOREIGN:
        fail("M421", f"{file.name} is {_FOREIGN[suffix]}", mend="export it as CSV or Parquet")
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix](file)
    for start, read in _BY_START:
        if file.head.startswith(start):
            return read(file)
    return read_csv(file)
