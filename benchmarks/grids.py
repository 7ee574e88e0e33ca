"""A grid beside its eigendecompositions, and kinds of random waves at equal cost.

    python benchmarks/grids.py [--side 200] [--rounds 10]

The first table is the CPU time of one log density with its gradient on a grid of side x side cells
(RBF, two lengthscales, scale and noise), least of the rounds, beside two eigendecompositions of
LAPACK's (`eigh` of the two factors), and with cells left out. The second is the variance of the
estimate of an RBF kernel by waves of each kind, as many as take the CPU time that independent ones
take, and as many as those.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mercer.runtime.engines.cholesky import eigen
from mercer.runtime.engines.fourier import KINDS, directions
from mercer.runtime.engines.grid import Grid
from mercer.runtime.engines.lattice import Lattice, lattice
from mercer.runtime.engines.terms import Affine, Gaussian, RandomFunction, Site, Term
from mercer.stdlib.kernels import RBF
from mercer.stdlib.points import Points

AT = np.array([1.0, 0.7, 1.2, 0.1])


def least(call: Callable[[], Any], rounds: int) -> float:
    """Milliseconds of CPU time, the least of some rounds after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(rounds):
        start = time.process_time()
        jax.block_until_ready(call())
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def density(at: jax.Array, x: jax.Array, y: jax.Array, grid: Lattice, keep: Any) -> jax.Array:
    site = Site("f", Points((x,)), len(x), grid=grid)
    process = RandomFunction(RBF(lengthscale=at[:2], scale=at[2]))
    law = Gaussian(Affine(0.0, (Term("f"),), shape=(len(x),)), noise=at[3])
    return Grid({"f": process}, {"f": site}, {"y": (law, y, keep)}).log_density()


def of_grids(side: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    axis = np.linspace(0.0, 3.0, side)
    cells = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    values = np.sin(2 * cells[:, 0]) * cells[:, 1] + 0.1 * rng.normal(size=len(cells))
    found = lattice(Site("f", Points((cells,)), len(cells)), (((0, 0),), ((0, 1),)))
    grid = jax.tree.map(jnp.asarray, found)
    x, y = jnp.asarray(cells), jnp.asarray(values)
    both = jax.jit(jax.value_and_grad(density))
    factors = [AT[2] * jnp.exp(-0.5 * ((axis[:, None] - axis) / length) ** 2) for length in AT[:2]]
    split = jax.jit(eigen)
    usual = sum(least(lambda k=k: split(k), rounds) for k in factors)
    print(f"| two eigendecompositions of {side} x {side} | {usual:.1f} ms | |")
    for missing in (0, 20, 200):
        gone = rng.choice(len(cells), missing, replace=False)
        keep = jnp.asarray(np.setdiff1d(np.arange(len(cells)), gone)) if missing else None
        took = least(lambda keep=keep: both(AT, x, y, grid, keep), rounds)
        print(f"| {missing} cells without a value | {took:.1f} ms | {took / usual:.2f} |")


def of_waves(rounds: int) -> None:
    rng = np.random.default_rng(1)
    print("| d | kind | waves | CPU ms | variance, of independent ones |")
    for width in (32, 128, 512):
        x = jnp.asarray(rng.normal(size=(20, width)) / np.sqrt(width))
        many = jnp.asarray(rng.normal(size=(4000, width)))
        gaps = np.asarray(x)[:, None] - np.asarray(x)
        wanted = np.exp(-0.5 * np.sum(gaps**2, axis=-1))

        def spread(kind: Any, waves: int, x: Any = x, wanted: Any = wanted) -> float:
            angles = [np.asarray(directions(s, waves, x.shape[1], kind)(x)) for s in range(30)]
            return float(np.mean([(np.cos(a[:, None] - a).mean(-1) - wanted) ** 2 for a in angles]))

        def cost(kind: Any, waves: int, many: Any = many) -> float:
            products = jax.jit(directions(0, waves, many.shape[1], kind))
            return least(lambda: products(many), rounds)

        usual, base = cost("independent", width), spread("independent", width)
        for kind in KINDS:
            took = cost(kind, width)
            share = spread(kind, width) / base
            print(f"| {width} | {kind} | {width} | {took:.2f} | {share:.2f} |")
        fair = max(1, round(usual / cost("structured", width)))
        if fair > 1:
            share = spread("structured", fair * width) / base
            print(f"| {width} | structured, at equal cost | {fair * width} | | {share:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    # One thread, read when the first array is made.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    jax.config.update("jax_enable_x64", True)
    of_grids(options.side, options.rounds)
    of_waves(options.rounds)
