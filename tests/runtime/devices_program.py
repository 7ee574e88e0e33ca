"""Fits on one device and on all that there are, in one process: `python devices_program.py`, by a
test. Prints for each fit how far its values are apart, relative to their size."""

import json

import jax
import numpy as np

import mercer
from mercer.runtime import devices
from mercer.runtime.run import run

PROCESS = """data x[n], y[n] : Real
f ~ GP(RBF())
noise ~ HalfNormal(1)
y ~ Normal(f(x), noise)
infer NUTS()
"""
COUNTS = """data x[n] : Real
data group[n] : Label(g)
data y[n] : Count
f : Real -> Real ~ GP(RBF())
level[g] ~ Normal(0, 1)
y ~ Poisson(exp(f(x) + level[group]))
infer f by Inducing(count = 8)
infer SVI(batch = 33, steps = 60)
"""
LAYERS = """data image[n] : Image(6, 6)
data kind[n] : Label(class)
lift : Image(6, 6) -> Field(SO(2), 2) ~ Equivariant(samples = 3, hidden = [3])
head : Real^2 -> Real^class ~ Linear()
kind ~ Categorical(logits = image |> lift |> relu |> pool |> head)
infer MAP(epochs = 1, batch = 12)
"""
TINY = 1e-300  # for what is zero
ALL = 10**9
"""Rows of a device at least, so that one takes all."""


def apart(one: dict, all_: dict) -> float:
    return max(
        float(np.max(np.abs(one[name] - all_[name])) / (np.max(np.abs(one[name])) + TINY))
        for name in one
    )


def values(model: mercer.Model, data: dict, least: int) -> tuple[dict, list[str]]:
    devices.LEAST = devices.LEAST_TRAINED = least
    fit = model.fit(data, seed=1, draws=5, chains=2, progress=False)
    told = [line for line in model.explain(data).splitlines() if line.startswith("Devices")]
    return dict(fit.sampled.values), told


def main() -> None:
    rng = np.random.default_rng(0)
    found, told = {}, {}
    x = np.sort(rng.uniform(0, 5, 20))
    data = {"x": x, "y": np.sin(x) + 0.1 * rng.normal(size=20)}
    model = mercer.compile(PROCESS)
    bound, program = model.bind(data), model.program()
    three = [
        run(program, bound, chain_method=method, chains=3, warmup=8, draws=5, progress=False)
        for method in ("sequential", None)
    ]
    found["chains"] = apart(*(dict(fit.sampled.values) for fit in three))
    told["chains"] = model.explain(data).splitlines()
    x = rng.uniform(0, 5, 100)
    group = np.array(["a", "b", "c"])[rng.integers(0, 3, 100)]
    counts = {"x": x, "group": group, "y": rng.poisson(np.exp(np.sin(x)))}
    images = {"image": rng.normal(size=(24, 6, 6)), "kind": np.array(["u", "v"] * 12)}
    for name, text, data in (("batches", COUNTS, counts), ("training", LAYERS, images)):
        model = mercer.compile(text)
        (one, _), (every, said) = (values(model, data, least) for least in (ALL, 2))
        found[name], told[name] = apart(one, every), said
    print(json.dumps([jax.device_count(), found, told]))


if __name__ == "__main__":
    main()
