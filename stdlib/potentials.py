"""The kernel of a potential into that of the vector field that is made of its derivatives.

Points are pairs: where, and which coordinate of the field. With directions u(i) in R^d for each
coordinate i, the covariance of the coordinates i at x and j at z is the derivative of the kernel
along u(i) in x and along u(j) in z. A gradient has u(i) = e_i. Fields without divergence are sums,
over pairs p < q of coordinates, of the derivatives of independent potentials with

    u(p) = e_q,   u(q) = -e_p,   u(i) = 0 elsewhere:

one stream function in the plane, the curl of a vector potential in space.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import register_dataclass

from mercer.stdlib.algebra import Kernel, Side


@partial(register_dataclass, data_fields=("kernel",), meta_fields=("is_gradient", "factor"))
@dataclass(frozen=True)
class Potential(Kernel):
    """Derivatives of a function with a stationary `kernel`, over a constant: so that their mean
    variance is that of the kernel. The last factor of a point is the coordinate of the field; the
    place is `factor`, or all factors before the last."""

    kernel: Kernel
    is_gradient: bool
    factor: int | None = None

    def evaluate(self, a: Side, b: Side) -> Array:
        x, z = self._place(a), self._place(b)
        total = 0.0
        for directions in _directions(x.shape[-1], self.is_gradient):
            u, v = jnp.asarray(directions)[a.factors[-1]], jnp.asarray(directions)[b.factors[-1]]
            total = total + self._derived(a, b, x, z, u, v)
        share = self._variance(a, x)
        return total * share

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Kernel:
        return replace(self, factor=self.factor if factor is None else factor)

    def _place(self, side: Side) -> Array:
        """[n, d] or [d]."""
        chosen = side.factors[:-1] if self.factor is None else (side.factors[self.factor],)
        if len(chosen) == 1 and chosen[0].ndim == (1 if side.is_point else 2):
            return chosen[0]
        columns = [c[..., None] if c.ndim == (0 if side.is_point else 1) else c for c in chosen]
        return jnp.concatenate(columns, axis=-1)

    def _at(self, side: Side, x: Array) -> Side:
        """The side that the kernel of the potential sees: places alone, where it looks for them."""
        return side._replace(factors=(x,) * (1 + (self.factor or 0)))

    def _derived(self, a: Side, b: Side, x: Array, z: Array, u: Array, v: Array) -> Array:
        def value(at: Array, other: Array) -> Array:
            return self.kernel.evaluate(self._at(a, at), self._at(b, other))

        def along(other: Array) -> Array:
            return jax.jvp(lambda at: value(at, other), (x,), (u.astype(x.dtype),))[1]

        return jax.jvp(along, (z,), (v.astype(z.dtype),))[1]

    def _variance(self, side: Side, x: Array) -> Array:
        """What the derivatives are multiplied with: [n, 1], of each row's copy, or a number."""
        if side.is_point:
            return self._share(x, side)
        if side.labels is None:
            return self._share(x[0], Side((x[0],), None, is_point=True))
        points = jax.vmap(lambda at, label: self._share(at, Side((at,), label, is_point=True)))
        return points(x, side.labels)[:, None]

    def _share(self, x: Array, side: Side) -> Array:
        total = 0.0
        width = x.shape[-1]
        for directions in _directions(width, self.is_gradient):
            for u in jnp.asarray(directions, x.dtype):
                total = total + self._derived(side, side, x, x, u, u)
        point = self._at(side, x)
        return width * self.kernel.evaluate(point, point) / total


def helmholtz(potential: Kernel, stream: Kernel) -> Kernel:
    """The sum of a gradient and a field without divergence."""
    return Potential(potential, is_gradient=True) + Potential(stream, is_gradient=False)


def _directions(width: int, is_gradient: bool) -> Iterator[np.ndarray]:
    """The directions [d, d] of the coordinates of a field, for each of its potentials."""
    unit = np.eye(width)
    if is_gradient:
        yield unit
        return
    for p, q in itertools.combinations(range(width), 2):
        directions = np.zeros((width, width))
        directions[p], directions[q] = unit[q], -unit[p]
        yield directions
