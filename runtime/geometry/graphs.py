"""Two columns of labels into the waves of the graph whose edges they are.

Its Laplacian is degree less adjacency; frequencies have no unit, an edge being the unit of length.
Of up to 1,500 nodes all waves are found, and nothing is left out; of more nodes the lowest 500.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import eigsh

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.geometry.proximity import components
from mercer.runtime.geometry.stored import digest, stored
from mercer.runtime.geometry.waves import Waves, lowest_waves
from mercer.runtime.kept import Kept
from mercer.stdlib.spaces import LOWEST, WHOLE


class Graph:
    """`first` and `second` [e]: the codes of the ends of its edges; each counts once, however
    often and in whichever direction it is given.

    Raises MercerError M436 where an edge joins a node with itself, M432 where the graph falls
    apart.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, *, name: str) -> None:
        self.name = name
        if (loop := first == second).any():
            raise MercerError(
                [
                    Diagnostic(
                        "M436",
                        f"edge {int(np.argmax(loop)) + 1} of {name} joins a node with itself",
                        mend="leave it out",
                    )
                ]
            )
        self.count = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
        low, high = np.minimum(first, second), np.maximum(first, second)
        code = np.unique(low * self.count + high)
        self.first, self.second = code // self.count, code % self.count
        sizes = components(self.first, self.second, self.count)
        if len(sizes) > 1:
            listed = ", ".join(str(s) for s in sizes[:5]) + (", ..." if len(sizes) > 5 else "")
            raise MercerError(
                [
                    Diagnostic(
                        "M432",
                        f"{name} falls into {len(sizes)} parts, of {listed} nodes",
                        why="no edge joins them, so that nothing is known between them",
                        mend="add edges between the parts, or model each part by itself",
                    )
                ]
            )

    @cached_property
    def key(self) -> str:
        """What its waves are known by, wherever they are kept."""
        return digest("Graph", self.first, self.second, self.count)

    @cached_property
    def adjacency(self) -> Any:
        """1 where an edge joins two nodes, sparse [n, n]."""
        size = (self.count, self.count)
        half = coo_matrix((np.ones(len(self.first)), (self.first, self.second)), shape=size)
        return (half + half.T).tocsr()

    @cached_property
    def numbers(self) -> Waves:
        """The waves of numbers at the nodes."""

        def make() -> Waves:
            degree = np.asarray(self.adjacency.sum(axis=1)).ravel()
            return self._lowest(diags(degree) - self.adjacency)

        return stored(self.key, "numbers", self.count, make)

    @cached_property
    def walks(self) -> Waves:
        """The eigenvectors of the adjacency matrix; a frequency is what an eigenvalue lacks of the
        largest."""

        def make() -> Waves:
            # By Perron and Frobenius the vector of ones is never across the one that is sought.
            start = np.ones(self.count)
            found = eigsh(self.adjacency, k=1, which="LA", v0=start, return_eigenvectors=False)
            largest = float(found[0])
            return self._lowest(largest * identity(self.count) - self.adjacency)

        return stored(self.key, "walks", self.count, make)

    def numbers_at(self, nodes: Any) -> np.ndarray:
        """The waves at nodes, by their codes [n]: [n, k]."""
        return self.numbers.values[self._known(nodes)]

    def walks_at(self, nodes: Any) -> np.ndarray:
        """The same of the walks."""
        return self.walks.values[self._known(nodes)]

    def _lowest(self, matrix: Any) -> Waves:
        count = self.count if self.count <= WHOLE else LOWEST
        return lowest_waves(matrix.tocsc(), np.ones(self.count), count)

    def _known(self, nodes: Any) -> np.ndarray:
        nodes = np.asarray(nodes, int)
        if (unknown := nodes >= self.count).any():
            raise MercerError(
                [
                    Diagnostic(
                        "M436",
                        f"{self.name} has no edge at the label of row {np.argmax(unknown) + 1}",
                        why="a field on a graph is known at the ends of its edges",
                        mend="give its edges, or leave the row out",
                    )
                ]
            )
        return nodes


_KEPT: Kept[Graph] = Kept(4)


def graph(first: Any, second: Any, *, name: str = "the graph") -> Graph:
    """The graph of two columns of codes; of the same ones, that made before."""
    ends = np.stack([np.asarray(first, np.int64), np.asarray(second, np.int64)])
    return _KEPT.get((digest(ends), name), lambda: Graph(*ends, name=name))
