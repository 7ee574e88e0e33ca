"""A kernel into its mean over a group: the covariance of functions that a group does not change.

    k_G(x, x') = sum_ij w_i w_j k(g_i x, g_j x')

With the same elements for every entry this is the covariance of sum_i w_i f(g_i x), so that it is
positive semi-definite for whatever elements and weights (van der Wilk et al. 2018). They are fixed
in units of the range of the transformations, which so may be an unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import register_dataclass

from mercer.stdlib.algebra import Kernel, Side
from mercer.stdlib.groups import Group, named
from mercer.stdlib.groups.samples import halton, in_ball
from mercer.stdlib.groups.warp import moved


@partial(
    register_dataclass,
    data_fields=("kernel", "angle", "strain"),
    meta_fields=("over", "samples", "image"),
)
@dataclass(frozen=True)
class Averaged(Kernel):
    """`kernel` averaged over the part of the group `over` with rotations of at most `angle` and
    strains of at most `strain`, by its Haar measure. `image`: the sides of the images that the
    points are, if they are images; their middle stays where it is, as the origin does of vectors.
    """

    kernel: Kernel
    over: str
    angle: Any = np.pi
    strain: Any = 0.25
    samples: int = 8
    image: tuple[int, ...] = ()

    def evaluate(self, a: Side, b: Side) -> Array:
        elements, weights = self.elements()
        move = jax.vmap(lambda g, factors: self._moved(g, factors), in_axes=(0, None))
        left, right = move(elements, a.factors), move(elements, b.factors)
        sizes = [len(s.factors[0]) for s in (a, b) if not s.is_point]
        zero = jnp.zeros(tuple(sizes), elements.dtype)

        def pair(own: Any, total: Array, other: Any) -> Array:
            (mine, weight), (theirs, share) = own, other
            value = self.kernel.evaluate(
                Side(mine, a.labels, a.is_point), Side(theirs, b.labels, b.is_point)
            )
            return total + weight * share * value

        def step(total: Array, own: Any) -> tuple[Array, None]:
            # Of each pair only the sum is kept; for the gradient it is made again.
            inner = jax.checkpoint(lambda t, other: (pair(own, t, other), None))
            return jax.lax.scan(inner, total, (right, weights))[0], None

        return jax.lax.scan(step, zero, (left, weights))[0]

    def elements(self) -> tuple[Array, Array]:
        """The elements [s, n, n], and weights [s] that add to 1."""
        group = named(self.over)
        unit = unit_coordinates(self.over, int(self.samples))
        strains, turns = unit[:, : len(group.strains)], unit[:, len(group.strains) :]
        parts = [jnp.asarray(self.strain) * strains] if group.strains else []
        coordinates = jnp.concatenate([*parts, jnp.asarray(self.angle) * turns], axis=-1)
        return group.element(coordinates), jax.nn.softmax(group.log_haar(coordinates))

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Kernel:
        return replace(self, kernel=self.kernel.on(factor, coordinates))

    def _moved(self, element: Array, factors: tuple[Array, ...]) -> tuple[Array, ...]:
        if self.image:
            (flat,) = factors
            images = flat.reshape(*flat.shape[:-1], *self.image)
            if len(self.image) == 3:
                images = jnp.moveaxis(moved(jnp.moveaxis(images, -1, -3), element), -3, -1)
            else:
                images = moved(images, element)
            return (images.reshape(flat.shape),)
        widths = [f.shape[-1] for f in factors]
        whole = jnp.concatenate(factors, axis=-1) @ element.T
        return tuple(jnp.split(whole, np.cumsum(widths)[:-1], axis=-1))


@lru_cache(maxsize=64)
def unit_coordinates(name: str, count: int) -> np.ndarray:
    """The coordinates of the elements in units of their ranges, [s, p]: strains in the unit ball,
    angles at the middles of equal parts of (-1, 1), so that of a whole circle none is there twice.
    """
    group: Group = named(name)
    if group.degree == 3:
        return in_ball(halton(3, count, np.random.default_rng(0)))
    angles = (2.0 * np.arange(count) + 1.0) / count - 1.0
    own = len(group.strains)
    if not own:
        return angles[:, None]
    strains = in_ball(halton(own, count, np.random.default_rng(0)))
    return np.concatenate([strains, np.random.default_rng(1).permutation(angles)[:, None]], axis=1)
