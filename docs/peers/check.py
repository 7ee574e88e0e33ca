"""Runs the programs of other libraries that the documentation shows, on data made here.

    python docs/peers/check.py [NAME...]

in an environment with `"jax<0.11" gpjax gpytorch pymc`; NAME picks files, such as `counts_pymc`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def made() -> dict[str, Any]:
    """The arrays that the programs expect: a sine under noise, counts about its exponential."""
    import numpy as np

    random = np.random.default_rng(0)
    x = np.linspace(-10.0, 10.0, 30)
    return {
        "x": x,
        "x_new": np.linspace(-11.0, 11.0, 5),
        "y": 2.0 * np.sin(x / 3.0) + 0.3 * random.normal(size=x.size),
        "k": random.poisson(np.exp(1.0 + np.sin(x / 3.0))).astype(float),
        "school": list("ABCDEFGH"),
        "sigma": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
    }


def main(wanted: list[str]) -> int:
    """Runs what is wanted, or everything; gives the number of programs that fail."""
    failed = 0
    for path in sorted(HERE.glob("*_*.py")):
        if wanted and path.stem not in wanted:
            continue
        names = made()
        if path.stem.startswith("schools"):
            names["y"] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]
        start = time.monotonic()
        try:
            exec(compile(path.read_text(), str(path), "exec"), {"__name__": "peer", **names})
        except Exception as error:
            failed += 1
            print(f"{path.stem}: {type(error).__name__}: {error}")
        else:
            print(f"{path.stem}: runs, {time.monotonic() - start:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
