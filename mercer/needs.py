"""The typed model turned into what binding needs to know of it (`mercer.runtime.needs`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from mercer.compiler.typed import DataDeclared, Definition, Ref, TypedModel
from mercer.dsl.spaces import Label, Space
from mercer.runtime.needs import DataNeed, IndexNeed, Needs, base_of


def needs_of(model: TypedModel) -> Needs:
    """The data names, indices and sources of `model`, as `bind` wants them."""
    outcomes = _outcomes(model)
    data = tuple(_data(d, model, d.name in outcomes) for d in model.data.values())
    looked_up = _looked_up(model)
    names = [*model.indices, *(base_of(dim) for need in data for dim in need.dims)]
    indices: dict[str, IndexNeed] = {}
    for name in names:
        if name in indices or name.isdigit():
            continue
        declared = model.indices.get(name)
        feeders = tuple(n.name for n in data if _label_index(n.space) == name)
        indices[name] = IndexNeed(
            name,
            labels=None if declared is None else declared.labels,
            fed_by=feeders,
            span=None if declared is None else declared.span,
            is_looked_up=name in looked_up or bool(feeders),
        )
    return Needs(data, indices, dict(model.sources))


def _data(declared: DataDeclared, model: TypedModel, is_outcome: bool) -> DataNeed:
    indices, coordinates = declared.type.indices, declared.type.coordinates
    place = {dim: position for position, dim in enumerate(model.dims)}
    ordered = sorted(indices, key=lambda dim: place.get(dim, len(place)))
    return DataNeed(
        name=declared.name,
        indices=indices,
        coordinates=coordinates,
        order=(*ordered, *coordinates),
        space=declared.space,
        span=declared.span,
        is_outcome=is_outcome,
    )


def _label_index(space: Space) -> str | None:
    return space.index if isinstance(space, Label) else None


def _looked_up(model: TypedModel) -> set[str]:
    """The names written in brackets somewhere: what meets by label."""
    found: set[str] = set()
    for group in (model.data, model.unknowns, model.definitions):
        for declared in group.values():
            found |= {base_of(dim) for dim in declared.type.indices}
    for function in model.functions.values():
        found |= {base_of(dim) for dim in function.type.dims}
    return found | {n for n, i in model.indices.items() if i.labels is not None}


def _outcomes(model: TypedModel) -> set[str]:
    """Data observed, and data that are used for nothing but a definition that is observed."""
    observed = set(model.observations)
    found = observed & set(model.data)
    inside = {n for n in observed if n in model.definitions}
    reached = set().union(*(_reached(model.definitions[n], model) for n in inside))
    reached_definitions = inside | {n for n in reached if n in model.definitions}
    others: list[object] = [o.law for o in model.observations.values()]
    others += [*model.unknowns.values(), *model.functions.values(), *model.shapes.values()]
    others += [d for n, d in model.definitions.items() if n not in reached_definitions]
    used = {ref for other in others for ref in _refs(other)}
    used |= {n for s in model.shapes.values() for n in _shape_names(s.space, model)}
    # A definition that is also used elsewhere makes its data inputs as well.
    for name in sorted(used & set(model.definitions)):
        used |= _reached(model.definitions[name], model)
    return found | {n for n in reached if n in model.data and n not in used}


def _reached(definition: Definition, model: TypedModel) -> set[str]:
    """Every name from which `definition` is computed."""
    found: set[str] = set()
    waiting = list(_refs(definition))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            if name in model.definitions:
                waiting += _refs(model.definitions[name])
    return found


def _refs(node: object) -> Iterator[str]:
    """The names that stand anywhere inside a node."""
    if isinstance(node, Ref):
        yield node.name
    elif isinstance(node, (tuple, list)):
        for item in node:
            yield from _refs(item)
    elif isinstance(node, Mapping):
        for item in node.values():
            yield from _refs(item)
    elif is_dataclass(node):
        for part in fields(node):
            yield from _refs(getattr(node, part.name))


def _shape_names(space: Space, model: TypedModel) -> set[str]:
    """The data that a shape is made from: those written in its name, `Manifold(cloud)`."""
    text = getattr(space, "kind", "")
    words = set(str(text).replace("(", " ").replace(")", " ").replace(",", " ").split())
    return words & set(model.data)
