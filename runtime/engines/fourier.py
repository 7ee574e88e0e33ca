"""A stationary kernel into random waves whose inner products estimate it.

k(x, z) = v E cos(w'(x - z)), w from the spectral density of k, so that of m waves the features
sqrt(v / m) (cos w_i'x, sin w_i'x) have k as the mean of their inner products (Rahimi & Recht 2007).

The directions of the waves are Gaussian vectors: `independent`; of right angles to one another, d
at a time, with the lengths of Gaussian vectors (`orthogonal`, Yu et al. 2016), whose errors make up
for each other; or, nearly so, products H D H D H D of Hadamard matrices and random signs
(`structured`), which cost m log d for each row and not m d. Of what kernel they are only their
stretching says: RBF has them as they are, a Matern kernel divides each by the root of a chi-squared
over its degrees of freedom, RationalQuadratic takes the root of a Gamma number. The waves of a
product are sums of those of its parts, those of a sum stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.stdlib.algebra import Kernel, Leaf, Power, Product, Scaled, Side, Sum

Kind = Literal["independent", "orthogonal", "structured"]
KINDS: tuple[Kind, ...] = ("independent", "orthogonal", "structured")

_SMALLEST = 32
"""Sides of a Hadamard matrix: sums of fewer random signs are too far from Gaussian numbers."""


class Waves(NamedTuple):
    """`angles` [n, m] of m waves at n points, which together have the variance `variance`."""

    variance: Any
    angles: Array


def features(kernel: Kernel, factors: tuple[Array, ...], *, waves: int, kind: Kind) -> Array:
    """The features [n, p] of points, `factors` as `Points` has them; of each part of a sum 2 waves.

    The same waves for any points. ValueError: a kernel without a spectral density.
    """
    side = Side(tuple(_columns(f) for f in factors), None, is_point=False)
    found = []
    for part in _waves(kernel, side, waves, kind, 0):
        root = jnp.sqrt(part.variance / part.angles.shape[1])
        found += [root * jnp.cos(part.angles), root * jnp.sin(part.angles)]
    return jnp.concatenate(found, axis=1)


def directions(seed: int, waves: int, width: int, kind: Kind) -> Callable[[Array], Array]:
    """The inner products [n, waves] of rows [n, width] with Gaussian vectors of a kind."""
    rng = np.random.default_rng((seed, waves, width, KINDS.index(kind)))
    if kind == "independent":
        vectors = rng.normal(size=(waves, width))
        return lambda x: x @ vectors.T
    if kind == "orthogonal":
        lengths = np.sqrt(rng.chisquare(width, size=waves))
        blocks = []
        for start in range(0, waves, width):
            turned, upper = np.linalg.qr(rng.normal(size=(width, width)))
            blocks.append((turned * np.sign(np.diagonal(upper))).T[: waves - start])
        vectors = np.concatenate(blocks) * lengths[:, None]
        return lambda x: x @ vectors.T
    size = max(_SMALLEST, 1 << max(width - 1, 0).bit_length())
    count = math.ceil(waves / size)
    signs = rng.choice([-1.0, 1.0], size=(3, count, size))
    lengths = np.sqrt(rng.chisquare(size, size=waves))  # of the rows filled up with zeros

    def products(x: Array) -> Array:
        padded = jnp.pad(x, ((0, 0), (0, size - width)))
        turned = jnp.broadcast_to(padded[:, None], (len(x), count, size))
        for sign in signs:
            turned = hadamard(turned * sign) / math.sqrt(size)
        return turned.reshape(len(x), -1)[:, :waves] * lengths

    return products


def hadamard(x: Array) -> Array:
    """The product of the last axis, of length 2^k, with a Hadamard matrix of 1 and -1: k passes."""
    size = x.shape[-1]
    width = 1
    while width < size:
        pairs = x.reshape(*x.shape[:-1], size // (2 * width), 2, width)
        up, down = pairs[..., 0, :], pairs[..., 1, :]
        x = jnp.stack([up + down, up - down], axis=-2).reshape(x.shape)
        width *= 2
    return x


def _waves(kernel: Kernel, side: Side, waves: int, kind: Kind, seed: int) -> list[Waves]:
    match kernel:
        case Sum():
            parts = (_waves(p, side, waves, kind, seed * 16 + k) for k, p in _numbered(kernel))
            return [wave for part in parts for wave in part]
        case Scaled():
            inner = _waves(kernel.kernel, side, waves, kind, seed)
            return [Waves(kernel.factor * w.variance, w.angles) for w in inner]
        case Product():
            found = [Waves(1.0, jnp.zeros((1, waves)))]
            for k, part in _numbered(kernel):
                own = _waves(part, side, waves, kind, seed * 16 + k)
                found = [
                    Waves(a.variance * b.variance, a.angles + b.angles) for a in found for b in own
                ]
            return found
        case Power():
            parts = (kernel.kernel,) * kernel.exponent
            return _waves(Product(parts), side, waves, kind, seed)
        case Leaf() if kernel.word.entry.name in SPECTRA and kernel.space is None:
            return SPECTRA[kernel.word.entry.name](kernel._side(side), waves, kind, seed)
        case _:
            name = kernel.word.entry.name if isinstance(kernel, Leaf) else type(kernel).__name__
            raise ValueError(f"kernel: {name} has no spectral density to draw waves from")


def _numbered(kernel: Sum | Product) -> list[tuple[int, Kernel]]:
    return list(enumerate(kernel.parts, start=1))


Spectrum = Callable[[Any, int, Kind, int], list[Waves]]


def _stretched(stretch: Callable[[Any, int, int], Any]) -> Spectrum:
    """Waves of a kernel of distances: Gaussian vectors, each times a number of its own."""

    def waves(side: Any, count: int, kind: Kind, seed: int) -> list[Waves]:
        x = side.x / side.lengthscale
        products = directions(seed, count, x.shape[1], kind)
        return [Waves(side.scale**2, products(x) * stretch(side, count, seed))]

    return waves


def _matern(nu: float, side: Any, count: int, seed: int) -> Any:
    rng = np.random.default_rng((seed, count, 1))
    return np.sqrt(2.0 * nu / rng.chisquare(2.0 * nu, size=count))


def _rational(side: Any, count: int, seed: int) -> Any:
    key = jax.random.fold_in(jax.random.key(1), seed)
    return jnp.sqrt(jax.random.gamma(key, side.alpha, (count,)) / side.alpha)


def _mixture(side: Any, count: int, kind: Kind, seed: int) -> list[Waves]:
    """One part for each wave of the mixture, whose phase drifts: frequencies about its own."""
    found = []
    for k in range(int(side.q)):
        products = directions(seed * 16 + k, count, 1, kind)
        drift = products(side.x / jnp.asarray(side.lengthscale)[k])
        angles = drift + 2.0 * math.pi * side.x / jnp.asarray(side.period)[k]
        found.append(Waves(side.scale**2 * jnp.asarray(side.weights)[k] ** 2, angles))
    return found


def _cosine(side: Any, count: int, kind: Kind, seed: int) -> list[Waves]:
    angle = jnp.sum(2.0 * math.pi * side.x / side.period, axis=-1, keepdims=True)
    return [Waves(side.scale**2, jnp.broadcast_to(angle, (len(angle), count)))]


SPECTRA: dict[str, Spectrum] = {
    "RBF": _stretched(lambda side, count, seed: 1.0),
    "Matern12": _stretched(partial(_matern, 0.5)),
    "Matern32": _stretched(partial(_matern, 1.5)),
    "Matern52": _stretched(partial(_matern, 2.5)),
    "Matern": _stretched(lambda side, count, seed: _matern(float(side.nu), side, count, seed)),
    "RationalQuadratic": _stretched(_rational),
    "SpectralMixture": _mixture,
    "Cosine": _cosine,
}
"""The kernels that have a spectral density, each with its waves."""


def _columns(factor: Any) -> Array:
    factor = jnp.asarray(factor)
    return factor[:, None] if factor.ndim == 1 else factor
