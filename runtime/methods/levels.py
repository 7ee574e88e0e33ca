"""Gaussian unknowns that are multiplied into the law that variational inference begins with.

Where all factors of a product are 0 so are its slopes by each of them, and signs are not known: of
the prior, the fit stays there. So each factor begins near a positive level, a core near 1 where all
its positions are equal (as message passing does), and with little variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.engines.cholesky import solve_triangular
from mercer.runtime.engines.evidence import SPARSE, roots_of
from mercer.runtime.engines.inducing import Inducing
from mercer.runtime.engines.sites import weights_root
from mercer.runtime.engines.terms import Weights
from mercer.runtime.methods.natural import Natural

_SPREAD, _ROUGHNESS = 0.3, 0.1
"""Of the levels about 1, and of what is added to them, a draw of the prior, in sds of the prior."""

_VARIANCE = 0.1


def multiplied_of(program: ModuleType) -> Mapping[str, bool]:
    """The unknowns of products; True: a core."""
    return getattr(program, "MULTIPLIED", {})


def law_of_levels(program: ModuleType, known: Mapping[str, Any], seed: int) -> Natural:
    """The law of the whitened coordinates; `known`: the unknowns, where it begins."""
    multiplied = multiplied_of(program)
    block = Inducing(program.processes(**known), program.sites(**known), {})
    rng, means, precisions = np.random.default_rng(seed), [], []

    def add(mean: Array | None, size: int) -> None:
        means.append(jnp.zeros(size) if mean is None else mean)
        precisions.append(jnp.full(size, 1.0 if mean is None else 1.0 / _VARIANCE))

    for (name, site), root in zip(
        block.inducing.items(), roots_of(block.grams, SPARSE), strict=True
    ):
        mean = None
        if name in multiplied:
            output = site.points.output
            each = 1.0 + _SPREAD * rng.normal(size=site.size)
            own = each[0] if output is None else jnp.asarray(each)[output]
            mean = _whitened(root.lower, own) + _ROUGHNESS * rng.normal(size=site.size)
        add(mean, site.size)
    quantities = program.quantities(**known)
    for name, size in block.finite.items():
        mean = None
        if name in multiplied and name not in quantities:  # a function that is a sum of waves
            mean = jnp.asarray(_SPREAD * rng.normal(size=size))
        elif name in multiplied:
            process = block.processes[name]
            assert isinstance(process, Weights)
            levels = _levels(rng, quantities[name].shape, is_core=multiplied[name])
            mean = _whitened(weights_root(process, size), jnp.asarray(levels.reshape(-1)))
        add(mean, size)
    mean, precision = jnp.concatenate(means), jnp.concatenate(precisions)
    return Natural(precision * mean, jnp.diag(precision), {})


def _levels(rng: np.random.Generator, shape: tuple[int, ...], *, is_core: bool) -> np.ndarray:
    """Of a core [positions ...], or of the entries [labels, positions] of a mode."""
    if not is_core:
        each = 1.0 + _SPREAD * rng.normal(size=shape[-1:])
        return each + _ROUGHNESS * rng.normal(size=shape)
    positions = np.indices(shape).reshape(len(shape), *shape)
    return np.all(positions == positions[:1], axis=0) + _SPREAD * rng.normal(size=shape)


def _whitened(root: Array, levels: Array) -> Array:
    """The coordinates of values at `levels`, in units of their prior sds."""
    if root.ndim == 1:
        return jnp.broadcast_to(levels, root.shape)
    sd = jnp.sqrt(jnp.sum(root**2, axis=1))
    return solve_triangular(root, levels * sd)
