"""A kernel and two sets of points into their covariance, derivatives and integrals included.

Without operators, whole sets go through matrix products. With a derivative, the kernel of two
single points is differentiated and mapped over the pairs. An integral is a weighted sum of values
at quadrature nodes, so it becomes more points.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from mercer.stdlib.algebra import Kernel, PerLabel, Side
from mercer.stdlib.operators import Directional, Integrate, Laplace, Operator

__all__ = [
    "Directional",
    "Integrate",
    "Laplace",
    "Operator",
    "PerLabel",
    "Points",
    "covariance",
    "label_matrix",
    "variance",
]

# More nodes cost memory for every integral, fewer lose long intervals: see `Integrate`.
_NODES = 64


class Points(NamedTuple):
    """N points at which a function, or what operators make of it, is asked for.

    factors: one for each factor of the domain, [N, d] numbers (or [N] for a Real) or [N] codes.
    labels: which copy of an indexed function; copies are independent.
    output: which coordinate of a vector codomain; the process reads it, no kernel does.
    operators: innermost first.
    """

    factors: tuple[Array, ...]
    labels: Int[Array, " n"] | None = None
    output: Int[Array, " n"] | None = None
    operators: tuple[Operator, ...] = ()


def covariance(kernel: Kernel, x: Points, z: Points) -> Float[Array, "n m"]:
    """Covariance between the values at x and at z; 0 between different copies."""
    if (x.labels is None) != (z.labels is None):
        raise ValueError(
            "both or neither of x and z must have labels: they say which copy is meant"
        )
    left, left_weights = _nodes(x)
    right, right_weights = _nodes(z)
    matrix = _gram(kernel, left, right)
    if left_weights is not None:
        split = matrix.reshape(-1, _NODES, matrix.shape[1])
        matrix = jnp.einsum("nq,nqm->nm", left_weights, split)
    if right_weights is not None:
        split = matrix.reshape(matrix.shape[0], -1, _NODES)
        matrix = jnp.einsum("nmq,mq->nm", split, right_weights)
    return matrix


def variance(kernel: Kernel, x: Points) -> Float[Array, " n"]:
    """The diagonal of `covariance(kernel, x, x)`, in n evaluations of the kernel."""
    points, weights = _nodes(x)
    if weights is None:
        return jax.vmap(lambda row: _pair(kernel, row, row))(points)
    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, _NODES, *leaf.shape[1:]), points)
    return jax.vmap(lambda row, w: w @ _gram(kernel, row, row) @ w)(rows, weights)


def label_matrix(kernel: Kernel, size: int) -> Float[Array, "s s"]:
    """The covariance between all labels of a kernel on them: `outputs = Coregion(rank = 2)`."""
    codes = Points((jnp.arange(size),))
    return covariance(kernel, codes, codes)


def _gram(kernel: Kernel, x: Points, z: Points) -> Array:
    if x.operators or z.operators:
        along = jax.vmap(lambda a, b: _pair(kernel, a, b), in_axes=(None, 0))
        matrix = jax.vmap(along, in_axes=(0, None))(x, z)
    else:
        matrix = kernel.evaluate(
            Side(x.factors, x.labels, is_point=False), Side(z.factors, z.labels, is_point=False)
        )
    if x.labels is None or z.labels is None:
        return matrix
    return jnp.where(x.labels[:, None] == z.labels, matrix, 0.0)


def _pair(kernel: Kernel, x: Points, z: Points) -> Array:
    """The covariance of two single points (rows of `Points`), after the operators of both."""

    def plain(a: tuple[Array, ...], b: tuple[Array, ...]) -> Array:
        return kernel.evaluate(Side(a, x.labels, is_point=True), Side(b, z.labels, is_point=True))

    def left(a: tuple[Array, ...], b: tuple[Array, ...], depth: int) -> Array:
        if depth == 0:
            return plain(a, b)
        return x.operators[depth - 1].apply(lambda u: left(u, b, depth - 1), a)

    def both(a: tuple[Array, ...], b: tuple[Array, ...], depth: int) -> Array:
        if depth == 0:
            return left(a, b, len(x.operators))
        return z.operators[depth - 1].apply(lambda u: both(a, u, depth - 1), b)

    return both(x.factors, z.factors, len(z.operators))


def _nodes(points: Points) -> tuple[Points, Array | None]:
    """Points without the integral, and the weights [N, Q] of the nodes that replace it."""
    points = points._replace(factors=tuple(_with_columns(f) for f in points.factors))
    if not any(isinstance(o, Integrate) for o in points.operators):
        return points, None
    *inner, last = points.operators
    if not isinstance(last, Integrate) or any(isinstance(o, Integrate) for o in inner):
        raise ValueError("an integral is a number: no operator may follow it")
    unit, weights = _quadrature()
    middle, half = (last.high + last.low) / 2.0, (last.high - last.low) / 2.0
    nodes = middle[:, None] + half[:, None] * unit
    rest = points._replace(factors=(), operators=tuple(inner))
    rest = jax.tree.map(lambda leaf: jnp.repeat(leaf, _NODES, axis=0), rest)
    return rest._replace(factors=(nodes.reshape(-1, 1),)), half[:, None] * weights


def _with_columns(factor: Array) -> Array:
    """[N] numbers as [N, 1]; codes of labels stay [N]; columns of whole numbers are numbers too."""
    factor = jnp.asarray(factor)
    if factor.ndim > 1:
        return factor.astype(jnp.result_type(float, factor.dtype))
    return factor[:, None] if jnp.issubdtype(factor.dtype, jnp.floating) else factor


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(_NODES)
