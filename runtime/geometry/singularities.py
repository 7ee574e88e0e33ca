"""A tangential field into where it vanishes, and how it turns around there: the index.

Around a point the field turns by 2 pi times a whole number. The numbers of a smooth field on a
closed surface add up to its Euler characteristic (Poincare & Hopf): 2 on a ball, 0 on a torus. On
triangles they do so whatever the vectors at the vertices are; on a cloud triangles of neighbours
stand in for those of a mesh, and those with a common corner are taken for one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, KDTree

from mercer.runtime.geometry.manifold import Manifold
from mercer.runtime.geometry.mesh import Mesh
from mercer.runtime.geometry.tangents import turns

_AROUND = 24
"""Points of a cloud among which those that a point makes triangles with are found."""


class Singularities(NamedTuple):
    """`places` [s, 3] in the surrounding space, and the `index` [s] of each."""

    places: np.ndarray
    index: np.ndarray


def singularities(shape: Manifold | Mesh, vectors: np.ndarray) -> Singularities:
    """Those of `vectors` [n, D] at the points of a surface; none are sought on other shapes."""
    if shape.dim != 2:
        return Singularities(np.zeros((0, vectors.shape[1])), np.zeros(0, int))
    inside = np.einsum("nDi,nD->ni", shape.frames, vectors)
    return _on_faces(shape, inside) if isinstance(shape, Mesh) else _on_cloud(shape, inside)


def _on_faces(shape: Mesh, inside: np.ndarray) -> Singularities:
    """Index = (turns along the three edges + what carrying a vector around turns it) / 2 pi."""
    angle = np.arctan2(inside[:, 1], inside[:, 0])
    turned, carried = np.zeros(len(shape.faces)), np.zeros(len(shape.faces))
    for k in range(3):
        here, there = shape.faces[:, k], shape.faces[:, (k + 1) % 3]
        turn = turns(shape.frames[there], shape.frames[here])
        along = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
        turned += _wrapped(angle[there] - angle[here] - along)
        carried += along
    index = np.round((turned + _wrapped(carried)) / (2 * np.pi)).astype(int)
    found = np.flatnonzero(index)
    return Singularities(shape.corners[found].mean(axis=1), index[found])


def _on_cloud(shape: Manifold, inside: np.ndarray) -> Singularities:
    """Around each triangle of a point and two neighbours, seen in the plane of the point."""
    triangles = _stars(shape)
    here = np.repeat(triangles[:, 0], 3)
    turn = turns(shape.frames[here], shape.frames[triangles.ravel()])
    vectors = np.einsum("eij,ej->ei", turn, inside[triangles.ravel()])
    angle = np.arctan2(vectors[:, 1], vectors[:, 0]).reshape(-1, 3)
    apart = shape.cloud[triangles.ravel()] - shape.cloud[here]
    corner = np.einsum("eDi,eD->ei", shape.frames[here], apart).reshape(-1, 3, 2)
    one, other = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    way = np.sign(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
    turned = sum(_wrapped(angle[:, (k + 1) % 3] - angle[:, k]) for k in range(3))
    index = np.round(way * turned / (2 * np.pi)).astype(int)
    places, numbers = [], []
    for sign in (1, -1):
        own = np.flatnonzero(index == sign)
        # Stars of neighbours overlap: triangles that share a corner are about one zero.
        pairs = (np.repeat(own, 3), len(triangles) + triangles[own].ravel())
        size = len(triangles) + shape.graph.count
        joined = coo_matrix((np.ones(3 * len(own)), pairs), shape=(size, size))
        _, part = connected_components(joined, directed=False)
        for label in np.unique(part[own]):
            corners = triangles[own[part[own] == label]]
            places.append(shape.cloud[corners.ravel()].mean(axis=0))
            numbers.append(sign)
    return Singularities(np.reshape(places, (-1, shape.cloud.shape[1])), np.array(numbers, int))


def _stars(shape: Manifold) -> np.ndarray:
    """Triangles [t, 3] of each point with its neighbours, by Delaunay in its tangent plane."""
    found = []
    # Nearest in space: across a gap between points the graph has no edge.
    tree: Any = KDTree(shape.cloud)
    count = min(_AROUND, shape.graph.count - 1)
    for point, near in enumerate(tree.query(shape.cloud, k=count + 1)[1]):
        own = np.concatenate([[point], near[near != point]])
        flat = (shape.cloud[own] - shape.cloud[point]) @ shape.frames[point]
        simplices = Delaunay(flat).simplices
        found.append(own[simplices[(simplices == 0).any(axis=1)]])
    every = np.concatenate(found)
    return every[np.unique(np.sort(every, axis=1), axis=0, return_index=True)[1]]


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """The same angle in (-pi, pi]."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))
