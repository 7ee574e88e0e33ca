"""A decorated function into a word for a kernel: its entry, and a constructor for programs.

A kernel's body gets two sides and gives their covariance without the factor `scale ** 2`. A side
has the inputs `x` and every argument of the kernel, each shaped to meet `x`:

    set     x [n, d]; an argument is [], [d], or one value a row: [n, 1], [n, d]
    point   x [d];    an argument is [] or [d]

so that one formula serves Gram matrices, derivatives (through single points) and arguments that
differ from label to label. What is not a formula of inputs takes an argument from the left side.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from mercer.stdlib.entry import KernelEntry, Parameter, States

Body = Callable[[Any, Any], Any]
Spectrum = Callable[[dict[str, Any], Any, Any], Any]
"""Arguments, frequencies and roughness of a shape into the logarithms of the variances of its waves
(`mercer.stdlib.waves`), but for a constant."""

Wound = Callable[[Any, Any, float], Any]
"""The arguments of a kernel, gaps along a circle and its period into correlations in closed form;
None where there is none."""

Line = Callable[[Any], Any]
"""The arguments of a kernel into its `mercer.stdlib.line.System`, without the factor scale^2."""


@dataclass(frozen=True)
class Word:
    """A kernel's name in a program: `RBF(lengthscale=2.0, scale=1.0)` makes a kernel.

    `scaled`: the factor `scale ** 2` is applied outside of the body. `line`: the kernel on the line
    as a linear system, where it is that of a finite one. `spectrum`: the kernel on shapes; without
    a body it is one on shapes only. `wound`: its closed form on a circle, where it has one.
    """

    entry: KernelEntry
    body: Body | None
    scaled: bool = True
    line: Line | None = None
    spectrum: Spectrum | None = None
    wound: Wound | None = None

    def __call__(self, **arguments: Any) -> Any:
        """The kernel with these arguments; numbers may be left out where the entry has them.

        ValueError: an argument that the kernel does not have, or one that is missing.
        """
        from mercer.stdlib.algebra import Leaf

        known = {p.name for p in self.entry.parameters}
        unknown = sorted(set(arguments) - known)
        if unknown:
            raise ValueError(f"{self.entry.name} has no argument {unknown[0]!r}, only {known}")
        structural, parameters = [], {}
        for p in self.entry.parameters:
            value = arguments.get(p.name, 1.0 if p.name == "scale" else p.default)
            if value is None or (isinstance(value, str) and p.space != "Text"):
                raise ValueError(f"{self.entry.name} needs a value for {p.name!r}")
            if p.structural:
                structural.append((p.name, value))
            else:
                parameters[p.name] = value
        return Leaf(self, parameters, tuple(structural))


def kernel(
    *parameters: Parameter,
    formula: str,
    smoothness: float,
    input: Literal["vector", "number", "label", "shape"] = "vector",
    gram: bool = False,
    scaled: bool = True,
    line: Line | None = None,
    states: States | None = None,
    spectrum: Spectrum | None = None,
    wound: Wound | None = None,
    curved: bool = False,
    separates: bool = False,
    smoothness_of: Callable[[dict[str, float]], float] | None = None,
) -> Callable[[Body], Word]:
    """Declare a kernel of the language; `scale` is added unless the body applies it itself.

    `line` and `states` go together: the system of the kernel on the line, and its size. `spectrum`
    is the kernel on surfaces and graphs, `wound` its closed form on a circle.
    `curved`: its body serves on circles, spheres and rotations too. `separates`: the kernel is a
    product over coordinates.
    """

    def declare(body: Body) -> Word:
        entry = KernelEntry(
            name=body.__name__,
            parameters=(*parameters, scale()) if scaled else parameters,
            doc=inspect.cleandoc(body.__doc__ or ""),
            implementation=body,
            formula=formula,
            smoothness=smoothness,
            input=input,
            gram=gram,
            states=states,
            on_shapes=spectrum is not None,
            on_curved=spectrum is not None or curved,
            separates=separates,
            smoothness_of=smoothness_of,
        )
        return Word(entry, body, scaled, line, spectrum, wound)

    return declare


def lengthscale(
    doc: str = "distance over which the function changes, in units of its input",
) -> Parameter:
    return Parameter("lengthscale", "Positive", "lengthscale", False, per_coordinate=True, doc=doc)


def scale() -> Parameter:
    doc = "standard deviation of the function; multiplies the covariance by its square"
    return Parameter("scale", "Positive", "scale", False, doc=doc)
