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
    operator: Any = LinearOperator  # its stub hides the arguments
    inverse = operator((size, size), matvec=solver.solve, dtype=float)
    start = np.random.default_rng(0).normal(size=size)  # the same waves each time
    values, vectors = eigsh(matrix, k=count, sigma=shift, OPinv=inverse, v0=start, which="LM")
    order = np.argsort(values)
    return values[order], vectors[:, order]
