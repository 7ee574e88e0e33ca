"""Points beside a cloud into combinations of its own points, by moving least squares.

A wave at x is sum_j a_j R_xj w_j over the neighbours j, with R_xj the turn from their frames to
that at x. The weights a_j are those of the line that fits the neighbours best around x, each
counting as 1 / distance^2 and falling to 0 where it leaves the neighbourhood: constant and linear
functions are met exactly, the result is continuous, and it tends to w_i as x tends to point i
(Lancaster & Salkauskas 1981). The extension of Nystrom, which divides by degree less frequency, has
neither of the last two.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import bsr_matrix
from scipy.spatial import KDTree

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.geometry.tangents import turns

_CHUNK = 1 << 13
_RIDGE = 1e-6
"""Of the spread of the neighbours: where they lie on a line, no slope is fitted across it."""


class Extension(NamedTuple):
    """Each point as `weights` [n, q] times the points `nearest` [n, q] of the cloud; its tangent
    frame `frames` [n, D, d]."""

    nearest: np.ndarray
    weights: np.ndarray
    frames: np.ndarray

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """Numbers [N, k] at the cloud carried to the points, [n, k]."""
        n, q = self.nearest.shape
        start = np.arange(0, n * q + 1, q)
        blocks = self.weights.reshape(-1, 1, 1)
        shape = (n, len(values))
        return np.asarray(bsr_matrix((blocks, self.nearest.ravel(), start), shape=shape) @ values)

    def vectors(self, values: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Vectors [N * d, k] in the `frames` [N, D, d] of the cloud carried to the points: in the
        surrounding space, [n * D, k]."""
        n, q = self.nearest.shape
        space, dim = frames.shape[1:]
        own = np.repeat(self.frames, q, axis=0)
        turned = turns(own, frames[self.nearest.ravel()])
        blocks = np.einsum("eDi,eij->eDj", own, turned) * self.weights.reshape(-1, 1, 1)
        start = np.arange(0, n * q + 1, q)
        shape = (n * space, len(frames) * dim)
        matrix = bsr_matrix((blocks, self.nearest.ravel(), start), shape=shape)
        return np.asarray(matrix @ values)


def extension(
    points: np.ndarray,
    cloud: np.ndarray,
    frames: np.ndarray,
    reach: np.ndarray,
    *,
    neighbours: int,
    name: str,
) -> Extension:
    """`points` [n, D] by the `cloud` [N, D]; `reach` [N]: how far its neighbours lie apart.

    Raises MercerError M435 where a point is further away from the cloud than that.
    """
    count = min(neighbours, len(cloud) - 1)
    tree: Any = KDTree(cloud)
    distance, nearest = tree.query(points, k=count + 1)
    far = distance[:, 0] > reach[nearest[:, 0]]
    if far.any():
        row = int(np.argmax(far))
        raise MercerError(
            [
                Diagnostic(
                    "M435",
                    f"row {row + 1} is no point of {name}: it lies {distance[row, 0]:.3g} away",
                    why=f"the neighbours of the nearest point of the cloud lie within "
                    f"{reach[nearest[row, 0]]:.3g}",
                    mend="leave the row out, or let the cloud reach there",
                )
            ]
        )
    weights = np.empty((len(points), count))
    own = np.empty((len(points), *frames.shape[1:]))
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        weights[rows], own[rows] = _fitted(
            points[rows], cloud[nearest[rows, :-1]], frames[nearest[rows, :-1]], distance[rows]
        )
    return Extension(nearest[:, :-1], weights, own)


def _fitted(
    points: np.ndarray, near: np.ndarray, frames: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weights [n, q] of neighbours `near` [n, q, D] at `distance` [n, q + 1] (the last one is
    outside), and a frame [n, D, d] in the mean of their tangent spaces."""
    inside, edge = distance[:, :-1], distance[:, -1:]
    # Over the nearest one's weight, so that a distance of 0 is no division by it.
    first = inside[:, :1]
    ratio = np.where(inside > 0, first / np.where(inside > 0, inside, 1.0), 1.0) ** 2
    share = ratio * (1.0 - inside / edge) ** 2
    share /= np.sum(share, axis=1, keepdims=True)
    n, q, space, dim = frames.shape
    stacked = np.moveaxis(np.sqrt(share)[:, :, None, None] * frames, 1, 2).reshape(
        n, space, q * dim
    )
    own = np.linalg.svd(stacked, full_matrices=False)[0][:, :, :dim]
    local = np.einsum("nDi,nqD->nqi", own, near - points[:, None])
    centre = np.einsum("nq,nqi->ni", share, local)
    about = local - centre[:, None]
    spread = np.einsum("nq,nqi,nqj->nij", share, about, about)
    size = np.trace(spread, axis1=1, axis2=2)
    # At a point of the cloud itself there is no spread, nor anything to correct.
    size = np.where(size > 0, size, 1.0)
    spread += _RIDGE * size[:, None, None] * np.eye(dim)
    slope = np.linalg.solve(spread, centre[:, :, None])[:, :, 0]
    return share * (1.0 - np.einsum("nqi,ni->nq", about, slope)), own
