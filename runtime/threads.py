"""One function over several inputs turned into threads side by side, on a CPU.

XLA runs one program on one core but for its largest matrix products. LAPACK's own threads gain
little on the matrices of a fit and wait for one another where programs run side by side: each
program gets one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
from threadpoolctl import threadpool_limits


def workers() -> int:
    """How many threads may run side by side: the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(function: Callable[[Any], Any], inputs: Sequence[Any]) -> list[Any]:
    """`function` of each of `inputs`, trees of arrays of the same shapes; compiled once."""
    compiled = jax.jit(function).lower(inputs[0]).compile()

    def run(one: Any) -> Any:
        return jax.block_until_ready(compiled(one))

    count = min(workers(), len(inputs))
    if count == 1:
        return [run(one) for one in inputs]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, inputs))


def threads(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A chain method for NumPyro's `MCMC`: `function` of each entry of the leading axis."""

    def over(stacked: Any) -> Any:
        count = len(jax.tree.leaves(stacked)[0])
        inputs = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(count)]
        results = side_by_side(function, inputs)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    return over
