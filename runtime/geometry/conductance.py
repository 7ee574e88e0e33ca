"""A graph of random edges into how well it conducts, as a share of what its edges add up to.

Fields on a random graph vary a little more slowly than the edges say, as heat goes around gaps:
the Dirichlet energy of a linear function, once it may adapt within some neighbourhoods, is smaller
by a factor. It is that of homogenisation (Papanicolaou & Varadhan 1979): with f the flux that a
linear function sends into each point,

    1 - f' (L + M / s^2)^-1 f / sum_ij weight_ij |x_i - x_j|^2,

s a length of ten neighbourhoods, beyond which the function must not adapt. It is 1 on a lattice,
and about 0.8 on a cloud of random points of a surface with 10 neighbours each. A cloud so coarse
that this length is that of the shape is taken to lose twice what a random flux would, (n - 1) / e
(Foster 1949), at most.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg

from mercer.runtime.geometry.proximity import Proximity

_SCREEN = 10.0
_MOST = 0.5
_PRECISION = 1e-3  # of the solution; the factor is then right to its square


def conductance(
    cloud: np.ndarray,
    frames: np.ndarray,
    graph: Proximity,
    weights: np.ndarray,
    *,
    laplacian: csr_matrix,
    masses: np.ndarray,
) -> float:
    """The share, in (0, 1]. `cloud` [N, D], `frames` [N, D, d], `weights` [e], `masses` [N]."""
    n = graph.count
    along = (cloud[graph.second] - cloud[graph.first]) * weights[:, None]
    flux = np.stack(
        [np.bincount(graph.first, c, n) - np.bincount(graph.second, c, n) for c in along.T], axis=1
    )
    flux = np.einsum("nDi,nEi,nE->nD", frames, frames, flux)  # the rest is curvature
    screened = laplacian + diags(masses) / (_SCREEN * np.median(graph.reach)) ** 2
    easier = diags(1.0 / screened.diagonal())
    lost = 0.0
    for own in flux.T:
        if np.any(own):
            lost += float(own @ cg(screened, own, rtol=_PRECISION, M=easier)[0])
    most = min(2.0 * (n - 1) / len(graph.first), _MOST)
    return 1.0 - min(lost / float(np.sum(weights * graph.length**2)), most)
