"""The rules of random linear maps, which become their weights and bias."""

from __future__ import annotations

from collections.abc import Sequence

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_contexts import ContextRules
from mercer.compiler.rules_defaults import all_numbers
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Dim,
    Field,
    FunctionType,
    Label,
    Product,
    Real,
    Space,
    ValueType,
    Vector,
    coordinates_of,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class LinearRules(ContextRules):
    def formal_point(
        self, name: str, domain: Space, span: Span
    ) -> tuple[tuple[str, ...], tuple[ir.Expr, ...]]:
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        names: tuple[str, ...] = (f"{name}.input",)
        if isinstance(domain, Product):
            words = domain.names or tuple(str(i + 1) for i in range(len(factors)))
            names = tuple(f"{name}.input.{w}" for w in words)
        refs = tuple(ir.Ref(value_type(f), span, n) for n, f in zip(names, factors, strict=True))
        return names, refs

    def linear_map(self, name: str) -> tuple[ir.Expr, ir.Expr]:
        known = self.linear.get(name)
        if known is not None:
            return known
        tilde = self.scoped.unknowns[name]
        node = tilde.prior
        assert isinstance(node, syntax.Call)
        kind = self.signature(name)
        home = Home(name, kind.dims, parts=in_place_parts(node))
        self.linear[name] = self.weights_of(name, kind, node, home, "Linear")
        return self.linear[name]

    def weights_of(
        self, name: str, kind: FunctionType, node: syntax.Call, home: Home, word: str
    ) -> tuple[ir.Expr, ir.Expr]:
        """The weights and the bias of a linear map `kind`."""
        entry = catalog.priors()["Linear"]
        bound = self.bind(entry, node.arguments, node.span)
        inside, outside = self.linear_dims(kind, node.span)
        dims = self.ordered([*kind.dims, *outside, *inside])
        coordinates = tuple(d for d in dims if d in (*outside, *inside))
        shape = ValueType(Real(), dims, coordinates)
        given = bound.get("weights")
        if given is None:
            law = ir.Distribution(
                node.span,
                "Normal",
                {"loc": self.one_number(0.0, node.span), "scale": self.one_number(1.0, node.span)},
            )
            unknown = f"{name}.weights"
            self.declare(unknown, node.span, shape, law, name, is_default=True)
            weights: ir.Expr = ir.Ref(shape, node.span, unknown)
        elif given.operator == "~":
            weights = self.shaped(given, word, shape, home)
        else:
            weights = self.plain(given)
            self.refuse_indices(weights, shape, set(), home)
        level = ValueType(Real(), self.ordered([*kind.dims, *outside]), outside)
        offset = bound.get("bias")
        if offset is None:
            bias: ir.Expr = self.one_number(0.0, node.span)
        elif offset.operator == "~":
            bias = self.shaped(offset, word, level, home)
        else:
            bias = self.plain(offset)
            self.refuse_indices(bias, level, set(), home)
        return weights, bias

    def shaped(self, argument: syntax.Argument, part: str, shape: ValueType, home: Home) -> ir.Expr:
        """A prior in place for a whole array: each entry has it, independently."""
        assert argument.name is not None
        span = argument.name_span or argument.span
        name = self.name_in_place(argument.name, part, home, span)
        inner = Home(name, shape.dims, parts=in_place_parts(argument.value))
        law = self.law(argument.value, inner, shape)
        self.check_meeting(law, shape.space, span, name)
        self.declare(name, span, shape, law, home.owner, is_default=False)
        return ir.Ref(shape, span, name)

    def linear_dims(
        self, kind: FunctionType, span: Span
    ) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        domain, codomain = kind.domain, kind.codomain
        outside = coordinates_of(codomain)
        fits = isinstance(codomain, Real | Vector) and not isinstance(domain, Label | Field)
        if isinstance(domain, Product):
            fits = fits and all_numbers(domain)
            inside: tuple[Dim, ...] = (str(len(domain.factors)),)
        else:
            inside = coordinates_of(domain)
        if INFINITE in (*inside, *outside) or not fits:
            raise self.problems.report(
                "M248",
                f"a linear map cannot be `{domain} -> {codomain}`",
                span,
                why="It maps numbers and vectors to numbers and vectors."
                if not isinstance(domain, Field)
                else "A map of every value of a field does not commute with its group.",
                mend="average over the group before: `... |> pool |> ...`"
                if isinstance(domain, Field)
                else None,
            )
        inside = tuple(d + "'" if d in (*outside, *kind.dims) else d for d in inside)
        return inside, outside

    def apply_linear(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        weights, bias = self.linear_map(function.name)
        kind = self.signature(function.name)
        for dim, at in function.at:
            parts = [
                self.lookup_of(p, dim, at, span) if dim in p.type.dims else p
                for p in (weights, bias)
            ]
            weights, bias = parts
        return self.linear_value(kind, weights, bias, values, span)

    def lookup_of(self, base: ir.Expr, dim: Dim, at: ir.Expr, span: Span) -> ir.Expr:
        rest = [d for d in base.type.dims if d != dim]
        coordinates = tuple(c for c in base.type.coordinates if c != dim)
        kind = ValueType(base.type.space, self.ordered([*rest, *at.type.dims]), coordinates)
        return ir.Gather(kind, span, base, dim, at)

    def linear_value(
        self,
        kind: FunctionType,
        weights: ir.Expr,
        bias: ir.Expr,
        point: Sequence[ir.Expr],
        span: Span,
    ) -> ir.Expr:
        inside, _ = self.linear_dims(kind, span)
        total: ir.Expr | None = None
        if isinstance(kind.domain, Product):
            for position, value in enumerate(point):
                label = ir.LabelConstant(
                    ValueType(Label(inside[0])), span, inside[0], float(position)
                )
                weight = weights
                if inside[0] in weights.type.dims:
                    weight = self.lookup_of(weights, inside[0], label, span)
                part = self.calculate("multiply", (weight, value), span)
                total = part if total is None else self.calculate("add", (total, part), span)
        else:
            value = point[0]
            for old, new in zip(coordinates_of(kind.domain), inside, strict=True):
                if old != new:
                    value = self.renamed(value, old, new, span)
            total = self.calculate("multiply", (weights, value), span)
            if inside:
                total = self.sum_over(total, inside, span)
        assert total is not None
        if isinstance(bias, ir.Constant) and bias.value == 0:
            return total
        return self.calculate("add", (total, bias), span)

    def sum_over(self, value: ir.Expr, over: tuple[Dim, ...], span: Span) -> ir.Expr:
        dims = tuple(d for d in value.type.dims if d not in over)
        coordinates = tuple(d for d in value.type.coordinates if d not in over)
        return ir.Reduce(ValueType(Real(), dims, coordinates), span, "sum", value, over)
