"""The table of spaces that a model may name, with what stands in their parentheses."""

from __future__ import annotations

import math

from mercer.stdlib.entry import Entry, Parameter

MODES = 100
"""Waves of a manifold where nobody says how many."""

DEGREES = 128
"""Waves of spheres and rotations are summed up to this degree: shapes of 1.4 degrees and more."""

WHOLE, LOWEST = 1500, 500
"""Up to so many nodes a graph has all its waves; with more nodes, so many of the lowest."""


def _space(name: str, doc: str, *parameters: Parameter) -> Entry:
    return Entry(name, parameters, doc, None)


def _takes(name: str, space: str, default: float | None = None) -> Parameter:
    return Parameter(name, space, default, default is None, structural=True)


SPACES = (
    _space("Real", "Numbers."),
    _space("Positive", "Numbers above 0."),
    _space("Unit", "Numbers from 0 to 1, both included."),
    _space(
        "Interval",
        "Numbers from low to high, both included.",
        Parameter("low", "Real"),
        Parameter("high", "Real"),
    ),
    _space("Count", "0, 1, 2, ..."),
    _space("Bool", "False and true; 0 and 1 in arithmetic."),
    _space("Label", "The labels of an index.", _takes("index", "Index")),
    _space("Simplex", "Probabilities of the labels of an index.", _takes("index", "Index")),
    _space("Ordered", "Increasing numbers.", _takes("index", "Index")),
    _space("ZeroSum", "Numbers whose sum is 0.", _takes("index", "Index")),
    _space("Correlation", "Correlation matrices.", _takes("index", "Index")),
    _space("Covariance", "Covariance matrices.", _takes("index", "Index")),
    _space(
        "Circle",
        "A number that returns after its period; without one it is an angle in radians.",
        _takes("period", "Positive", 2.0 * math.pi),
    ),
    _space(
        "Sphere",
        "Unit vectors; on `Sphere(2)` also `(lat: Real, lon: Real)` in degrees.",
        _takes("dimension", "Count"),
    ),
    _space("SO", "Rotations.", _takes("degree", "Count")),
    _space("SL", "Linear maps that keep volume.", _takes("degree", "Count")),
    _space("GL", "Linear maps of positive determinant.", _takes("degree", "Count")),
    _space(
        "Image",
        "Numbers on a grid of pixels.",
        _takes("height", "Count"),
        _takes("width", "Count"),
        Parameter("channels", "Count", None, False, structural=True),
    ),
    _space(
        "Field",
        "Functions on the plane times a group.",
        _takes("group", "Group"),
        _takes("channels", "Count"),
    ),
    _space("Graph", "Labels joined by edges.", _takes("a", "Label"), _takes("b", "Label")),
    _space(
        "Mesh",
        "A surface of triangles.",
        _takes("vertices", "Real^k"),
        _takes("faces", "Label^3"),
        _takes("modes", "Count", float(MODES)),
    ),
    _space(
        "Manifold",
        "A surface known through points.",
        _takes("cloud", "Real^k"),
        Parameter("dim", "Count", None, False, structural=True, doc="left out: estimated"),
        _takes("neighbours", "Count", 10.0),
        _takes("modes", "Count", float(MODES)),
    ),
    _space("Tangent", "Vectors tangent to a surface.", _takes("shape", "Shape")),
)
