"""Frequencies of a surface or a graph into the variances of its waves: kernels on shapes only."""

from __future__ import annotations

import math
from typing import Any

from mercer.stdlib.entry import KernelEntry, Parameter
from mercer.stdlib.kernels.word import Spectrum, Word, Wound, lengthscale, scale
from mercer.stdlib.lazy import LazyModule

homogeneous: Any = LazyModule("mercer.stdlib.homogeneous")
waves: Any = LazyModule("mercer.stdlib.waves")


def _word(entry: KernelEntry, spectrum: Spectrum, wound: Wound | None = None) -> Word:
    return Word(entry, None, spectrum=spectrum, wound=wound)


Heat = _word(
    KernelEntry(
        "Heat",
        (Parameter("time", "Positive", "dimensionless", False), scale()),
        "Functions after heat has flowed for a time over a surface or a graph.",
        None,
        "scale^2 * exp(-time * Laplacian), of mean variance scale^2",
        smoothness=math.inf,
        input="shape",
        runs=False,
        on_shapes=True,
        on_curved=True,
    ),
    lambda a, frequencies, roughness: waves.log_heat(frequencies, a["time"]),
    lambda a, gap, period: homogeneous.wound_gaussian(gap, (2.0 * a.time) ** 0.5, period),
)

Intrinsic = _word(
    KernelEntry(
        "Intrinsic",
        (scale(),),
        "Differences between neighbours of a graph are Gaussian; the sum is zero (Besag 1974). "
        "Its mean variance over the nodes is scale^2, as commute times have it.",
        None,
        "scale^2 * inverse of the Laplacian on all that sums to 0, of mean variance scale^2",
        smoothness=0,
        input="shape",
        runs=False,
        on_shapes=True,
    ),
    lambda a, frequencies, roughness: waves.log_intrinsic(frequencies),
)

CommuteTime = _word(
    KernelEntry(
        "CommuteTime",
        (scale(),),
        "The squared differences of two nodes of a graph are in the ratio of the times that a "
        "random walk takes from one to the other and back (Fouss et al. 2007). It is `Intrinsic` "
        "by another name.",
        None,
        "scale^2 * inverse of the Laplacian on all that sums to 0, of mean variance scale^2",
        smoothness=0,
        input="shape",
        runs=False,
        on_shapes=True,
    ),
    lambda a, frequencies, roughness: waves.log_intrinsic(frequencies),
)

RegularisedLaplacian = _word(
    KernelEntry(
        "RegularisedLaplacian",
        (lengthscale("in edges: nodes further apart than that have little in common"), scale()),
        "The inverse of the Laplacian of a graph plus a constant (Smola & Kondor 2003). It is "
        "`Matern(nu = 1)` on a graph.",
        None,
        "scale^2 * inverse of (1 + lengthscale^2 Laplacian / 2), of mean variance scale^2",
        smoothness=0,
        input="shape",
        runs=False,
        on_shapes=True,
    ),
    lambda a, frequencies, roughness: waves.log_matern(frequencies, 0.0, a["lengthscale"], 1.0),
)

Communicability = _word(
    KernelEntry(
        "Communicability",
        (
            Parameter("strength", "Positive", "dimensionless", False, doc="weighs longer walks"),
            scale(),
        ),
        "Walks of every length between two nodes of a graph, those of length k weighing "
        "strength^k / k! (Estrada & Hatano 2008). Nodes with many edges vary more.",
        None,
        "scale^2 * exp(strength * adjacency), of mean variance scale^2",
        smoothness=math.inf,
        input="shape",
        runs=False,
        on_shapes=True,
        is_of_walks=True,
    ),
    # The frequencies are the largest eigenvalue of the adjacency matrix less each of them.
    lambda a, frequencies, roughness: waves.log_heat(frequencies, a["strength"]),
)

NO_COVARIANCES = {
    "LogCommunicability": "Communicability",
    "HeatGeodesic": "Heat",
    "Geodesic": "Matern32",
    "ShortestPath": "CommuteTime",
}
"""Proximities of nodes or points that are not positive definite in general, and what to use."""
