"""The table of function priors: what may stand after `~` where a function is declared."""

from __future__ import annotations

import math

from mercer.stdlib.entry import Parameter, PriorEntry

_KERNEL = Parameter("kernel", "Kernel", None, True, structural=True)
_MEAN = Parameter("mean", "Mean", 0.0, False, doc="a number or a function of the same signature")
_OUTPUTS = Parameter(
    "outputs", "Kernel", None, False, structural=True,
    doc="correlates the coordinates of the codomain: Coregion(rank = 2), or a matrix",
)  # fmt: skip
_WEIGHTS = Parameter("weights", "Real", "weights", False, doc="one prior for each weight")


def _setting(name: str, space: str, default: float | str | None, doc: str) -> Parameter:
    return Parameter(name, space, default, False, structural=True, doc=doc)


def _prior(name: str, doc: str, *parameters: Parameter, formula: str = "") -> PriorEntry:
    return PriorEntry(name, parameters, doc, None, formula)


PRIORS = (
    _prior(
        "GP",
        "A Gaussian process. To Real^k: k outputs that share the kernel; to Real^inf: a layer of "
        "a kernel machine; to Tangent(M): a vector field.",
        _KERNEL,
        _MEAN,
        _OUTPUTS,
        _setting("nu", "Positive", None, "weighs the KL term of a layer to Real^inf; inf: NNGP"),
    ),
    _prior(
        "TP",
        "A Student-t process: a Gaussian process whose scale is random.",
        Parameter("df", "Positive", None, True, doc="degrees of freedom"),
        _KERNEL,
        _MEAN,
        _OUTPUTS,
    ),
    _prior(
        "Linear",
        "A random linear map.",
        _WEIGHTS,
        Parameter("bias", "Real", 0.0, False, doc="the value at 0"),
        formula="f(x) = weights x + bias",
    ),
    _prior(
        "Multilinear",
        "A random map, linear in each of its arguments: a Tucker core; diagonal: CP.",
        _WEIGHTS,
        _setting("diagonal", "Bool", 0.0, "only the entries with equal positions"),
    ),
    _prior(
        "Equivariant",
        "A map, linear in its input, that commutes with the group of its spaces.",
        _setting("samples", "Count", 10.0, "elements of the group drawn for each integral"),
        _setting("hidden", "List", "[60, 60, 60]", "layers of the coordinate network"),
        _WEIGHTS,
        _setting("radius", "Positive", 2.0, "how far the kernel reaches, in cells of the grid"),
        _setting(
            "stride",
            "Count",
            "stride",
            "cells of the grid, each way, for one of the next; 2 on an even grid from 12 on, or 1",
        ),
        _setting("spread", "Positive", 0.25, "how far the sampled strains reach, as a log length"),
        _setting("angle", "Positive", math.pi, "how far the sampled rotations turn, either way"),
        _setting("seed", "Count", 0.0, "what the samples follow from"),
    ),
    _prior(
        "Network",
        "A Bayesian neural network.",
        _setting("hidden", "List", "[50, 50]", "widths of the hidden layers"),
        _setting("activation", "Function", "tanh", "between layers"),
        _WEIGHTS,
    ),
    _prior(
        "Flow",
        "The path of a differential equation.",
        Parameter("rate", "Function", None, True, structural=True, doc="z -> dz/dt"),
        Parameter("start", "Point", None, True, doc="the value at `at`"),
        Parameter("at", "Real", 0.0, False, doc="when the path starts"),
        formula="D(z)(t) = rate(z(t)), z(at) = start",
    ),
)
