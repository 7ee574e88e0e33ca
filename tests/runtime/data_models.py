"""Data lines of a model turned into `Needs`, for the tests of binding: no compiler needed."""

from __future__ import annotations

import re

from mercer.dsl.spaces import (
    Bool,
    Constrained,
    Count,
    Image,
    Interval,
    Label,
    Positive,
    Product,
    Real,
    Space,
    Unit,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Source, Span
from mercer.runtime.data.needs import DataNeed, IndexNeed, Needs, base_of

_NUMBERS = {
    "Real": Real(),
    "Positive": Positive(),
    "Unit": Unit(),
    "Count": Count(),
    "Bool": Bool(),
}


def needs(text: str, *, outcomes: str = "y", order: tuple[str, ...] = ()) -> Needs:
    """`data` and `index` lines; `outcomes` are the names observed, `order` that of the axes."""
    source = Source("model.mercer", text)
    data: list[DataNeed] = []
    declared: dict[str, tuple[str, ...] | tuple[float, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("index "):
            name, labels = line.removeprefix("index ").split(" = ")
            declared[name] = _labels(labels)
            continue
        names, space_text = line.removeprefix("data ").split(" : ")
        space = _space(space_text.strip())
        for match in re.finditer(r"(\w+)(\[[^\]]*\])?", names):
            indices = tuple(i.strip() for i in (match[2] or "[]")[1:-1].split(",") if i.strip())
            start = line.index(match[0]) + 1
            span = Span("model.mercer", number, start, number, start + len(match[1]))
            coordinates = coordinates_of(space)
            axes = tuple(sorted(indices, key=lambda d: order.index(d) if d in order else 99))
            data.append(
                DataNeed(
                    match[1],
                    indices,
                    coordinates,
                    (*axes, *coordinates),
                    space,
                    span,
                    match[1] in outcomes.split(),
                )
            )
    looked_up = {base_of(dim) for need in data for dim in need.indices} | set(declared)
    fed = [need.space.index for need in data if isinstance(need.space, Label)]
    names_of = [*declared, *(base_of(d) for need in data for d in need.dims), *fed]
    indices = {
        name: IndexNeed(
            name,
            declared.get(name),
            tuple(n.name for n in data if n.space == Label(name)),
            None,
            name in looked_up or name in fed,
        )
        for name in names_of
        if not name.isdigit()
    }
    return Needs(tuple(data), indices, {"model.mercer": source})


def _labels(text: str) -> tuple[str, ...] | tuple[float, ...]:
    if ".." in text:
        low, high = text.split("..")
        return tuple(float(value) for value in range(int(low), int(high) + 1))
    return tuple(part.strip(' "') for part in text.strip("[]").split(","))


def _space(text: str) -> Space:
    if " * " in text:
        return Product(tuple(_space(part) for part in text.split(" * ")))
    if text in _NUMBERS:
        return _NUMBERS[text]
    if text.startswith("Real^"):
        return Vector(Real(), text.removeprefix("Real^"))
    kind, inside = text.rstrip(")").split("(")
    arguments = [part.strip() for part in inside.split(",")]
    if kind == "Label":
        return Label(arguments[0])
    if kind == "Image":
        return Image(*(int(part) for part in arguments))
    if kind == "Interval":
        return Interval(float(arguments[0]), float(arguments[1]))
    return Constrained(kind, arguments[0])
