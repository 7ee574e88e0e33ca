"""Layers of a program into their inducing points and the laws that they start with.

The points are the centres of clusters of the rows, all rows where there are no more of them. A law
starts almost without variance, at the prior mean; where that is the same for all rows, at the
principal components of what the function is a function of: at a constant nothing could be learned
from the layer behind it. A Gram matrix starts at that of its kernel, the limit of wide layers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from mercer.runtime.engines.sites import site_covariance
from mercer.runtime.engines.terms import Site
from mercer.runtime.inner import Inner, Known, facts_of, gram_points, passed, seen
from mercer.stdlib.points import Points

_NARROW = 1e-5
"""Variance of whitened inducing values at the start (Salimbeni & Deisenroth 2017)."""

_LINEAR = 1e-2  # noise, relative to the prior variance, of the values that a law starts at


class Starting:
    """`found`: arguments by identifier, inducing points and laws; `widths`: how far one step of
    length one moves those that are learned."""

    def __init__(self, program: ModuleType, counts: Mapping[str, int], seed: int) -> None:
        self.facts, self.counts, self.seed = facts_of(program), counts, seed
        self.found: dict[str, Any] = {}
        self.widths: dict[str, Any] = {}

    def values(self, layer: Inner) -> Array:
        own = self._inducing(layer)
        found = seen(layer.plain, layer.site, own)
        size, outputs = found.features.shape[1], layer.outputs
        centre = jnp.zeros((size, outputs))
        if bool(np.all(np.ptp(np.asarray(layer.flattened(layer.mean)), axis=0) == 0)):
            centre = self._components(layer, own)
        root = jnp.broadcast_to(0.5 * math.log(_NARROW) * jnp.eye(size), (outputs, size, size))
        for word, value in zip(self.facts[layer.key].law, (centre, root), strict=True):
            self.found[word], self.widths[word] = value, jnp.ones_like(value)
        return layer.mean + layer.placed(layer.mixed(found.features @ centre))

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        own = self._inducing(layer)
        for word in self.facts[layer.key].law:
            self.found[word] = jnp.zeros((own.size, own.size))
            self.widths[word] = jnp.ones((own.size, own.size))
        rows, images = gram_points(seen(layer.plain, layer.site, own), None)
        return rows.reshape(*layer.shape, -1), images

    def _inducing(self, layer: Inner) -> Site:
        words, site = self.facts[layer.key].points, layer.site
        if not words:
            assert layer.inducing is not None
            return layer.inducing()
        if words[0] not in self.found:
            factors = [np.asarray(f, float) for f in site.points.factors]
            factors = [f[:, None] if f.ndim == 1 else f for f in factors]
            count = self.counts[self.facts[layer.key].owner]
            chosen, is_whole = clusters(np.concatenate(factors, axis=1), count, self.seed)
            start = 0
            for word, factor in zip(words, factors, strict=True):
                stop = start + factor.shape[1]
                self.found[word] = jnp.asarray(chosen[:, start:stop])
                if not is_whole:
                    self.widths[word] = jnp.asarray(spread_of(factor))
                start = stop
        parts = tuple(self.found[word] for word in words)
        return Site(site.process, Points(parts), len(parts[0]), is_inducing=True)

    def _components(self, layer: Inner, site: Site) -> Array:
        """Whitened values of which a function is nearly linear in the principal components."""
        points = np.concatenate([np.asarray(f) for f in site.points.factors], axis=1)
        points = (points - points.mean(axis=0)) / spread_of(points)
        left, _, _ = np.linalg.svd(points, full_matrices=False)
        wanted = np.resize(left.T, (layer.outputs, len(points))).T * math.sqrt(len(points))
        gram = site_covariance(layer.plain, site, site)
        assert gram is not None
        variance = jnp.mean(jnp.diagonal(gram))
        noisy = gram + _LINEAR * variance * jnp.eye(len(points))
        lower = seen(layer.plain, site, site).root.lower
        return jnp.sqrt(variance) * lower.T @ jnp.linalg.solve(noisy, jnp.asarray(wanted))


def start_layers(
    program: ModuleType, known: Known, counts: Mapping[str, int], seed: int
) -> tuple[Starting, dict[str, Any]]:
    """The start of all the layers, and all that a program knows there."""
    through = Starting(program, counts, seed)
    return through, passed(program, {**known, **_absent(program)}, through)


def _absent(program: ModuleType) -> dict[str, None]:
    facts = facts_of(program).values()
    return {word: None for own in facts for word in (*own.points, *own.law)}


def clusters(points: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, bool]:
    """At most `count` points among many: all that differ, or the centres of clusters; and whether
    they are all."""
    distinct = np.unique(points, axis=0)
    if len(distinct) <= count:
        order = np.unique(points, axis=0, return_index=True)[1]
        return points[np.sort(order)], True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scale = spread_of(points)
        fitted = KMeans(count, n_init="auto", random_state=seed).fit(points / scale)
    return fitted.cluster_centers_ * scale, False


def spread_of(points: np.ndarray) -> np.ndarray:
    """The standard deviation of each column; 1 where it is constant."""
    spread = np.std(points, axis=0)
    return np.where(spread > 0, spread, 1.0)
