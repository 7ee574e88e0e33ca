"""Named arrays turned into a file of the format that its name asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mercer.cli.exits import Usage, say


def write_dataset(path: Path, dataset: Any, suffix: str) -> None:
    """An xarray Dataset as NetCDF, NPZ, or CSV (a row for each row, if all share their dims)."""
    from mercer.dsl.whole import replace_whole
    from mercer.runtime.files import write_csv, write_npz

    if suffix == ".nc":
        with replace_whole(path) as temporary:
            dataset.to_netcdf(temporary, engine="h5netcdf")
    elif suffix == ".npz":
        write_npz(path, {name: np.asarray(values) for name, values in dataset.items()})
    else:
        columns, left = _columns(dataset)
        write_csv(path, columns)
        if left:
            say(f"not of this table: {', '.join(sorted(left))}; *.nc and *.npz hold everything")


def _columns(dataset: Any) -> tuple[dict[str, np.ndarray], list[str]]:
    """The columns of the longest index, vectors spread over several; the names that have no place.

    A table has one row for each entry of one index.
    """
    outer = [values.dims[0] for values in dataset.values() if values.dims]
    if not outer:
        return {name: np.atleast_1d(values) for name, values in dataset.items()}, []
    longest = max(outer, key=lambda dim: dataset.sizes[dim])
    columns: dict[str, np.ndarray] = {}
    left: list[str] = []
    if longest in dataset.coords:
        columns[longest] = np.asarray(dataset[longest])
    for name, values in dataset.items():
        if values.dims[:1] != (longest,):
            left.append(str(name))
            continue
        array = np.asarray(values).reshape(values.shape[0], -1)
        if values.ndim == 1:
            columns[name] = array[:, 0]
        else:
            columns.update({f"{name}.{i + 1}": array[:, i] for i in range(array.shape[1])})
    if not columns:
        raise Usage("this simulation is no table", mend="write it to *.nc or *.npz")
    return columns, left
