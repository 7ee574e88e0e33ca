"""The affine algebra of Gaussian unknowns: processes, their sites, and what is affine in them.

All are frozen pytrees: arrays are leaves, names and sizes are structure, so that engines are pure
functions under `jit`, `vmap` and `grad`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_pytree = jax.tree_util.register_dataclass


@partial(_pytree, data_fields=("kernel", "outputs"), meta_fields=("copies",))
@dataclass(frozen=True)
class RandomFunction:
    """A zero-mean Gaussian process. `outputs`: covariance [k, k] between the coordinates of its
    codomain, or None: they are independent. `copies`: how many one state along a line holds, of a
    function with labels whose copies are seen together; None: each is a chain of its own."""

    kernel: Any
    outputs: Array | None = None
    copies: int | None = None


@partial(_pytree, data_fields=("sd", "covariance"), meta_fields=())
@dataclass(frozen=True)
class Weights:
    """A finite Gaussian unknown [p] of mean zero: standard deviations `sd` (scalar or [p]), or a
    `covariance` [p, p]."""

    sd: Array | float = 1.0
    covariance: Array | None = None


Process = RandomFunction | Weights


@partial(_pytree, data_fields=("node", "row", "place", "first"), meta_fields=("local",))
@dataclass(frozen=True)
class Timeline:
    """The order of all rows of all outcomes along the line, as `runtime.timeline` finds it.

    `node` [rows]: the node of each row, or empty where each node is one row; `row` [nodes]: a row
    of each node; `place` [nodes]: where its time stands among the values of all function sites;
    `first` [chains]: the first node of each chain. `local`: the `Weights` of which each chain has
    an entry of its own.
    """

    node: Any
    row: Any
    place: Any
    first: Any
    local: tuple[str, ...] = ()


@partial(
    _pytree,
    data_fields=("points", "features", "labels", "order", "grid"),
    meta_fields=("process", "size", "is_inducing"),
)
@dataclass(frozen=True)
class Site:
    """`size` Gaussian values: the process named `process` at `points`, all of some `Weights`, or
    sums of them: value i is `features[i]` [k] times the weights of copy `labels[i]` (None: there is
    one copy), k of which stand behind those of the copy before.

    `is_inducing`: no outcome reads them; an approximate engine sees the process through them.
    `order`: that of the points along a line, where they are whitened along it. `grid`: that of the
    points (`runtime.engines.lattice`), for the engine of grids.
    """

    process: str
    points: Any = None
    size: int = 1
    is_inducing: bool = False
    features: Array | None = None
    labels: Array | None = None
    order: Timeline | None = None
    grid: Any = None


@partial(_pytree, data_fields=("coefficient", "index"), meta_fields=("site",))
@dataclass(frozen=True)
class Term:
    """Adds sum_r coefficient[i, r] * value[index[i, r]] of a site's values to row i.

    `coefficient`: scalar, [N] or [N, R]; `index`: [N] or [N, R], or None: row i reads value i
    (a `coefficient` [N, 1] or [N] then).
    """

    site: str
    coefficient: Array | float = 1.0
    index: Array | None = None


@partial(_pytree, data_fields=("constant", "terms"), meta_fields=("shape",))
@dataclass(frozen=True)
class Affine:
    """N = prod(shape) quantities, affine in the values of sites; `constant` of `shape`, [N] or a
    scalar."""

    constant: Array | float = 0.0
    terms: tuple[Term, ...] = ()
    shape: tuple[int, ...] = ()


@partial(_pytree, data_fields=("mean", "noise", "timeline", "frames"), meta_fields=())
@dataclass(frozen=True)
class Gaussian:
    """The law of an outcome: `mean` plus independent noise of standard deviation `noise`
    (a scalar, or one for each row). `timeline`: for the engine that goes along the line.
    `frames` [n, D, d]: the outcome is n tangent vectors, taken by their coordinates in these."""

    mean: Affine
    noise: Array | float = 0.0
    timeline: Timeline | None = None
    frames: Array | None = None

    @property
    def noise_variance(self) -> Array:
        """Of each number of the outcome, of its shape."""
        square = jnp.square(jnp.broadcast_to(self.noise, (math.prod(self.mean.shape),)))
        if self.frames is not None:
            # A tangent vector varies within its plane.
            square = square * jnp.sum(jnp.square(self.frames), axis=2).reshape(-1)
        return square.reshape(self.mean.shape)

    def draw_noise(self, key: Array) -> Array:
        """One draw of the noise, of the shape of the outcome."""
        shape = self.mean.shape
        noise = jnp.broadcast_to(self.noise, (math.prod(shape),))
        if self.frames is None:
            return noise.reshape(shape) * jax.random.normal(key, shape)
        n, space, dim = jnp.shape(self.frames)
        inside = noise.reshape(n, space)[:, :1] * jax.random.normal(key, (n, dim))
        return jnp.einsum("nDi,ni->nD", self.frames, inside).reshape(shape)


@dataclass(frozen=True)
class Linked:
    """The law of an outcome that is not Gaussian: `law(values of mean)`, row by row, smooth and
    log-concave in those values. The block is then integrated out by a Normal law: that about its
    mode, or the nearest to its law."""

    mean: Affine
    law: Callable[[Array], Any]
    timeline: Timeline | None = None
    is_nearest: bool = False


@dataclass(frozen=True)
class Factor:
    """One factor of a product that is summed over shared positions: row i reads the entries
    `index[i]` [N, R] ([1, R]: all rows the same) of its site, one for each of R positions, which
    `letters` name as in an `einsum` and `sizes` count. `index` [N]: one position. `is_along`: the
    site is that of a function with states along a line. `product`: the number of the product."""

    letters: str
    sizes: tuple[int, ...]
    index: Array
    is_along: bool = False
    product: int = 0
