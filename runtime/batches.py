"""A function of one posterior draw turned into one over all draws, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array

_BYTES = 4e8
"""What the matrices of one batch may take together."""


def over_draws(
    compute: Callable[[Array, Mapping[str, Array], Any], Any],
    draws: Mapping[str, np.ndarray],
    arrays: Any,
    *,
    seed: int,
    count: int,
    size: int,
) -> Any:
    """`compute(key, draw, arrays)` for each of `count` draws, stacked; keys follow from `seed`.

    `size` is the number of rows of the largest matrix that one draw needs.
    """
    batch = _batch(count, size)
    keys = jax.random.split(jax.random.key(seed), count)

    @jax.jit
    def everything(keys: Array, draws: Mapping[str, Array], arrays: Any) -> Any:
        def one(inputs: Any) -> Any:
            return compute(inputs[0], inputs[1], arrays)

        return jax.lax.map(one, (keys, draws), batch_size=batch)

    return jax.tree.map(np.asarray, everything(keys, dict(draws), arrays))


def _batch(count: int, size: int) -> int | None:
    """Draws at a time: None, one after another, on a CPU, where a batch would factorise at every
    jitter level; else what fits, a divisor of `count` so that no remainder is compiled too."""
    if jax.default_backend() == "cpu":
        return None
    most = int(np.clip(_BYTES / (8.0 * 6 * max(size, 1) ** 2), 1, 256))
    return max(d for d in range(1, min(most, count) + 1) if count % d == 0)
