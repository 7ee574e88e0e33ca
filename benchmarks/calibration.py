"""How far the approximate engines can be trusted: ranks, coverage, and widths beside NUTS.

Small models, where the truth can be had. Unknowns and data are drawn from the prior of a model and
fitted, again and again (`mercer recover`): how often intervals of 50 and 90 % hold the truth, and
the chance of ranks at least so uneven (chi-square), had they been uniform. Then some of the data
sets are fitted by NUTS too, on the exact density or on all whitened values: standard deviations of
an engine over those of NUTS, their geometric mean.

    python benchmarks/calibration.py [--engines SVI ...] [--simulations 100] [--beside 4]

With `--folder DIR` what is simulated is kept there, and a broken run goes on from it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import mercer

ROWS = 40
NORMAL = """
data x[n], y[n] : Real
lengthscale ~ LogNormal(0, 0.5)
scale ~ HalfNormal(1)
noise ~ HalfNormal(0.5)
f : Real -> Real ~ GP(Matern52(lengthscale = lengthscale, scale = scale))
y ~ Normal(f(x), noise)
"""
COUNTS = """
data x[n] : Real
data k[n] : Count
level ~ Normal(1, 0.5)
lengthscale ~ LogNormal(0, 0.5)
scale ~ HalfNormal(1)
f : Real -> Real ~ GP(Matern52(lengthscale = lengthscale, scale = scale))
k ~ Poisson(exp(level + f(x)))
"""
BATCHES = "infer f by Inducing(count = 20)\ninfer SVI(batch = 20)\n"
ENGINES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Normal, SVI in batches": (NORMAL + BATCHES, NORMAL, {"infer": "auto"}),
    "Normal, mode (MAP)": (NORMAL, NORMAL, {"infer": "map"}),
    "counts, SVI in batches": (COUNTS + BATCHES, COUNTS, {"infer": "auto"}),
    "counts, CVI and NUTS": (COUNTS + "infer f by CVI()\n", COUNTS, {"infer": "nuts"}),
    "counts, Laplace and NUTS": (COUNTS + "infer f by Laplace()\n", COUNTS, {"infer": "nuts"}),
}
UNKNOWNS = ("level", "lengthscale", "scale", "noise", "f(x)")


def widths(text: str, exact: str, settings: dict[str, Any], data: list[Any]) -> dict[str, float]:
    """Geometric means of sds over those of NUTS, by unknown."""
    ratios: dict[str, list[float]] = {}
    for seed, own in enumerate(data):
        found = [
            mercer.compile(model).fit(own, seed=seed, progress=False, **chosen)
            for model, chosen in ((text, settings), (exact, {"infer": "nuts"}))
        ]
        for name in UNKNOWNS:
            if name not in found[0].idata["posterior"]:
                continue
            sds = [np.std(fit.idata["posterior"][name].values, axis=(0, 1)) for fit in found]
            ratios.setdefault(name, []).append(float(np.mean(np.log(sds[0] / sds[1]))))
    return {name: float(np.exp(np.mean(values))) for name, values in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="*", default=[], help="parts of their names")
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--beside", type=int, default=4, help="data sets fitted by NUTS too")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    print("| engine | unknown | in 50 % | in 90 % | chance of the ranks | sd over that of NUTS |")
    print("|" + "---|" * 6)
    x = np.linspace(-3.0, 3.0, ROWS)
    for engine, (text, exact, settings) in ENGINES.items():
        wanted = arguments.engines
        if wanted and not any(word.lower() in engine.lower() for word in wanted):
            continue
        start = time.process_time()
        path = arguments.folder and arguments.folder / f"{''.join(filter(str.isalnum, engine))}.nc"
        found = mercer.compile(text).recover(
            {"x": x},
            simulations=arguments.simulations,
            seed=1,
            path=path,
            progress=False,
            **settings,
        )
        outcome = "y" if "y" in exact.split("\n")[1] else "k"
        data = [
            {"x": x, outcome: mercer.compile(exact).simulate({"x": x}, seed=s)[outcome].values}
            for s in range(arguments.beside)
        ]
        beside = widths(text, exact, settings, data)
        table = found.table()
        for name, row in table.iterrows():
            ratio = beside.get(str(name).split("[")[0])
            cells = [f"{row['in 50 %']:.2f}", f"{row['in 90 %']:.2f}", f"{row.iloc[0]:.2g}"]
            cells.append("" if ratio is None else f"{ratio:.2f}")
            print(f"| {engine} | {name} | {' | '.join(cells)} |", flush=True)
        print(f"{engine}: {time.process_time() - start:.0f} CPU s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
