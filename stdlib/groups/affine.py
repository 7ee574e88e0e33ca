"""A group of matrices into the affine group over it: shifts after linear maps, x -> h x + t."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from mercer.stdlib.groups.elements import Group


class AffineElement(NamedTuple):
    """`shift` [..., n] and `linear` [..., n, n]: the map x -> linear x + shift."""

    shift: Array
    linear: Array


@dataclass(frozen=True)
class Affine:
    """R^n semidirect `linear`. Its left Haar measure is dx dmu(h) / |det h|: not unimodular."""

    linear: Group

    @property
    def identity(self) -> AffineElement:
        return AffineElement(jnp.zeros(self.linear.degree), self.linear.identity)

    def multiply(self, left: AffineElement, right: AffineElement) -> AffineElement:
        """(t, h)(t', h') = (t + h t', h h')."""
        return AffineElement(
            left.shift + _applied(left.linear, right.shift),
            self.linear.multiply(left.linear, right.linear),
        )

    def inverse(self, element: AffineElement) -> AffineElement:
        back = self.linear.inverse(element.linear)
        return AffineElement(-_applied(back, element.shift), back)

    def act(self, element: AffineElement, point: Float[Array, "... n"]) -> Float[Array, "... n"]:
        return _applied(element.linear, point) + element.shift

    def element(self, coordinates: Float[Array, "... p"]) -> AffineElement:
        """The shift first, then the coordinates of the linear part."""
        n = self.linear.degree
        return AffineElement(coordinates[..., :n], self.linear.element(coordinates[..., n:]))

    def coordinates(self, element: AffineElement) -> Float[Array, "... p"]:
        return jnp.concatenate([element.shift, self.linear.coordinates(element.linear)], axis=-1)

    def log_haar(self, coordinates: Float[Array, "... p"]) -> Float[Array, " ..."]:
        """log of the density of the left Haar measure in the coordinates, but for a constant."""
        own = coordinates[..., self.linear.degree :]
        determinant = jnp.linalg.det(self.linear.element(own))
        return self.linear.log_haar(own) - jnp.log(determinant)


def _applied(matrix: Array, vector: Array) -> Array:
    return jnp.einsum("...ij,...j->...i", matrix, vector)
