"""A function of one posterior draw turned into one over all draws, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.kept import Kept
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side, workers

_COMPILED: Kept[Any] = Kept(32)

_PARTS = 10
"""Parts for each thread: after each of them the progress is told."""

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
    known_by: Hashable = None,
    report: Report = silent,
) -> Any:
    """`compute(key, draw, arrays)` for each of `count` draws, stacked; keys follow from `seed`.

    `size` is the number of rows of the largest matrix that one draw needs. `known_by` tells
    functions apart: what was compiled for one serves again for arguments of the same shapes.
    """
    batch = _batch(count, size)
    arrays = jax.tree.map(jnp.asarray, arrays)
    keys = jax.random.split(jax.random.key(seed), count)

    def chunk(inputs: Any) -> Any:
        keys, draws, arrays = inputs

        def one(pair: tuple[Array, Mapping[str, Array]]) -> Any:
            return compute(pair[0], pair[1], arrays)

        return jax.lax.map(one, (keys, draws), batch_size=batch)

    parts = _parts(count) if batch is None else 1
    split = [
        (keys.reshape(parts, -1)[i], {k: v[i] for k, v in _split(draws, parts).items()}, arrays)
        for i in range(parts)
    ]

    def compiled() -> Any:
        return jax.jit(chunk).lower(split[0]).compile()

    shapes = tuple(str(jax.typeof(leaf)) for leaf in jax.tree.leaves(split[0]))
    tree = jax.tree.structure(split[0])
    run = compiled() if known_by is None else _COMPILED.get((known_by, tree, shapes), compiled)
    done = 0

    def one_part(inputs: Any) -> Any:
        nonlocal done
        found = jax.tree.map(np.asarray, run(inputs))
        done += 1
        report(share=done / parts)
        return found

    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *side_by_side(one_part, split))


def _split(draws: Mapping[str, np.ndarray], parts: int) -> dict[str, Array]:
    return {k: jnp.asarray(v).reshape(parts, -1, *v.shape[1:]) for k, v in draws.items()}


def _parts(count: int) -> int:
    """A divisor of `count`, so that all parts have one shape, that gives each thread some."""
    return next(d for d in range(min(_PARTS * workers(), count), count + 1) if count % d == 0)


def _batch(count: int, size: int) -> int | None:
    """Draws at a time: None, one after another, on a CPU, where a batch would factorise at every
    jitter level; else what fits, a divisor of `count` so that no remainder is compiled too."""
    if jax.default_backend() == "cpu":
        return None
    most = int(np.clip(_BYTES / (8.0 * 6 * max(size, 1) ** 2), 1, 256))
    return max(d for d in range(1, min(most, count) + 1) if count % d == 0)
