"""A model and its data turned into what no values of the unknowns could explain.

Two rows that agree in all that an outcome's mean is made of have one mean. Where the noise is a
number of the model and far smaller than their difference, the fit would only push on jitter.
"""

from __future__ import annotations

import numpy as np

from mercer.compiler import typed as ir
from mercer.compiler.walk import names_below, nodes
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Label
from mercer.runtime.data.bind import Bound
from mercer.runtime.data.values import label_text

_SDS = 1000.0
"""Standard deviations of noise between two rows of one mean that nobody calls noise: e^-250,000."""

_ROWS = 1_000_000
"""Rows up to which they are compared: sorting more would be noticed."""


def check_contradictions(model: ir.TypedModel, bound: Bound) -> None:
    """Raises MercerError M429 for each outcome that contradicts itself, M437 for one of labels of
    which there is only one."""
    alone = [_one_label(outcome, bound) for outcome in model.observations.values()]
    if told := [problem for problem in alone if problem is not None]:
        raise MercerError(told, model.sources)
    found = (_contradiction(model, outcome, bound) for outcome in model.observations.values())
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise MercerError(problems, model.sources)


def _one_label(outcome: ir.Observation, bound: Bound) -> Diagnostic | None:
    space = outcome.type.space
    if not isinstance(space, Label) or outcome.name not in bound.arrays:
        return None
    labels = bound.labels[space.index]
    if len(labels) != 1:
        return None
    return Diagnostic(
        "M437",
        f"every row of {outcome.name} is {label_text(labels[0])}: there is nothing to tell apart",
        outcome.span,
        why=f"`{space.index}` has the labels that occur in the data, and these have one",
        mend=f"give rows of other labels too, or declare them: `index {space.index} = [...]`",
    )


def _contradiction(
    model: ir.TypedModel, outcome: ir.Observation, bound: Bound
) -> Diagnostic | None:
    law, values = outcome.law, bound.arrays.get(outcome.name)
    if not isinstance(law, ir.Distribution) or law.entry != "Normal" or values is None:
        return None
    noise, mean = law.arguments["scale"], law.arguments["loc"]
    if not isinstance(noise, ir.Constant) or values.ndim != 1 or values.size > _ROWS:
        return None
    names = _inputs(model, mean, bound.dims[outcome.name])
    if names is None:
        return None
    columns = [np.asarray(bound.arrays[n], float).reshape(values.size, -1) for n in names]
    table = np.concatenate([np.zeros((values.size, 1)), *columns], axis=1)
    seen = np.flatnonzero(~np.isnan(values))
    group = np.unique(table[seen], axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((values[seen], group))
    low, high = seen[order[:-1]], seen[order[1:]]
    gap = np.where(np.diff(group[order]) == 0, values[high] - values[low], 0.0)
    if not gap.size or gap.max() <= _SDS * noise.value:
        return None
    first, second = sorted((int(low[gap.argmax()]), int(high[gap.argmax()])))
    where = f"where {' and '.join(names)} {'are' if len(names) > 1 else 'is'} the same"
    return Diagnostic(
        "M429",
        f"{outcome.name} is {values[first]:.6g} in row {first + 1} and {values[second]:.6g} in "
        f"row {second + 1}, {where if names else 'with one mean for all rows'}",
        outcome.span,
        why=f"a noise of {noise.value:g} cannot explain their difference",
        mend="give the noise a prior, `noise ~ HalfNormal(1)`, or keep one of the rows",
    )


def _inputs(model: ir.TypedModel, mean: ir.Expr, dims: tuple[str, ...]) -> list[str] | None:
    """The data of the rows that the mean is made of; None where rows have parts of their own."""
    below = names_below(model, mean)
    parts = [mean, *(model.definitions[n].value for n in below if n in model.definitions)]
    if any(isinstance(node, ir.Labels | ir.Lag) for part in parts for node in nodes(part)):
        return None
    (row,) = dims
    unknowns = [model.unknowns[n] for n in below if n in model.unknowns]
    functions = [model.functions[n] for n in below if n in model.functions]
    if any(row in u.type.indices for u in unknowns) or any(row in f.type.dims for f in functions):
        return None
    kernels = [k for f in functions for k in nodes(f) if isinstance(k, ir.KernelCall)]
    if any(kernel.entry == "White" for kernel in kernels):  # noise by another name
        return None
    names = sorted(below & set(model.data), key=list(model.data).index)
    rows = [name for name in names if model.data[name].type.indices == dims]
    is_other = any(row in model.data[n].type.indices for n in names if n not in rows)
    return None if is_other else rows
