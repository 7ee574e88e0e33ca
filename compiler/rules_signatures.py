"""The rules of signatures: as written, or as the uses of a function have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.problems import Failed
from mercer.compiler.rules_reductions import ReductionRules
from mercer.compiler.words import values_in
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Circle,
    Field,
    FunctionType,
    Label,
    Product,
    Real,
    Scalar,
    Space,
    Tangent,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Span


class SignatureRules(ReductionRules):
    def random_function(self, name: str, span: Span) -> ir.FunctionRef:
        return ir.FunctionRef(self.signature(name), span, name)

    def places(self, name: str) -> Span:
        span = self.place(name)
        assert span is not None
        return span

    def signature(self, name: str) -> FunctionType:
        if name in self.signatures:
            return self.signatures[name]
        if name in self.failed or name in self.busy:
            raise Failed(name)
        tilde = self.scoped.unknowns[name]
        self.busy.append(name)
        try:
            dims = tuple(
                self.index(i, s)
                for i, s in zip(tilde.target.indices, tilde.target.index_spans, strict=True)
            )
            written = tilde.signature
            if written is None:
                kind = FunctionType(self.domain_from_uses(name), Real(), dims)
            elif written.domain is None:
                raise self.problems.report(
                    "M248",
                    f"`{name}` has a function prior, and its space is no function",
                    written.span,
                    mend=f"write `{name} : Real -> {self.scoped_text(written.codomain)} ~ ...`",
                )
            else:
                domain, codomain = self.each((written.domain, written.codomain), self.space)
                kind = FunctionType(domain, codomain, dims)
        except Failed:
            self.failed.add(name)
            raise
        finally:
            self.busy.pop()
        self.signatures[name] = kind
        return kind

    def scoped_text(self, node: syntax.Expression) -> str:
        line = self.scoped.sources[node.span.file].line(node.span.line)
        return line[node.span.column - 1 : node.span.end_column - 1]

    def domain_from_uses(self, name: str) -> Space:
        """The whole space of the arguments of its uses, which must agree."""
        found: tuple[Space, Span] | None = None
        span = self.places(name)
        failed = False
        for use in self.uses(name):
            try:
                values = self.each((a.value for a in use.arguments), self.value)
            except Failed:
                failed = True
                continue
            spaces = tuple(self.whole_space(v) for v in values)
            names = tuple(a.name or "" for a in use.arguments)
            if not spaces:
                continue
            space: Space = spaces[0]
            if len(spaces) > 1 or any(names):
                space = Product(spaces, names if all(names) else ())
            if found is None:
                found = (space, use.span)
            elif found[0] != space:
                raise self.problems.report(
                    "M224",
                    f"`{name}` is applied to `{found[0]}` and to `{space}`",
                    span,
                    mend=f"write its signature: `{name} : {space} -> Real ~ ...`",
                    notes=((found[1], f"here to `{found[0]}`"), (use.span, f"here to `{space}`")),
                )
        if found is None and (state := self.state_of(name)) is not None:
            return state
        if found is None and any(True for _ in self.integrals(name)):
            return Real()
        if found is None:
            if failed:
                raise Failed(name)
            raise self.problems.report(
                "M223",
                f"nothing says what `{name}` is a function of",
                span,
                why="It has no signature, and it is applied to nothing.",
                mend=f"write `{name} : Real -> Real ~ ...`, or use it",
            )
        return found[0]

    def uses(self, name: str) -> Iterator[syntax.Call]:
        """The calls in which `name`, or a function made of it, is applied to a point."""
        for body in self.bodies():
            for node in nodes_in(body):
                if isinstance(node, syntax.Call) and name in self.heads(node.function):
                    yield node

    def state_of(self, name: str) -> Space | None:
        """The space of the states of a `Flow` whose rate is the function `name`."""
        for other, tilde in self.scoped.unknowns.items():
            node = tilde.prior
            if not isinstance(node, syntax.Call) or not isinstance(node.function, syntax.Name):
                continue
            rate = next((a for a in node.arguments if a.name in (None, "rate")), None)
            if node.function.id == "Flow" and rate and name in self.heads(rate.value):
                return self.signature(other).codomain
        return None

    def bodies(self) -> Iterator[syntax.Expression]:
        """What is written on the right: outcomes first, since they say what functions meet."""
        for declared in (self.scoped.observations, self.scoped.unknowns):
            for tilde in declared.values():
                yield from values_in(tilde.prior)
        yield from (d.value for d in self.scoped.definitions.values())

    def integrals(self, name: str) -> Iterator[syntax.Call]:
        for body in self.bodies():
            for node in nodes_in(body):
                if isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name):
                    if node.function.id == "Integral" and node.arguments:
                        if name in self.heads(node.arguments[0].value):
                            yield node

    def heads(self, node: syntax.Expression, depth: int = 0) -> set[str]:
        """The unknown functions that `node`, in the place of a function, is made of."""
        if depth > 30:
            return set()
        match node:
            case syntax.Name(name) if name in self.scoped.unknowns:
                return {name}
            case syntax.Name(name) if name in self.scoped.definitions:
                return self.heads(self.scoped.definitions[name].value, depth + 1)
            case syntax.Lookup(base):
                return self.heads(base, depth + 1)
            case syntax.Unary(_, operand):
                return self.heads(operand, depth + 1)
            case syntax.Binary(_, left, right):
                return self.heads(left, depth + 1) | self.heads(right, depth + 1)
            case syntax.Call(syntax.Name(word), arguments) if not self.is_user_name(word):
                return {h for a in arguments for h in self.heads(a.value, depth + 1)}
            case _:
                return set()

    def whole_space(self, expr: ir.Expr) -> Space:
        kind = expr.type
        if isinstance(expr, ir.Ref) and expr.name in self.data:
            declared = self.data[expr.name].space
            if not isinstance(declared, Scalar) and coordinates_of(declared) == kind.coordinates:
                if not isinstance(declared, Tangent | Vector):
                    return declared
        if isinstance(kind.space, Label | Product | Field | Circle):
            return kind.space
        if len(kind.coordinates) == 1:
            return Vector(Real(), kind.coordinates[0])
        if kind.coordinates:
            raise self.problems.report(
                "M221", f"`{kind}` is not the input of a function without a signature", expr.span
            )
        return Real()


def nodes_in(node: Any) -> Iterator[Any]:
    """`node` and every syntax node below it."""
    if isinstance(node, tuple):
        for item in node:
            yield from nodes_in(item)
    elif isinstance(node, syntax.Node):
        yield node
        for part in fields(node):
            yield from nodes_in(getattr(node, part.name))
