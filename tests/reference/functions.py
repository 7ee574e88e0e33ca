"""Unknown functions applied to arrays: the linear functional of each row, and their covariance."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.reference.arrays import Named, sizes_of
from tests.reference.kernels import (
    Digits,
    Floats,
    Functional,
    Point,
    derivative,
    exact,
    integral,
    laplacian,
    value_at,
)

Space = tuple[Any, ...]
"""("Real",), ("Vector", "d"), ("Label", "g"), ("Product", ((name, space), ...)), ..."""

Covariance = Callable[[Point, Point, dict[str, int], Any], Any]
"""k(x, z, labels of the function's indices, arithmetic)."""


@dataclass(frozen=True)
class Operator:
    """`kind` is "D", "Laplacian" or "Integral"; `places` are the (factor, coordinate) of D, several
    for a gradient, whose dim is `dim`."""

    kind: str
    places: tuple[tuple[int, int], ...] = ()
    dim: str | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Function:
    """An unknown function, or what operators and lookups have made of it."""

    name: str
    domain: Space | None
    outputs: str | None
    indices: tuple[str, ...]
    at: dict[str, Named] = field(default_factory=dict)
    operators: tuple[Operator, ...] = ()
    text: str = ""

    def under(self, operator: Operator, text: str) -> Function:
        return replace(self, operators=(*self.operators, operator), text=text)


@dataclass(frozen=True)
class Row:
    """One value of a function: a functional, the labels of its copy, and its output."""

    functional: Functional
    labels: tuple[int, ...]
    output: int | None


@dataclass(frozen=True)
class Rows:
    """What an application is: rows in the order of `dims`."""

    function: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    rows: tuple[Row, ...]
    coordinates: tuple[str, ...]


def factors_of(space: Space) -> tuple[tuple[str, Space], ...]:
    return space[1] if space[0] == "Product" else (("", space),)


def rows_of(function: Function, points: list[Named], size: Callable[[str], int]) -> Rows:
    """The rows of `function` at the columns `points`, one for each factor of its domain."""
    assert function.domain is not None
    factors = factors_of(function.domain)
    lifted: list[str] = []
    columns: list[tuple[Named, str | None]] = []
    integrated = any(o.kind == "Integral" for o in function.operators)
    for (_, space), point in zip(factors, points, strict=not integrated):
        own = vector_dim(space, point)
        columns.append((point, own))
        lifted += [d for d in point.dims if d != own]
    labels = {i: function.at.get(i) or Named((i,), np.arange(size(i))) for i in function.indices}
    for code in labels.values():
        lifted += code.dims
    dims = tuple(dict.fromkeys(lifted))
    coordinates = [c for p, own in columns for c in p.coordinates if c != own and c in dims]
    if function.outputs:
        dims = (*dims, function.outputs)
        coordinates.append(function.outputs)
    gradient = next((o.dim for o in function.operators if o.dim), None)
    if gradient:
        dims = (*dims, gradient)
        coordinates.append(gradient)
    known = sizes_of(*points)
    shape = tuple(known[d] if d in known else size(d) for d in dims)
    rows = []
    for place in np.ndindex(*shape):
        cell = dict(zip(dims, place, strict=True))
        point = tuple(_numbers(p, own, cell, known) for p, own in columns)
        codes = tuple(int(_entry(c, cell)) for c in labels.values())
        functional = _functional(function.operators, point, cell)
        output = cell[function.outputs] if function.outputs else None
        rows.append(Row(functional, codes, output))
    return Rows(function.name, dims, shape, tuple(rows), tuple(dict.fromkeys(coordinates)))


def gram(a: Rows, b: Rows, indices: tuple[str, ...], kernel: Covariance, outputs: Any) -> Any:
    """The covariance of the rows of two applications of one function."""
    result = np.zeros((len(a.rows), len(b.rows)))
    with decimal.localcontext(prec=160):
        for i, left in enumerate(a.rows):
            for j, right in enumerate(b.rows):
                if left.labels != right.labels:
                    continue
                labels = dict(zip(indices, left.labels, strict=True))
                shared = 1.0 if left.output is None else outputs[left.output, right.output]
                if shared:
                    result[i, j] = shared * _between(left, right, labels, kernel)
    return result


def vector_dim(space: Space, point: Named) -> str | None:
    """The dim of `point` that one point of `space` has."""
    if space[0] == "Sphere":
        return str(int(space[1]) + 1)
    if space[0] != "Vector":
        return None
    if space[1] in point.dims:
        return str(space[1])
    return point.coordinates[-1]


def _between(left: Row, right: Row, labels: dict[str, int], kernel: Covariance) -> float:
    digits = _is_exact(left.functional) or _is_exact(right.functional)
    arithmetic = Digits if digits else Floats
    total: Any = arithmetic.number(0)
    for u, x in left.functional:
        for v, z in right.functional:
            if digits:
                x, z = exact(x), exact(z)
            value = kernel(x, z, labels, arithmetic)
            total += arithmetic.number(u) * arithmetic.number(v) * value
    return float(total)


def _is_exact(functional: Functional) -> bool:
    _, point = functional[0]
    return any(isinstance(v, decimal.Decimal) for factor in point for v in factor)


def _functional(operators: tuple[Operator, ...], point: Point, cell: dict[str, int]) -> Functional:
    digits = any(o.kind in ("D", "Laplacian") for o in operators)
    found = value_at(exact(point) if digits else point)
    with decimal.localcontext(prec=160):
        for operator in operators:
            match operator.kind:
                case "D":
                    place = operator.places[cell[operator.dim] if operator.dim else 0]
                    found = derivative(found, *place)
                case "Laplacian":
                    found = laplacian(found)
                case "Integral":
                    found = integral(operator.low, operator.high)
    return found


def _numbers(
    point: Named, own: str | None, cell: dict[str, int], sizes: dict[str, int]
) -> tuple[Any, ...]:
    if own is None:
        value = _entry(point, cell)
        return (int(value),) if point.labels else (float(value),)
    return tuple(float(_entry(point, {**cell, own: i})) for i in range(sizes[own]))


def _entry(value: Named, cell: dict[str, int]) -> Any:
    return value.array[tuple(cell[d] for d in value.dims)]
