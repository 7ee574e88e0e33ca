"""A cloud of points into its proximity graph: who is near whom, and how far apart.

Nothing here is of size n^2: neighbours come from a tree, the graph is a list of edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

from mercer.dsl.diagnostic import Diagnostic, MercerError

_CHUNK = 1 << 14  # points whose neighbours' neighbours are looked at together


@dataclass(frozen=True, eq=False)
class Proximity:
    """Each edge once: `first` < `second`, [e], of `length` [e]. `reach` [n]: how far away the last
    of the nearest neighbours of a point is. `nearest` [n, k] and `distance` [n, k]: those."""

    first: np.ndarray
    second: np.ndarray
    length: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray

    @property
    def reach(self) -> np.ndarray:
        return self.distance[:, -1]

    @property
    def count(self) -> int:
        return len(self.nearest)


def proximity(points: np.ndarray, neighbours: int, *, name: str = "the cloud") -> Proximity:
    """The graph that joins each of `points` [n, D] with its nearest `neighbours`, either way round.

    Raises MercerError M430 where there are too few points, M431 where two are the same, M432 where
    the graph falls apart.
    """
    n = len(points)
    if n <= neighbours:
        raise _fault(
            "M430",
            f"{name} has {n} points, and each needs {neighbours} neighbours",
            mend=f"give more points, or `neighbours = {max(n - 1, 1)}` or fewer",
        )
    tree: Any = KDTree(points)
    distance, nearest = tree.query(points, k=neighbours + 1)
    if (same := distance[:, 1] == 0).any():
        row = int(np.flatnonzero(same)[0])
        other = next(int(j) for j in nearest[row] if j != row)
        raise _fault(
            "M431",
            f"rows {min(row, other) + 1} and {max(row, other) + 1} of {name} are the same point",
            why="a point that is there twice has no neighbourhood of its own",
            mend="leave out duplicates",
        )
    nearest, distance = nearest[:, 1:], distance[:, 1:]
    row = np.repeat(np.arange(n), neighbours)
    low = np.minimum(row, nearest.ravel())
    high = np.maximum(row, nearest.ravel())
    code, place = np.unique(low * n + high, return_index=True)
    found = Proximity(code // n, code % n, distance.ravel()[place], nearest, distance)
    _check_connected(found, name)
    return found


def graph_neighbourhoods(graph: Proximity, count: int) -> np.ndarray:
    """The `count` points nearest to each by the length of paths of at most two edges, [n, count].

    A sheet that passes close by is joined by few edges, so that its points come late.
    """
    n, k = graph.nearest.shape
    count = min(count, n - 1, k * (k + 1))
    found = np.empty((n, count), int)
    for start in range(0, n, _CHUNK):
        rows = slice(start, min(start + _CHUNK, n))
        near, far = graph.nearest[rows], graph.distance[rows]
        twice = graph.nearest[near].reshape(len(near), -1)
        length = (far[:, :, None] + graph.distance[near]).reshape(len(near), -1)
        points = np.concatenate([near, twice], axis=1)
        length = np.concatenate([far, length], axis=1)
        length[points == np.arange(rows.start, rows.stop)[:, None]] = np.inf
        by_length = np.argsort(length, axis=1, kind="stable")
        points = np.take_along_axis(points, by_length, axis=1)
        length = np.take_along_axis(length, by_length, axis=1)
        by_point = np.argsort(points, axis=1, kind="stable")  # of equal points the nearest is first
        ordered = np.take_along_axis(points, by_point, axis=1)
        again = np.zeros(points.shape, bool)
        np.put_along_axis(again, by_point[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        length[again] = np.inf
        best = np.argsort(length, axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(points, best, axis=1)
        # Where two steps reach too few points, the nearest stands in for what is missing.
        missing = ~np.isfinite(np.take_along_axis(length, best, axis=1))
        found[rows] = np.where(missing, chosen[:, :1], chosen)
    return found


def chain(graph: Proximity, points: np.ndarray, frames: np.ndarray) -> Proximity:
    """The graph of a curve: each of `points` [n, D] joined with the nearest before and behind it,
    along its tangent in `frames` [n, D, 1], and what else it takes to stay connected."""
    n = graph.count
    here = np.concatenate([graph.first, graph.second])
    there = np.concatenate([graph.second, graph.first])
    length = np.concatenate([graph.length, graph.length])
    ahead = np.einsum("eD,eD->e", points[there] - points[here], frames[here, :, 0]) > 0
    order = np.lexsort((length, 2 * here + ahead))
    nearest = order[np.unique((2 * here + ahead)[order], return_index=True)[1]]
    tree = minimum_spanning_tree(symmetric(graph, graph.length)).tocoo()
    row = np.concatenate([here[nearest], tree.row])
    column = np.concatenate([there[nearest], tree.col])
    code = np.unique(np.minimum(row, column) * n + np.maximum(row, column))
    known = graph.first * n + graph.second  # in increasing order
    place = np.searchsorted(known, code)
    return replace(graph, first=code // n, second=code % n, length=graph.length[place])


def symmetric(graph: Proximity, weights: np.ndarray) -> Any:
    """The symmetric matrix [n, n] with `weights` [e] at the edges."""
    n = graph.count
    row = np.concatenate([graph.first, graph.second])
    column = np.concatenate([graph.second, graph.first])
    return coo_matrix((np.concatenate([weights, weights]), (row, column)), shape=(n, n)).tocsr()


def components(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """The sizes of the connected parts of a graph, the largest first."""
    ones = np.ones(len(first))
    joined = coo_matrix((ones, (first, second)), shape=(count, count))
    _, part = connected_components(joined, directed=False)
    return np.sort(np.bincount(part))[::-1]


def _check_connected(graph: Proximity, name: str) -> None:
    sizes = components(graph.first, graph.second, graph.count)
    if len(sizes) > 1:
        listed = ", ".join(str(s) for s in sizes[:5]) + (", ..." if len(sizes) > 5 else "")
        raise _fault(
            "M432",
            f"{name} falls into {len(sizes)} parts, of {listed} points",
            why="no edge of its proximity graph joins them, so that nothing is known between them",
            mend="give each part a manifold of its own, leave out stray points, or ask for more "
            "`neighbours`",
        )


def _fault(code: str, problem: str, *, why: str | None = None, mend: str) -> MercerError:
    return MercerError([Diagnostic(code, problem, why=why, mend=mend)])
