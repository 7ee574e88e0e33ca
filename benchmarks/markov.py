"""Log likelihood along the line with its gradient: a table of times and memory, engine by engine.

Matern32 and noise over n irregular times, float64, one core. Every engine gets fresh processes for
every n; the time to compile, the least CPU time of the repeats, and by how much the process has
grown at its peak are told. All must agree in the value and in its 3 derivatives with a Kalman
filter written out as one `lax.scan`.

    python benchmarks/markov.py [--peers-python PATH] [--rounds 2] [n ...]

PATH is the Python of an environment with tinygp; without it that is left out. The
rounds go over all engines in turn, so that what else the machine does meets each.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and "--one" in sys.argv:
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"  # before NumPy and XLA start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from marginal_likelihood import _peak, _reset_peak, _versions

THETA = np.array([-0.3, 0.1, -1.0])
"""Logarithms of the lengthscale, of the scale, of the noise."""

Density = Callable[..., Any]


def mercer(t: np.ndarray, y: np.ndarray) -> tuple[Density, tuple[Any, ...]]:
    """The order of the rows is an argument, found on the host, as in an emitted program."""
    import jax
    import jax.numpy as jnp

    from mercer.runtime.engines.gaussian import Affine, Gaussian, Markov, RandomFunction, Site, Term
    from mercer.runtime.engines.timeline import Reading, timeline
    from mercer.stdlib.kernels import Matern32
    from mercer.stdlib.points import Points

    n = len(t)

    def sites(t: Any) -> dict[str, Site]:
        return {"f": Site("f", Points((t[:, None],)), n)}

    order = timeline(sites(t), [(y, Reading("f"))], apart=True)

    def density(theta: Any, t: Any, y: Any, order: Any) -> Any:
        kernel = Matern32(lengthscale=jnp.exp(theta[0]), scale=jnp.exp(theta[1]))
        law = Gaussian(Affine(0.0, (Term("f"),), (n,)), jnp.exp(theta[2]), order)
        return Markov({"f": RandomFunction(kernel)}, sites(t), {"y": (law, y, None)}).log_density()

    return density, jax.tree.map(jnp.asarray, (t, y, order))


def scan(t: np.ndarray, y: np.ndarray) -> tuple[Density, tuple[Any, ...]]:
    """By hand: one scan over the rows, differentiated by JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def density(theta: Any, t: Any, y: Any) -> Any:
        moves, noises, start, noise = _states(theta, t)

        def one(state: Any, given: Any) -> Any:
            (mean, p), (a, q, value) = state, given
            mean, p = a @ mean, a @ p @ a.T + q
            variance, left = p[0, 0] + noise**2, value - mean[0]
            gain = p[:, 0] / variance
            log_density = -0.5 * (jnp.log(2 * jnp.pi * variance) + left**2 / variance)
            return (mean + gain * left, p - jnp.outer(gain, p[0])), log_density

        first = (jnp.zeros(2), start)
        return jnp.sum(jax.lax.scan(one, first, (moves, noises, y))[1])

    return density, (jnp.asarray(t), jnp.asarray(y))


def tinygp(t: np.ndarray, y: np.ndarray) -> tuple[Density, tuple[Any, ...]]:
    """Its solver for quasiseparable matrices."""
    import jax
    import jax.numpy as jnp
    import tinygp as peer

    jax.config.update("jax_enable_x64", True)

    def density(theta: Any, t: Any, y: Any) -> Any:
        kernel = peer.kernels.quasisep.Matern32(scale=jnp.exp(theta[0]), sigma=jnp.exp(theta[1]))
        diagonal = jnp.full(len(t), jnp.exp(2 * theta[2]))
        process = peer.GaussianProcess(kernel, t, diag=diagonal, assume_sorted=True)
        return process.log_probability(y)

    return density, (jnp.asarray(t), jnp.asarray(y))


def _states(theta: Any, t: Any) -> tuple[Any, Any, Any, Any]:
    """Transitions and noises [n, 2, 2] of Matern32, the covariance at the first row, the noise."""
    import jax.numpy as jnp

    lengthscale, scale, noise = jnp.exp(theta)
    rate = jnp.sqrt(3.0) / lengthscale
    d = jnp.diff(t, prepend=t[:1])
    u = rate * d
    shrink = jnp.exp(-u)
    moves = jnp.stack([jnp.stack([1 + u, d]), jnp.stack([-(rate**2) * d, 1 - u])]) * shrink
    e = jnp.exp(-2 * u)
    cross = 2 * rate * u**2 * e
    last = rate**2 * (1 - e * (1 - 2 * u + 2 * u**2))
    noises = jnp.stack(
        [jnp.stack([1 - e * (1 + 2 * u + 2 * u**2), cross]), jnp.stack([cross, last])]
    )
    start = scale**2 * jnp.diag(jnp.array([1.0, rate**2]))
    return jnp.moveaxis(moves, -1, 0), scale**2 * jnp.moveaxis(noises, -1, 0), start, noise


OWN = (scan, mercer)
PEERS = (tinygp,)
_PACKAGES = {"mercer": ("jax",), "scan": ("jax",), "tinygp": ("tinygp",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("n", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peers-python", help="Python with tinygp")
    parser.add_argument("--engines", nargs="*", help="only these, after scan")
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes for each engine")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.n[0])))
        return
    plan = [(engine.__name__, sys.executable) for engine in OWN]
    if arguments.peers_python:
        plan += [(engine.__name__, arguments.peers_python) for engine in PEERS]
    if arguments.engines:
        plan = [(e, p) for e, p in plan if e == "scan" or e in arguments.engines]
    print(f"{platform.machine()}, Python {platform.python_version()}\n", file=sys.stderr)
    rows: list[str] = []
    versions: dict[str, str] = {}
    for n in arguments.n:
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(arguments.rounds):
            for engine, python in plan:
                print(f"n = {n}, round {number + 1}: {engine}", file=sys.stderr, flush=True)
                result = _fresh(python, engine, n)
                found.setdefault(engine, []).append(result)
                versions.update(result["versions"])
        rows += [_row(n, engine, found) for engine, _ in plan]
    print(
        "| n | engine | compiling, CPU s | CPU s | times mercer | growth, MB "
        "| of the value, of the gradient |"
    )
    print("|" + "---|" * 7)
    print("\n".join(rows))
    print("\n" + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))


def _row(n: int, engine: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """One line of the table; ends the program where the engine disagrees with `scan`."""
    runs, base = found[engine], found["scan"][0]
    slope, expected = np.array(runs[0]["gradient"]), np.array(base["gradient"])
    value_error = abs(runs[0]["value"] / base["value"] - 1)
    slope_error = np.max(np.abs(slope - expected)) / np.max(np.abs(expected))
    if max(value_error, slope_error) > 1e-6:
        raise SystemExit(f"{engine} disagrees at n = {n}: {value_error}, {slope_error}")
    own, mine = (min(r["cpu"] for r in found[e]) for e in (engine, "mercer"))
    growth = min(r["growth"] for r in runs) / 1e6
    compiling = min(r["compiling"] for r in runs)
    cells = [f"{compiling:.1f}", f"{own:.4f}", f"{own / mine:.2f}", f"{growth:.0f}"]
    cells += [f"{value_error:.0e}, {slope_error:.0e}"]
    return f"| {n} | {engine} | {' | '.join(cells)} |"


def measure(engine: str, n: int) -> dict[str, Any]:
    """One engine in this process: compilation, least CPU time, peak growth, value and gradient."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, n / 100, n))
    y = np.sin(t) + 0.3 * rng.normal(size=n)
    import jax

    make: Callable[..., tuple[Density, tuple[Any, ...]]] = globals()[engine]
    make(t[:300], y[:300])  # libraries are loaded before memory is counted
    before = _reset_peak()
    density, given = make(t, y)
    lowered = jax.jit(jax.value_and_grad(density)).lower(THETA, *given)
    cpu = time.process_time()
    run = lowered.compile()
    compiling = time.process_time() - cpu
    value, gradient = jax.block_until_ready(run(THETA, *given))
    growth = _peak() - before
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 3.0 and len(times) < 30):
        cpu = time.process_time()
        jax.block_until_ready(run(THETA, *given))
        times.append(time.process_time() - cpu)
    return {
        "value": float(value),
        "gradient": np.asarray(gradient).tolist(),
        "compiling": compiling,
        "cpu": min(times),
        "growth": growth,
        "versions": _versions("numpy", *_PACKAGES[engine]),
    }


def _fresh(python: str, engine: str, n: int) -> dict[str, Any]:
    command = [python, __file__, str(n), "--one", engine]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{engine}, n = {n}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
