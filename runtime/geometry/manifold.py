"""A cloud of points into the manifold that it was sampled from, as far as fields need to know it.

The Laplacian of a graph tends to that of the manifold where the weights of edges make up for the
density of the points (Coifman & Lafon 2006; Singer & Wu 2012). Here edge (i, j) weighs
(r_i r_j)^((d - 2) / 2), r_i the reach of the neighbours of i, and point i has the mass

    M_i = sum_j weight_ij |x_i - x_j|^2 / (2 d),

proportional to the area that it stands for; on surfaces all weights are 1. Less what the graph
fails to conduct (`conductance`), the frequencies of L w = frequency M w are then those of the
manifold, in units of its coordinates. Along a curve nothing goes around a gap, so that no mean over
edges makes up for one; there each point is joined with the next on either side (`chain`), which are
linear finite elements: an edge weighs 1 over its length, a point has half of both.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import bsr_matrix, diags

from mercer.runtime.geometry.conductance import conductance
from mercer.runtime.geometry.extension import Extension, extension
from mercer.runtime.geometry.proximity import (
    Proximity,
    chain,
    graph_neighbourhoods,
    proximity,
    symmetric,
)
from mercer.runtime.geometry.stored import digest, stored
from mercer.runtime.geometry.tangents import tangent_frames, turns
from mercer.runtime.geometry.waves import Waves, lowest_waves
from mercer.runtime.kept import Kept

_AROUND = 15
"""Points that a tangent space is fitted to, at least."""


class Manifold:
    """What was found of a manifold; each part is made when it is first asked for.

    `cloud` [N, D]; `dim` None: estimated.
    """

    def __init__(
        self, cloud: np.ndarray, *, dim: int | None, neighbours: int, modes: int, name: str
    ) -> None:
        self.cloud, self.name = np.asarray(cloud, float), name
        self.neighbours, self.modes, self._dim = neighbours, modes, dim

    @cached_property
    def key(self) -> str:
        """What its waves are known by, wherever they are kept."""
        return digest("Manifold", self.cloud, self._dim, self.neighbours, self.modes)

    @cached_property
    def graph(self) -> Proximity:
        return proximity(self.cloud, self.neighbours, name=self.name)

    @cached_property
    def frames(self) -> np.ndarray:
        """Tangent frames, [N, D, d]."""
        wanted = max(_AROUND, 2 * (self._dim or 1) + 1)
        around = graph_neighbourhoods(self.graph, wanted)
        return tangent_frames(self.cloud, around, self._dim, name=self.name)

    @property
    def points(self) -> np.ndarray:
        """Where its waves are known, [N, D]."""
        return self.cloud

    @property
    def dim(self) -> int:
        return self.frames.shape[2]

    @cached_property
    def joined(self) -> Proximity:
        """The graph whose edges carry the waves."""
        return chain(self.graph, self.cloud, self.frames) if self.dim == 1 else self.graph

    @cached_property
    def weights(self) -> np.ndarray:
        """Of the edges, [e]."""
        if self.dim == 1:
            return 1.0 / self.joined.length
        reach = self.graph.reach / np.median(self.graph.reach)
        return (reach[self.graph.first] * reach[self.graph.second]) ** ((self.dim - 2) / 2)

    @cached_property
    def masses(self) -> np.ndarray:
        """What each point stands for, [N]."""
        moments = self.weights * self.joined.length**2 / (2 * self.dim)
        ends = np.concatenate([self.joined.first, self.joined.second])
        masses = np.bincount(ends, np.concatenate([moments, moments]), self.joined.count)
        if self.dim == 1:
            return masses
        share = conductance(
            self.cloud,
            self.frames,
            self.joined,
            self.weights,
            laplacian=self.laplacian().tocsr(),
            masses=masses,
        )
        return masses * share

    @cached_property
    def turns(self) -> np.ndarray:
        """From the frame of the second end of each edge to that of the first, [e, d, d]."""
        return turns(self.frames[self.joined.first], self.frames[self.joined.second])

    def laplacian(self) -> Any:
        """Of numbers, sparse [N, N]."""
        joined = symmetric(self.joined, self.weights)
        return diags(np.asarray(joined.sum(axis=1)).ravel()) - joined

    def connection_laplacian(self) -> Any:
        """Of vectors in the frames, sparse [N * d, N * d]."""
        n, dim, graph = self.joined.count, self.dim, self.joined
        own = np.arange(n)
        ends = np.concatenate([graph.first, graph.second])
        degree = np.bincount(ends, np.concatenate([self.weights, self.weights]), n)
        across = -self.weights[:, None, None] * self.turns
        blocks = np.concatenate(
            [degree[:, None, None] * np.eye(dim), across, np.swapaxes(across, 1, 2)]
        )
        row = np.concatenate([own, graph.first, graph.second])
        column = np.concatenate([own, graph.second, graph.first])
        order = np.argsort(row, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        size = (n * dim, n * dim)
        return bsr_matrix((blocks[order], column[order], start), shape=size)

    @cached_property
    def numbers(self) -> Waves:
        """The waves of numbers."""

        def make() -> Waves:
            laplacian = self.laplacian().tocsc()
            return lowest_waves(laplacian, self.masses, self.modes, roughness=self.dim / 2)

        return stored(self.key, "numbers", len(self.cloud), make)

    @cached_property
    def tangents(self) -> Waves:
        """The waves of tangent vectors, in the frames."""

        def make() -> Waves:
            return lowest_waves(
                self.connection_laplacian().tocsc(),
                self.masses,
                self.modes,
                width=self.dim,
                roughness=self.dim / 2,
            )

        return stored(self.key, "tangents", len(self.cloud) * self.dim, make)

    def extension(self, points: np.ndarray) -> Extension:
        """Points [n, D] by those of the cloud."""
        return extension(
            np.asarray(points, float),
            self.cloud,
            self.frames,
            self.graph.reach,
            neighbours=self.neighbours,
            name=self.name,
        )

    def numbers_at(self, points: Any) -> np.ndarray:
        """The waves of numbers at points [n, D]: [n, k]."""
        return self.extension(points).numbers(self.numbers.values)

    def tangents_at(self, points: Any) -> np.ndarray:
        """The waves of tangent vectors at points [n, D], in the surrounding space: [n * D, k]."""
        return self.extension(points).vectors(self.tangents.values, self.frames)

    def frames_at(self, points: Any) -> np.ndarray:
        """The tangent frames at points [n, D], as `tangents_at` has them: [n, D, d]."""
        return self.extension(points).frames

    def tangential(self, points: Any, vectors: Any) -> np.ndarray:
        """The tangential part of vectors [n, D] at points [n, D]."""
        frames = self.extension(points).frames
        return np.einsum("nDi,nEi,nE->nD", frames, frames, np.asarray(vectors, float))


_KEPT: Kept[Manifold] = Kept(4)


def manifold(
    cloud: Any, *, dim: Any = None, neighbours: Any = 10, modes: Any = 100, name: str = "the cloud"
) -> Manifold:
    """The manifold of a cloud; of the same points and settings, the one made before."""
    points = np.ascontiguousarray(cloud, float)
    settings = (None if dim is None else int(dim), int(neighbours), int(modes), name)
    key = (digest(points), settings)
    return _KEPT.get(
        key,
        lambda: Manifold(
            points, dim=settings[0], neighbours=settings[1], modes=settings[2], name=name
        ),
    )
