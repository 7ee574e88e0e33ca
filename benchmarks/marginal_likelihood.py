"""Log marginal likelihood with gradient, Mercer against LAPACK by hand: a table of CPU times.

RBF with 8 lengthscales, float64. Run as `python benchmarks/marginal_likelihood.py [threads] [n ...]`;
one thread reports process CPU time, more report wall time. Peers that cannot be imported are left out.
"""

from __future__ import annotations

import os
import sys

THREADS = sys.argv[1] if len(sys.argv) > 1 else "1"
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = THREADS  # before NumPy and XLA start their pools
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(THREADS)])

import resource
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import lapack

from mercer.runtime.gaussian import Affine, Dense, Gaussian, RandomFunction, Site, Term
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

Gradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


def by_hand(x: np.ndarray, y: np.ndarray) -> Gradient:
    """NumPy, dpotrf and dpotri, the analytic gradient in log lengthscales, scale, noise."""
    n, d = x.shape

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        lengthscale, scale, noise = np.exp(theta[:d]), np.exp(theta[d]), np.exp(theta[d + 1])
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


def mercer(x: np.ndarray, y: np.ndarray) -> Gradient:
    n, d = x.shape
    points, target = Points((jnp.asarray(x),)), jnp.asarray(y)

    def density(theta: jax.Array) -> jax.Array:
        kernel = RBF(lengthscale=jnp.exp(theta[:d]), scale=jnp.exp(theta[d]))
        law = Gaussian(Affine(0.0, (Term("f"),), (n,)), jnp.exp(theta[d + 1]))
        sites = {"f": Site("f", points, n)}
        return Dense({"f": RandomFunction(kernel)}, sites, {"y": (law, target, None)}).log_density()

    compiled = jax.jit(jax.value_and_grad(density))

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = compiled(jnp.asarray(theta))
        return float(value), np.asarray(gradient)

    return evaluate


def scikit_learn(x: np.ndarray, y: np.ndarray) -> Gradient:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF as Rbf
    from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

    d = x.shape[1]
    kernel = ConstantKernel(1.0) * Rbf(np.ones(d)) + WhiteKernel(1.0)
    model = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(x[:50], y[:50])
    model.X_train_, model.y_train_ = x, y

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.concatenate([[2 * theta[d]], theta[:d], [2 * theta[d + 1]]])
        value, slope = model.log_marginal_likelihood(own, eval_gradient=True)
        return value, np.concatenate([slope[1 : d + 1], [2 * slope[0], 2 * slope[-1]]])

    return evaluate


def tinygp(x: np.ndarray, y: np.ndarray) -> Gradient:
    import tinygp as peer

    d = x.shape[1]

    def density(theta: jax.Array) -> jax.Array:
        kernel = peer.transforms.Linear(jnp.exp(-theta[:d]), peer.kernels.ExpSquared())
        process = peer.GaussianProcess(
            jnp.exp(2 * theta[d]) * kernel, jnp.asarray(x), diag=jnp.exp(2 * theta[d + 1])
        )
        return process.log_probability(jnp.asarray(y))

    compiled = jax.jit(jax.value_and_grad(density))

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = compiled(jnp.asarray(theta))
        return float(value), np.asarray(gradient)

    return evaluate


def main() -> None:
    sizes = [int(n) for n in sys.argv[2:]] or [500, 1000, 2000, 4000]
    clock = time.process_time if THREADS == "1" else time.perf_counter
    makers = (by_hand, mercer, scikit_learn, tinygp)
    print(f"Threads: {THREADS}; {'CPU' if THREADS == '1' else 'wall'} seconds, best of 3.\n")
    print("| n | engine | seconds | times LAPACK by hand | resident growth, n x n |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    theta = np.concatenate([np.linspace(0.3, 1.5, 8), [0.1, -1.0]])
    for n in sizes:
        x = rng.normal(size=(n, 8))
        y = np.sin(x[:, 0]) + 0.3 * rng.normal(size=n)
        reference, base = None, 1.0
        for make in makers:
            if n > 2000 and make is scikit_learn:
                continue  # it holds the 10 derivatives [n, n] at once
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                evaluate = make(x, y)
            except ImportError:
                continue
            value, gradient = evaluate(theta)
            grown = (
                (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (8 * n * n)
            )
            if reference is None:
                reference = value, gradient
            np.testing.assert_allclose(value, reference[0], rtol=1e-8)
            np.testing.assert_allclose(gradient, reference[1], rtol=1e-5, atol=1e-4)
            seconds = min(_timed(evaluate, theta, clock) for _ in range(3))
            base = seconds if make is by_hand else base
            print(f"| {n} | {make.__name__} | {seconds:.3f} | {seconds / base:.2f} | {grown:.1f} |")


def _timed(evaluate: Gradient, theta: np.ndarray, clock: Callable[[], float]) -> float:
    start = clock()
    evaluate(theta)
    return clock() - start


if __name__ == "__main__":
    main()
