"""Rows that agree in everything but the outcome need noise, or something that parts them."""

import numpy as np
import pytest

import mercer
from mercer.contradictions import check_contradictions

HEAD = (
    "data x[n], z[n], y[n] : Real\nf : Real -> Real ~ GP(RBF())\n"
    "g : Real -> Real ~ GP(RBF() + White())\n"
    "e[n] ~ Normal(0, 1)\nnoise ~ HalfNormal(1)\nmean_of_x = mean(x)\n"
)
DATA = {"x": [1, 1, 2], "z": [1, 2, 3], "y": [1, 2, np.nan]}


def _checked(line: str, data: object = DATA) -> None:
    model = mercer.compile(f"{HEAD}y ~ {line}\n")
    check_contradictions(model.typed, model.bind(data))


@pytest.mark.parametrize(
    "line",
    [
        "Normal(f(x), noise)",
        "Normal(f(x), 1)",
        "Normal(f(z), 1.0e-9)",
        "Normal(f(x) + z, 1.0e-9)",
        "Normal(f(x) + e, 1.0e-9)",
        "Normal(g(x), 1.0e-9)",
        "StudentT(3, f(x), 1.0e-9)",
    ],
)
def test_rows_that_something_parts_do_not_contradict_each_other(line: str) -> None:
    _checked(line)


@pytest.mark.parametrize("line", ["Normal(f(x), 1.0e-9)", "Normal(f(x) + mean_of_x, 1.0e-4)"])
def test_rows_that_nothing_parts_contradict_each_other(line: str) -> None:
    with pytest.raises(mercer.MercerError, match="M429"):
        _checked(line)
    _checked(line, {**DATA, "y": [1, 1, 5]})
    _checked(line, {**DATA, "y": [1, np.nan, 5]})
