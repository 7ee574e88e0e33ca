"""Kernels that the language knows by signature; a plan refuses them by name until they run."""

from __future__ import annotations

import math
from typing import Any, Literal

from mercer.stdlib.entry import KernelEntry, Parameter
from mercer.stdlib.kernels.word import lengthscale, scale


def _promised(
    name: str,
    doc: str,
    *parameters: Parameter,
    formula: str = "",
    smoothness: float = math.inf,
    input: Literal["vector", "number", "label", "shape"] = "vector",
    gram: bool = False,
    **rest: Any,
) -> KernelEntry:
    return KernelEntry(
        name, parameters, doc, None, formula, smoothness, input, gram, runs=False, **rest
    )


PROMISED = (
    _promised(
        "ArcCosine",
        "A wide layer of units max(0, x)^order with Gaussian weights (Cho & Saul 2009).",
        Parameter("order", "Count", 1.0, False, structural=True, doc="0 steps, 1 ReLU"),
        lengthscale(),
        scale(),
        smoothness=0,
        gram=True,
    ),
    _promised(
        "NNGP",
        "An infinitely wide Bayesian network (Neal 1996; Lee et al. 2018).",
        Parameter("depth", "Count", 2.0, False, structural=True, doc="number of hidden layers"),
        Parameter("activation", "Text", "relu", False, structural=True),
        Parameter("weights", "Positive", 1.0, False, doc="standard deviation of the weights"),
        Parameter("bias", "Positive", 1.0, False, doc="standard deviation of the biases"),
        scale(),
        smoothness=0,
        gram=True,
    ),
    _promised(
        "NTK",
        "An infinitely wide network trained by gradient descent (Jacot et al. 2018).",
        Parameter("depth", "Count", 2.0, False, structural=True, doc="number of hidden layers"),
        Parameter("activation", "Text", "relu", False, structural=True),
        Parameter("weights", "Positive", 1.0, False, doc="standard deviation of the weights"),
        Parameter("bias", "Positive", 1.0, False, doc="standard deviation of the biases"),
        scale(),
        smoothness=0,
        gram=True,
    ),
    _promised(
        "SpectralMixture",
        "A sum of q waves of drifting phase (Wilson & Adams 2013).",
        Parameter("q", "Count", None, True, structural=True, doc="number of waves"),
        scale(),
    ),
)
