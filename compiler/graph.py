"""Turns declarations into a graph: what needs what, circles, one order in which all is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any, TypeVar

from mercer.compiler import typed as ir
from mercer.compiler.expand import Lambda
from mercer.compiler.scope import Scoped, names_in
from mercer.compiler.walk import children
from mercer.compiler.words import is_kernel, values_in
from mercer.dsl import syntax
from mercer.dsl.spaces import Dim
from mercer.stdlib import catalog

T = TypeVar("T")


def circles(scoped: Scoped) -> list[list[str]]:
    """Each set of declarations that need one another at the same row, in the order of the text."""
    needs: dict[str, set[str]] = {}
    places = {}
    bodies: list[tuple[str, Any, Any]] = [
        (n, d.value, d.target.span) for n, d in scoped.definitions.items()
    ] + [(n, d, d.target.span) for n, d in scoped.unknowns.items()]
    for name, body, span in bodies:
        places[name] = span
        needs[name] = set(_needed(body, scoped))
    if not _has_circle(needs):
        return []
    import networkx as nx  # a fifth of a second, spent only where there is a circle to tell

    graph: nx.DiGraph[str] = nx.DiGraph([(name, n) for name in needs for n in needs[name]])
    found = []
    for component in nx.strongly_connected_components(graph):
        first = min(component, key=lambda n: places[n]) if component <= set(places) else ""
        if first and (len(component) > 1 or graph.has_edge(first, first)):
            inside = graph.subgraph(component)
            way = [first]
            back = min(
                (nx.shortest_path(inside, after, first) for after in inside.successors(first)),
                key=len,
            )
            found.append([*way, *back])
    return sorted(found, key=lambda way: places[way[0]])


def _needed(node: Any, scoped: Scoped) -> Iterator[str]:
    """The names that `node` needs at the same row: what lies rows before does not count."""
    match node:
        case syntax.Name(name):
            if name in scoped.definitions or name in scoped.unknowns:
                yield name
        case Lambda():
            inside = _needed(node.body, scoped)
            yield from (n for n in inside if n not in node.parameters)
        case syntax.Lookup(base, items):
            if not any(_is_before(item, scoped) for item in items):
                yield from _needed(base, scoped)
            if not is_kernel(base):
                yield from _needed(items, scoped)
        case syntax.Call(syntax.Name("D"), arguments):
            yield from _needed(arguments[:1], scoped)
        case syntax.Tilde(_, signature, prior):
            yield from _needed_by_space(signature, scoped)
            yield from _needed(tuple(values_in(prior)), scoped)
        case syntax.Argument(value, operator="~"):
            yield from _needed(tuple(values_in(value)), scoped)
        case tuple():
            for item in node:
                yield from _needed(item, scoped)
        case syntax.Node():
            for part in node.__dataclass_fields__:
                yield from _needed(getattr(node, part), scoped)


def _needed_by_space(node: Any, scoped: Scoped) -> Iterator[str]:
    """As `_needed`, where a space stands: a word of the library means that space."""
    named = {n.id for n in names_in(node)} - set(catalog.spaces())
    yield from (n for n in _needed(node, scoped) if n in named)


def _is_before(item: syntax.Expression, scoped: Scoped) -> bool:
    return (
        isinstance(item, syntax.Binary)
        and item.operator == "-"
        and isinstance(item.left, syntax.Name)
        and item.left.id not in (*scoped.data, *scoped.unknowns, *scoped.definitions)
    )


def dims_in_order(scoped: Scoped) -> dict[Dim, int]:
    """A rank for each dim: rows before coordinates, and as written wherever that is possible."""
    earlier: dict[Dim, set[Dim]] = {}
    rank: dict[Dim, tuple[int, int]] = {}

    def add(dims: list[Dim], coordinates: list[Dim]) -> None:
        for dim in (*dims, *coordinates):
            rank.setdefault(dim, (int(dim in coordinates), len(rank)))
            earlier.setdefault(dim, set())
        for before, after in zip([*dims, *coordinates], [*dims, *coordinates][1:], strict=False):
            if not _has_circle({**earlier, after: earlier[after] | {before}}):
                earlier[after].add(before)

    for data in scoped.data.values():
        add(list(data.target.indices), _coordinates(data.space))
    others: list[syntax.Tilde | syntax.Define] = [
        *scoped.unknowns.values(),
        *scoped.definitions.values(),
    ]
    for declared in others:
        space: list[Dim] = []
        if isinstance(declared, syntax.Tilde) and declared.signature is not None:
            space = _coordinates(declared.signature.codomain)
        add([i for i in declared.target.indices if i.rstrip("'") in scoped.dims], space)
    for dim in scoped.dims:
        add([dim], [])
    order = _in_order(earlier, lambda dim: rank[dim])
    return {dim: position for position, dim in enumerate(order)}


def _has_circle(needs: Mapping[T, set[T]]) -> bool:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return True
    return False


def _in_order(needs: Mapping[T, set[T]], rank: Callable[[T], Any]) -> list[T]:
    """Each after all that it needs; among those that could come next, the lowest rank."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    ready: list[tuple[Any, T]] = []
    order = []
    while sorter.is_active():
        for node in sorter.get_ready():
            heappush(ready, (rank(node), node))
        _, first = heappop(ready)
        order.append(first)
        sorter.done(first)
    return order


def _coordinates(space: syntax.Expression) -> list[Dim]:
    match space:
        case syntax.Binary("^", _, syntax.Name(name)) if name != "inf":
            return [name]
        case syntax.Binary("^", _, syntax.Number(text)):
            return [text]
        case syntax.Call(syntax.Name("Simplex" | "Ordered" | "ZeroSum"), (argument,)):
            return [argument.value.id] if isinstance(argument.value, syntax.Name) else []
        case syntax.Call(syntax.Name("Correlation" | "Covariance"), (argument,)):
            if isinstance(argument.value, syntax.Name):
                return [argument.value.id, argument.value.id + "'"]
        case _:
            pass
    return []


def needed_names(node: object) -> Iterator[str]:
    """The names that a typed node needs at the same row."""
    if isinstance(node, ir.Ref | ir.FunctionRef):
        yield node.name
    parts = children(node)
    if isinstance(node, ir.Lag):
        return
    for part in parts:
        yield from needed_names(part)


def names_in_order(declared: Mapping[str, object]) -> tuple[str, ...]:
    """Every name after all that it needs; otherwise as the text has them."""
    place = {name: position for position, name in enumerate(declared)}
    needs = {
        name: {n for n in needed_names(node) if n in declared and n != name}
        for name, node in declared.items()
    }
    return tuple(_in_order(needs, lambda name: place[name]))
