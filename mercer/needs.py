"""The typed model turned into what binding needs to know of it (`mercer.runtime.data.needs`)."""

from __future__ import annotations

from mercer.compiler.typed import DataDeclared, TypedModel
from mercer.compiler.walk import responses
from mercer.dsl.spaces import Label, Space
from mercer.runtime.data.needs import DataNeed, IndexNeed, Needs, base_of


def needs_of(model: TypedModel) -> Needs:
    """The data names, indices and sources of `model`, as `bind` wants them."""
    outcomes = responses(model)
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
