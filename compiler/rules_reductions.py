"""The rules of reductions: `mean`, `sum`, ... over all indices, over one, by labels."""

from __future__ import annotations

from collections.abc import Sequence

from mercer.compiler import typed as ir
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_lookups import LookupRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Count,
    Dim,
    Field,
    Label,
    Product,
    Real,
    Scalar,
    Space,
    ValueType,
)
from mercer.dsl.span import Span


class ReductionRules(LookupRules):
    def reduction(self, name: str, node: syntax.Call) -> ir.Expr:
        positional = [a for a in node.arguments if a.name is None]
        by_argument = next((a for a in node.arguments if a.name == "by"), None)
        for argument in node.arguments:
            if argument.name not in (None, "by"):
                raise self.problems.report(
                    "M210",
                    f"`{name}` has no argument `{argument.name}`",
                    argument.name_span or argument.span,
                    mend=meant(argument.name or "", ["by"], f"write `{name}(x, by = county)`"),
                )
        if len(positional) not in (1, 2) or (by_argument and len(positional) == 2):
            raise self.problems.report(
                "M211",
                f"`{name}` takes a value, and an index or `by` if not all are reduced",
                node.span,
                mend=f"write `{name}(x)`, `{name}(x, n)` or `{name}(x, by = county)`",
            )
        value = self.value(positional[0].value)
        if by_argument is not None:
            by = self.value(by_argument.value)
            if not isinstance(by.type.space, Label):
                raise self.problems.report("M251", "`by` takes a column of labels", by.span)
            missing = [d for d in by.type.dims if d not in value.type.dims]
            if missing:
                raise self.problems.report(
                    "M246", f"there is no index `{missing[0]}` to reduce", by.span
                )
            return self.reduced(name, value, by.type.dims, by, node.span)
        over = value.type.dims
        if len(positional) == 2:
            index = positional[1].value
            word = index.id if isinstance(index, syntax.Name) else ""
            if word not in over:
                if word in self.failed:
                    raise Failed(word)
                raise self.problems.report(
                    "M246",
                    f"there is no index `{word}` to reduce"
                    if word
                    else "an index is expected here",
                    index.span,
                    why=f"Its indices are {quoted(over)}." if over else "The value has no index.",
                    mend=meant(word, over),
                )
            over = (word,)
        return self.reduced(name, value, over, None, node.span)

    def reduced(
        self, name: str, value: ir.Expr, over: Sequence[Dim], by: ir.Expr | None, span: Span
    ) -> ir.Expr:
        if isinstance(value.type.space, Label | Product | Field) and name != "size":
            raise self.problems.report(
                "M232", f"`{name}` is of numbers, and this is `{value.type}`", value.span
            )
        dims = [d for d in value.type.dims if d not in over]
        if by is not None and isinstance(by.type.space, Label):
            dims.append(by.type.space.index)
        space: Space = value.type.space if isinstance(value.type.space, Scalar) else Real()
        if name == "size":
            space = Count()
        elif name in ("sum", "mean", "sd"):
            space = self.reduced_space(name, space)
        coordinates = tuple(c for c in value.type.coordinates if c in dims)
        return ir.Reduce(
            ValueType(space, self.ordered(dims), coordinates), span, name, value, tuple(over), by
        )
