"""Triangles in space: cotangents, areas, normals, and the nearest point of a surface of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import KDTree

_PAIRS = 1 << 20  # points and triangles that are looked at together


class Nearest(NamedTuple):
    """Of each point: its triangle, the shares [n, 3] of the corners in the nearest point of the
    surface, and how far away that is."""

    face: np.ndarray
    shares: np.ndarray
    distance: np.ndarray


def areas_and_normals(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas [f], and normals [f, 3] of the length of the areas, of triangles [f, 3, 3]."""
    across = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.linalg.norm(across, axis=1), across


def cotangents(corners: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The cotangents [f, 3] of the angles at the three corners of each triangle."""
    found = np.empty(corners.shape[:2])
    for k in range(3):
        one = corners[:, (k + 1) % 3] - corners[:, k]
        other = corners[:, (k + 2) % 3] - corners[:, k]
        found[:, k] = np.sum(one * other, axis=1) / (2.0 * areas)
    return found


def nearest_on_surface(points: np.ndarray, corners: np.ndarray) -> Nearest:
    """The nearest point of a surface of triangles [f, 3, 3] to each of `points` [n, 3], exactly.

    A triangle within a distance of a point has its centre within that plus its own radius.
    """
    centre = corners.mean(axis=1)
    radius = np.linalg.norm(corners - centre[:, None], axis=2).max(axis=1)
    tree: Any = KDTree(centre)
    near, first = tree.query(points)
    bound = _to_triangles(points, corners[first])[0]
    face = first.copy()
    shares = np.empty((len(points), 3))
    distance = np.empty(len(points))
    reach = np.minimum(bound, near) + radius.max()
    start = 0
    while start < len(points):
        counts = tree.query_ball_point(points[start : start + 4096], reach[start : start + 4096])
        sizes = np.array([len(c) for c in counts])
        take = max(1, int(np.searchsorted(np.cumsum(sizes), _PAIRS)))
        rows = slice(start, start + min(take, len(counts)))
        candidates = np.concatenate([np.asarray(c, int) for c in counts[: rows.stop - start]])
        owner = np.repeat(np.arange(rows.start, rows.stop), sizes[: rows.stop - start])
        far, inside = _to_triangles(points[owner], corners[candidates])
        order = np.lexsort((far, owner))
        best = order[np.unique(owner[order], return_index=True)[1]]
        face[rows], shares[rows], distance[rows] = candidates[best], inside[best], far[best]
        start = rows.stop
    return Nearest(face, shares, distance)


def _to_triangles(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances [n] of points to a triangle each, and the shares [n, 3] of its corners in the
    nearest point: that inside the triangle, or the nearest of those of its three edges."""
    a, b, c = (corners[:, k] for k in range(3))
    one, other, to = b - a, c - a, points - a
    d11, d12, d22 = (np.sum(u * v, axis=1) for u, v in ((one, one), (one, other), (other, other)))
    d1, d2 = np.sum(one * to, axis=1), np.sum(other * to, axis=1)
    determinant = d11 * d22 - d12**2
    second, third = (d22 * d1 - d12 * d2) / determinant, (d11 * d2 - d12 * d1) / determinant
    shares = np.stack([1.0 - second - third, second, third], axis=1)
    outside = np.any(shares < 0, axis=1)
    edges = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        edge = corners[:, j] - corners[:, i]
        along = np.sum((points - corners[:, i]) * edge, axis=1) / np.sum(edge**2, axis=1)
        along = np.clip(along, 0.0, 1.0)
        on_edge = np.zeros(shares.shape)
        on_edge[:, i], on_edge[:, j] = 1.0 - along, along
        edges.append(on_edge)
    tried = [np.where(outside[:, None], e, shares) for e in edges]
    gaps = [np.linalg.norm(points - np.einsum("nk,nkD->nD", t, corners), axis=1) for t in tried]
    best = np.argmin(gaps, axis=0)
    rows = np.arange(len(points))
    return np.stack(gaps, axis=1)[rows, best], np.stack(tried, axis=1)[rows, best]
