"""A symmetric sparse Laplacian and its masses into waves: the lowest pairs, by shift and invert.

    L w_k = frequency_k M w_k,   sum_i M_i |w_k(i)|^2 / sum_i M_i = values of one point

so that a field with independent weights of variances v_k has the mean variance sum_k v_k in each
of its coordinates, whatever the number of points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import diags, identity
from scipy.sparse.linalg import LinearOperator, eigsh, splu

_DENSE = 400
"""Up to so many unknowns all pairs are found at once."""

_MISSED = 4
"""Waves that are looked for at once beside those found."""

_SAME = 1e-8
"""Frequencies closer than this share of the largest are one, but for rounding."""

_SHIFT = 1e-3
"""The shift below 0, in units of the mean diagonal over the number of unknowns: far above rounding,
and below the lowest frequencies that matter."""


@dataclass(frozen=True, eq=False)
class Waves:
    """`frequencies` [k], in the inverse square of the unit of length; `values` [n * width, k].

    `roughness`: half the dimension of the shape, which a Matern field adds to its smoothness; 0 on
    a graph. `nulls`: how many of the frequencies are 0.
    """

    frequencies: np.ndarray
    values: np.ndarray
    width: int = 1
    roughness: float = 0.0


def lowest_waves(
    laplacian: Any, masses: np.ndarray, count: int, *, width: int = 1, roughness: float = 0.0
) -> Waves:
    """The `count` lowest waves of a Laplacian [n * width, n * width]; `masses` [n] of the points.

    ValueError: the matrix is not of the size of the masses.
    """
    mass = np.repeat(masses, width)
    if laplacian.shape[0] != len(mass):
        raise ValueError(f"laplacian: {len(mass)} rows are wanted, got {laplacian.shape[0]}")
    root = 1.0 / np.sqrt(mass)
    scaled: Any = diags(root) @ laplacian @ diags(root)
    scaled = ((scaled + scaled.T) * 0.5).tocsc()
    size = scaled.shape[0]
    count = min(count, size)
    if size <= max(_DENSE, 2 * count):
        frequencies, vectors = np.linalg.eigh(scaled.toarray())
        frequencies, vectors = frequencies[:count], vectors[:, :count]
    else:
        frequencies, vectors = _shifted(scaled, count)
    total = float(np.sum(masses))
    values = vectors * root[:, None] * np.sqrt(total * width)
    return Waves(np.maximum(frequencies, 0.0), values, width, roughness)


def _shifted(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest pairs of a positive semi-definite matrix, in order."""
    size = matrix.shape[0]
    shift = -_SHIFT * matrix.diagonal().mean() * count / size
    # Symmetric and positive definite: the order of elimination is chosen for that, without pivots.
    solver = splu(
        (matrix - shift * identity(size, format="csc")).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    random = np.random.default_rng(0)  # the same waves each time
    values, vectors = _largest_inverse(solver.solve, shift, count, random.normal(size=size))
    order = np.argsort(values)
    values, vectors = values[order], vectors[:, order]
    # From one start Lanczos' method may find fewer waves of one frequency than there are, as a
    # shape with symmetries has. Beside those that were found none must be lower than the last.
    while True:

        def beside(x: np.ndarray, known: np.ndarray = vectors) -> np.ndarray:
            x = x - known @ (known.T @ x)
            found = solver.solve(x)
            return np.asarray(found - known @ (known.T @ found))

        start = beside(random.normal(size=size))
        more, rows = _largest_inverse(beside, shift, _MISSED, start)
        missed = more < values[-1] - _SAME * abs(values[-1])
        if not missed.any():
            return values, vectors
        values = np.concatenate([values, more[missed]])
        vectors = np.concatenate([vectors, rows[:, missed]], axis=1)
        order = np.argsort(values)[:count]
        values, vectors = values[order], np.linalg.qr(vectors[:, order])[0]


def _largest_inverse(
    solve: Any, shift: float, count: int, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of a matrix whose eigenvalues lie next to `shift`; `solve` is the inverse of the
    matrix less the shift."""
    size = len(start)
    operator: Any = LinearOperator  # its stub hides the arguments
    inverse = operator((size, size), matvec=solve, dtype=float)
    values, vectors = eigsh(inverse, k=count, v0=start, which="LA")
    return shift + 1.0 / np.maximum(values, np.finfo(float).tiny), vectors
