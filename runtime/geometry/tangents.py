"""Neighbourhoods of points into tangent frames, and the turns that carry vectors between them.

Local principal components (Singer & Wu 2012, section 2); the turn from frame j to frame i is the
orthogonal matrix nearest to T_i' T_j. It may be a reflection, as the orientation of a frame that
comes from principal components is arbitrary.
"""

from __future__ import annotations

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError

_EXPLAINED = 0.8
"""Share of the variance of a neighbourhood that its tangent space explains, at most points."""

_CHUNK = 1 << 14

_FLAT = 1e-10
"""A direction whose share of the spread of a neighbourhood is below this is rounding."""


def tangent_frames(
    points: np.ndarray, neighbourhoods: np.ndarray, dim: int | None, *, name: str = "the cloud"
) -> np.ndarray:
    """Orthonormal frames [n, D, d] of the tangent spaces at `points` [n, D].

    `dim` None: it is estimated. Raises MercerError M433 where that is not clear, M434 where a
    neighbourhood spans fewer than `dim` directions or `dim` is more than the space has.
    """
    space = points.shape[1]
    if dim is None:
        dim = clear_dimension(principal_shares(points, neighbourhoods), name=name)
    if dim > space:
        raise MercerError(
            [
                Diagnostic(
                    "M434",
                    f"{name} lies in {space} dimensions, and a manifold of {dim} does not fit",
                    mend=f"write `dim = {space}` or less",
                )
            ]
        )
    frames = np.empty((len(points), space, dim))
    for rows, directions, shares in _principal(points, neighbourhoods):
        if directions.shape[2] < dim or (shares[:, dim - 1] < _FLAT).any():
            row = 0 if directions.shape[2] < dim else int(np.argmin(shares[:, dim - 1]))
            raise MercerError(
                [
                    Diagnostic(
                        "M434",
                        f"the points near row {rows.start + row + 1} of {name} span fewer than "
                        f"{dim} directions",
                        mend="write a smaller `dim`, or ask for more `neighbours`",
                    )
                ]
            )
        frames[rows] = directions[:, :, :dim]
    return frames


def principal_shares(points: np.ndarray, neighbourhoods: np.ndarray) -> np.ndarray:
    """The share of each principal direction in the variance of each neighbourhood, [n, r]."""
    return np.concatenate([shares for _, _, shares in _principal(points, neighbourhoods)])


def clear_dimension(shares: np.ndarray, *, name: str = "the cloud") -> int:
    """The dimension from which on the explained variance, its mean less one standard deviation
    over the points, is 0.8.

    Raises MercerError M433 where the mean alone says another one.
    """
    explained = np.cumsum(shares, axis=1)
    mean, spread = explained.mean(axis=0), explained.std(axis=0)
    careful = int(np.argmax(mean - spread >= _EXPLAINED)) + 1
    plain = int(np.argmax(mean >= _EXPLAINED)) + 1
    if careful != plain:
        raise MercerError(
            [
                Diagnostic(
                    "M433",
                    f"the dimension of {name} is not clear: {plain} or {careful}",
                    why=f"{plain} directions explain {mean[plain - 1]:.0%} of the variance around "
                    f"a point, give or take {spread[plain - 1]:.0%}",
                    mend=f"say which: `dim = {plain}`",
                )
            ]
        )
    return careful


def turns(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The orthogonal matrices [e, d, d] nearest to left' right of frames [e, D, d]."""
    found = np.empty((len(left), left.shape[2], right.shape[2]))
    for start in range(0, len(left), _CHUNK):
        rows = slice(start, start + _CHUNK)
        u, _, v = np.linalg.svd(np.einsum("eDi,eDj->eij", left[rows], right[rows]))
        found[rows] = u @ v
    return found


def _principal(points: np.ndarray, neighbourhoods: np.ndarray):
    """Of chunks of points: their slice, principal directions [c, D, r] and shares [c, r]."""
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, min(start + _CHUNK, len(points)))
        own = points[rows]
        around = np.concatenate([own[:, None], points[neighbourhoods[rows]]], axis=1)
        around = around - around.mean(axis=1, keepdims=True)
        if points.shape[1] <= around.shape[1]:
            values, vectors = np.linalg.eigh(np.einsum("nkd,nke->nde", around, around))
            values, vectors = np.maximum(values[:, ::-1], 0.0), vectors[:, :, ::-1]
        else:  # more coordinates than points: the thin decomposition
            _, singular, right = np.linalg.svd(around, full_matrices=False)
            values, vectors = singular**2, np.swapaxes(right, 1, 2)
        yield rows, vectors, values / np.sum(values, axis=1, keepdims=True)
