"""Kernels of potentials into kernels of vector fields on a flat domain.

A field on R^d that is the gradient of a potential has no curl, one that is made of the derivatives
of skew potentials has no divergence, and every smooth field that fades far away is a sum of both
(Helmholtz). Macedo & Castro 2010; Berlinghieri et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercer.stdlib.entry import KernelEntry, Parameter
from mercer.stdlib.lazy import LazyModule

potentials: Any = LazyModule("mercer.stdlib.potentials")


@dataclass(frozen=True)
class FieldWord:
    """A kernel's name in a program: `CurlFree(RBF(lengthscale=2.0))` makes a kernel of fields from
    kernels of potentials."""

    entry: KernelEntry
    make: Callable[..., Any]

    def __call__(self, *kernels: Any, **named: Any) -> Any:
        return self.make(*kernels, **named)


def _potential(name: str, doc: str) -> Parameter:
    return Parameter(name, "Kernel", None, True, structural=True, doc=doc)


def _entry(name: str, doc: str, *parameters: Parameter, formula: str) -> KernelEntry:
    return KernelEntry(name, parameters, doc, None, formula, smoothness=0, input="field")


CurlFree = FieldWord(
    _entry(
        "CurlFree",
        "Fields that are the gradient of a potential: sources and sinks, no eddies. The `scale` of "
        "the potential's kernel is the standard deviation of each coordinate of the field.",
        _potential("kernel", "of the potential: RBF, Matern32 or smoother"),
        formula="D_ij / c, with D_ij = d/dx_i d/dz_j kernel and c its mean over i = j at x = z",
    ),
    lambda kernel: potentials.Potential(kernel, is_gradient=True),
)

DivergenceFree = FieldWord(
    _entry(
        "DivergenceFree",
        "Fields without sources: eddies, as in a fluid that keeps its volume. In the plane they "
        "are the rotated gradient of a stream function, in space the curl of a vector potential. "
        "The `scale` of the kernel is the standard deviation of each coordinate of the field.",
        _potential("kernel", "of the stream function: RBF, Matern32 or smoother"),
        formula="(sum_k D_kk (i = j) - D_ji) / c, with D and c as for CurlFree",
    ),
    lambda kernel: potentials.Potential(kernel, is_gradient=False),
)

Helmholtz = FieldWord(
    _entry(
        "Helmholtz",
        "A gradient plus a field without divergence, each with a kernel of its own: currents that "
        "have sources and eddies.",
        _potential("potential", "of what is a gradient"),
        _potential("stream", "of what has no divergence"),
        formula="CurlFree(potential) + DivergenceFree(stream)",
    ),
    lambda potential, stream: potentials.helmholtz(potential, stream),
)
