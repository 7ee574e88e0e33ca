"""Log marginal likelihood with its gradient: a table of times and memory, engine by engine.

RBF with 8 lengthscales, a scale and a noise, float64. Every engine gets fresh processes for every
n, compiles first, and must agree with LAPACK by hand (dpotrf, dpotri, the analytic gradient) in the
value and in all 10 derivatives. On one thread the least CPU time of the repeats counts, and by how
much the process has grown at its peak, in matrices of n x n; on two threads the least wall time,
which other work on the machine lengthens.

    python benchmarks/marginal_likelihood.py [--peers-python PATH] [--rounds 2] [n ...]

PATH is the Python of an environment with tinygp, gpjax, torch and gpytorch; without it they are
left out. The rounds go over all engines in turn, so that what else the machine does meets each.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and "--threads" in sys.argv:
    _threads = int(sys.argv[sys.argv.index("--threads") + 1])
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = str(_threads)  # before NumPy, XLA and Torch start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-_threads:])

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

D = 8
THETA = np.concatenate([np.linspace(0.3, 1.5, D), [0.1, -1.0]])
"""Logarithms of the lengthscales, of the scale, of the noise."""

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]


def by_hand(x: np.ndarray, y: np.ndarray) -> Evaluate:
    """NumPy and SciPy's LAPACK: dpotrf, dpotri and the analytic gradient."""
    from scipy.linalg import lapack

    n = len(x)

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        lengthscale, scale, noise = np.exp(theta[:D]), np.exp(theta[D]), np.exp(theta[D + 1])
        z = (x - x.mean(0)) / lengthscale
        square = np.sum(z**2, 1)
        gram = z @ z.T
        gram *= 2
        gram -= square[:, None]
        gram -= square
        gram *= 0.5
        np.exp(gram, out=gram)
        gram *= scale**2
        noisy = gram.copy()
        noisy[np.diag_indices(n)] += noise**2
        lower, _ = lapack.dpotrf(noisy.T, lower=1, overwrite_a=1)
        alpha, _ = lapack.dpotrs(lower, y, lower=1)
        value = -0.5 * y @ alpha - np.log(np.diag(lower)).sum() - 0.5 * n * np.log(2 * np.pi)
        inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
        trace = np.trace(inverse)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        slope = np.outer(alpha, alpha)
        slope -= inverse
        slope *= gram
        mass = slope.sum(1)
        # sum_ij S_ij (z_i - z_j)^2 = 2 sum_i m_i z_i^2 - 2 z' S z, for each coordinate.
        by_length = mass @ z**2 - np.sum(z * (slope @ z), 0)
        by_noise = (alpha @ alpha - trace) * noise**2
        return value, np.concatenate([by_length, [mass.sum(), by_noise]])

    return evaluate


def mercer(x: np.ndarray, y: np.ndarray) -> Evaluate:
    import jax.numpy as jnp

    from mercer.runtime.engines.gaussian import Affine, Dense, Gaussian, RandomFunction, Site, Term
    from mercer.stdlib.kernels import RBF
    from mercer.stdlib.points import Points

    points, target = Points((jnp.asarray(x),)), jnp.asarray(y)

    def density(theta: Any) -> Any:
        kernel = RBF(lengthscale=jnp.exp(theta[:D]), scale=jnp.exp(theta[D]))
        law = Gaussian(Affine(0.0, (Term("f"),), (len(x),)), jnp.exp(theta[D + 1]))
        sites = {"f": Site("f", points, len(x))}
        return Dense({"f": RandomFunction(kernel)}, sites, {"y": (law, target, None)}).log_density()

    return _Compiled(density)


def scikit_learn(x: np.ndarray, y: np.ndarray) -> Evaluate:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF as Rbf
    from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0) * Rbf(np.ones(D)) + WhiteKernel(1.0)
    model = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x[:50], y[:50])
    model.X_train_, model.y_train_ = x, y

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.concatenate([[2 * theta[D]], theta[:D], [2 * theta[D + 1]]])
        value, slope = model.log_marginal_likelihood(own, eval_gradient=True)
        return value, np.concatenate([slope[1 : D + 1], [2 * slope[0], 2 * slope[-1]]])

    return evaluate


def tinygp(x: np.ndarray, y: np.ndarray) -> Evaluate:
    import jax
    import jax.numpy as jnp
    import tinygp as peer

    jax.config.update("jax_enable_x64", True)

    def density(theta: Any) -> Any:
        kernel = peer.transforms.Linear(jnp.exp(-theta[:D]), peer.kernels.ExpSquared())
        process = peer.GaussianProcess(
            jnp.exp(2 * theta[D]) * kernel, jnp.asarray(x), diag=jnp.exp(2 * theta[D + 1])
        )
        return process.log_probability(jnp.asarray(y))

    return _Compiled(density)


def gpjax(x: np.ndarray, y: np.ndarray) -> Evaluate:
    import jax

    jax.config.update("jax_enable_x64", True)
    import gpjax as peer
    import jax.numpy as jnp

    data = peer.Dataset(X=jnp.asarray(x), y=jnp.asarray(y)[:, None])

    def density(theta: Any) -> Any:
        kernel = peer.kernels.RBF(
            lengthscale=jnp.exp(theta[:D]), variance=jnp.exp(2 * theta[D]), n_dims=D
        )
        prior = peer.gps.Prior(kernel, peer.mean_functions.Zero(), jitter=0.0)
        noise = peer.likelihoods.Gaussian(obs_stddev=jnp.exp(theta[D + 1]))
        return peer.objectives.conjugate_mll(prior * noise, data)

    return _Compiled(density)


def gpytorch(x: np.ndarray, y: np.ndarray) -> Evaluate:
    import gpytorch as peer
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_default_dtype(torch.float64)
    inputs, target = torch.as_tensor(x), torch.as_tensor(y)

    class Regression(peer.models.ExactGP):
        def __init__(self) -> None:
            noise = peer.likelihoods.GaussianLikelihood()
            super().__init__(inputs, target, noise)
            self.mean = peer.means.ZeroMean()
            self.kernel = peer.kernels.ScaleKernel(peer.kernels.RBFKernel(ard_num_dims=D))

        def forward(self, at: Any) -> Any:
            return peer.distributions.MultivariateNormal(self.mean(at), self.kernel(at))

    model = Regression().train()
    objective = peer.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    raw = {
        "raw_lengthscale": (model.kernel.base_kernel, slice(0, D), 1),
        "raw_outputscale": (model.kernel, D, 2),
        "raw_noise": (model.likelihood.noise_covar, D + 1, 2),
    }

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        for name, (owner, at, power) in raw.items():
            value = torch.as_tensor(np.exp(power * theta[at]))
            owner.initialize(**{name.removeprefix("raw_"): value})
        model.zero_grad()
        exact = peer.settings.fast_computations(False, False, False)
        with exact, peer.settings.cholesky_jitter(double_value=0.0):
            total = objective(model(inputs), target) * len(x)  # it divides by n
            total.backward()
        slope = np.zeros(D + 2)
        for name, (owner, at, power) in raw.items():
            parameter = getattr(owner, name)
            constraint = getattr(owner, f"{name}_constraint")
            natural = constraint.transform(parameter).detach().requires_grad_()
            # d raw / d log = (d raw / d natural) * natural * power, by its own constraint.
            (back,) = torch.autograd.grad(constraint.inverse_transform(natural).sum(), natural)
            step = parameter.grad * back * natural.detach() * power
            slope[at] = step.detach().numpy().reshape(-1) if isinstance(at, slice) else step.item()
        return total.item(), slope

    return evaluate


OWN = (by_hand, mercer, scikit_learn)
PEERS = (tinygp, gpjax, gpytorch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("n", nargs="*", type=int, default=[500, 1000, 2000, 4000])
    parser.add_argument("--peers-python", help="Python with tinygp, gpjax, torch and gpytorch")
    parser.add_argument("--engines", nargs="*", help="only these, after by_hand")
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes for each engine")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.n[0])))
        return
    plan = [(engine.__name__, sys.executable) for engine in OWN]
    if arguments.peers_python:
        plan += [(engine.__name__, arguments.peers_python) for engine in PEERS]
    if arguments.engines:
        plan = [(e, p) for e, p in plan if e == "by_hand" or e in arguments.engines]
    print(f"{platform.machine()}, Python {platform.python_version()}\n", file=sys.stderr)
    rows: list[str] = []
    versions: dict[str, str] = {}
    for n in arguments.n:
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for number in range(arguments.rounds):
            for engine, python in plan:
                print(f"n = {n}, round {number + 1}: {engine}", file=sys.stderr, flush=True)
                for threads in (1, 2):
                    result = _fresh(python, engine, n, threads)
                    found.setdefault((engine, threads), []).append(result)
                    versions.update(result["versions"])
        rows += [_row(n, engine, found) for engine, _ in plan]
    print(
        "| n | engine | CPU s, one thread | times by hand | wall s, two threads | times by hand "
        "| growth, n x n | of the value, of the gradient |"
    )
    print("|" + "---|" * 8)
    print("\n".join(rows))
    print("\n" + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))


def _row(n: int, engine: str, found: dict[tuple[str, int], list[dict[str, Any]]]) -> str:
    """One line of the table; ends the program where the engine disagrees with `by_hand`."""
    runs, base = found[engine, 1], found["by_hand", 1][0]
    slope, expected = np.array(runs[0]["gradient"]), np.array(base["gradient"])
    value_error = abs(runs[0]["value"] / base["value"] - 1)
    slope_error = np.max(np.abs(slope - expected)) / np.max(np.abs(expected))
    if max(value_error, slope_error) > 1e-6:
        raise SystemExit(f"{engine} disagrees at n = {n}: {value_error}, {slope_error}")
    cells = []
    for threads, kind in ((1, "cpu"), (2, "wall")):
        own, hand = (min(r[kind] for r in found[e, threads]) for e in (engine, "by_hand"))
        cells += [f"{own:.4f}", f"{own / hand:.2f}"]
    growth = min(r["growth"] for r in runs)
    cells += [f"{growth:.1f}", f"{value_error:.0e}, {slope_error:.0e}"]
    return f"| {n} | {engine} | {' | '.join(cells)} |"


def measure(engine: str, n: int) -> dict[str, Any]:
    """One engine in this process: least CPU and wall time, peak growth, value and gradient."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, D))
    y = np.sin(x[:, 0]) + 0.3 * rng.normal(size=n)
    make: Callable[[np.ndarray, np.ndarray], Evaluate] = globals()[engine]
    # Libraries, and their buffers for products of matrices, are loaded before memory is counted.
    make(x[:300], y[:300])(THETA)
    evaluate = make(x, y)
    getattr(evaluate, "compile", lambda: None)()
    before = _reset_peak()
    value, gradient = evaluate(THETA)
    growth = (_peak() - before) / (8 * n * n)
    times: list[tuple[float, float]] = []
    spent = 0.0
    while len(times) < 2 or (spent < 2.0 and len(times) < 30):
        cpu, wall = time.process_time(), time.perf_counter()
        evaluate(THETA)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
        spent += times[-1][0]
    return {
        "value": value,
        "gradient": gradient.tolist(),
        "cpu": min(cpu for cpu, _ in times),
        "wall": min(wall for _, wall in times),
        "growth": growth,
        "versions": _versions("numpy", "scipy", *_PACKAGES.get(engine, ())),
    }


_PACKAGES = {
    "mercer": ("jax",),
    "scikit_learn": ("scikit-learn",),
    "tinygp": ("tinygp",),
    "gpjax": ("gpjax",),
    "gpytorch": ("gpytorch", "torch"),
}


class _Compiled:
    """A density of JAX with its gradient, compiled ahead of the first evaluation."""

    def __init__(self, density: Callable[[Any], Any]) -> None:
        self.density = density

    def compile(self) -> None:
        import jax

        self.run = jax.jit(jax.value_and_grad(self.density)).lower(THETA).compile()

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        if not hasattr(self, "run"):
            self.compile()
        value, gradient = self.run(theta)
        return float(value), np.asarray(gradient)


def _reset_peak() -> int:
    """The resident size now, in bytes; the kernel's record of the peak starts anew from it."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _resident("VmRSS")


def _peak() -> int:
    return _resident("VmHWM")


def _resident(field: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}


def _fresh(python: str, engine: str, n: int, threads: int) -> dict[str, Any]:
    command = [python, __file__, str(n), "--one", engine, "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{engine}, n = {n}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
