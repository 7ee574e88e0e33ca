"""Conjugate gradients beside those of GPyTorch: seconds of a fit step, iterations, gradients.

A function of four inputs under an RBF kernel with a lengthscale for each, Normal noise, synthetic
of seed 0. A step is one log density with its gradient; the hyperparameters go along a straight
path from a start to near the mode, as an optimiser would, the same for all. One thread, CPU time,
without compiling; the same tolerance, rank of the preconditioner and number of probes. Mercer ends
where the residual of each right side is below the tolerance, GPyTorch where their mean is. GPyTorch
stores the Gram matrix, in the precision that is named; Mercer computes it anew, in float64.

    python benchmarks/iterative.py [--rows 20000] [--steps 6] [--tolerance 1e-3]
        [--peer PYTHON] [--precision float64] [--what speed gradient]

`gradient` compares with the exact gradient, by default at 4,000 rows: the error's norm over the
gradient's. A missing peer is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import numpy as np

INPUTS = 4
START = np.log([1.0, 1.0, 1.0, 1.0, 1.0, 0.5])
END = np.log([1.0, 1.6, 1.2, 4.0, 1.5, 0.3])
"""Lengthscales, scale and noise; the mode is near `END`."""


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, INPUTS))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] * np.cos(x[:, 2]) + 0.3 * rng.normal(size=rows)


def path(steps: int) -> list[np.ndarray]:
    return [START + (END - START) * share for share in np.linspace(0.0, 1.0, steps)]


def ours(job: dict) -> dict:
    """Mercer's engine along the path; `recycle`: with directions of the last solves, or without."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    from mercer.runtime.engines.gaussian import (
        Affine,
        Dense,
        Gaussian,
        Iterations,
        RandomFunction,
        Site,
        Term,
    )
    from mercer.runtime.engines.iterative import Remembered
    from mercer.stdlib.kernels import RBF
    from mercer.stdlib.points import Points

    settings = Iterations(job["tolerance"], job["rank"], job["probes"])
    x, y = (jnp.asarray(part) for part in data(job["rows"]))

    def block(engine, at, x, y):
        kernel = RBF(lengthscale=jnp.exp(at[:INPUTS]), scale=jnp.exp(at[INPUTS]))
        site = Site("f", Points((x,)), len(x))
        law = Gaussian(Affine(0.0, (Term("x"),), (len(x),)), jnp.exp(at[INPUTS + 1]))
        return engine({"f": RandomFunction(kernel)}, {"x": site}, {"y": (law, y, None)})

    def density(engine, at, x, y):
        return block(engine, at, x, y).log_density()

    if job["what"] == "exact":
        evaluate = jax.jit(jax.value_and_grad(lambda at: density(Dense, at, x, y)))
        value, slope = evaluate(jnp.asarray(path(3)[1]))
        return {"value": float(value), "slope": np.asarray(slope).tolist()}
    first = jax.jit(lambda at, x, y: block(settings, at, x, y).first())
    solved = jax.jit(lambda at, x, y, before: block(settings, at, x, y).solved(before))
    evaluate = jax.jit(
        lambda at, x, y, found: jax.value_and_grad(
            lambda at: density(settings.at(found), at, x, y)
        )(at)
    )
    points = path(3)[1:2] if job["what"] == "gradient" else path(job["steps"])

    def begin(at) -> Remembered:
        found = first(at, x, y)
        # Without recycling there is nothing to deflate with: one direction at random is as none.
        return found if job["recycle"] else found._replace(basis=found.basis[:1])

    state = jax.block_until_ready(begin(jnp.asarray(points[0])))
    jax.block_until_ready(evaluate(points[0], x, y, solved(points[0], x, y, state)[0]))
    result: dict = {"seconds": [], "iterations": [], "residual": [], "value": [], "slope": []}
    for number, at in enumerate(points):
        begun = time.process_time()
        if number == 0 or not job["recycle"]:
            state = begin(jnp.asarray(at))
        found, after = solved(at, x, y, state)
        value, slope = jax.block_until_ready(evaluate(at, x, y, found))
        state = jax.block_until_ready(after)
        result["seconds"].append(time.process_time() - begun)
        result["iterations"].append(int(found.iterations.max()))
        result["residual"].append(float(found.residual.max()))
        result["value"].append(float(value))
        result["slope"].append(np.asarray(slope).tolist())
    return result


def peer(job: dict) -> dict:
    """GPyTorch's conjugate gradients at the same points."""
    import gpytorch
    import torch
    from linear_operator import settings as solver
    from linear_operator import utils

    torch.set_num_threads(1)
    torch.manual_seed(0)
    kind = getattr(torch, job["precision"])
    x, y = (torch.tensor(part, dtype=kind) for part in data(job["rows"]))
    likelihood = gpytorch.likelihoods.GaussianLikelihood().to(kind)

    class Model(gpytorch.models.ExactGP):
        def __init__(self):
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(
                gpytorch.kernels.RBFKernel(ard_num_dims=INPUTS)
            )

        def forward(self, x):
            return gpytorch.distributions.MultivariateNormal(
                self.mean_module(x), self.covar_module(x)
            )

    model = Model().to(kind)
    model.train()
    likelihood.train()
    total = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    result: dict = {"seconds": [], "value": [], "slope": [], "products": []}
    points = path(3)[1:2] if job["what"] == "gradient" else path(job["steps"])
    calls = [0]
    base = utils.linear_cg

    def counted(matmul_closure, *args, **kwargs):
        own = matmul_closure if callable(matmul_closure) else matmul_closure.matmul

        def product(*inputs):
            calls[0] += 1
            return own(*inputs)

        return base(product, *args, **kwargs)

    utils.linear_cg = counted
    raw = (
        model.covar_module.base_kernel.raw_lengthscale,
        model.covar_module.raw_outputscale,
        likelihood.noise_covar.raw_noise,
    )
    with (
        solver.max_cholesky_size(0),
        solver.cg_tolerance(job["tolerance"]),
        solver.max_cg_iterations(1000),
        solver.max_preconditioner_size(job["rank"]),
        solver.min_preconditioning_size(0),
        solver.num_trace_samples(job["probes"]),
        solver.fast_computations(True, True, True),
    ):
        for at in points:
            model.covar_module.base_kernel.lengthscale = torch.tensor(
                np.exp(at[:INPUTS]), dtype=kind
            )
            model.covar_module.outputscale = float(np.exp(2 * at[INPUTS]))
            likelihood.noise = float(np.exp(2 * at[INPUTS + 1]))
            model.zero_grad()
            calls[0] = 0
            begun = time.process_time()
            value = total(model(x), y) * len(y)
            value.backward()
            result["seconds"].append(time.process_time() - begun)
            result["products"].append(calls[0])
            result["value"].append(float(value))
            # Of raw numbers r into those of logarithms: d/dlog v = v d/dv, v = softplus(r) + c.
            lengths, scale, noise = (
                (p.grad / torch.sigmoid(p.detach())).double().reshape(-1).numpy() for p in raw
            )
            own = np.exp(at)
            slope = [
                *(lengths * own[:INPUTS]),
                *(scale * 2 * own[INPUTS] ** 2),
                *(noise * 2 * own[INPUTS + 1] ** 2),
            ]
            result["slope"].append([float(s) for s in slope])
    return result


def run(python: str, kind: str, job: dict) -> dict | None:
    """A job in a process of its own."""
    sys.stdout.flush()
    command = [python, str(Path(__file__)), "--job", json.dumps({"kind": kind, **job})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{kind}: left out ({done.stderr.strip().splitlines()[-1:]})", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def told(name: str, found: dict | None) -> None:
    if found is not None:
        steps = " ".join(f"{s:.1f}" for s in found["seconds"])
        key = "iterations" if "iterations" in found else "products"
        print(f"{name}: CPU s of a step {steps}; {key} {found[key]}; peak {found['peak']:.1f} GB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--gradient-rows", type=int, default=4_000)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=100)
    parser.add_argument("--probes", type=int, default=10)
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--peer", default="")
    parser.add_argument("--what", nargs="*", default=["speed", "gradient"])
    parser.add_argument("--job")
    given = parser.parse_args()
    if given.job:
        job = json.loads(given.job)
        found = {"ours": ours, "peer": peer}[job["kind"]](job)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({**found, "peak": peak}))
        return
    job = {k: getattr(given, k) for k in ("rows", "steps", "tolerance", "rank", "probes")}
    job |= {"precision": given.precision, "recycle": True, "what": "speed"}
    if "speed" in given.what:
        fast = run(sys.executable, "ours", job)
        told("Mercer, recycled", fast)
        other = run(given.peer, "peer", job) if given.peer else None
        told(f"GPyTorch, {given.precision}", other)
        if fast and other:
            ratio = sum(other["seconds"]) / sum(fast["seconds"])
            print(f"GPyTorch's time over that of Mercer, all steps: {ratio:.2f}")
        told("Mercer, from the start", run(sys.executable, "ours", job | {"recycle": False}))
    if "gradient" in given.what:
        job |= {"rows": given.gradient_rows, "what": "gradient"}
        exact = run(sys.executable, "ours", job | {"what": "exact"})
        sides = {f"Mercer, rank {r}": ("ours", {"rank": r}) for r in (given.rank, 5 * given.rank)}
        if given.peer:
            sides["GPyTorch"] = ("peer", {})
        for name, (kind, own) in sides.items():
            python = given.peer if kind == "peer" else sys.executable
            found = run(python, kind, job | own)
            if found and exact:
                truth = np.asarray(exact["slope"])
                error = np.linalg.norm(found["slope"][0] - truth) / np.linalg.norm(truth)
                off = found["value"][0] - exact["value"]
                print(f"{name}: gradient error {error:.2%}, log density off by {off:.2f}")


if __name__ == "__main__":
    main()
