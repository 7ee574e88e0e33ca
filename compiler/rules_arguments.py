"""The rules of arguments of library words, and of priors in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.bounds import named_bounds, space_of
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_supports import SupportRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    Label,
    Product,
    ValueType,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import DistributionEntry, Entry, Parameter


class ArgumentRules(SupportRules):
    def bind(
        self, entry: Entry, arguments: Sequence[syntax.Argument], span: Span
    ) -> dict[str, syntax.Argument]:
        """Each argument with the name of its parameter; typing errors are told all at once."""
        names = [p.name for p in entry.parameters]
        bound: dict[str, syntax.Argument] = {}
        failed = False
        for position, argument in enumerate(arguments):
            name = argument.name
            if name is None:
                if position >= len(names):
                    takes = (
                        f"{len(names)} argument{'s' * (len(names) != 1)}"
                        if names
                        else "no arguments"
                    )
                    raise self.problems.report(
                        "M211",
                        f"`{entry.name}` takes {takes}, and {len(arguments)} came",
                        argument.span,
                        mend=_fewer(entry.name, names),
                    )
                name = names[position]
            elif name not in names:
                self.problems.report(
                    "M210",
                    f"`{entry.name}` has no argument `{name}`",
                    argument.name_span or argument.span,
                    mend=meant(
                        name,
                        names,
                        f"its arguments are {', '.join(names)}" if names else "it takes none",
                        is_argument=True,
                    ),
                )
                failed = True
                continue
            if name in bound:
                raise self.problems.report("M212", f"`{name}` is given twice", argument.span)
            bound[name] = argument
        if failed:
            raise Failed(entry.name)
        missing = [
            p.name
            for p in entry.parameters
            if p.required and p.default is None and p.name not in bound
        ]
        if missing:
            raise self.problems.report(
                "M213",
                f"`{entry.name}` needs {quoted(missing)}",
                span,
                mend=f"write `{entry.name}({', '.join(names)})`",
            )
        return bound

    def distribution(
        self,
        entry: DistributionEntry,
        node: syntax.Call,
        home: Home,
        wanted: ValueType | None,
    ) -> ir.Distribution:
        bound = self.bind(entry, node.arguments, node.span)
        for group in entry.alternatives:
            given = [n for n in group if n in bound]
            if len(given) != 1:
                raise self.problems.report(
                    "M212" if given else "M213",
                    f"`{entry.name}` takes one of {quoted(group)}"
                    + (f", and {quoted(given)} came" if given else ""),
                    node.span,
                )
        arguments = dict(
            self.each(bound.items(), lambda item: self.law_argument(entry, item, home, wanted))
        )
        return ir.Distribution(node.span, entry.name, arguments)

    def law_argument(
        self,
        entry: DistributionEntry,
        item: tuple[str, syntax.Argument],
        home: Home,
        wanted: ValueType | None,
    ) -> tuple[str, ir.Expr]:
        name, argument = item
        parameter = entry.parameter(name)
        assert parameter is not None
        if argument.operator == "~":
            value = self.in_place(argument, entry.name, parameter.space, home)
        else:
            value = self.plain(argument)
        event: set[Dim] = set()
        vector = re.search(r"\^k|\(k\)", parameter.space) is not None
        if vector:
            value, event = self.event_dims(value, wanted, entry, parameter)
        elif entry.event and wanted is not None and wanted.coordinates:
            event = set()
        if isinstance(value, ir.Text):
            raise self.problems.report("M251", f"`{name}` is no string", value.span)
        if isinstance(value.type.space, Product):
            raise self.problems.report(
                "M251", f"`{name}` is a number, and this is `{value.type}`", value.span
            )
        self.refuse_indices(value, wanted, event, home)
        if not re.match(r"Simplex|Ordered|Covariance|Correlation|Matrix", parameter.space):
            self.require(value, parameter.space.split("^")[0], f"`{name}` of `{entry.name}`")
        return name, value

    def plain(self, argument: syntax.Argument) -> ir.Expr:
        """The value of an argument; a distribution there is a mistake of its own."""
        node = argument.value
        if (
            isinstance(node, syntax.Call)
            and isinstance(node.function, syntax.Name)
            and node.function.id in catalog.distributions()
            and not self.is_user_name(node.function.id)
        ):
            name = argument.name or "name"
            raise self.problems.report(
                "M215",
                "a distribution is no value",
                node.span,
                why="`=` fixes an argument; `~` makes it an unknown.",
                mend=f"write `{name} ~ {node.function.id}(...)`",
            )
        return self.value(node)

    def event_dims(
        self,
        value: ir.Expr,
        wanted: ValueType | None,
        entry: DistributionEntry,
        parameter: Parameter,
    ) -> tuple[ir.Expr, set[Dim]]:
        """The dims that belong to one draw, under the names that the outcome gives them."""
        if wanted is None:
            return value, set(value.type.coordinates)
        space = wanted.space
        if isinstance(space, Label) and not parameter.space.startswith("Ordered"):
            k = space.index
            primed = k + "'"
            if k not in value.type.dims and primed in value.type.dims:
                value = self.renamed(value, primed, k, value.span)
            if k not in value.type.dims:
                raise self.problems.report(
                    "M251",
                    f"`{parameter.name}` needs one number for each label of `{k}`",
                    value.span,
                    why=f"This is `{value.type}`.",
                    mend=f"declare it with that index: `p : Simplex({k}) ~ Dirichlet(1)`",
                )
            return value, {k}
        extra = {d for d in value.type.coordinates if d not in wanted.dims}
        if "Matrix" in parameter.space or "Covariance" in parameter.space:
            extra |= {d + "'" for d in wanted.coordinates}
        return value, extra

    def refuse_indices(
        self, value: ir.Expr, wanted: ValueType | None, event: set[Dim], home: Home
    ) -> None:
        if wanted is None:
            return
        extra = [d for d in value.type.dims if d not in wanted.dims and d not in event]
        if extra:
            dims = quoted(wanted.dims)
            raise self.problems.report(
                "M217",
                f"this brings the index `{extra[0]}`, which `{home.owner}` does not have",
                value.span,
                why=f"`{home.owner}` has {'the indices ' + dims if wanted.dims else 'no index'}.",
                mend=f"look it up by a column of labels, or reduce it: `sum(..., {extra[0]})`",
                notes=self.notes(home.owner),
            )

    def in_place(
        self,
        argument: syntax.Argument,
        part: str,
        space: str,
        home: Home,
        own: tuple[Dim, ...] = (),
    ) -> ir.Expr:
        """`own`: the dims that the unknown has by itself, written or not."""
        assert argument.name is not None
        span = argument.name_span or argument.span
        name = self.name_in_place(argument.name, part, home, span)
        for index in argument.indices:
            if index not in home.dims and index not in own and index != home.coordinate:
                if index in self.failed:
                    raise Failed(index)
                raise self.problems.report(
                    "M207",
                    f"`{home.owner}` has no index `{index}`",
                    span,
                    why=f"Its indices are {quoted(home.dims)}."
                    if home.dims
                    else "It has no index.",
                    mend=f"write `{argument.name} ~ ...`: one, shared by all",
                )
        dims = self.ordered([*argument.indices, *own])
        coordinates = tuple(d for d in dims if d == home.coordinate or d in own[1:])
        kind = ValueType(space_of(named_bounds(space)), dims, coordinates)
        inner = Home(name, dims, parts=in_place_parts(argument.value))
        law = self.law(argument.value, inner, kind)
        self.check_meeting(law, kind.space, span, name)
        self.declare(name, span, kind, law, home.owner, is_default=False)
        return ir.Ref(kind, span, name)

    def name_in_place(self, argument: str, part: str, home: Home, span: Span) -> str:
        """`part` is a word of the library, or `RBF.place` where it sees but that coordinate."""
        word = part.split(".")[0]
        holders = {p: count for (p, a), count in home.parts.items() if a == argument}
        if holders.get(part, 0) > 1:
            if home.owner in self.alike:
                raise Failed(home.owner)
            self.alike.add(home.owner)
            raise self.problems.report(
                "M216",
                f"two parts of `{home.owner}` are a `{word}` with an unknown `{argument}`",
                span,
                why=f"Both would be called `{home.owner}.{part}.{argument}`.",
                mend=f"give a part a name on a line of its own: `long = {word}({argument} ~ ...)`",
            )
        if sum(holders.values()) <= 1:
            return f"{home.owner}.{argument}"
        alike = sum(count for p, count in holders.items() if p.split(".")[0] == word)
        return f"{home.owner}.{part if alike > 1 else word}.{argument}"

    def declare(
        self, name: str, span: Span, kind: ValueType, law: ir.Law, owner: str, *, is_default: bool
    ) -> None:
        self.types[name] = kind
        self.unknowns.setdefault(
            name,
            ir.Unknown(name, span, None, kind, kind.space, law, None, None, owner, is_default),
        )


def _fewer(word: str, names: list[str]) -> str | None:
    """What to give where more arguments came than a word has."""
    if word.startswith("Half"):
        return f"it begins at 0, so there is no location: `{word}(scale)`"
    return f"its arguments are {', '.join(names)}" if names else None


def in_place_parts(node: Any) -> dict[tuple[str, str], int]:
    """How often each (part, argument) written with `~` occurs in a declaration itself."""
    counts: dict[tuple[str, str], int] = {}
    for call, part in parts_of(node):
        for argument in call.arguments:
            if argument.operator == "~" and argument.name:
                key = (part, argument.name)
                counts[key] = counts.get(key, 0) + 1
    return counts


def parts_of(node: Any, view: str = "") -> Iterator[tuple[syntax.Call, str]]:
    """The calls in a declaration itself, each with its word and what brackets let it see."""
    if isinstance(node, tuple):
        for item in node:
            yield from parts_of(item, view)
    elif isinstance(node, syntax.Lookup):
        yield from parts_of(node.base, f"{view}{view_of(node.items)}")
        yield from parts_of(node.items)
    elif isinstance(node, syntax.Call):
        head = node.function.id if isinstance(node.function, syntax.Name) else ""
        yield node, f"{head}{view}"
        yield from parts_of(node.function, view)
        for argument in node.arguments:
            if argument.operator != "~":
                yield from parts_of(argument.value, view)
    elif isinstance(node, syntax.Node):
        for name in node.__dataclass_fields__:
            yield from parts_of(getattr(node, name), view)


def view_of(items: Sequence[syntax.Expression]) -> str:
    """`[place]` behind a kernel, as it stands in the name of an unknown: `.place`."""
    words = [str(getattr(i, "id", getattr(i, "value", ""))) for i in items]
    return f".{'_'.join(words)}"
