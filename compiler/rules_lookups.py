"""The rules of brackets: by label, by a column of labels, under another name, rows before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mercer.compiler import typed as ir
from mercer.compiler.judge import Lifted, Thing
from mercer.compiler.problems import meant, quoted
from mercer.compiler.rules_values import ValueRules
from mercer.dsl import syntax
from mercer.dsl.spaces import Dim, FunctionType, Label, ValueType
from mercer.dsl.span import Span


class LookupRules(ValueRules):
    def lookup(self, base: Thing, items: Sequence[syntax.Expression], span: Span) -> Thing:
        used: set[Dim] = set()
        for item in items:
            base = self.look(base, item, used, span)
        return base

    def look(self, base: Thing, item: syntax.Expression, used: set[Dim], span: Span) -> Thing:
        match item:
            case syntax.Name(name) if name.rstrip("'") in self.scoped.dims:
                return self.by_index(base, name, item, used, span)
            case syntax.Binary("-" | "+" as sign, syntax.Name(name), by) if (
                name in self.scoped.dims and not self.is_column(name)
            ):
                return self.before(base, name, sign, by, item, used, span)
            case syntax.String(label):
                return self.by_label(base, label, item, used, span)
            case syntax.Number():
                return self.by_label(base, item.value, item, used, span)
            case syntax.Unary("-", syntax.Number() as number):
                return self.by_label(base, -number.value, item, used, span)
            case _:
                at = self.value_of(item)
                space = at.type.space
                if not isinstance(space, Label):
                    raise self.problems.report(
                        "M231",
                        f"brackets look up by labels, and this is `{at.type}`",
                        item.span,
                        why="A column of labels is declared so: `data g[n] : Label(k)`.",
                    )
                return self.gather(base, space.index, at, used, span)

    def value_of(self, item: syntax.Expression) -> ir.Expr:
        return self.value(item)

    def is_column(self, name: str) -> bool:
        return name in self.scoped.data or name in self.scoped.unknowns

    def by_index(
        self, base: Thing, name: Dim, item: syntax.Name, used: set[Dim], span: Span
    ) -> Thing:
        dims = base.type.dims
        if name in dims:
            used.add(name)
            return base
        stem = name.rstrip("'")
        near = next((d for d in (stem, stem + "'") if d in dims), None)
        if near is None:
            raise self.no_index(base, stem, item)
        used.add(name)
        if isinstance(base, ir.Expr):
            return self.rename(base, near, name, span)
        column = ir.Labels(ValueType(Label(stem), (name,)), item.span, name)
        return self.look_function(base, near, column)

    def no_index(self, base: Thing, name: str, item: syntax.Expression) -> Exception:
        have = base.type.dims
        if isinstance(base, ir.Ref) and base.name in self.busy:
            mend: str | None = f"say it on the left: `{base.name}[{name}] = ...`"
        else:
            mend = meant(name, have)
        return self.problems.report(
            "M231",
            f"there is no index `{name}` to look up here",
            item.span,
            why=f"Its indices are {quoted(have)}." if have else "It has no index.",
            mend=mend,
        )

    def rename(self, base: ir.Expr, old: Dim, new: Dim, span: Span) -> ir.Expr:
        def swap(dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
            return tuple(new if d == old else d for d in dims)

        kind = ValueType(
            base.type.space, self.ordered(swap(base.type.dims)), swap(base.type.coordinates)
        )
        return ir.Rename(kind, span, base, old, new)

    def gather(self, base: Thing, index: str, at: ir.Expr, used: set[Dim], span: Span) -> Thing:
        stem = index.rstrip("'")
        dims = base.type.dims
        dim = next((d for d in (index, stem, stem + "'") if d in dims and d not in used), None)
        if dim is None:
            raise self.no_index(base, stem, _at(at.span))
        if isinstance(base, ir.FunctionExpr):
            return self.look_function(base, dim, at)
        rest = [d for d in dims if d != dim]
        kind = ValueType(
            base.type.space,
            self.ordered([*rest, *at.type.dims]),
            tuple(c for c in base.type.coordinates if c != dim),
        )
        return ir.Gather(kind, span, base, dim, at)

    def look_function(self, base: ir.FunctionExpr, dim: Dim, at: ir.Expr) -> ir.FunctionExpr:
        dims = self.ordered([*(d for d in base.type.dims if d != dim), *at.type.dims])
        kind = FunctionType(base.type.domain, base.type.codomain, dims)
        match base:
            case ir.FunctionRef():
                return replace(base, type=kind, at=(*base.at, (dim, at)))
            case ir.Derivative() | ir.Laplacian() | ir.Integral():
                return replace(base, type=kind, of=self.look_function(base.of, dim, at))
            case Lifted():
                inside: list[Thing] = []
                for part in base.arguments:
                    if dim in part.type.dims:
                        found = self.gather(part, dim, at, set(), at.span)
                        inside.append(found)
                    else:
                        inside.append(part)
                return replace(base, type=kind, arguments=tuple(inside))
            case _:
                raise self.no_index(base, dim, _at(at.span))

    def by_label(
        self, base: Thing, label: str | float, item: syntax.Expression, used: set[Dim], span: Span
    ) -> Thing:
        open_dims = [
            d
            for d in base.type.dims
            if d not in used and not d.isdigit() and d.rstrip("'") in self.scoped.dims
        ]
        declared = {d: self.labels_of(d) for d in open_dims}
        having = [d for d, labels in declared.items() if labels is not None and label in labels]
        free = [d for d in open_dims if declared[d] is None]
        choice = having or free
        if not choice:
            known = [str(x) for labels in declared.values() for x in labels or ()]
            shown = f'"{label}"' if isinstance(label, str) else f"{label:g}"
            raise self.problems.report(
                "M250" if open_dims else "M231",
                f"there is no label {shown} to look up here",
                item.span,
                why=f"The labels are {', '.join(known)}." if known else "It has no index.",
                mend=meant(str(label), known),
            )
        if len(choice) > 1:
            raise self.problems.report(
                "M231",
                f"this label could be of {quoted(choice)}",
                item.span,
                mend="declare the index by its labels: `index k = [...]`",
            )
        dim = choice[0]
        at = ir.LabelConstant(ValueType(Label(dim.rstrip("'"))), item.span, dim.rstrip("'"), label)
        found = self.gather(base, dim, at, used, span)
        return found

    def labels_of(self, dim: Dim) -> tuple[str | float, ...] | None:
        index = self.indices.get(dim.rstrip("'"))
        return None if index is None else index.labels

    def before(
        self,
        base: Thing,
        name: str,
        sign: str,
        by: syntax.Expression,
        item: syntax.Expression,
        used: set[Dim],
        span: Span,
    ) -> Thing:
        if name not in base.type.dims or isinstance(base, ir.FunctionExpr):
            raise self.no_index(base, name, item)
        used.add(name)
        shift: int | str | None = None
        dims: tuple[Dim, ...] = base.type.dims
        match by:
            case syntax.Number(text) if by.is_integer and int(text) > 0:
                shift = int(text)
            case syntax.Name(lag) if lag in self.scoped.indices:
                shift, dims = lag, self.ordered([*dims, lag])
                labels = self.labels_of(lag)
                if labels is None or any(not isinstance(x, float) or x < 1 for x in labels):
                    shift = None
        if shift is None or sign == "+":
            raise self.problems.report(
                "M233",
                f"only rows before can be looked up: `{name} - 1`",
                item.span,
                why="A recurrence goes forward: what comes later is not known yet."
                if sign == "+"
                else "The shift is a whole number of rows, 1 or more, or an index of such numbers.",
                mend=f"write `{name} - 1`, or `{name} - lag` with `index lag = 1..5`",
            )
        kind = ValueType(base.type.space, dims, base.type.coordinates)
        return ir.Lag(kind, span, base, name, shift)


def _at(span: Span) -> syntax.Expression:
    return syntax.Name("", span=span)
