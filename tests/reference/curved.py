"""Kernels on circles and spheres, the slow way: windings counted one by one, degrees added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.reference import kernels

Space = tuple[Any, ...]

WINDINGS, DEGREES = 16, 128

_SMOOTHNESS = {"Matern12": 0.5, "Matern32": 1.5, "Matern52": 2.5}


def period_of(space: Space) -> Any:
    """The period of a circle: without one written, that of an angle in radians."""
    return space[1] if len(space) > 1 else repr(2 * np.pi)


def around_circle(word: str, gap: Any, period: Any, a: dict[str, Any], m: Any) -> Any:
    """The kernel of the line, added up over all ways around, over what that is at 0."""
    period, nothing = m.number(period), m.number(0)

    def total(at: Any) -> Any:
        ways = (at + k * period for k in range(-WINDINGS, WINDINGS + 1))
        return sum(kernels.covariance(word, [way], [nothing], a, m) for way in ways)

    return a["scale"] ** 2 * total(gap) / total(nothing)


def on_sphere(word: str, x: Sequence[float], z: Sequence[float], a: dict[str, Any]) -> float:
    """The sum over Legendre polynomials of the angle between two unit vectors."""
    degree = np.arange(DEGREES + 1)
    frequency = degree * (degree + 1.0)
    if word == "RBF":
        density = np.exp(-0.5 * a["lengthscale"] ** 2 * frequency)
    else:
        nu = a["nu"] if word == "Matern" else _SMOOTHNESS[word]
        density = (2 * nu / a["lengthscale"] ** 2 + frequency) ** (-nu - 1)
    weights = density * (2 * degree + 1)
    value = np.polynomial.legendre.legval(float(np.dot(x, z)), weights / weights.sum())
    return float(a["scale"] ** 2 * value)
