"""Kernels that the language knows by signature; a plan refuses them by name until they run."""

from __future__ import annotations

import math
from typing import Any, Literal

from mercer.stdlib.entry import KernelEntry, Parameter
from mercer.stdlib.kernels.word import scale


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
        "SpectralMixture",
        "A sum of q waves of drifting phase (Wilson & Adams 2013).",
        Parameter("q", "Count", None, True, structural=True, doc="number of waves"),
        scale(),
    ),
)
