"""Inducing points: the collapsed bound against its flop count, minibatches against GPyTorch, GPJax.

Collapsed: 10,000 points, 500 inducing points, RBF with 8 lengthscales; value and gradient, beside
5 n m^2 operations (one triangular solve, two products) at the rate that a product of such matrices
reaches in the same process.

Minibatches: 50,000 points with 8 inputs, 256 inducing points, batches of 1,024, float64, one
thread, all from one start: lengthscales 2, scale 1, noise 0.5, inducing points at random rows.
Steps a second of CPU time by the median step, and the mean negative log density of 5,000 held-out
points after given CPU seconds, all that an engine does beside its steps included (Mercer chooses
its inducing points again after the first fifty), but for the first compilation.

    python benchmarks/variational.py [--peers-python PATH] [--seconds 5 15] [--rates 0.01 0.02 0.05]

PATH is the Python of an environment made by `pip install "jax<0.11" gpjax torch gpytorch`.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and "--one" in sys.argv:
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"  # before NumPy, XLA and Torch start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

N, D, M, BATCH, HELD_OUT = 50_000, 8, 256, 1024, 5_000
START = {"lengthscale": 2.0, "scale": 1.0, "noise": 0.5}
RATE = 0.02  # of Adam, for every engine; Mercer's own first one

Clock = Callable[[Callable[[], tuple[np.ndarray, np.ndarray]], int], bool]
"""Told after some steps how many they were; gives back whether to go on. It may ask for the mean
and the variance of the held-out points, outside the time that counts."""

MODEL = """
data x[n] : Real^d
data y[n] : Real
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 2), scale ~ LogNormal(0, 2)))
noise ~ LogNormal(0, 2)
y ~ Normal(f(x), noise)
infer f by Inducing(count = 256)
"""


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, held-out rows, and the inducing points of the start."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N + HELD_OUT, D))
    f = np.sin(2 * x[:, 0]) + x[:, 1] * np.cos(x[:, 2]) + 0.5 * np.tanh(x[:, 3] + x[:, 4])
    y = f + 0.3 * rng.normal(size=len(x))
    return x[:N], y[:N], x[N:], y[N:], x[rng.choice(N, M, replace=False)]


# --- engines: each trains until the clock says no -------------------------------------------------


def mercer(clock: Clock) -> None:
    import jax
    import jax.numpy as jnp

    import mercer as own
    from mercer.runtime.engines.variational import Variational
    from mercer.runtime.methods.bound import _viewed, moved
    from mercer.runtime.methods.stochastic import Stochastic

    x, y, at, _, z = data()
    model = own.compile(MODEL)
    bound = model.bind({"x": x, "y": y})
    program = model.program(model.plan(bound.sizes))
    fit = Stochastic(program, bound, seed=0, batch=BATCH, rate=RATE)
    state = fit.begin()
    # In the order of the names: f.lengthscale, f.scale, noise.
    theta = [START["lengthscale"]] * D + [START["scale"], START["noise"]]
    points = {k: jnp.asarray(z) for k in state.points}
    state = fit._anew(jnp.log(jnp.asarray(theta)), points)
    tests = model.bind({"x": at, "y": np.zeros(HELD_OUT)})

    @jax.jit
    def predicted(free: Any, law: Any, points: Any, arrays: Any) -> Any:
        sample = fit._sample_of_points(state)._replace(arrays=points)
        every = {**arrays, **points, **moved(free.shifts, sample)}
        values, _ = fit.functions.unknowns.values(free.centre, every)
        known = fit.functions.unknowns.known(values, every)
        block = Variational(program.processes(**known), program.sites(**known), law)
        outcome = program.outcomes({}, **known)["y"]
        view = _viewed(block, outcome.mean)
        return view.mean, view.variance + outcome.noise**2

    def held_out() -> tuple[np.ndarray, np.ndarray]:
        from mercer.runtime.methods.minibatch import Minibatches

        arrays = Minibatches(program, tests, fit.batches.summaries).arguments(np.arange(HELD_OUT))
        mean, variance = predicted(state.free, state.law, state.points, arrays.arrays)
        return np.asarray(mean), np.asarray(variance)

    while True:
        state = fit.advance(state)
        if not clock(held_out, 10):
            return


def gpytorch(clock: Clock, natural: bool = False) -> None:
    import gpytorch as peer
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    x, y, at, _, z = (torch.as_tensor(a) for a in data())

    class Regression(peer.models.ApproximateGP):
        def __init__(self) -> None:
            kinds = peer.variational
            kind = (
                kinds.NaturalVariationalDistribution
                if natural
                else kinds.CholeskyVariationalDistribution
            )
            strategy = kinds.VariationalStrategy(self, z, kind(M), learn_inducing_locations=True)
            super().__init__(strategy)
            self.mean_module = peer.means.ZeroMean()
            self.covar_module = peer.kernels.ScaleKernel(peer.kernels.RBFKernel(ard_num_dims=D))
            self.covar_module.base_kernel.lengthscale = START["lengthscale"]
            self.covar_module.outputscale = START["scale"] ** 2

        def forward(self, inputs: Any) -> Any:
            law = peer.distributions.MultivariateNormal
            return law(self.mean_module(inputs), self.covar_module(inputs))

    model, likelihood = Regression(), peer.likelihoods.GaussianLikelihood()
    likelihood.noise = START["noise"] ** 2
    objective = peer.mlls.VariationalELBO(likelihood, model, num_data=N)
    if natural:
        optimisers: list[Any] = [
            peer.optim.NGD(model.variational_parameters(), num_data=N, lr=0.1),
            torch.optim.Adam([*model.hyperparameters(), *likelihood.parameters()], lr=RATE),
        ]
    else:
        optimisers = [torch.optim.Adam([*model.parameters(), *likelihood.parameters()], lr=RATE)]

    def held_out() -> tuple[np.ndarray, np.ndarray]:
        model.eval(), likelihood.eval()
        with torch.no_grad():
            law = likelihood(model(at))
        model.train(), likelihood.train()
        return law.mean.numpy(), law.variance.numpy()

    model.train(), likelihood.train()
    while True:
        order = torch.randperm(N)
        for start in range(0, N - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss = -objective(model(x[rows]), y[rows])
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            if not clock(held_out, 1):
                return


def gpytorch_natural(clock: Clock) -> None:
    gpytorch(clock, natural=True)


def gpjax(seconds: list[float]) -> dict[str, Any]:
    """By its own `fit`, which begins anew at every call: so many steps as the seconds allow."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import gpjax as peer
    import jax.numpy as jnp
    import optax

    x, y, at, target, z = data()
    kernel = peer.kernels.RBF(
        lengthscale=jnp.full(D, START["lengthscale"]), variance=START["scale"] ** 2, n_dims=D
    )
    prior = peer.gps.Prior(kernel, peer.mean_functions.Zero())
    noise = peer.likelihoods.Gaussian(obs_stddev=jnp.asarray(START["noise"]))
    start = peer.variational_families.WhitenedVariationalGaussian(
        model=prior * noise, inducing_inputs=jnp.asarray(z)
    )
    train = peer.Dataset(X=jnp.asarray(x), y=jnp.asarray(y)[:, None])

    def fitted(steps: int) -> tuple[Any, float]:
        begun = time.process_time()
        q, history = peer.fit(
            model=start,
            objective=lambda q, batch: -peer.objectives.elbo(q, batch),
            train_data=train,
            optim=optax.adam(RATE),
            num_iters=steps,
            batch_size=BATCH,
            verbose=False,
        )
        jax.block_until_ready(history)
        return q, time.process_time() - begun

    _, few = fitted(20)
    _, more = fitted(220)
    rate = 200 / (more - few)  # compilation apart
    found = []
    for limit in seconds:
        q, _ = fitted(int(rate * limit))
        law = q.predict(jnp.asarray(at))
        noise_now = peer.parameters.val(q.model.likelihood.obs_stddev)
        mean, variance = (
            np.asarray(law.mean).reshape(-1),
            np.asarray(jnp.diagonal(law.covariance())),
        )
        found.append(density(target, mean, variance + float(noise_now) ** 2))
    return {"steps": rate, "held_out": found}


ENGINES = (mercer, gpytorch, gpytorch_natural, gpjax)
PACKAGES = {
    "mercer": ("jax",),
    "gpytorch": ("gpytorch", "torch"),
    "gpytorch_natural": ("gpytorch", "torch"),
    "gpjax": ("gpjax", "jax"),
    "collapsed": ("jax",),
}


# --- measuring ------------------------------------------------------------------------------------


def measure(engine: str, seconds: list[float]) -> dict[str, Any]:
    """Steps a second, and held-out densities after CPU seconds of steps."""
    versions = {name: version(name) for name in PACKAGES[engine]}
    if engine == "gpjax":
        return {**gpjax(seconds), "versions": versions}
    target = data()[3]
    left, found = list(seconds), []
    spent, durations = 0.0, []
    mark: float | None = None

    def clock(held_out: Callable[[], tuple[np.ndarray, np.ndarray]], count: int) -> bool:
        nonlocal spent, mark
        now = time.process_time()
        if mark is None:  # the first steps compile
            held_out()
            mark = time.process_time()
            return True
        spent += now - mark
        durations.append((now - mark) / count)
        while left and spent >= left[0]:
            found.append(density(target, *held_out()))
            left.pop(0)
        mark = time.process_time()
        return bool(left)

    globals()[engine](clock)
    return {"steps": 1 / np.median(durations), "held_out": found, "versions": versions}


def density(target: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    """The mean negative log density of what was held out."""
    square = (target - mean) ** 2 / variance
    return float(np.mean(0.5 * (np.log(2 * np.pi * variance) + square)))


def collapsed() -> dict[str, Any]:
    """Seconds of the collapsed bound with its gradient, and of its operations."""
    import jax
    import jax.numpy as jnp

    from mercer.runtime.engines.gaussian import (
        Affine,
        Gaussian,
        Inducing,
        RandomFunction,
        Site,
        Term,
    )
    from mercer.stdlib.kernels import RBF
    from mercer.stdlib.points import Points

    n, m = 10_000, 500
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, D))
    y = np.sin(x[:, 0]) + 0.3 * rng.normal(size=n)

    def bound(parameters: Any) -> Any:
        lengthscale, scale, noise, z = parameters
        processes = {
            "f": RandomFunction(RBF(lengthscale=jnp.exp(lengthscale), scale=jnp.exp(scale)))
        }
        sites = {
            "f": Site("f", Points((jnp.asarray(x),)), n),
            "z": Site("f", Points((z,)), m, is_inducing=True),
        }
        law = Gaussian(Affine(0.0, (Term("f"),), (n,)), jnp.exp(noise))
        return Inducing(processes, sites, {"y": (law, y, None)}).log_density()

    start = (jnp.full(D, 0.5), jnp.zeros(()), jnp.log(0.3), jnp.asarray(x[:m] + 0.01))
    both = jax.jit(jax.value_and_grad(bound))
    left, right = jnp.asarray(rng.normal(size=(n, m))), jnp.asarray(rng.normal(size=(m, m)))
    product = jax.jit(lambda a, b: a @ b)
    seconds, one = _least(both, start), _least(product, left, right)
    return {
        "seconds": seconds,
        "rate": 2 * n * m**2 / one,
        "counted": 2.5 * one,
        "versions": {name: version(name) for name in PACKAGES["collapsed"]},
    }


def _least(function: Callable[..., Any], *arguments: Any) -> float:
    import jax

    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(7):
        start = time.process_time()
        jax.block_until_ready(function(*arguments))
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-python", help="Python with gpjax, torch and gpytorch")
    parser.add_argument("--seconds", nargs="*", type=float, default=[5.0, 15.0])
    parser.add_argument("--rates", nargs="*", type=float, default=[RATE])
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes for each engine")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        globals()["RATE"] = arguments.rates[0]
        is_bound = arguments.one == "collapsed"
        print(json.dumps(collapsed() if is_bound else measure(arguments.one, arguments.seconds)))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}\n")
    found = [_fresh(sys.executable, "collapsed", [], RATE) for _ in range(arguments.rounds)]
    best = min(found, key=lambda r: r["seconds"] / r["counted"])
    versions = dict(best["versions"])
    print("| value and gradient, s | rate of products, Gflop/s | 5 n m^2 at that rate, s | ratio |")
    print("|" + "---|" * 4)
    ratio = best["seconds"] / best["counted"]
    cells = [best["seconds"], best["rate"] / 1e9, best["counted"], ratio]
    print("| " + " | ".join(f"{c:.3g}" for c in cells) + " |\n")
    after = " | ".join(f"after {s:g} s" for s in arguments.seconds)
    print(f"| engine | rate | steps a second | {after} |")
    print("|" + "---|" * (3 + len(arguments.seconds)))
    runs: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for number in range(arguments.rounds):
        for engine in ENGINES:
            name = engine.__name__
            python = sys.executable if name == "mercer" else arguments.peers_python
            for rate in arguments.rates if python else []:
                print(f"round {number + 1}: {name} {rate:g}", file=sys.stderr, flush=True)
                fresh = _fresh(str(python), name, arguments.seconds, rate)
                runs.setdefault((name, rate), []).append(fresh)
    for (name, rate), results in runs.items():
        steps = max(r["steps"] for r in results)
        densities = np.min([r["held_out"] for r in results], axis=0)
        cells = " | ".join(f"{v:.4f}" for v in densities)
        print(f"| {name} | {rate:g} | {steps:.1f} | {cells} |")
        versions.update(results[0]["versions"])
    print("\n" + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))


def _fresh(python: str, engine: str, seconds: list[float], rate: float) -> dict[str, Any]:
    command = [python, __file__, "--one", engine, "--rates", str(rate)]
    command += ["--seconds", *map(str, seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{engine}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
