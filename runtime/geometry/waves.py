"""A symmetric sparse Laplacian and its masses into waves: its lowest pairs.

    L w_k = frequency_k M w_k,   sum_i M_i |w_k(i)|^2 / sum_i M_i = values of one point

so that a field with independent weights of variances v_k has the mean variance sum_k v_k in each
of its coordinates, whatever the number of points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import diags

from mercer.runtime.geometry.lowest import lowest_pairs

_DENSE = 400
"""Up to so many unknowns all pairs are found at once."""


@dataclass(frozen=True, eq=False)
class Waves:
    """`frequencies` [k], in the inverse square of the unit of length; `values` [n * width, k].

    `roughness`: half the dimension of the shape, which a Matern field adds to its smoothness; 0 on
    a graph."""

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
        frequencies, vectors = lowest_pairs(scaled, count)
    total = float(np.sum(masses))
    values = vectors * root[:, None] * np.sqrt(total * width)
    return Waves(np.maximum(frequencies, 0.0), values, width, roughness)
