"""The rules of indices and data."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.problems import Failed
from mercer.compiler.rules_priors import PriorRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    Vector,
    value_type,
)
from mercer.dsl.span import Span


class DataRules(PriorRules):
    def index_declared(self, name: str) -> None:
        node = self.scoped.indices.get(name)
        if node is None:
            self.indices[name] = ir.IndexDeclared(name, self.scoped.dims[name], None, None)
            return
        labels: tuple[str, ...] | tuple[float, ...]
        if isinstance(node.labels, syntax.Range):
            ends = [self.whole_number(n) for n in (node.labels.low, node.labels.high)]
            if ends[0] > ends[1]:
                raise self.no_labels(name, node.labels, f"nothing lies from {ends[0]} to {ends[1]}")
            labels = tuple(float(i) for i in range(ends[0], ends[1] + 1))
        else:
            items = node.labels.items
            words = [i.value for i in items if isinstance(i, syntax.String)]
            numbers = [i.value for i in items if isinstance(i, syntax.Number)]
            labels = tuple(words) if words else tuple(numbers)
            if len(labels) != len(items) or not items:
                raise self.no_labels(name, node.labels, "labels are strings, or numbers")
            if len(set(labels)) != len(labels):
                raise self.no_labels(name, node.labels, "a label is there twice")
        self.indices[name] = ir.IndexDeclared(name, node.name_span, node.doc, labels)

    def whole_number(self, node: syntax.Expression) -> int:
        if isinstance(node, syntax.Number) and node.is_integer:
            return int(node.text)
        if isinstance(node, syntax.Unary) and isinstance(node.operand, syntax.Number):
            return -self.whole_number(node.operand)
        raise self.no_labels("k", node, "the ends of a range are whole numbers")

    def no_labels(self, name: str, node: syntax.Node, problem: str) -> Failed:
        mend = f'write `index {name} = 1..3` or `index {name} = ["bad", "good"]`'
        return self.problems.report("M253", problem, node.span, mend=mend)

    def data_declared(self, name: str) -> None:
        if name in self.data:
            return
        data = self.scoped.data[name]
        try:
            space = self.space(data.space)
        except Failed:
            self.failed.add(name)
            raise
        indices = data.target.indices
        kind = value_type(space, indices)
        repeated = [d for d in kind.dims if kind.dims.count(d) > 1]
        if repeated:
            self.failed.add(name)
            raise self.twice(repeated[0], data.target.span)
        if isinstance(space, Vector) and space.size == "inf":
            self.failed.add(name)
            raise self.problems.report(
                "M209",
                "data have finitely many coordinates",
                data.space.span,
                mend="write `Real^d`",
            )
        self.data[name] = ir.DataDeclared(name, data.target.span, data.doc, kind, space)

    def twice(self, dim: Dim, span: Span) -> Failed:
        return self.problems.report(
            "M202",
            f"the index `{dim}` is there twice",
            span,
            mend=f"write `{dim}'` for a second index over the same labels",
        )
