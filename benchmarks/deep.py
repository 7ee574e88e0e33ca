"""A deep Gaussian process beside GPyTorch's, and what a kernel machine costs by its rows.

`speed`: two layers, 8 inputs, 8 functions inside, 100 inducing points for each layer, batches of
256 rows, 10 draws of the inner layer a step, Adam at 0.01, float64, one thread, at the size of
kin8nm (8,192 rows with 8 inputs; the set itself where its file is given, else a function of the
same size), of which the first of its splits is held out. Both start at the same inducing points,
lengthscales sqrt(8), scales 1, noise 0.3, the inner law at a variance of 1e-5 about the identity.
Steps a second of CPU time by the median step, compilation apart; the density of a held-out row, by
50 draws of the layers, after CPU seconds of steps; and the seconds to densities on the way.
GPyTorch in its own default, float32, is there too.

`rows`: seconds of a pass over 10^3 to 10^5 rows of a sparse kernel machine with 100 inducing
points, batches of 250 rows, compilation apart.

    python benchmarks/deep.py speed [--data kin8nm.npz] [--peers-python PATH] [--seconds 100]
    python benchmarks/deep.py rows [1000 10000 100000]

PATH is the Python of an environment made by `pip install torch gpytorch`; the file holds `x`, `y`
and in `test` the rows of each split that are held out.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"  # before NumPy, XLA and Torch start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])

import argparse
import json
import math
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

N, D, M, BATCH, SAMPLES, DRAWS = 8192, 8, 100, 256, 10, 50
START = {"lengthscale": math.sqrt(D), "scale": 1.0, "noise": 0.3}
INNER_VARIANCE = 1e-5
RATE = 0.01  # of Adam, for both
EVERY = 2.0  # CPU seconds between two looks at what is held out

_KERNEL = "RBF(lengthscale[d] ~ LogNormal(0, 2), scale ~ LogNormal(0, 2))"
DEEP = f"""
data x[n] : Real^d
data y[n] : Real
h : Real^d -> Real^d ~ GP({_KERNEL}, mean = Identity())
f : Real^d -> Real ~ GP({_KERNEL})
noise ~ LogNormal(0, 2)
y ~ Normal(f(h(x)), noise)
infer h by Inducing(count = {M})
infer f by Inducing(count = {M})
infer SVI(batch = {BATCH}, samples = {SAMPLES})
"""
MACHINE = """
data x[n] : Real^d
data y[n] : Real
h : Real^d -> Real^inf ~ GP(RBF(), nu = 10)
f : Real^inf -> Real ~ GP(RBF())
noise ~ HalfNormal(1)
y ~ Normal(f(h(x)), noise)
infer h by Inducing(count = 100)
infer SVI(batch = 250)
"""

HeldOut = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Means and variances [draws, rows] of what is held out."""

Clock = Callable[[HeldOut, int], bool]
"""Told after some steps how many they were; gives back whether to go on."""


def data(path: str | None) -> dict[str, np.ndarray]:
    """Standardised rows, held-out rows, and the inducing points of the start."""
    rng = np.random.default_rng(0)
    if path is None:
        x, tested = rng.normal(size=(N, D)), np.arange(N // 10)
        inner = np.tanh(x @ rng.normal(size=(D, D)) / 2)
        y = np.sin(inner @ rng.normal(size=D)) + 0.1 * rng.normal(size=N)
    else:
        found = np.load(path)
        x, y, tested = found["x"], found["y"].reshape(-1), found["test"][0]
    own = np.setdiff1d(np.arange(len(x)), tested)
    x = (x - x[own].mean(axis=0)) / x[own].std(axis=0)
    y = (y - y[own].mean()) / y[own].std()
    points = x[rng.choice(own, M, replace=False)]
    return {"x": x[own], "y": y[own], "at": x[tested], "target": y[tested], "points": points}


# --- engines: each trains until the clock says no -------------------------------------------------


def mercer(clock: Clock, rows: dict[str, np.ndarray]) -> None:
    import jax
    import jax.numpy as jnp

    import mercer as own
    from mercer.runtime.engines.variational import Variational
    from mercer.runtime.inner import passed
    from mercer.runtime.methods.bound import _viewed, moved
    from mercer.runtime.methods.minibatch import Minibatches
    from mercer.runtime.methods.stochastic import Stochastic
    from mercer.runtime.through import Drawn

    model = own.compile(DEEP)
    bound = model.bind({"x": rows["x"], "y": rows["y"]})
    program = model.program(model.plan(bound.sizes))
    fit = Stochastic(program, bound, seed=0, batch=BATCH, rate=RATE, samples=SAMPLES)
    state = fit.begin()
    points = dict(state.points)
    points |= {k: jnp.asarray(rows["points"]) for k in points if k.endswith("inducing")}
    # In the order of the names: f.lengthscale, f.scale, h.lengthscale, h.scale, noise.
    layer = [START["lengthscale"]] * D + [START["scale"]]
    state = fit._anew(jnp.log(jnp.asarray([*layer, *layer, START["noise"]])), points)
    tests = model.bind({"x": rows["at"], "y": np.zeros(len(rows["at"]))})
    arrays = Minibatches(program, tests, fit.batches.summaries).arguments(
        np.arange(len(rows["at"]))
    )

    @jax.jit
    def predicted(free: Any, law: Any, points: Any, arrays: Any) -> Any:
        sample = fit._sample_of_points(state)._replace(arrays=points)
        every = {**arrays, **points, **moved(free.shifts, sample)}
        values, _ = fit.functions.unknowns.values(free.centre, every)
        known = fit.functions.unknowns.known(values, every)

        def one(key: Any) -> Any:
            through = passed(program, known, Drawn(program, known, key))
            block = Variational(program.processes(**through), program.sites(**through), law)
            outcome = program.outcomes({}, **through)["y"]
            view = _viewed(block, outcome.mean)
            return view.mean, view.variance + outcome.noise**2

        return jax.lax.map(one, jax.random.split(jax.random.key(1), DRAWS))

    def held_out() -> tuple[np.ndarray, np.ndarray]:
        mean, variance = predicted(state.free, state.law, state.points, arrays.arrays)
        return np.asarray(mean), np.asarray(variance)

    while True:
        before = state.step
        state = fit.advance(state)
        if not clock(held_out, state.step - before):
            return


def gpytorch(clock: Clock, rows: dict[str, np.ndarray], precision: str = "float64") -> None:
    import gpytorch as peer
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, precision))
    torch.manual_seed(0)
    kind = torch.get_default_dtype()
    x, y, at, points = (torch.as_tensor(rows[k]).to(kind) for k in ("x", "y", "at", "points"))
    law = peer.distributions.MultivariateNormal

    class Identity(peer.means.Mean):
        """Of output k, coordinate k; the layer hands each output the same inputs."""

        def forward(self, inputs: Any) -> Any:
            return torch.diagonal(inputs, dim1=-3, dim2=-1).transpose(-1, -2)

    class Layer(peer.models.deep_gps.DeepGPLayer):
        def __init__(self, outputs: int | None, mean: Any) -> None:
            shape = torch.Size([] if outputs is None else [outputs])
            own = peer.variational.CholeskyVariationalDistribution(M, batch_shape=shape)
            # One set of points and one kernel for all outputs: the cheapest that it has.
            strategy = peer.variational.VariationalStrategy(
                self, points.clone(), own, learn_inducing_locations=True
            )
            super().__init__(strategy, D, outputs)
            self.mean_module = mean
            self.covar_module = peer.kernels.ScaleKernel(peer.kernels.RBFKernel(ard_num_dims=D))
            self.covar_module.base_kernel.lengthscale = START["lengthscale"]
            self.covar_module.outputscale = START["scale"] ** 2

        def forward(self, inputs: Any) -> Any:
            return law(self.mean_module(inputs), self.covar_module(inputs))

    class Deep(peer.models.deep_gps.DeepGP):
        def __init__(self) -> None:
            super().__init__()
            self.h, self.f = Layer(D, Identity()), Layer(None, peer.means.ZeroMean())
            self.likelihood = peer.likelihoods.GaussianLikelihood()

        def forward(self, inputs: Any) -> Any:
            return self.f(self.h(inputs))

    model = Deep()
    model.likelihood.noise = START["noise"] ** 2
    samples = peer.settings.num_likelihood_samples
    with samples(SAMPLES), torch.no_grad():
        model(x[:BATCH])  # the laws are set to the prior at the first call, and then:
    own = model.h.variational_strategy._variational_distribution
    own.chol_variational_covar.data.mul_(math.sqrt(INNER_VARIANCE))
    own.variational_mean.data.zero_()
    objective = peer.mlls.DeepApproximateMLL(
        peer.mlls.VariationalELBO(model.likelihood, model, num_data=len(x))
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)

    def held_out() -> tuple[np.ndarray, np.ndarray]:
        model.eval()
        with samples(DRAWS), torch.no_grad():
            found = model.likelihood(model(at))
        model.train()
        return found.mean.double().numpy(), found.variance.double().numpy()

    model.train()
    while True:
        order = torch.randperm(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            own_rows = order[start : start + BATCH]
            with samples(SAMPLES):
                optimiser.zero_grad()
                loss = -objective(model(x[own_rows]), y[own_rows])
                loss.backward()
                optimiser.step()
            if not clock(held_out, 1):
                return


def gpytorch32(clock: Clock, rows: dict[str, np.ndarray]) -> None:
    gpytorch(clock, rows, "float32")


ENGINES = (mercer, gpytorch, gpytorch32)
PACKAGES = {
    "mercer": ("jax",),
    "gpytorch": ("gpytorch", "torch"),
    "gpytorch32": ("gpytorch", "torch"),
}


# --- measuring ------------------------------------------------------------------------------------


def measure(engine: str, path: str | None, seconds: float) -> dict[str, Any]:
    """Steps a second, and held-out densities along CPU seconds of steps."""
    rows = data(path)
    spent, next_look, durations, curve = 0.0, EVERY, [], []
    mark: float | None = None

    def clock(held_out: HeldOut, count: int) -> bool:
        nonlocal spent, mark, next_look
        now = time.process_time()
        if mark is None:  # the first steps compile
            held_out()
            mark = time.process_time()
            return True
        spent += now - mark
        durations.append((now - mark) / count)
        if spent >= next_look:
            curve.append((round(spent, 2), density(rows["target"], *held_out())))
            print(f"{engine} {curve[-1]}", file=sys.stderr, flush=True)
            next_look += EVERY
        mark = time.process_time()
        return spent < seconds

    globals()[engine](clock, rows)
    versions = {name: version(name) for name in PACKAGES[engine]}
    return {"steps": 1 / np.median(durations), "curve": curve, "versions": versions}


def density(target: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    """The mean log density of what is held out: of each row, of the mean over draws."""
    each = -0.5 * (np.log(2 * np.pi * variance) + (target - mean) ** 2 / variance)
    most = each.max(axis=0)
    return float(np.mean(most + np.log(np.mean(np.exp(each - most), axis=0))))


def reached(curve: list[tuple[float, float]], level: float) -> float | None:
    """The seconds after which the density was first so high."""
    return next((seconds for seconds, value in curve if value >= level), None)


def speed(path: str | None, peers: str | None, seconds: float) -> None:
    runs: dict[str, dict[str, Any]] = {}
    for engine in (e.__name__ for e in ENGINES):
        python = sys.executable if engine == "mercer" else peers
        if not python:
            print(f"{engine} is left out: no --peers-python", file=sys.stderr)
            continue
        command = [python, __file__, "one", engine, "--seconds", str(seconds)]
        command += [] if path is None else ["--data", path]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        runs[engine] = json.loads(done.stdout.splitlines()[-1])
        print(f"{engine}: {runs[engine]['steps']:.1f} steps a second", flush=True)
    parts = [seconds / 8, seconds / 4, seconds / 2, seconds]
    others = [runs[e]["curve"] for e in ("gpytorch", "gpytorch32") if e in runs]
    best = max((value for curve in others for _, value in curve), default=None)
    levels = [] if best is None else [best - 0.3, best - 0.1, best]
    head = [f"after {s:.0f} s" for s in parts] + [f"to {level:.3f}, s" for level in levels]
    print("| engine | steps a second | " + " | ".join(head) + " |")
    print("|" + "---|" * (2 + len(head)))
    for engine, run in runs.items():
        at = [max((v for s, v in run["curve"] if s <= p + EVERY), default=np.nan) for p in parts]
        to = [reached(run["curve"], level) for level in levels]
        cells = [f"{v:.3f}" for v in at] + ["" if s is None else f"{s:.1f}" for s in to]
        print(f"| {engine} | {run['steps']:.1f} | " + " | ".join(cells) + " |")
    versions = {k: v for run in runs.values() for k, v in run["versions"].items()}
    print("\n" + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))


def cost_by_rows(counts: list[int]) -> None:
    import mercer as own
    from mercer.runtime.methods.stochastic import Stochastic

    model = own.compile(MACHINE)
    print("| rows | a pass, s | a row, microseconds |\n|---|---|---|")
    for count in counts:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(count, D))
        y = np.sin(2 * x[:, 0]) + x[:, 1] * np.cos(x[:, 2]) + 0.3 * rng.normal(size=count)
        bound = model.bind({"x": x, "y": y})
        program = model.program(model.plan(bound.sizes))
        fit = Stochastic(program, bound, seed=0, batch=250, rate=RATE)
        state = fit.advance(fit.begin())
        steps = max(40, min(count // 250, 400))  # of the longest pass a part, the steps being alike
        start, first = time.process_time(), state.step
        while state.step < first + steps:
            state = fit.advance(state)
        seconds = (time.process_time() - start) / steps * count / 250
        print(f"| {count:,} | {seconds:.3g} | {1e6 * seconds / count:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "rows", "one"])
    parser.add_argument("given", nargs="*", help="of `rows`: how many")
    parser.add_argument("--data", help="the file of kin8nm")
    parser.add_argument("--peers-python", help="a Python with torch and gpytorch")
    parser.add_argument("--seconds", type=float, default=100.0)
    arguments = parser.parse_args()
    if arguments.what == "one":
        print(json.dumps(measure(arguments.given[0], arguments.data, arguments.seconds)))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}\n")
    if arguments.what == "rows":
        cost_by_rows([int(count) for count in arguments.given] or [10**3, 10**4, 10**5])
    else:
        speed(arguments.data, arguments.peers_python, arguments.seconds)


if __name__ == "__main__":
    main()
