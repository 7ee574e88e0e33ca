"""Reductions over dims: their JAX text, and the space of what is reduced into that of the result.

`source` takes the array and, where not all axes are reduced, the axis: "x, axis=0".
"""

from __future__ import annotations

from collections.abc import Callable

from mercer.stdlib.entry import ElementwiseEntry, Parameter
from mercer.stdlib.lazy import jnp


def _kept(spaces: tuple[str, ...]) -> str:
    return spaces[0]


def _mean(spaces: tuple[str, ...]) -> str:
    return {"Positive": "Positive", "Unit": "Unit", "Bool": "Unit"}.get(spaces[0], "Real")


def _sum(spaces: tuple[str, ...]) -> str:
    return {"Positive": "Positive", "Count": "Count", "Bool": "Count"}.get(spaces[0], "Real")


def _reduction(
    name: str, doc: str, source: str, space_of: Callable[[tuple[str, ...]], str]
) -> ElementwiseEntry:
    def implementation(x: object) -> object:
        return eval(source.format("x"), {"jnp": jnp}, {"x": x})

    return ElementwiseEntry(
        name, (Parameter("x"),), doc, implementation, arity=1, space_of=space_of, source=source
    )


REDUCTIONS = (
    _reduction("sum", "the sum", "jnp.sum({0})", _sum),
    _reduction("mean", "the mean", "jnp.mean({0})", _mean),
    _reduction(
        "sd",
        "the standard deviation of a sample: squares are divided by n - 1",
        "jnp.std({0}, ddof=1)",
        lambda spaces: "Positive",
    ),
    _reduction("max", "the largest", "jnp.max({0})", _kept),
    _reduction("min", "the smallest", "jnp.min({0})", _kept),
    _reduction("size", "how many", "jnp.size({0})", lambda spaces: "Count"),
)

STANDARDIZE = "(x - mean(x)) / sd(x)"
"""What `standardize(x)` stands for, as a model would write it."""
