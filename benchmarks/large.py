"""Two million rows with labels, from a file to a fit and its predictions: seconds and peak memory.

A function of three inputs through 200 inducing points, a level for each of 100 groups by a text
label, Normal noise or counts; synthetic, of seed 0. The rows lie in a Parquet file, which the fit
reads in parts, keeping its columns on disk. In one process on at most two cores: peak of the
resident size as the kernel tells it, pages of files that the system keeps included; what Python,
JAX and Mercer take before any data are read is told apart. That the peak does not grow with the
rows is what the smaller file is for. The truth is known: root mean square error of the function and
of the levels, in units of the outcome (of the log rate for counts); the noise is 0.5.

    python benchmarks/large.py [--rows 2000000] [--outcome normal count] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GROUPS = 100
MODELS = {
    "normal": """
data x[n] : Real^d
data group[n] : Label(g)
data y[n] : Real
level[g] ~ Normal(0, 1)
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))
noise ~ HalfNormal(1)
y ~ Normal(level[group] + f(x), noise)
infer f by Inducing(count = 200)
""",
    "count": """
data x[n] : Real^d
data group[n] : Label(g)
data y[n] : Count
level[g] ~ Normal(0, 1)
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))
y ~ Poisson(exp(level[group] + f(x)))
infer f by Inducing(count = 200)
""",
}
NOISE = 0.5
PART = 250_000


def function(x: np.ndarray) -> np.ndarray:
    """What the rows are made of, beside levels and noise."""
    return np.sin(2 * x[:, 0]) + x[:, 1] * np.cos(x[:, 2])


def write(path: Path, rows: int, outcome: str) -> np.ndarray:
    """The file, a part of the rows at a time; gives the levels."""
    import pyarrow
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    levels = 0.5 * rng.normal(size=GROUPS)
    names = np.array([f"g{k:03d}" for k in range(GROUPS)])
    writer = None
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        x, code = rng.normal(size=(count, 3)), rng.integers(0, GROUPS, count)
        eta = function(x) + levels[code]
        y = eta + NOISE * rng.normal(size=count)
        y = y if outcome == "normal" else rng.poisson(np.exp(eta)).astype(float)
        columns = {f"x.{k + 1}": x[:, k] for k in range(3)}
        part = pyarrow.table(columns | {"group": names[code], "y": y})
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()
    return levels


def measure(path: Path, outcome: str, levels: np.ndarray) -> dict[str, float]:
    """A fit and predictions in this process."""
    import jax

    import mercer

    _ = jax.devices(), mercer.compile(MODELS[outcome]).plan()
    before = _resident("VmRSS")
    model = mercer.compile(MODELS[outcome])
    start, cpu = time.perf_counter(), time.process_time()
    fit = model.fit(path, seed=1, progress=False)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 3))
    start = time.perf_counter()
    found = fit.component("f", {"x": x}).means["f(x)"]
    predicting = time.perf_counter() - start
    peak = _resident("VmHWM")
    level = fit.idata["posterior"]["level"].mean(("chain", "draw")).values
    # A constant may be in the levels or in the function: what they add up to is compared.
    shift = np.mean(found - function(x))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "predicting": predicting,
        "before": before / 2**20,
        "peak": peak / 2**20,
        "steps": float(fit.diagnostics[0].split(" steps")[0].split()[-1]),
        "function": float(np.sqrt(np.mean((found - shift - function(x)) ** 2))),
        "levels": float(np.sqrt(np.mean((level + shift - levels) ** 2))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[200_000, 2_000_000])
    parser.add_argument("--outcome", nargs="*", choices=sorted(MODELS), default=["normal", "count"])
    parser.add_argument("--folder", help="where the file of the rows is made, else a temporary one")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        path, outcome = arguments.one
        levels = np.load(f"{path}.levels.npy")
        print(json.dumps(measure(Path(path), outcome, levels)))
        return
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores\n")
    print(
        "| outcome | rows | file, MB | steps | fit, s | CPU s | 2,000 predictions, s | before, MB "
        "| peak, MB | error of f | of the levels |"
    )
    print("|" + "---|" * 11)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for outcome in arguments.outcome:
            for rows in arguments.rows:
                path = Path(folder) / f"{outcome}_{rows}.parquet"
                np.save(f"{path}.levels.npy", write(path, rows, outcome))
                command = [sys.executable, __file__, "--one", str(path), outcome]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(done.stderr[-3000:])
                r = json.loads(done.stdout.splitlines()[-1])
                size = path.stat().st_size / 2**20
                print(
                    f"| {outcome} | {rows:,} | {size:.0f} | {r['steps']:.0f} | {r['seconds']:.0f} "
                    f"| {r['cpu']:.0f} | {r['predicting']:.1f} | {r['before']:.0f} "
                    f"| {r['peak']:.0f} | {r['function']:.3f} | {r['levels']:.3f} |",
                    flush=True,
                )
                path.unlink()


def _resident(field: str) -> int:
    """Bytes of the resident size now (VmRSS) or at its peak (VmHWM)."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
