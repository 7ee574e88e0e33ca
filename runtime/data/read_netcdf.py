"""NetCDF turned into a `Table`: variables by name, what the file calls their axes kept.

xarray decodes scales, missing values and times as the file's attributes say. Of a large file only
the variables that a model asks for are read, by blocks along their first axis.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Literal

import xarray as xr

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.data.columns import ROWS, Column, Lazy, gather
from mercer.runtime.data.datafile import File, fail
from mercer.runtime.data.frames import Table, array, dims_of

_Engine = Literal["h5netcdf", "scipy"]


def read_netcdf(file: File) -> Table:
    """The variables of a NetCDF file (version 3 or 4). Errors: M425, M411."""
    engine: _Engine = "scipy" if file.head.startswith(b"CDF") else "h5netcdf"
    try:
        source: Any = file.path if file.is_on_disk else io.BytesIO(file.content())
        opened = xr.open_dataset(source, engine=engine)
    except Exception as error:  # every layer below has exceptions of its own
        raise _damaged(file, error) from error
    if "mercer" in opened.attrs:
        opened.close()
        fail("M425", f"{file.name} is a fit, not data", mend="its data are in the fit already")
    if not opened.variables:
        opened.close()
        fail("M411", f"{file.name} holds no variables")

    def read(name: str) -> Any:
        try:
            variable = opened.variables[name]
            if not file.is_large or variable.ndim == 0:
                return array(variable.values)
            return gather({name: part} for part in _blocks(variable))[name]
        except MercerError:
            raise
        except Exception as error:
            raise _damaged(file, error) from error

    names = [str(name) for name in opened.variables]
    columns = Lazy(names, read)
    if not file.is_large:
        found = {name: columns[name] for name in names}
        opened.close()
        return Table(file.name, found, is_frame=False, dims=dims_of(opened))
    return Table(file.name, columns, is_frame=False, dims=dims_of(opened))


def _blocks(variable: Any) -> Iterator[Column]:
    width = max(variable.size // max(variable.shape[0], 1), 1)
    rows = max(ROWS // width, 1)
    for start in range(0, variable.shape[0], rows):
        yield array(variable[start : start + rows].values)


def _damaged(file: File, error: Exception) -> MercerError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "calendar" in said or "cftime" in said:
        why = "its times are of a calendar that pandas does not have"
        mend = "write them as numbers, or as dates of the common calendar"
        return MercerError([Diagnostic("M425", f"{file.name} cannot be read", why=why, mend=mend)])
    problem = f"{file.name} is not a NetCDF file, or a damaged one"
    return MercerError([Diagnostic("M425", problem, mend="write it with xarray's to_netcdf")])
