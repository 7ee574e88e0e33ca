"""Posteriors of posteriordb, by Mercer: a table of means and sds against its reference draws.

    python benchmarks/posteriordb.py PATH [posterior ...]

PATH is a folder with a file POSTERIOR.json for each model of tests/models that is named:

    {"data": {"x": [...], ...}, "reference": {"rho": {"mean": ..., "sd": ...}, ...}}

with entries of vectors as `f[1]`, counted from 1. Every model is fitted by NUTS, 4 chains of 2000
draws. Exits with 1 where a mean is off by more than 0.1 of the reference's sd, or an sd by more
than 10 %: several times what the chance of 8,000 and of 10,000 draws explains.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).resolve().parents[1] / "tests" / "models"
POSTERIORS = ("gp_regr", "gp_pois_regr", "eight_schools", "kidscore", "logearn_interaction")
VARIABLES: dict[str, dict[str, str | tuple[str, ...]]] = {
    "gp_pois_regr": {"f": "f(x)"},
    "kidscore": {"beta": ("b0", "b_hs", "b_iq")},
    "logearn_interaction": {"beta": ("b0", "b_height", "b_male", "b_both")},
}
"""Where the model's word differs: the variable of a vector, or the variables of its entries."""
MEAN_OFF, SD_OFF = 0.1, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="folder with the reference files")
    parser.add_argument("posterior", nargs="*", default=POSTERIORS)
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows, is_off = [], False
    for name in arguments.posterior:
        reference = json.loads((arguments.path / f"{name}.json").read_text(encoding="utf-8"))
        start = time.perf_counter()
        posterior = fitted(name, reference["data"], arguments)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        for parameter, known in reference["reference"].items():
            draws = draws_of(posterior, name, parameter)
            shift = (draws.mean() - known["mean"]) / known["sd"]
            ratio = draws.std(ddof=1) / known["sd"]
            passes = abs(shift) <= MEAN_OFF and abs(ratio - 1) <= SD_OFF
            is_off |= not passes
            word = "" if passes else "off"
            rows.append(f"| {name} | {parameter} | {shift:+.3f} | {ratio:.3f} | {word} |")
    print("| posterior | parameter | mean, off by reference sds | sd / reference sd | |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))
    sys.exit(1 if is_off else 0)


def fitted(name: str, data: dict[str, Any], arguments: argparse.Namespace) -> Any:
    """The posterior group of the model `name`."""
    import mercer

    fit = mercer.load(MODELS / f"{name}.mercer").fit(
        {key: np.asarray(value, float) for key, value in data.items()},
        "nuts",
        chains=4,
        warmup=arguments.warmup,
        draws=arguments.draws,
        seed=arguments.seed,
        progress=False,
    )
    return fit.idata["posterior"]


def draws_of(posterior: Any, name: str, parameter: str) -> np.ndarray:
    """All draws of `rho` or of an entry `f[1]` of the reference, flat."""
    stem, number = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", parameter).groups()
    word = VARIABLES.get(name, {}).get(stem, stem)
    if isinstance(word, tuple):
        return posterior[word[int(number) - 1]].values.reshape(-1)
    at = () if number is None else (int(number) - 1,)
    return posterior[word].values[(slice(None), slice(None), *at)].reshape(-1)


if __name__ == "__main__":
    main()
