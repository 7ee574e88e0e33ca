"""A trained program into how far each of its layers is from commuting with its group.

Of a layer's map the root mean square over the affine group is taken, one number f(x) for each
channel, which no element g should change. The error is |f(g x) - f(x)| / |f(x)|, for elements that
are drawn: images are moved between pixels, so that it also has what interpolation loses. Beside it
stands the Monte Carlo floor, |f'(x) - f(x)| / |f(x)|, of the same kernel at fresh samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.layers.layer import Layer
from mercer.stdlib.groups.samples import in_ball
from mercer.stdlib.groups.warp import moved

IMAGES = 16
ELEMENTS = 4


class Equivariance(NamedTuple):
    """The mean `error` of a layer over elements, and its Monte Carlo `floor`."""

    error: float
    floor: float


def equivariance_of(
    program: ModuleType, images: Array, known: Mapping[str, Any], *, seed: int = 0
) -> dict[str, Equivariance]:
    """Of each layer of `program`, by name, at a few `images` [n, h, w] or [n, h, w, c]."""
    layers: Mapping[str, Layer] = program.LAYERS
    chosen = jnp.asarray(images[:IMAGES], jnp.float32)
    elements = drawn_elements(next(iter(layers.values())), ELEMENTS, seed)
    turned = [_moved(chosen, jnp.asarray(g, jnp.float32)) for g in elements]
    every = jnp.concatenate([chosen, *turned])
    fresh = {name: replace(v, seed=v.seed + (seed + 1) * 2**24) for name, v in layers.items()}

    def sizes(images: Array, layers: Mapping[str, Layer]) -> dict[str, Array]:
        fields = program.maps(images, layers, **known)
        return {name: root_mean_square(field, layers[name]) for name, field in fields.items()}

    found = jax.jit(lambda x: sizes(x, layers))(every)
    again = jax.jit(lambda x: sizes(x, fresh))(chosen)
    result = {}
    for name in layers:
        first, *others = np.split(np.asarray(found[name], float), ELEMENTS + 1)
        norm = np.linalg.norm(first)
        errors = [np.linalg.norm(other - first) / norm for other in others]
        floor = np.linalg.norm(np.asarray(again[name], float) - first) / norm
        result[name] = Equivariance(float(np.mean(errors)), float(floor))
    return result


def root_mean_square(field: Array, layer: Layer) -> Array:
    """Of each row and channel, over the affine group by its Haar measure, [n, c]."""
    weights = layer.sampled.weights / layer.sampled.determinants
    share = jnp.asarray(weights / weights.sum() / (field.shape[-1] * field.shape[-2]), field.dtype)
    return jnp.sqrt(jnp.einsum("nschw,s->nc", field**2, share))


def drawn_elements(layer: Layer, count: int, seed: int) -> np.ndarray:
    """Elements of the group of a layer, with strains and rotations as far as its samples reach."""
    random, group = np.random.default_rng((seed, 17)), layer.sampled.group
    own = len(group.strains)
    strains = layer.spread * in_ball(random.uniform(size=(count, own))) if own else None
    angles = min(layer.angle, np.pi) * random.uniform(-1.0, 1.0, (count, 1))
    parts = [p for p in (strains, angles if group.rotates else None) if p is not None]
    return np.asarray(group.element(jnp.asarray(np.concatenate(parts, axis=1))))


def _moved(images: Array, element: Array) -> Array:
    if images.ndim == 3:
        return moved(images, element)
    return jnp.moveaxis(moved(jnp.moveaxis(images, -1, 1), element), 1, -1)


def sentences_of(found: Mapping[str, Equivariance]) -> list[str]:
    """What a fit says of it."""
    return [
        f"{name}: under elements of its group that are no symmetries of the grid its values change "
        f"by {100 * value.error:.1f} %, where fresh samples change them by "
        f"{100 * value.floor:.1f} % (the Monte Carlo floor)."
        for name, value in found.items()
    ]
