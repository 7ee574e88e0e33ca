"""The text of a program -> the lines that import what it uses of the library."""

from __future__ import annotations

import re

from mercer.compiler import typed as ir
from mercer.compiler.walk import nodes

_IMPORTS: dict[str, tuple[str, ...]] = {
    "mercer.runtime.engines.gaussian": (
        "Affine",
        "Dense",
        "Factor",
        "Gaussian",
        "Grid",
        "Inducing",
        "Iterations",
        "Linked",
        "Markov",
        "RandomFunction",
        "Site",
        "Term",
        "Timeline",
        "WeightSpace",
        "Weights",
        "held_points",
        "observe",
        "waves_of",
    ),
    "mercer.runtime.engines.frames": ("tangential",),
    "mercer.runtime.geometry": ("graph", "manifold", "mesh"),
    "mercer.runtime.inference": ("Inference", "Training"),
    "mercer.runtime.inner": ("Inner",),
    "mercer.runtime.layers": (
        "Layer",
        "by_rows",
        "convolve",
        "lift",
        "normalized",
        "peak",
        "pooled",
    ),
    "mercer.runtime.through": ("from_prior", "from_whitened"),
    "mercer.runtime.rows": (
        "directions",
        "flat",
        "flat_code",
        "table",
        "unit_vectors",
        "vectors",
    ),
    "mercer.runtime.scales": ("input_spread", "outcome_spread", "reduce_by"),
    "mercer.runtime.reparametrised": ("sample_between", "sample_non_centred"),
    "mercer.runtime.engines.variational": ("observe_through_inducing",),
    "mercer.runtime.statements": (
        "observe_each",
        "observed_rows",
        "sample_missing",
        "sample_whitened",
    ),
    "mercer.runtime.engines.lattice": ("Lattice", "lattice"),
    "mercer.runtime.engines.timeline": ("Reading", "timeline"),
    "mercer.stdlib.groups.warp": ("centred",),
    "mercer.stdlib.homogeneous": ("Circle", "Rotations", "Sphere"),
    "mercer.stdlib.laws": (
        "censored",
        "conditioned",
        "flat_prior",
        "pushed",
        "truncated",
        "vector_law",
        "weighted",
    ),
    "mercer.stdlib.operators": ("Directional", "Integrate", "Laplace"),
    "mercer.stdlib.roots": ("root",),
    "mercer.stdlib.points": ("PerLabel", "Points", "label_matrix"),
    "mercer.stdlib.waves": ("wave_sd",),
}

WORDS = {word for words in _IMPORTS.values() for word in words}
"""No identifier of a program is one of these."""


def import_lines(body: str, model: ir.TypedModel, engine: str) -> list[str]:
    """One line for each module that `body` uses words of; `engine` is how it makes its engine."""
    lines = []
    for module, words in _IMPORTS.items():
        used = [w for w in words if _uses(body, w) or w == engine.partition("(")[0]]
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
    kernels = {
        node.entry
        for function in model.functions.values()
        for node in nodes(function)
        if isinstance(node, ir.KernelCall)
    }
    if kernels:
        lines.append(f"from mercer.stdlib.kernels import {', '.join(sorted(kernels))}")
    return lines


def _uses(text: str, word: str) -> bool:
    return word == "Inference" or re.search(rf"\b{word}\b", text) is not None
