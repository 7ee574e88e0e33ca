"""A whole fit, n = 500 and d = 8: wall and CPU time to the optimum, compilation included.

    python benchmarks/full_fit.py [--peers-python PATH] [--rounds 2]

RBF with 8 lengthscales, a scale and a noise; synthetic data of seed 0 that depend on five of the
eight inputs, so that some lengthscales run away, as they do in life. Every fit has a fresh process
and one thread; the clock starts once libraries and data are loaded. The peers maximise the marginal
likelihood. Mercer maximises the posterior density with LogNormal(0, 100) priors, flat for all that
matters here: `model.fit` whole, which goes on to Laplace's approximation, one draw and the
leave-one-out densities; `to the optimum` is the part that the peers do. It runs with an empty
compilation cache (cold) and once more (again). The log likelihood at each optimum is computed by
`by_hand` of marginal_likelihood.py, the same for all.

PATH is the Python of an environment with tinygp and gpjax: these run L-BFGS of SciPy on their value
and gradient, from the point at which scikit-learn starts and within its bounds.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"  # before NumPy, XLA and Torch start their pools
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any

import marginal_likelihood
import numpy as np

N, D = 500, marginal_likelihood.D
TEXT = """data x[n] : Real^d
data y[n] : Real
f ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 100), scale ~ LogNormal(0, 100)))
noise ~ LogNormal(0, 100)
y ~ Normal(f(x), noise)
infer MAP(restarts = {starts}, chains = 1, draws = 1)
"""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs [n, d] and standardised outcomes [n]."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3] ** 2 + 0.3 * x[:, 4]
    y += 0.2 * rng.normal(size=N)
    return x, (y - y.mean()) / y.std()


def mercer(x: np.ndarray, y: np.ndarray, starts: int) -> dict[str, Any]:
    import mercer as language
    import mercer.inference  # JAX and all that a fit needs, as the peers import theirs
    from mercer.runtime.methods import map as driver

    found: dict[str, Any] = {}
    find_mode = driver.find_mode

    def noted(density: Any, **options: Any) -> Any:
        """The optimum itself is no part of a fit, whose draws lie about it: note it here."""
        mode = find_mode(density, **options)
        found.update(clock.read(), density=density, mode=mode)
        return mode

    driver.find_mode = noted
    clock = _Clock()
    language.compile(TEXT.format(starts=starts)).fit({"x": x, "y": y}, progress=False)
    whole = clock.read()
    point = found["density"].constrain(found["mode"].point[None])
    parts = [np.ravel(point[name]) for name in ("f.lengthscale", "f.scale", "noise")]
    optimum = {k: found[k] for k in ("wall", "cpu")}
    return {"optimum": optimum, "whole": whole, "theta": np.log(np.concatenate(parts)).tolist()}


def scikit_learn(x: np.ndarray, y: np.ndarray, starts: int) -> dict[str, Any]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    warnings.simplefilter("ignore")  # a lengthscale at its bound is expected
    clock = _Clock()
    kernel = ConstantKernel(1.0) * RBF(np.ones(D)) + WhiteKernel(1.0)
    model = GaussianProcessRegressor(
        kernel, alpha=0.0, n_restarts_optimizer=starts - 1, random_state=0
    ).fit(x, y)
    time_ = clock.read()
    own = model.kernel_.theta
    theta = np.concatenate([own[1 : D + 1], [0.5 * own[0], 0.5 * own[-1]]])
    return {"optimum": time_, "whole": time_, "theta": theta.tolist()}


def by_scipy(engine: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """L-BFGS on the value and gradient that marginal_likelihood.py writes for `engine`."""
    from scipy.optimize import minimize

    make = getattr(marginal_likelihood, engine)
    make(x[:20], y[:20])  # loads the library
    clock = _Clock()
    evaluate = make(x, y)

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = evaluate(theta)
        return -value, -np.asarray(gradient)

    bounds = [(np.log(1e-5), np.log(1e5))] * (D + 2)  # those of scikit-learn
    found = minimize(negative, np.zeros(D + 2), jac=True, method="L-BFGS-B", bounds=bounds)
    time_ = clock.read()
    return {"optimum": time_, "whole": time_, "theta": found.x.tolist()}


OWN = (("mercer", 1), ("mercer", 4), ("scikit_learn", 1), ("scikit_learn", 4))
PEERS = (("tinygp", 1), ("gpjax", 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", help="Python with tinygp and gpjax")
    parser.add_argument("--rounds", type=int, default=2, help="fresh processes for each engine")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    x, y = data()
    if arguments.one:
        engine, starts = arguments.one[0], int(arguments.one[1])
        own = {"mercer": mercer, "scikit_learn": scikit_learn}
        print(json.dumps(own[engine](x, y, starts) if engine in own else by_scipy(engine, x, y)))
        return
    plan = [(e, s, sys.executable) for e, s in OWN]
    if arguments.peers_python:
        plan += [(e, s, arguments.peers_python) for e, s in PEERS]
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number in range(arguments.rounds):
        for engine, starts, python in plan:
            print(f"round {number + 1}: {engine}, {starts} starts", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as cache:
                names = ("mercer, cold", "mercer, again") if engine == "mercer" else (engine,)
                for name in names:
                    result = _fresh(python, engine, starts, cache)
                    rows.setdefault((name, starts), []).append(result)
    likelihood = marginal_likelihood.by_hand(x, y)
    print(
        "| engine | starts | to the optimum: wall s, CPU s | whole: wall s, CPU s "
        "| log likelihood |"
    )
    print("|---|---|---|---|---|")
    for (name, starts), results in rows.items():
        value = likelihood(np.array(results[0]["theta"]))[0]
        cells = [
            f"{min(r[part]['wall'] for r in results):.2f}, "
            f"{min(r[part]['cpu'] for r in results):.2f}"
            for part in ("optimum", "whole")
        ]
        print(f"| {name} | {starts} | {cells[0]} | {cells[1]} | {value:.3f} |")


class _Clock:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
        }


def _fresh(python: str, engine: str, starts: int, cache: str) -> dict[str, Any]:
    command = [python, __file__, "--one", engine, str(starts)]
    environment = {**os.environ, "MERCER_CACHE_DIR": cache}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{engine}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
