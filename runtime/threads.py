"""One function over several inputs turned into threads side by side, on a CPU.

XLA runs one program on one core but for its largest matrix products. LAPACK's own threads gain
little on the matrices of a fit and wait for one another where programs run side by side: each
program gets one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

A = TypeVar("A")
B = TypeVar("B")


def workers() -> int:
    """How many threads may run side by side: the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(
    function: Callable[[A], B], inputs: Sequence[A], *, threads: int | None = None
) -> list[B]:
    """`function` of each of `inputs`, at most `threads` of them at a time (all cores)."""
    count = min(threads or workers(), len(inputs))
    if count <= 1:
        return [function(one) for one in inputs]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, inputs))
