"""Points and an outcome into the default prior of a hyperparameter, by the words of the manual."""

from __future__ import annotations

from typing import Any

import numpy as np

from mercer.dsl import syntax
from mercer.dsl.parse import parse
from tests.reference.arrays import Named


def law(part: str, name: str, points: list[Named] | None, outcome: Any) -> syntax.Expression:
    """A lengthscale is about the spread of its inputs, a scale about that of the outcome, a ratio
    about 1; the outcome is on its own scale. None: inputs that are no data, an outcome of labels.
    """
    wide = 1.0 if points is None else spread(points)
    high = 1.0 if outcome is None else _deviation(outcome)
    match part, name:
        case ("Periodic", "lengthscale") | (_, "alpha"):
            text = "LogNormal(0, 1)"
        case _, "lengthscale" | "period":
            text = f"LogNormal({np.log(wide):.17f}, 1)"
        case _, "scale":
            text = f"HalfNormal({high:.17f})"
        case "Coregion", "weights":
            text = f"Normal(0, {high:.17f})"
        case "Coregion", "kappa":
            text = f"HalfNormal({high**2:.17f})"
        case _:
            raise NotImplementedError(f"the default prior of a {name}")
    declaration = parse(f"it ~ {text}").declarations[0]
    assert isinstance(declaration, syntax.Tilde)
    return declaration.prior


def _deviation(outcome: Any) -> float:
    seen = np.asarray(outcome)[~np.isnan(outcome)]
    return float(np.sqrt(np.mean((seen - seen.mean()) ** 2)))


def spread(points: list[Named]) -> float:
    """The root mean square over coordinates of the standard deviations over the rows."""
    variances = []
    for point in points:
        rows = tuple(i for i, dim in enumerate(point.dims) if dim not in point.coordinates)
        centred = point.array - point.array.mean(axis=rows, keepdims=True)
        variances.append(np.ravel((centred**2).mean(axis=rows)))
    return float(np.sqrt(np.mean(np.concatenate(variances))))
