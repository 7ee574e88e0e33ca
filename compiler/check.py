"""Turns declarations by name into the typed model, or into all the mistakes that they hold."""

from __future__ import annotations

from pathlib import Path

from mercer.compiler import typed as ir
from mercer.compiler.graph import circles, dims_in_order, names_in_order
from mercer.compiler.problems import Failed
from mercer.compiler.rules_declarations import DeclarationRules
from mercer.compiler.scope import Scoped, resolve
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.parse import parse_partial


def compile_front(text: str, name: str = "<model>", folder: Path | None = None) -> ir.TypedModel:
    """The typed model of a text; raises one MercerError with all its independent mistakes."""
    model, mistakes = parse_partial(text, name)
    scoped = resolve(model, folder)
    checker = _checked(scoped)
    mistakes = [*mistakes, *checker.problems.diagnostics]
    if mistakes:
        mistakes.sort(key=lambda d: (d.span is None, d.span))
        raise MercerError(mistakes, scoped.sources)
    return _typed(checker)


def check(scoped: Scoped) -> ir.TypedModel:
    """The typed model; raises one MercerError with all mistakes of names and types."""
    checker = _checked(scoped)
    if checker.problems.diagnostics:
        raise MercerError(checker.problems.diagnostics, scoped.sources)
    return _typed(checker)


def _checked(scoped: Scoped) -> DeclarationRules:
    checker = DeclarationRules(scoped, dims_in_order(scoped))
    for way in circles(scoped):
        span = checker.place(way[0])
        assert span is not None
        checker.failed |= set(way)
        checker.problems.report(
            "M203",
            "these need one another in a circle: " + " -> ".join(way),
            span,
            why="What is declared must be made of what is known before it.",
            mend="if the row before is meant, say so: `z[t - 1]`",
            notes=checker.notes(*dict.fromkeys(way[1:-1])),
        )
    steps = [
        *((checker.index_declared, n) for n in scoped.dims),
        *((checker.data_declared, n) for n in scoped.data),
        *((checker.definition_declared, n) for n in scoped.definitions),
        *((checker.unknown_declared, n) for n in scoped.unknowns),
        *((checker.observation_declared, n) for n in scoped.observations),
    ]
    for step, name in steps:
        try:
            step(name)
        except Failed:
            checker.failed.add(name)
    for directive in scoped.directives:
        try:
            checker.directive_declared(directive)
        except Failed:
            continue
    checker.check_derivatives()
    told = checker.problems.diagnostics or scoped.model.lost or scoped.is_partial
    assert told or not checker.failed, checker.failed
    return checker


def _typed(checker: DeclarationRules) -> ir.TypedModel:
    scoped = checker.scoped
    declared: dict[str, object] = {}
    declared |= checker.data
    declared |= checker.shapes
    declared |= checker.unknowns
    declared |= checker.functions
    declared |= checker.definitions
    order = names_in_order(declared)
    dims = tuple(sorted(checker.rank, key=checker.rank.__getitem__))
    return ir.TypedModel(
        scoped.model.doc,
        scoped.model.source,
        scoped.sources,
        checker.indices,
        {n: checker.data[n] for n in order if n in checker.data},
        {n: checker.shapes[n] for n in order if n in checker.shapes},
        {n: checker.unknowns[n] for n in order if n in checker.unknowns},
        {n: checker.functions[n] for n in order if n in checker.functions},
        {n: checker.definitions[n] for n in order if n in checker.definitions},
        checker.observations,
        tuple(checker.directives),
        order,
        dims,
    )
