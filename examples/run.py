"""Runs an example: its data, the commands that a person would type, and its pictures.

python -m examples.run NAME [FOLDER]     into FOLDER (out/NAME)
python -m examples.run --all             each; the first picture of each is kept in its folder
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import mercer
from examples import pictures
from examples.spec import Example, example, names
from mercer.cli import run as mercer_command
from mercer.runtime.data.readers import read_file

KEPT = "picture.png"


def main(words: list[str]) -> int:
    """Runs what the command line names; gives the exit code."""
    if words == ["--all"]:
        for name in names():
            print(f"\n=== {name}")
            if code := run(example(name), Path("out") / name, keep=True):
                return code
        return 0
    if not 1 <= len(words) <= 2 or words[0] not in names():
        print(__doc__, f"NAME is one of {', '.join(names())}.", sep="\n")
        return 2
    return run(example(words[0]), Path(words[1]) if words[1:] else Path("out") / words[0])


def run(chosen: Example, folder: Path, *, keep: bool = False, **fit: str | int) -> int:
    """The whole example; `fit` are options of `mercer fit` instead of its own."""
    start = time.monotonic()
    chosen.write_data(folder)
    data = [str(folder / name) for name in chosen.data]
    print(f"{chosen.title}. Rows: {', '.join(f'{Path(d).name} {_rows(d)}' for d in data)}.")
    posterior, forecast = folder / f"{chosen.name}.nc", folder / "forecast.csv"
    columns = [word for text in chosen.columns for word in ("--columns", text)]
    own = {**chosen.fit, **fit}
    options = [word for key, value in own.items() for word in (f"--{key}", str(value))]
    infer = [word for key in ("infer",) if key in own for word in (f"--{key}", str(own[key]))]
    commands = [
        ["explain", str(chosen.model), *data, *columns, *infer],
        ["fit", str(chosen.model), *data, *columns, *options, "-o", str(posterior)],
        ["summary", str(posterior)],
    ]
    if chosen.held_out:
        test = [str(folder / chosen.held_out), *columns]
        commands.append(["predict", str(posterior), *test, "-o", str(forecast)])
    commands.append(["plot", str(posterior), "-o", str(folder / "plots")])
    for command in commands:
        print("\n$ mercer " + " ".join(command), flush=True)
        if code := mercer_command(command):
            return code
    found = mercer.open(posterior)
    for number, settings in enumerate(chosen.pictures):
        path = folder / (settings.get("file") or f"{settings['kind']}.png")
        figure = pictures.draw(found, folder, settings)
        figure.savefig(path, dpi=150)
        if keep and number == 0:
            figure.savefig(chosen.folder / KEPT, dpi=85)
    print()
    if chosen.held_out:
        print(f"Held out: {_compared(pd.read_csv(folder / chosen.held_out), forecast)}")
    print(f"Took {time.monotonic() - start:.0f} s. The pictures are")
    for picture in sorted(folder.rglob("*.png")):
        print(f"  {picture}")
    return 0


def _rows(path: str) -> int:
    return max(len(np.asarray(column)) for column in read_file(Path(path)).columns.values())


def _compared(truth: pd.DataFrame, forecast: Path) -> str:
    """How a prediction fares against what was held out."""
    foretold = pd.read_csv(forecast)
    said = []
    for name in truth:
        if f"{name}.most_likely" in foretold:
            right = foretold[f"{name}.most_likely"].astype(str) == truth[name].astype(str)
            own = [foretold[f"{name}.p.{label}"][row] for row, label in enumerate(truth[name])]
            said.append(
                f"{100 * right.mean():.0f} % of {len(truth)} rows of {name} have the label that is "
                f"most likely; mean probability of the right one {np.mean(own):.2f}."
            )
        elif f"{name}.mean" in foretold:
            errors = foretold[f"{name}.mean"] - truth[name]
            low, high = foretold[f"{name}.q2.5"], foretold[f"{name}.q97.5"]
            inside = (truth[name] >= low) & (truth[name] <= high)
            said.append(
                f"{name}: RMSE {np.sqrt(np.mean(errors**2)):.2f}; the 95 % interval covers "
                f"{100 * inside.mean():.0f} % of {len(truth)} rows."
            )
    return " ".join(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
