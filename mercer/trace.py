"""A model turned into the jaxpr of its log density, at the shapes of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.dsl.spaces import Label, Positive, Unit
from mercer.runtime.data.needs import base_of, size_of

if TYPE_CHECKING:
    from mercer.model import Model

ROWS = 5
"""The length of every index that no data fix: enough that no axis is taken for another's."""


def show_jaxpr(model: Model, data: Any = None) -> str:
    """The jaxpr of the log density as a function of the unconstrained unknowns."""
    import jax

    from mercer.runtime.methods.density import Density, arguments_of
    from mercer.runtime.methods.placing import place

    bound = model.bind(stand_in(model) if data is None else data)
    program = model.program(model.plan(bound.sizes))
    placed = place(program, arguments_of(program, bound), seed=0, is_learned=False)
    density = Density(program, placed.arguments)
    functions = density.functions
    return str(jax.make_jaxpr(functions.potential)(functions.zero, density.arguments.arrays))


def stand_in(model: Model) -> dict[str, Any]:
    """Data of the right spaces and small sizes, for a look at the program."""
    from mercer.needs import needs_of

    needs = needs_of(model.typed)
    sizes = {
        name: ROWS if index.labels is None else len(index.labels)
        for name, index in needs.indices.items()
    }
    values: dict[str, Any] = {}
    for need in needs.data:
        shape = tuple(size_of(dim) or sizes.get(base_of(dim), ROWS) for dim in need.dims)
        count = int(np.prod(shape))
        if isinstance(need.space, Label):
            labels = needs.index(need.space.index).labels or written_labels(model, need.space.index)
            column = np.array([labels[i % len(labels)] for i in range(count)])
        elif isinstance(need.space, Positive | Unit):
            column = (np.arange(count) + 1.0) / (count + 1.0)
        elif str(need.space) in ("Count", "Bool"):
            column = np.arange(count) % 2
        else:
            column = np.arange(count) * 0.1
        values[need.name] = column.reshape(shape) if shape else column[0]
    return values


def written_labels(model: Model, index: str) -> list[str | float]:
    """Labels of an index that the data fix: those that the model names, and others if too few."""
    from mercer.compiler.typed import LabelConstant
    from mercer.compiler.walk import nodes

    typed = model.typed
    groups = (typed.unknowns, typed.functions, typed.definitions, typed.observations)
    found = {
        node.label: None
        for group in groups
        for declared in group.values()
        for node in nodes(declared)
        if isinstance(node, LabelConstant) and node.index == index
    }
    is_number = any(isinstance(label, float) for label in found)
    more = [float(-1 - i) if is_number else f"label {i}" for i in range(ROWS - len(found))]
    return [*found, *more]
