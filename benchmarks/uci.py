"""Regression sets of UCI: what deep processes and kernel machines say of rows that were held out.

A folder has `boston.npz`, `concrete.npz`, `energy.npz`, `yacht.npz`, each with `x` [n, d], `y` [n]
and `test` [splits, m], the rows of each split that are held out. Inputs and outcome are
standardised with the other rows of the split. Every model has 50 inducing points for each function,
one lengthscale for each input and the same priors everywhere; nothing is tuned by set. Log
densities of a held-out row, in the units of the set, and root mean square errors; means and
standard errors over splits.

    python benchmarks/uci.py run FOLDER ROWS.jsonl [--sets ...] [--models ...] [--splits 5]
    python benchmarks/uci.py table ROWS.jsonl

`run` adds a line to ROWS.jsonl as each fit is done, and leaves out what is there: what was cut off
goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SETS = ("yacht", "energy", "boston", "concrete")

_NOISE = "noise ~ LogNormal(-2, 2)"
_DATA = f"data x[n] : Real^d\ndata y[n] : Real\n{_NOISE}\n"
_FIRST = "RBF(lengthscale[d] ~ LogNormal(1, 1), scale ~ LogNormal(0, 1))"
_BATCHES = "infer SVI(batch = 256, samples = 3, rate = 0.02, steps = 2000)\n"


def _deep(layers: int) -> str:
    inside, text = "x", _DATA
    for number in range(1, layers):
        text += f"h{number} : Real^d -> Real^d ~ GP({_FIRST}, mean = Identity())\n"
        text += f"infer h{number} by Inducing(count = 50)\n"
        inside = f"h{number}({inside})"
    text += f"f : Real^d -> Real ~ GP({_FIRST})\ninfer f by Inducing(count = 50)\n"
    return f"{text}y ~ Normal(f({inside}), noise)\n{_BATCHES}"


def _machine(nu: str) -> str:
    return (
        f"{_DATA}h : Real^d -> Real^inf ~ GP(RBF(lengthscale[d] ~ LogNormal(1, 1)), nu = {nu})\n"
        "f : Real^inf -> Real ~ GP(RBF(lengthscale ~ LogNormal(0, 1), scale ~ LogNormal(0, 1)))\n"
        "y ~ Normal(f(h(x)), noise)\ninfer h by Inducing(count = 50)\ninfer MAP(restarts = 1)\n"
    )


NUS = ("0.1", "1", "10", "100", "inf")
MODELS = {
    "sparse process": (
        f"{_DATA}f : Real^d -> Real ~ GP({_FIRST})\ny ~ Normal(f(x), noise)\n"
        "infer f by Inducing(count = 50)\ninfer MAP(restarts = 1)\n"
    ),
    "2 layers": _deep(2),
    "3 layers": _deep(3),
    **{f"machine, nu = {nu}": _machine(nu) for nu in NUS},
    "machine, nu chosen": _machine(f"[{', '.join(NUS)}]"),
}

PUBLISHED = {
    "boston": (-2.408, 2.625),
    "concrete": (-3.175, 5.955),
    "energy": (-0.721, 0.486),
    "yacht": (-0.458, 0.476),
}
"""Deep process of two layers: log density, root mean square error ("bayesian benchmarks")."""


def split_of(path: Path, split: int) -> dict[str, Any]:
    """Standardised rows, held-out rows, and the scale of the outcome."""
    found = np.load(path)
    x, y, tested = found["x"], found["y"].reshape(-1), found["test"][split]
    own = np.setdiff1d(np.arange(len(x)), tested)
    spread = x[own].std(axis=0)
    x = (x - x[own].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    scale = float(y[own].std())
    y = (y - y[own].mean()) / scale
    rows = {"x": x[own], "y": y[own]}
    return {"rows": rows, "new": {"x": x[tested]}, "target": y[tested], "scale": scale}


def measured(text: str, part: dict[str, Any], seed: int) -> dict[str, Any]:
    """One fit, and what it says of the held-out rows."""
    import mercer

    start = time.process_time()
    fit = mercer.compile(text).fit(part["rows"], seed=seed, draws=25, progress=False)
    found = fit.predict(part["new"])
    mean, sd = found.normals["y"]
    each = -0.5 * ((part["target"] - mean) / sd) ** 2 - np.log(sd * math.sqrt(2 * math.pi))
    most = each.max(axis=0)
    density = np.mean(most + np.log(np.mean(np.exp(each - most), axis=0)))
    error = np.sqrt(np.mean((found.means["y"] - part["target"]) ** 2))
    said = [note for note in fit.diagnostics if "chosen" in note]
    return {
        "density": float(density) - math.log(part["scale"]),
        "error": float(error) * part["scale"],
        "seconds": round(time.process_time() - start, 1),
        "said": " ".join(said),
    }


def run(folder: Path, path: Path, arguments: argparse.Namespace) -> None:
    done = {(r["set"], r["model"], r["split"]) for r in rows_of(path)}
    for name in arguments.sets:
        for model in arguments.models:
            for split in range(arguments.splits):
                if (name, model, split) in done:
                    continue
                found = measured(MODELS[model], split_of(folder / f"{name}.npz", split), split)
                row = {"set": name, "model": model, "split": split, **found}
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of results."""
    if path.exists():
        yield from map(json.loads, path.read_text().splitlines())


def table(path: Path) -> None:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows_of(path):
        found.setdefault((row["set"], row["model"]), []).append(row)
    sets = [name for name in SETS if any(key[0] == name for key in found)]
    for word, at in (("density", 0), ("error", 1)):
        print(f"\n| {word} | " + " | ".join(sets) + " |\n|" + "---|" * (1 + len(sets)))
        for model in MODELS:
            cells = [_cell([r[word] for r in found.get((name, model), [])]) for name in sets]
            print(f"| {model} | " + " | ".join(cells) + " |")
        published = [f"{PUBLISHED[name][at]}" for name in sets]
        print("| published, 2 layers | " + " | ".join(published) + " |")


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    splits = "" if len(values) == 5 else f", {len(values)} splits"
    return f"{np.mean(values):.3f} ({error:.3f}{splits})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    running = kinds.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("rows", type=Path)
    running.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    running.add_argument("--models", nargs="*", choices=list(MODELS), default=list(MODELS))
    running.add_argument("--splits", type=int, default=5)
    kinds.add_parser("table").add_argument("rows", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "table":
        table(arguments.rows)
    else:
        run(arguments.folder, arguments.rows, arguments)


if __name__ == "__main__":
    main()
