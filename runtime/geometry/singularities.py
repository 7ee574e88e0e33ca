"""A tangential field into where it vanishes, and how it turns around there: the index.

Around a point the field turns by 2 pi times a whole number. The numbers of a smooth field on a
closed surface add up to its Euler characteristic (Poincare & Hopf): 2 on a ball, 0 on a torus. On
triangles they do so whatever the vectors at the vertices are; on a cloud a linear field is fitted
around each point, and zeros of neighbours that agree are one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mercer.runtime.geometry.manifold import Manifold
from mercer.runtime.geometry.mesh import Mesh
from mercer.runtime.geometry.tangents import turns


_WITHIN = 0.6
"""Of the distance of the last neighbour: a zero further away is that of another point."""

_RIDGE = 1e-9
"""A field that turns less than that across a neighbourhood has no zero of its own there."""


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
    """Zeros of the linear field that fits the neighbours of a point best, where they are among
    them; the index is the sign of its determinant."""
    near, n = shape.graph.nearest, shape.graph.count
    row = np.repeat(np.arange(n), near.shape[1])
    turn = turns(shape.frames[row], shape.frames[near.ravel()])
    carried = np.einsum("eij,ej->ei", turn, inside[near.ravel()]).reshape(*near.shape, 2)
    apart = shape.cloud[near.ravel()] - shape.cloud[row]
    apart = np.einsum("eDi,eD->ei", shape.frames[row], apart).reshape(*near.shape, 2)
    size = shape.graph.reach[:, None, None]
    places = np.concatenate([np.zeros((n, 1, 2)), apart / size], axis=1)
    values = np.concatenate([inside[:, None], carried], axis=1)
    design = np.concatenate([np.ones((*places.shape[:2], 1)), places], axis=2)
    normal = np.einsum("nki,nkj->nij", design, design) + _RIDGE * np.eye(3)
    fitted = np.linalg.solve(normal, np.einsum("nki,nkj->nij", design, values))
    slope, centre = np.swapaxes(fitted[:, 1:], 1, 2), fitted[:, 0]
    determinant = np.linalg.det(slope)
    clear = np.abs(determinant) > _RIDGE * np.sum(slope**2, axis=(1, 2))
    zero = np.zeros((n, 2))
    zero[clear] = -np.linalg.solve(slope[clear], centre[clear][:, :, None])[:, :, 0]
    is_near = clear & (np.linalg.norm(zero, axis=1) < _WITHIN)
    index = np.where(is_near, np.sign(determinant), 0.0).astype(int)
    first, second = shape.graph.first, shape.graph.second
    same = (index[first] == index[second]) & (index[first] != 0)
    joined = coo_matrix((np.ones(same.sum()), (first[same], second[same])), shape=(n, n))
    _, part = connected_components(joined, directed=False)
    found, numbers = [], []
    for label in np.unique(part[index != 0]):
        own = np.flatnonzero((part == label) & (index != 0))
        at = np.einsum("nDi,ni->nD", shape.frames[own], zero[own] * size[own, 0])
        found.append(np.mean(shape.cloud[own] + at, axis=0))
        numbers.append(index[own[0]])
    return Singularities(np.reshape(found, (-1, shape.cloud.shape[1])), np.array(numbers, int))


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """The same angle in (-pi, pi]."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))
