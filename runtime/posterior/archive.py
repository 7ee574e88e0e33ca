"""A fit turned into one NetCDF file and back: model text, data, draws, seeds, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.whole import replace_whole, reserve
from mercer.runtime.data.columns import counted
from mercer.runtime.methods.density import arguments_of
from mercer.runtime.methods.draws import Draws
from mercer.runtime.posterior.containers import container, group_names
from mercer.runtime.posterior.fit import Fit

FORMAT = 1
_OWN = "mercer_"
_OVERHEAD = 8192
"""Bytes for each variable beside its values: HDF5 took 1,800 to 3,300, all of its own included, in
five fits of 20 to 85 variables, and another version of it may take more."""


def save_fit(fit: Fit, path: str | Path) -> Path:
    """Writes the whole file beside its place, then moves it there: no half-written fit is left."""
    path = Path(path)
    groups = {name: fit.idata[name] for name in group_names(fit.idata)}
    groups = {n: g.to_dataset() if hasattr(g, "to_dataset") else g for n, g in groups.items()}
    groups[f"{_OWN}sampled"] = _plain(fit.sampled.values)
    groups[f"{_OWN}data"] = _plain(fit.bound.arrays)
    if fit.learned:
        groups[f"{_OWN}learned"] = _plain(fit.learned)
    numbered = fit.bound.numbered
    header = {
        "format": FORMAT,
        "model_source": fit.model_source,
        "plan_text": fit.plan_text,
        "settings": dict(fit.settings),
        "diagnostics": list(fit.diagnostics),
        "sampled": list(fit.sampled.values),
        "data": list(fit.bound.arrays),
        "learned": list(fit.learned),
        "groups": list(groups),
        # The numbers of rows are as many as the rows, which may be millions: their count says all.
        "labels": {k: _labels_out(v) for k, v in fit.bound.labels.items() if k not in numbered},
        "sizes": {k: int(v) for k, v in fit.bound.sizes.items()},
        "codes": {
            k: np.asarray(v).tolist() for k, v in fit.bound.codes.items() if k not in numbered
        },
        "numbered": sorted(numbered),
        "rows": {k: len(fit.bound.labels[k]) for k in sorted(numbered)},
        "dated": sorted(fit.bound.dated),
        "columns": {k: list(v) for k, v in fit.bound.columns.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_whole(path) as temporary:
        reserve(temporary, _size(groups.values(), header))
        xr.Dataset(attrs={"mercer": json.dumps(header)}).to_netcdf(
            temporary, mode="w", engine="h5netcdf"
        )
        for group, values in groups.items():
            _storable(values).to_netcdf(temporary, mode="a", group=_slug(group), engine="h5netcdf")
    return path


def _size(groups: Iterable[xr.Dataset], header: Mapping[str, Any]) -> int:
    """Bytes that the file will have, or somewhat more."""
    variables = [variable for group in groups for variable in group.variables.values()]
    values = sum(v.nbytes if v.dtype != object else 64 * v.size for v in variables)
    return values + _OVERHEAD * len(variables) + len(json.dumps(header))


def open_fit(
    path: str | Path,
    *,
    compile: Callable[[str, Mapping[str, Any], Mapping[str, int]], tuple[ModuleType, Any]],
    bind: Callable[[Any, Any], Any] | None = None,
) -> Fit:
    """The fit in a file.

    `compile(model_source, settings, sizes)` gives the program again, and `bound_of(arrays,
    header)`, which makes the `Bound` of the data kept in the file.
    """
    header, groups = _read(Path(path))
    program, bound_of = compile(header["model_source"], header["settings"], header["sizes"])
    arrays = {name: groups[f"{_OWN}data"][f"v{i}"].values for i, name in enumerate(header["data"])}
    rows = {k: counted(size) for k, size in header.get("rows", {}).items()}
    bound = bound_of(
        arrays=arrays,
        labels={**rows, **{k: _labels_in(v) for k, v in header["labels"].items()}},
        sizes=header["sizes"],
        codes={**rows, **{k: np.asarray(v, int) for k, v in header["codes"].items()}},
        numbered=frozenset(header["numbered"]),
        dated=frozenset(header.get("dated", ())),
        columns={k: tuple(v) for k, v in header.get("columns", {}).items()},
    )
    settings = header["settings"]
    sampled = {n: groups[f"{_OWN}sampled"][f"v{i}"].values for i, n in enumerate(header["sampled"])}
    learned = {
        n: groups[f"{_OWN}learned"][f"v{i}"].values for i, n in enumerate(header.get("learned", []))
    }
    arguments = arguments_of(program, bound)
    taken = {n: jnp.asarray(v) for n, v in learned.items()}
    shown = {k: v for k, v in groups.items() if not k.startswith(_OWN)}
    return Fit(
        idata=container(shown),
        program=program,
        bound=bound,
        arguments=replace(arguments, arrays={**arguments.arrays, **taken}),
        sampled=Draws(sampled, settings["chains"], settings["draws"]),
        settings=settings,
        diagnostics=tuple(header["diagnostics"]),
        learned=learned,
        bind=bind,
        model_source=header["model_source"],
        plan_text=header["plan_text"],
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    if not path.exists():
        raise MercerError([Diagnostic("M501", f"there is no file {path}")])
    if path.is_dir():
        raise MercerError([Diagnostic("M502", f"{path} is a folder", mend="name a fit in it")])
    try:
        with xr.open_dataset(path, engine="h5netcdf") as top:
            text = top.attrs.get("mercer")
        if text is None:
            problem = f"{path} is not a fit of Mercer"
            mend = "name a file that `fit.save` or `mercer fit -o` wrote"
            raise MercerError([Diagnostic("M507", problem, mend=mend)])
        header = json.loads(text)
        if header["format"] > FORMAT:
            problem = f"{path} was written by a newer Mercer"
            raise MercerError([Diagnostic("M508", problem, mend="update Mercer")])
        groups = {}
        for group in header["groups"]:
            with xr.open_dataset(path, engine="h5netcdf", group=_slug(group)) as found:
                groups[group] = _unstored(found.load())
    except MercerError:
        raise
    except Exception as error:
        problem = f"{path} cannot be read as a fit"
        why = "it is damaged, cut short, or no NetCDF file"
        raise MercerError([Diagnostic("M507", problem, why=why)]) from error
    return header, groups


def _plain(values: Mapping[str, Any]) -> xr.Dataset:
    """Arrays without names that NetCDF could refuse."""
    return xr.Dataset(
        {
            f"v{i}": (tuple(f"d{i}_{j}" for j in range(np.ndim(v))), np.asarray(v))
            for i, v in enumerate(values.values())
        }
    )


def _storable(values: xr.Dataset) -> xr.Dataset:
    """Names of a model as attributes: `f(x)/z` and `k'` are no names of NetCDF."""
    renamed, names = {}, {}
    for i, name in enumerate(
        [*values.variables, *(d for d in values.dims if d not in values.variables)]
    ):
        renamed[name] = f"v{i}"
        names[f"v{i}"] = str(name)
    result = values.rename(renamed)
    result.attrs = {"names": json.dumps(names), "attributes": json.dumps(dict(values.attrs))}
    for variable in result.variables.values():
        variable.encoding = {"_FillValue": None} if variable.dtype.kind == "f" else {}
        if variable.dtype == bool:
            variable.attrs["is_bool"] = 1
    return result


def _unstored(values: xr.Dataset) -> xr.Dataset:
    names = json.loads(values.attrs.get("names", "{}"))
    result = values.rename(
        {k: v for k, v in names.items() if k in values.variables or k in values.dims}
    )
    result.attrs = json.loads(values.attrs.get("attributes", "{}"))
    return result


def _labels_out(labels: Any) -> list[Any]:
    return np.asarray(labels).tolist()


def _labels_in(labels: list[Any]) -> np.ndarray:
    return (
        np.asarray(labels, dtype=object)
        if any(isinstance(x, str) for x in labels)
        else np.asarray(labels)
    )


def _slug(group: str) -> str:
    return group.replace("/", "_")
