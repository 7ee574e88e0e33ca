"""Effective draws a second: NUTS over the hyperparameters of a GP with n = 200, Mercer and by hand.

    python benchmarks/sampling.py [--rounds 3] [--warmup 500] [--draws 500]

Both sample lengthscale, scale and noise under the same priors and data, 4 chains in turn on one
thread. By hand is the NumPyro program that one would write: the covariance matrix,
`jnp.linalg.cholesky`, `MultivariateNormal`, and NUTS with NumPyro's settings. Mercer is
`model.fit`. Every round has a fresh process, another seed and an empty compilation cache. The first
run in it counts as `with compilation`; `sampling` is the sampler of a second run, adaptation
included. Effective draws are the least bulk ESS of
the three, added up over the rounds and divided by the added time. `whole` is Mercer's second
`model.fit`: it also draws the function and computes the leave-one-out densities for each draw.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"  # before NumPy and XLA start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

N, CHAINS = 200, 4
TEXT = """data x[n], y[n] : Real
lengthscale ~ LogNormal(0, 1)
scale ~ HalfNormal(2)
noise ~ HalfNormal(1)
f ~ GP(RBF(lengthscale = lengthscale, scale = scale))
y ~ Normal(f(x), noise)
"""
UNKNOWNS = ("lengthscale", "scale", "noise")

Times = dict[str, tuple[float, float]]
"""Wall and CPU seconds by name."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """A sine under noise, [n] and [n]."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0.0, 10.0, N))
    return x, np.sin(x) + 0.3 * rng.normal(size=N)


def mercer(arguments: argparse.Namespace, seed: int) -> tuple[Any, int, Times]:
    """The second fit: draws by name, steps of the integrator, times."""
    import mercer as language
    from mercer.runtime.methods import infer as driver

    times: Times = {}
    sampler = driver._RUNNERS["nuts"]

    @functools.wraps(sampler)  # its signature says which settings it takes
    def timed(*positional: Any, **options: Any) -> Any:
        """`model.fit` does more than sampling, and only the whole shows from outside."""
        clock = _Clock()
        draws = sampler(*positional, **options)
        times["sampling"] = clock.read()
        return draws

    driver._RUNNERS["nuts"] = timed
    x, y = data()
    clock = _Clock()
    model = language.compile(TEXT)
    settings = {"chains": CHAINS, "warmup": arguments.warmup, "draws": arguments.draws}
    for run in ("with compilation", "whole"):
        fit = model.fit({"x": x, "y": y}, "nuts", seed=seed, progress=False, **settings)
        times[run] = clock.read()
        clock = _Clock()
    posterior = {name: fit.idata["posterior"][name].values for name in UNKNOWNS}
    return posterior, int(fit.idata["sample_stats"]["n_steps"].sum()), times


def by_hand(arguments: argparse.Namespace, seed: int) -> tuple[Any, int, Times]:
    """The second run of the program that one would write."""
    import jax
    import jax.numpy as jnp
    import numpyro
    from numpyro import distributions as dist
    from numpyro.infer import MCMC, NUTS

    numpyro.enable_x64()

    def model(x: Any, y: Any) -> None:
        lengthscale = numpyro.sample("lengthscale", dist.LogNormal(0.0, 1.0))
        scale = numpyro.sample("scale", dist.HalfNormal(2.0))
        noise = numpyro.sample("noise", dist.HalfNormal(1.0))
        square = ((x[:, None] - x) / lengthscale) ** 2
        gram = scale**2 * jnp.exp(-0.5 * square) + noise**2 * jnp.eye(len(x))
        law = dist.MultivariateNormal(scale_tril=jnp.linalg.cholesky(gram))
        numpyro.sample("y", law, obs=y)

    times: Times = {}
    x, y = (jnp.asarray(v) for v in data())
    clock = _Clock()
    sampler = MCMC(
        NUTS(model),
        num_warmup=arguments.warmup,
        num_samples=arguments.draws,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    for run in ("with compilation", "sampling"):
        sampler.run(jax.random.key(seed), x, y, extra_fields=("num_steps",))
        posterior = {k: np.asarray(v) for k, v in sampler.get_samples(group_by_chain=True).items()}
        times[run] = clock.read()
        clock = _Clock()
    return posterior, int(sampler.get_extra_fields()["num_steps"].sum()), times


ENGINES: dict[str, Callable[..., tuple[Any, int, Times]]] = {"mercer": mercer, "by_hand": by_hand}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes for each engine")
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments, arguments.one[0], int(arguments.one[1]))
        return
    results: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
    for seed in range(1, arguments.rounds + 1):
        for engine in ENGINES:
            print(f"round {seed}: {engine}", file=sys.stderr, flush=True)
            results[engine].append(_fresh(engine, seed))
    print(
        "| engine | steps | least ESS | sampling: CPU s | ESS a wall s | ESS a CPU s "
        "| with compilation: CPU s | ESS a wall s | ESS a CPU s | whole: CPU s |"
    )
    print("|" + "---|" * 10)
    for engine, runs in results.items():
        draws = sum(r["least"] for r in runs)
        cells = [f"{np.mean([r['steps'] for r in runs]):.0f}", f"{draws / len(runs):.0f}"]
        for name in ("sampling", "with compilation"):
            wall, cpu = (sum(r["times"][name][i] for r in runs) for i in (0, 1))
            cells += [f"{cpu / len(runs):.1f}", f"{draws / wall:.1f}", f"{draws / cpu:.1f}"]
        whole = [r["times"].get("whole", r["times"]["sampling"])[1] for r in runs]
        print(f"| {engine} | {' | '.join(cells)} | {np.mean(whole):.1f} |")


def measure(arguments: argparse.Namespace, engine: str, seed: int) -> None:
    """One engine in this process, printed as JSON: ESS and mean of each unknown, times."""
    import arviz

    posterior, steps, times = ENGINES[engine](arguments, seed)
    ess = {k: float(arviz.ess(v, method="bulk")) for k, v in posterior.items() if k in UNKNOWNS}
    means = {k: float(posterior[k].mean()) for k in UNKNOWNS}
    print(json.dumps({"least": min(ess.values()), "means": means, "steps": steps, "times": times}))


class _Clock:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def _fresh(engine: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", engine, str(seed)]
        environment = {**os.environ, "MERCER_CACHE_DIR": cache}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{engine}, seed {seed}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
