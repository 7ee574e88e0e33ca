"""Binding a large file: time, and by how much the process grows at its peak.

    python benchmarks/binding.py [2000000 10000000] [--formats csv parquet npz nc] [--whole]

Three columns of normal numbers and one of 1000 labels, written block by block into a temporary
folder (TMPDIR). Each file is bound in a fresh process, libraries loaded before; the growth is that
of the resident size at its peak. `--whole` reads the file into memory instead of in chunks.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TEXT = """data a[n], b[n] : Real
data site[n] : Label(s)
data y[n] : Real
r[s] ~ Normal(0, 1)
y ~ Normal(a + b + r[site], 1)
"""
BLOCK = 500_000


def write(path: Path, rows: int) -> None:
    """The file, in the format of its suffix; only NPZ and NetCDF are in memory as a whole."""
    if path.suffix in (".npz", ".nc"):
        blocks = list(tables(rows))
        arrays = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        arrays["site"] = arrays["site"].astype("S8")
        if path.suffix == ".npz":
            np.savez(path, **arrays)
            return
        import xarray as xr

        xr.Dataset({k: ("n", v) for k, v in arrays.items()}).to_netcdf(path, engine="h5netcdf")
    elif path.suffix == ".csv":
        with path.open("w") as out:
            for number, table in enumerate(tables(rows)):
                table.to_csv(out, index=False, header=number == 0, float_format="%.8g")
    else:
        import pyarrow as pa
        from pyarrow import parquet

        writer: Any = None
        for table in tables(rows):
            block = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or parquet.ParquetWriter(path, block.schema)
            writer.write_table(block)
        writer.close()


def tables(rows: int) -> Any:
    random = np.random.default_rng(0)
    names = np.array([f"site{i:04d}" for i in range(1000)])
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        numbers = {name: random.normal(size=count) for name in ("a", "b", "y")}
        yield pd.DataFrame({**numbers, "site": names[random.integers(0, 1000, count)]})


def measure(path: Path, *, whole: bool) -> dict[str, float]:
    """Seconds and MB of growth of binding `path`, in this process."""
    for library in ("h5netcdf", "xarray", "pyarrow.parquet"):
        importlib.import_module(library)
    from mercer.model import Model
    from mercer.needs import needs_of
    from mercer.runtime.data.bind import bind
    from mercer.runtime.data.readers import read_file

    needs = needs_of(Model.from_text(TEXT).typed)
    bind(needs, {"a": [1, 2], "b": [1, 2], "site": ["x", "y"], "y": [1, 2]})
    before, start = peak(), time.perf_counter()
    bind(needs, [read_file(path, **({"large": sys.maxsize} if whole else {}))]).describe()
    return {"seconds": time.perf_counter() - start, "growth": peak() - before}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", type=int, default=[2_000_000, 10_000_000])
    parser.add_argument("--formats", nargs="*", default=["csv", "parquet", "npz", "nc"])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, whole=given.whole)))
        return
    print("| file | rows | size, MB | s | growth, MB |\n|---|---|---|---|---|")
    for suffix in given.formats:
        for rows in given.rows:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"data.{suffix}"
                write(path, rows)
                command = [sys.executable, __file__, "--one", str(path)]
                command += ["--whole"] if given.whole else []
                found = json.loads(subprocess.check_output(command, text=True))
                size = path.stat().st_size / 2**20
                print(
                    f"| {suffix} | {rows:,} | {size:.0f} | {found['seconds']:.1f} "
                    f"| {found['growth']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
