"""Structure -> the steps of a program's joint density: what is drawn, in which order and how.

Everything that is left to inference has a step after the steps of all that its prior needs. A
random function is a step of its own only where the prior of a later step needs its values; all
others are whitened together, after the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import networkx

from mercer.compiler import typed as ir
from mercer.compiler.graph import needed_names
from mercer.compiler.sizes import Sizes, count_of
from mercer.compiler.structure import Structure, owner_of
from mercer.compiler.walk import imputed, names_below, nodes
from mercer.dsl.spaces import Interval, Real, ValueType, Vector
from mercer.stdlib import catalog

How = Literal["plain", "non-centred", "between", "whitened", "imputed"]

ENOUGH_ROWS = 30.0
"""Rows for each label of an unknown from which on its own data hold it, whatever its scale."""

_WITH_ROOT = ("MultivariateNormal", "MultivariateStudentT")  # location plus a matrix times a draw


@dataclass(frozen=True)
class Step:
    """`name`: of an unknown, a random function or a column. `how`: plain, by its prior;
    non-centred, as location plus scale times a standard draw; between, as a share of the way
    between ends that are unknown themselves; whitened, values of a function; imputed, the missing
    entries of a column. `why`: what speaks for it.
    """

    name: str
    how: How = "plain"
    why: str = ""


_SAID: Mapping[How, str] = {
    "non-centred": "Sampled non-centred, as location plus scale times a standard draw, since {why}",
    "between": "Sampled as a share of the way between ends that are unknown themselves",
    "imputed": "Where these are missing they are unknowns with their own law",
}


def sentences_of(steps: tuple[Step, ...]) -> Iterator[str]:
    """What `explain` says of the steps, one sentence for all that are drawn alike."""
    alike: dict[str, list[str]] = {}
    for step in steps:
        if step.how in _SAID:
            alike.setdefault(_SAID[step.how].format(why=step.why), []).append(step.name)
    yield from (f"{text}: {', '.join(names)}." for text, names in alike.items())


def steps_of(structure: Structure, sizes: Sizes | None) -> tuple[Step, ...]:
    """The steps in order. Imputed columns that need one another in a circle are left out."""
    model = structure.model
    columns = imputed(model)
    drawn = [n for n in model.unknowns if n not in structure.block]
    early = _early(structure, [*drawn, *columns])
    wanted = {*drawn, *columns, *early}
    place = {name: i for i, name in enumerate((*model.order, *columns))}
    needs = {name: _needed(model, name, wanted) - {name} for name in wanted}
    order: list[str] = []
    while ready := [n for n in needs if n not in order and needs[n] <= set(order)]:
        order.append(min(ready, key=place.__getitem__))
    return tuple(_step(structure, name, sizes) for name in order)


def circular(model: ir.TypedModel) -> tuple[str, ...]:
    """The imputed columns whose laws lead back to themselves."""
    columns = imputed(model)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_edges_from((n, other) for n in columns for other in _needed(model, n, set(columns)))
    rounds = [set(part) for part in networkx.strongly_connected_components(graph)]
    alone = {n for n in graph if graph.has_edge(n, n)}
    return tuple(
        n for n in columns if n in alone or any(n in part and len(part) > 1 for part in rounds)
    )


def _early(structure: Structure, drawn: list[str]) -> set[str]:
    """The random functions outside the block whose values the prior of a step needs."""
    model = structure.model
    found: set[str] = set()
    for name in drawn:
        for part in _made_of(model, name):
            below = names_below(model, part)
            values = [part, *(model.definitions[n].value for n in below if n in model.definitions)]
            owners = {owner_of(a) for v in values for a in nodes(v) if isinstance(a, ir.Apply)}
            found |= owners & set(structure.latent)
    return found


def _made_of(model: ir.TypedModel, name: str) -> Iterator[object]:
    """What the law of a name is written with."""
    if name in model.observations:
        yield model.observations[name].law
    elif name in model.unknowns:
        unknown = model.unknowns[name]
        yield from (unknown.prior, unknown.low, unknown.high)
    elif name in model.functions:
        yield model.functions[name]


def _needed(model: ir.TypedModel, name: str, wanted: set[str]) -> set[str]:
    """The members of `wanted` that a name needs, through definitions and through others."""
    seen: set[str] = set()
    waiting: list[object] = list(_made_of(model, name))
    if name in model.functions:  # and the points at which it is applied
        everything = (model.definitions, model.unknowns, model.observations)
        applies = (n for g in everything for d in g.values() for n in nodes(d))
        waiting += [a.point for a in applies if isinstance(a, ir.Apply) and owner_of(a) == name]
    while waiting:
        for other in needed_names(waiting.pop()):
            if other in seen:
                continue
            seen.add(other)
            if other in model.definitions:
                waiting.append(model.definitions[other].value)
            elif other not in wanted:
                waiting += _made_of(model, other) if other not in model.observations else ()
    return seen & wanted


# --- how ------------------------------------------------------------------------------------------


def _step(structure: Structure, name: str, sizes: Sizes | None) -> Step:
    model = structure.model
    if name in model.observations:
        return Step(name, "imputed")
    if name in model.functions:
        return Step(name, "whitened")
    unknown = model.unknowns[name]
    random = {*model.unknowns, *model.functions}
    ends = (unknown.low, unknown.high)
    if isinstance(unknown.space, Interval) and names_below(model, ends) & random:
        return Step(name, "between")
    why = _non_centred(structure, unknown, sizes)
    return Step(name, "non-centred", why) if why else Step(name)


def _non_centred(structure: Structure, unknown: ir.Unknown, sizes: Sizes | None) -> str:
    """Why an unknown is sampled apart from its scale; "" where it is not.

    Few data and an unknown scale make a funnel, which the standard draw does not have; many data
    make the standard draw depend on the scale instead (Betancourt & Girolami 2015).
    """
    model, law = structure.model, unknown.prior
    if not isinstance(law, ir.Distribution):
        return ""
    entry = catalog.distributions()[law.entry]
    plain = isinstance(unknown.space, Real) or (
        isinstance(unknown.space, Vector) and isinstance(unknown.space.base, Real)
    )
    if not plain or (entry.family != "location-scale" and entry.name not in _WITH_ROOT):
        return ""
    spread = [v for k, v in law.arguments.items() if k not in ("loc", "df", "asymmetry")]
    random = {*model.unknowns, *model.functions}
    if not names_below(model, spread) & random:
        return ""
    own = set(unknown.type.dims)
    each = [model.unknowns[n].type.dims for n in names_below(model, spread) if n in model.unknowns]
    if own and any(own <= set(dims) for dims in each):
        return "each entry has a scale of its own"
    if sizes is None:
        return "how many rows each entry has is not known yet"
    if _rows_for_each(structure, unknown, sizes) >= ENOUGH_ROWS:
        return ""
    return f"each entry has fewer than {ENOUGH_ROWS:.0f} rows"


def _rows_for_each(structure: Structure, unknown: ir.Unknown, sizes: Sizes) -> float:
    """How many rows, or entries of other unknowns, have one entry in their law, on average.

    A row has all the coefficients of its coordinates in it, but of labels only its own.
    """
    model = structure.model
    laws: list[tuple[ValueType, object]] = [
        *((o.type, o.law) for o in model.observations.values()),
        *((u.type, u.prior) for u in model.unknowns.values() if u.name != unknown.name),
    ]
    coordinates = {d for data in model.data.values() for d in data.type.coordinates}
    most = 0.0
    for kind, law in laws:
        if unknown.name in names_below(model, law):
            shared = [d for d in unknown.type.dims if d in kind.dims or d not in coordinates]
            most = max(most, count_of(kind.dims, sizes) / max(1, count_of(shared, sizes)))
    return most
