"""Kernels as formulas of two vectors of numbers, in floats or in 160 digits.

A random function seen through linear operators is a weighted sum of its values at points: a
derivative is a difference quotient with a step of 1e-30, whose error in 160 digits is far below
that of float64 and which needs no case for coincident points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

Point = tuple[tuple[Any, ...], ...]
"""Factors of a domain: each a tuple of numbers; a label is a tuple of one int."""

Functional = list[tuple[Any, Point]]
"""sum of weight * f(point)."""

STEP = Decimal(10) ** -30

ARGUMENTS: dict[str, dict[str, float | None]] = {
    "RBF": {"lengthscale": None, "scale": None},
    "Matern12": {"lengthscale": None, "scale": None},
    "Matern32": {"lengthscale": None, "scale": None},
    "Matern52": {"lengthscale": None, "scale": None},
    "Matern": {"nu": None, "lengthscale": None, "scale": None},
    "RationalQuadratic": {"lengthscale": None, "alpha": None, "scale": None},
    "Periodic": {"period": None, "lengthscale": None, "scale": None},
    "Cosine": {"period": None, "scale": None},
    "Linear": {"scale": None, "centre": 0.0},
    "Polynomial": {"degree": None, "lengthscale": None, "offset": 1.0, "scale": None},
    "White": {"scale": None},
    "Constant": {"scale": None},
    "Brownian": {"start": 0.0, "scale": None},
    "Coregion": {"rank": 1.0, "weights": None, "kappa": None, "scale": 1.0},
}
"""Arguments of each kernel in order; None: by a default prior, unless it must be given."""


class Floats:
    """Arithmetic in float64."""

    number = float
    exp, sqrt, sin, cos, pi = math.exp, math.sqrt, math.sin, math.cos, math.pi


class Digits:
    """Arithmetic in 160 digits."""

    number = Decimal
    pi = Decimal(
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803"
        "482534211706798214808651328230664709384460955058223172535940812848111745028410270193852"
    )

    @staticmethod
    def exp(x: Decimal) -> Decimal:
        return x.exp()

    @staticmethod
    def sqrt(x: Decimal) -> Decimal:
        return x.sqrt()

    @staticmethod
    def sin(x: Decimal) -> Decimal:
        return Digits.cos(x - Digits.pi / 2)

    @staticmethod
    def cos(x: Decimal) -> Decimal:
        """Taylor's series, after the angle is brought into [-pi, pi]."""
        x = x - 2 * Digits.pi * (x / (2 * Digits.pi)).to_integral_value()
        total, term, n = Decimal(0), Decimal(1), 0
        while abs(term) > Decimal(10) ** -158 or n < 4:
            total += term
            n += 2
            term *= -x * x / (n * (n - 1))
        return total


def covariance(name: str, x: Sequence[Any], z: Sequence[Any], a: dict[str, Any], m: Any) -> Any:
    """k(x, z). Arguments are numbers, or one for each coordinate; those of Coregion are arrays."""
    if name == "Coregion":
        i, j = int(x[0]), int(z[0])
        weights = np.atleast_2d(a["weights"])
        shared = float(weights[i] @ weights[j]) + (float(a["kappa"][i]) if i == j else 0.0)
        return a["scale"] ** 2 * shared

    def each(word: str) -> list[Any]:
        value = a[word]
        return list(value) if isinstance(value, list) else [value] * len(x)

    if name == "Linear":
        pieces = zip(x, z, each("scale"), each("centre"), strict=True)
        return sum(s**2 * (u - c) * (v - c) for u, v, s, c in pieces)
    scale = a["scale"] ** 2
    match name:
        case "Constant":
            return scale * (x[0] * 0 + 1)
        case "White":
            return scale if list(x) == list(z) else 0 * scale
        case "Brownian":
            u, v = x[0] - a["start"], z[0] - a["start"]
            return scale * (abs(u) + abs(v) - abs(u - v)) / 2
        case "Cosine":
            turns = sum((u - v) / p for u, v, p in zip(x, z, each("period"), strict=True))
            return scale * m.cos(2 * m.pi * turns)
        case "Periodic":
            pieces = zip(x, z, each("period"), each("lengthscale"), strict=True)
            total = sum((m.sin(m.pi * (u - v) / p) / s) ** 2 for u, v, p, s in pieces)
            return scale * m.exp(-2 * total)
        case "Polynomial":
            pieces = zip(x, z, each("lengthscale"), strict=True)
            inner = sum(u * v / s**2 for u, v, s in pieces)
            return scale * (inner + a["offset"]) ** int(a["degree"])
    r2 = sum(((u - v) / s) ** 2 for u, v, s in zip(x, z, each("lengthscale"), strict=True))
    match name:
        case "RBF":
            return scale * m.exp(-r2 / 2)
        case "RationalQuadratic":
            return scale * (1 + r2 / (2 * a["alpha"])) ** (-a["alpha"])
        case "Matern12":
            return scale * m.exp(-m.sqrt(r2))
        case "Matern32":
            r = m.sqrt(3 * r2)
            return scale * (1 + r) * m.exp(-r)
        case "Matern52":
            r = m.sqrt(5 * r2)
            return scale * (1 + r + r**2 / 3) * m.exp(-r)
    raise NotImplementedError(f"no kernel {name}")


# --- linear operators -----------------------------------------------------------------------


def value_at(point: Point) -> Functional:
    return [(1, point)]


def exact(point: Point) -> Point:
    """The point with the digits that difference quotients need; labels stay ints."""
    return tuple(
        tuple(v if isinstance(v, int | Decimal) else Decimal(v) for v in factor) for factor in point
    )


def derivative(of: Functional, factor: int, coordinate: int, step: Any = STEP) -> Functional:
    """The derivative along one coordinate, by a central difference."""
    result: Functional = []
    for weight, point in of:
        for sign in (1, -1):
            moved = _moved(point, factor, coordinate, sign * step)
            result.append((sign * weight / (2 * step), moved))
    return result


def laplacian(of: Functional, step: Any = STEP) -> Functional:
    """The sum of second derivatives over all coordinates that are numbers."""
    result: Functional = []
    for weight, point in of:
        for factor, values in enumerate(point):
            for coordinate, value in enumerate(values):
                if isinstance(value, int):
                    continue
                for sign, count in ((1, 1), (0, -2), (-1, 1)):
                    moved = _moved(point, factor, coordinate, sign * step)
                    result.append((count * weight / step**2, moved))
    return result


def integral(low: float, high: float, nodes: int = 60) -> Functional:
    """The integral over the line from `low` to `high` by Gauss and Legendre."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    half, middle = (high - low) / 2, (high + low) / 2
    return [(w * half, ((middle + half * p,),)) for p, w in zip(places, weights, strict=True)]


def _moved(point: Point, factor: int, coordinate: int, by: Any) -> Point:
    values = list(point[factor])
    values[coordinate] = values[coordinate] + by
    return (*point[:factor], tuple(values), *point[factor + 1 :])
