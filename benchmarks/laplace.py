"""Laplace's approximation of functions under counts and classes, against NUTS over their values.

    python benchmarks/laplace.py

Both fits sample the hyperparameters by NUTS, 4 chains of 1,000 draws. A row gives how far a mean is
off in standard deviations of the sampled posterior, and the ratio of standard deviations; of the
values of the function the largest of each, over the rows.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

TEXT = """data x[n] : Real
data y[n] : {space}
rho ~ LogNormal(0, 0.5)
alpha ~ HalfNormal(2)
f ~ GP(RBF(lengthscale = rho, scale = alpha))
y ~ {law}
"""


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name: a model and data drawn from a sine."""
    rng = np.random.default_rng(2)
    x = np.linspace(-3, 3, 60)
    yes = rng.random(60) < 1 / (1 + np.exp(-2 * np.sin(2 * x)))
    counts = rng.poisson(np.exp(1 + np.sin(2 * x)))
    classes = TEXT.format(space="Bool", law="Bernoulli(logits = f(x))")
    rates = TEXT.format(space="Count", law="Poisson(exp(f(x)))")
    return {
        "60 counts": (rates, {"x": x, "y": counts.astype(float)}),
        "60 yes or no": (classes, {"x": x, "y": yes.astype(float)}),
    }


def main() -> None:
    import mercer

    print("| data | unknown | mean, off by sds | sd / sampled sd | seconds, sampled and Laplace |")
    print("|---|---|---|---|---|")
    for name, (text, data) in cases().items():
        found, seconds = [], []
        for line in ("", "infer f by Laplace()\n"):
            start = time.perf_counter()
            fit = mercer.compile(text + line).fit(data, "nuts", draws=1000, seed=1, progress=False)
            seconds.append(time.perf_counter() - start)
            found.append(fit.idata["posterior"])
            print(f"{name}: {seconds[-1]:.0f} s", file=sys.stderr, flush=True)
        for unknown in ("rho", "alpha", "f(x)"):
            sampled, about = (p[unknown].values.reshape(4000, -1) for p in found)
            spread = sampled.std(axis=0)
            shift = (about.mean(axis=0) - sampled.mean(axis=0)) / spread
            ratio = about.std(axis=0) / spread
            worst, wide = np.argmax(np.abs(shift)), np.argmax(np.abs(np.log(ratio)))
            time_ = f"{seconds[0]:.0f}, {seconds[1]:.0f}" if unknown == "rho" else ""
            print(f"| {name} | {unknown} | {shift[worst]:+.2f} | {ratio[wide]:.2f} | {time_} |")


if __name__ == "__main__":
    main()
