"""A group by its name into what can be done with its elements, which are matrices.

Coordinates are those of the polar decomposition (`mercer.stdlib.groups.polar`): a strain, and an
angle or a rotation vector. They are as many as the group has dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from mercer.stdlib.groups.even import versine_of_root
from mercer.stdlib.groups.polar import Polar, log_haar, polar, rotation, stretch, unpolar
from mercer.stdlib.groups.rotations import rotation_of, vector_of


@dataclass(frozen=True)
class Group:
    """A group of n x n matrices.

    `dimension`: how many coordinates an element has. `strains`: which of the strain (a, b, c) it
    has, of 2 x 2 matrices; `rotates`: whether it has rotations.
    """

    name: str
    degree: int
    dimension: int
    strains: tuple[int, ...] = ()
    rotates: bool = True

    @property
    def is_compact(self) -> bool:
        """Whether its Haar measure is finite."""
        return not self.strains

    @property
    def identity(self) -> Float[Array, "n n"]:
        return jnp.eye(self.degree)

    def element(self, coordinates: Float[Array, "... p"]) -> Float[Array, "... n n"]:
        """The element with these coordinates."""
        if self.degree == 3:
            return rotation_of(coordinates)
        strain, angle = self._parts(coordinates)
        return unpolar(Polar(strain, angle))

    def coordinates(self, element: Float[Array, "... n n"]) -> Float[Array, "... p"]:
        """The coordinates of an element; angles in (-pi, pi]."""
        if self.degree == 3:
            return vector_of(element)
        strain, angle = polar(element)
        own = [strain[..., i] for i in self.strains]
        return jnp.stack([*own, angle] if self.rotates else own, axis=-1)

    def features(self, element: Float[Array, "... n n"]) -> Float[Array, "... q"]:
        """The coordinates without a cut: of an angle its cosine and sine, of a rotation of space
        all its entries."""
        if self.degree == 3:
            return element.reshape(*element.shape[:-2], 9)
        strain, angle = polar(element)
        own = [strain[..., i] for i in self.strains]
        turned = [jnp.cos(angle), jnp.sin(angle)] if self.rotates else []
        return jnp.stack([*own, *turned], axis=-1)

    @property
    def feature_count(self) -> int:
        return 9 if self.degree == 3 else len(self.strains) + 2 * self.rotates

    def multiply(
        self, left: Float[Array, "... n n"], right: Float[Array, "... n n"]
    ) -> Float[Array, "... n n"]:
        return left @ right

    def inverse(self, element: Float[Array, "... n n"]) -> Float[Array, "... n n"]:
        if self.is_compact:
            return jnp.swapaxes(element, -1, -2)
        p, q, r, s = (element[..., i, j] for i in (0, 1) for j in (0, 1))
        adjugate = jnp.stack([jnp.stack([s, -q], -1), jnp.stack([-r, p], -1)], -2)
        return adjugate / (p * s - q * r)[..., None, None]

    def log_haar(self, coordinates: Float[Array, "... p"]) -> Float[Array, " ..."]:
        """log of the density of the Haar measure in the coordinates, but for a constant."""
        if self.degree == 3:
            # 2 (1 - cos t) / t^2, t the angle.
            return jnp.log(2.0 * versine_of_root(jnp.sum(coordinates**2, axis=-1)))
        strain, _ = self._parts(coordinates)
        return log_haar(strain)

    def _parts(self, coordinates: Array) -> tuple[Array, Array]:
        zero = jnp.zeros_like(coordinates[..., 0])
        given = {own: coordinates[..., i] for i, own in enumerate(self.strains)}
        strain = jnp.stack([given.get(i, zero) for i in range(3)], axis=-1)
        return strain, coordinates[..., -1] if self.rotates else zero


SO2 = Group("SO(2)", 2, 1)
"""Rotations of the plane."""

SO3 = Group("SO(3)", 3, 3)
"""Rotations of space."""

Scalings = Group("Scalings", 2, 1, (0,), rotates=False)
"""Positive multiples of the identity of the plane."""

SL2 = Group("SL(2)", 2, 3, (1, 2))
"""Matrices of determinant 1."""

GL2 = Group("GL(2)", 2, 4, (0, 1, 2))
"""Matrices of positive determinant."""

_GROUPS = {group.name: group for group in (SO2, SO3, Scalings, SL2, GL2)}


def named(name: str) -> Group:
    """The group that a model calls so. ValueError: there is none."""
    if name not in _GROUPS:
        raise ValueError(f"name: one of {', '.join(_GROUPS)} is wanted, got {name!r}")
    return _GROUPS[name]


__all__ = ["GL2", "SL2", "SO2", "SO3", "Group", "Scalings", "named", "rotation", "stretch"]
