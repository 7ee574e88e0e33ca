"""Points and an outcome into the default prior of a hyperparameter, by the words of the manual."""

from __future__ import annotations

from typing import Any

import numpy as np

from mercer.dsl import syntax
from mercer.dsl.parse import parse
from tests.reference.arrays import Named


def law(name: str, points: list[Named], outcome: Any) -> syntax.Expression:
    """A lengthscale is about the spread of its inputs, a scale about that of the outcome, a ratio
    about 1; the outcome is on its own scale."""
    match name:
        case "lengthscale" | "period":
            text = f"LogNormal({np.log(spread(points)):.17f}, 1)"
        case "scale":
            seen = np.asarray(outcome)[~np.isnan(outcome)]
            text = f"HalfNormal({np.sqrt(np.mean((seen - seen.mean()) ** 2)):.17f})"
        case "alpha":
            text = "LogNormal(0, 1)"
        case _:
            raise NotImplementedError(f"the default prior of a {name}")
    declaration = parse(f"it ~ {text}").declarations[0]
    assert isinstance(declaration, syntax.Tilde)
    return declaration.prior


def spread(points: list[Named]) -> float:
    """The root mean square over coordinates of the standard deviations over the rows."""
    variances = []
    for point in points:
        rows = tuple(i for i, dim in enumerate(point.dims) if dim not in point.coordinates)
        centred = point.array - point.array.mean(axis=rows, keepdims=True)
        variances.append(np.ravel((centred**2).mean(axis=rows)))
    return float(np.sqrt(np.mean(np.concatenate(variances))))
