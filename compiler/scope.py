"""Turns a syntax tree into declarations by name: abbreviations written out, names told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mercer.compiler.expand import Expander, Lambda
from mercer.compiler.problems import Failed, Problems
from mercer.compiler.uses import used_defs
from mercer.compiler.words import is_law
from mercer.dsl import syntax
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.span import Source, Span


@dataclass(frozen=True)
class DataName:
    """One name of a `data` line."""

    target: syntax.Target
    space: syntax.Expression
    doc: str | None


@dataclass(frozen=True)
class Scoped:
    """Declarations by name, abbreviations gone. A name stands in one of the maps, except that
    what is observed also stands in `observations`. `dims` are all indices and the names of sizes,
    with the place that fixes them; `failed` are names that a mistake has taken away."""

    model: syntax.Model
    sources: Mapping[str, Source]
    data: Mapping[str, DataName] = field(default_factory=dict)
    indices: Mapping[str, syntax.Index] = field(default_factory=dict)
    unknowns: Mapping[str, syntax.Tilde] = field(default_factory=dict)
    definitions: Mapping[str, syntax.Define] = field(default_factory=dict)
    observations: Mapping[str, syntax.Tilde] = field(default_factory=dict)
    directives: tuple[syntax.Infer, ...] = ()
    dims: Mapping[str, Span] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    is_partial: bool = False  # a file that was to be used is missing: its names are not known
    problems: tuple[Diagnostic, ...] = ()

    def names(self) -> Iterator[str]:
        """The names of values and functions, in the order of the text."""
        yield from self.data
        yield from self.unknowns
        yield from self.definitions


def resolve(model: syntax.Model, folder: Path | None = None) -> Scoped:
    """The declarations of `model` by name; mistakes are kept in `problems`.

    `folder` is where the model lies, and where alone `use` may read; None for a text without one.
    """
    return _Resolver(model, folder).resolve()


class _Resolver:
    def __init__(self, model: syntax.Model, folder: Path | None) -> None:
        self.model = model
        self.folder = folder
        self.problems = Problems()
        self.failed: set[str] = set(model.lost)
        self.is_partial = False
        self.sources = {model.source.name: model.source}
        self.places: dict[str, Span] = {}
        self.data: dict[str, DataName] = {}
        self.indices: dict[str, syntax.Index] = {}
        self.tildes: dict[str, syntax.Tilde] = {}
        self.definitions: dict[str, syntax.Define] = {}
        self.dims: dict[str, Span] = {}

    def resolve(self) -> Scoped:
        defs = self.collect_defs()
        self.collect()
        self.collect_dims()
        expander = Expander(defs, self.problems, is_law)
        self.definitions = self.expanded(self.definitions, expander)
        self.tildes = self.expanded(self.tildes, expander)
        for name, chosen in defs.items():  # an abbreviation that nothing uses is checked too
            try:
                expander.expand(syntax.Name(name, span=chosen.name_span), name)
            except Failed:
                continue
        known = {**self.data, **self.definitions}
        directives = tuple(d for d in self.model.declarations if isinstance(d, syntax.Infer))
        return Scoped(
            self.model,
            self.sources,
            self.data,
            self.indices,
            {n: t for n, t in self.tildes.items() if n not in known and n not in self.failed},
            self.definitions,
            {n: t for n, t in self.tildes.items() if n in known},
            directives,
            self.dims,
            frozenset(self.failed),
            self.is_partial,
            self.problems.diagnostics,
        )

    # --- abbreviations -----------------------------------------------------------------------

    def collect_defs(self) -> dict[str, syntax.Def]:
        found: dict[str, syntax.Def] = {}
        for declaration in self.model.declarations:
            if isinstance(declaration, syntax.Use):
                chosen, sources, problems = used_defs(declaration, self.folder)
                self.sources.update(sources)
                for diagnostic in problems:
                    self.problems.keep(diagnostic)
                if problems:
                    self.is_partial = True
                    self.failed |= {d.name for d in chosen}
            elif isinstance(declaration, syntax.Def):
                chosen = (declaration,)
            else:
                continue
            for one in chosen:
                if self.is_new(one.name, one.name_span):
                    found[one.name] = one
        return found

    def expanded(self, declarations: dict[str, Any], expander: Expander) -> dict[str, Any]:
        result = {}
        for name, declaration in declarations.items():
            part = "value" if isinstance(declaration, syntax.Define) else "prior"
            try:
                new = expander.expand(getattr(declaration, part), name)
            except Failed:
                if part == "value" or name not in self.data:
                    self.failed.add(name)
                continue
            result[name] = replace(declaration, **{part: new})
        return result

    # --- names -------------------------------------------------------------------------------

    def collect(self) -> None:
        for declaration in self.model.declarations:
            match declaration:
                case syntax.Data(targets, space):
                    for target in targets:
                        if self.is_new(target.name, _name_span(target)):
                            self.data[target.name] = DataName(target, space, declaration.doc)
                case syntax.Index(name):
                    if self.is_new(name, declaration.name_span):
                        self.indices[name] = declaration
                case syntax.Define(target):
                    name, span = target.name, _name_span(target)
                    if name in self.data:
                        self.problems.report(
                            "M206",
                            f"`{name}` is data and cannot be defined too",
                            span,
                            mend="give the computed quantity a name of its own",
                            notes=((self.places[name], f"`{name}` is data here"),),
                        )
                    elif self.is_new(name, span):
                        self.definitions[name] = declaration
                case _:
                    continue
        for declaration in self.model.declarations:
            if isinstance(declaration, syntax.Tilde):
                self.collect_tilde(declaration)

    def collect_tilde(self, declaration: syntax.Tilde) -> None:
        name, span = declaration.target.name, _name_span(declaration.target)
        if name in self.tildes:
            observed = name in self.data or name in self.definitions
            first = _name_span(self.tildes[name].target)
            self.problems.report(
                "M205",
                f"`{name}` is observed twice" if observed else f"`{name}` has two priors",
                span,
                why="A name has one `~`.",
                mend="take out one of the lines"
                if observed
                else "take out one of the lines, or give it another name",
                notes=((first, "the first is here"),),
            )
        elif name in self.data or name in self.definitions or self.is_new(name, span):
            self.tildes[name] = declaration

    def is_new(self, name: str, span: Span) -> bool:
        if name in self.places:
            self.problems.report(
                "M202",
                f"`{name}` is declared twice",
                span,
                mend="give one of the two another name",
                notes=((self.places[name], f"`{name}` is declared here"),),
            )
            return False
        self.places[name] = span
        return True

    # --- indices -----------------------------------------------------------------------------

    def collect_dims(self) -> None:
        for name, index in self.indices.items():
            self.dims[name] = index.name_span
        for data in self.data.values():
            for dim, span in zip(data.target.indices, data.target.index_spans, strict=True):
                self.add_dim(dim, span)
            for dim, span in _dims_of_space(data.space):
                self.add_dim(dim, span)

    def add_dim(self, name: str, span: Span) -> None:
        base = name.rstrip("'")
        if base in self.places and base not in self.indices:
            self.problems.report(
                "M208",
                f"`{base}` is the name of an index and of a value",
                span,
                why="Values and indices share one space of names.",
                mend="give one of the two another name",
                notes=((self.places[base], f"`{base}` is declared here"),),
            )
        self.dims.setdefault(base, span)


def _dims_of_space(node: syntax.Expression) -> Iterator[tuple[str, Span]]:
    """The names of sizes and labels in a space as data declare it: they fix these names."""
    match node:
        case syntax.Call(syntax.Name("Label" | "Simplex" | "Ordered" | "ZeroSum"), arguments):
            items = [a.value for a in arguments]
        case syntax.Call(syntax.Name("Correlation" | "Covariance"), arguments):
            items = [a.value for a in arguments]
        case syntax.Binary("^", _, size):
            items = [size]
        case syntax.Binary(_, left, right):
            yield from _dims_of_space(left)
            yield from _dims_of_space(right)
            return
        case syntax.NamedProduct(parts):
            for _, part in parts:
                yield from _dims_of_space(part)
            return
        case _:
            return
    yield from ((i.id, i.span) for i in items if isinstance(i, syntax.Name) and i.id != "inf")


def names_in(node: Any) -> Iterator[syntax.Name]:
    """Every name that is written in `node`, from left to right."""
    if isinstance(node, syntax.Name):
        yield node
    elif isinstance(node, Lambda):
        yield from (n for n in names_in(node.body) if n.id not in node.parameters)
    elif isinstance(node, tuple):
        for item in node:
            yield from names_in(item)
    elif isinstance(node, syntax.Node):
        for part in fields(node):
            yield from names_in(getattr(node, part.name))


def _name_span(target: syntax.Target) -> Span:
    start = target.span
    return Span(start.file, start.line, start.column, start.line, start.column + len(target.name))
