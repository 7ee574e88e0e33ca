"""The rules of `D`, `Laplacian` and `Integral`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.judge import Lifted, Thing
from mercer.compiler.problems import meant
from mercer.compiler.rules_application import ApplicationRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Field,
    FunctionType,
    Label,
    Product,
    Real,
    Scalar,
    Shape,
    Space,
    Tangent,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Span


class DerivativeRules(ApplicationRules):
    def derivative(self, node: syntax.Call) -> ir.FunctionExpr:
        if len(node.arguments) not in (1, 2) or any(a.name for a in node.arguments):
            raise self.problems.report(
                "M211",
                "`D` takes a function, and a coordinate if one is meant",
                node.span,
                mend="write `D(f)` or `D(f, lat)`",
            )
        function = self.function(node.arguments[0].value)
        where = node.arguments[1].value if len(node.arguments) == 2 else None
        factor: int | None = None
        coordinate: int | None = None
        domain = function.type.domain
        if where is not None:
            factor, coordinate = self.along(domain, where)
        return self.derived(function, factor, coordinate, node.span)

    def along(self, domain: Space, where: syntax.Expression) -> tuple[int, int | None]:
        """The factor of the domain, and the position in it, that a coordinate's name means."""
        names = domain.names if isinstance(domain, Product) else ()
        if isinstance(where, syntax.Name) and where.id in names:
            return names.index(where.id), None
        if isinstance(domain, Vector) and isinstance(where, syntax.Name | syntax.String):
            label = where.id if isinstance(where, syntax.Name) else where.value
            declared = self.indices.get(domain.size)
            labels = declared.labels if declared else None
            if labels is not None and label in labels:
                return 0, list[str | float](labels).index(label)
        word = where.id if isinstance(where, syntax.Name) else "this"
        raise self.problems.report(
            "M230",
            f"`{domain}` has no coordinate `{word}`",
            where.span,
            why=None if names else "Its coordinates have no names.",
            mend=meant(
                word, names, "name them in the signature: `f : (lat: Real, lon: Real) -> Real`"
            ),
        )

    def derived(
        self, function: ir.FunctionExpr, factor: int | None, coordinate: int | None, span: Span
    ) -> ir.FunctionExpr:
        domain, codomain = function.type.domain, function.type.codomain
        self.refuse_infinite(domain, span)
        if isinstance(function, Lifted):
            return self.linearly(
                function, span, lambda f: self.derived(f, factor, coordinate, f.span)
            )
        if factor is not None:
            part = domain.factors[factor] if isinstance(domain, Product) else domain
            gradient = Real() if coordinate is not None else self.gradient_space(part, span)
        else:
            gradient = self.gradient_space(domain, span)
        if coordinates_of(gradient) and not isinstance(codomain, Scalar):
            raise self.problems.report(
                "M236",
                f"the gradient of a function to `{codomain}` would be a matrix",
                span,
                mend="take one partial derivative: `D(f, lat)`",
            )
        image = (
            codomain
            if isinstance(gradient, Scalar) and not isinstance(codomain, Scalar)
            else gradient
        )
        kind = FunctionType(domain, image, function.type.dims)
        result = ir.Derivative(kind, span, function, factor, coordinate)
        self.derivatives.append(result)
        return result

    def gradient_space(self, domain: Space, span: Span) -> Space:
        match domain:
            case Vector(_, size):
                return Vector(Real(), size)
            case Shape() if domain.ambient is not None:
                return Tangent(domain)
            case Product(factors) if all(_is_numeric(f) for f in factors):
                return Vector(Real(), str(len(factors)))
            case Label() | Product() | Shape() | Field():
                raise self.problems.report(
                    "M236",
                    f"a function on `{domain}` has no gradient",
                    span,
                    mend="take the derivative along one coordinate: `D(f, time)`"
                    if isinstance(domain, Product)
                    else None,
                )
            case _ if coordinates_of(domain):
                raise self.problems.report(
                    "M236", f"a function on `{domain}` has no gradient", span
                )
            case _:
                return Real()

    def refuse_infinite(self, domain: Space, span: Span) -> None:
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        if any(isinstance(f, Vector) and f.size == "inf" for f in factors):
            raise self.problems.report(
                "M236",
                "a function of infinitely many coordinates has no derivative here",
                span,
                why="After `Real^inf` only what a Gram matrix determines exists.",
            )

    def linearly(self, function: Lifted, span: Span, act: Any) -> ir.FunctionExpr:
        """A linear operator goes inside sums and multiples."""
        parts = function.arguments
        inside = [p for p in parts if isinstance(p, ir.FunctionExpr)]
        linear = (
            function.function in ("add", "subtract", "negative")
            and len(inside) == len(parts)
            or function.function == "multiply"
            and len(inside) == 1
            or function.function == "divide"
            and len(inside) == 1
            and isinstance(parts[0], ir.FunctionExpr)
        )
        if function.function in ("add", "subtract") and len(inside) == 1:
            # A constant has no derivative; what is left is the function with its sign.
            moved: ir.FunctionExpr = act(inside[0])
            if function.function == "subtract" and parts[1] is inside[0]:
                return Lifted(moved.type, span, "negative", (moved,))
            return moved
        if not linear:
            raise self.problems.report(
                "M236",
                "this is not linear in its functions, so its derivative is no Gaussian process",
                span,
                mend="write the derivative of the product out by hand",
            )
        arguments = tuple(act(p) if isinstance(p, ir.FunctionExpr) else p for p in parts)
        first = next(a for a in arguments if isinstance(a, ir.FunctionExpr))
        kind = replace(function.type, codomain=first.type.codomain)
        return Lifted(kind, span, function.function, arguments)

    def laplacian(self, function: ir.FunctionExpr, span: Span) -> ir.FunctionExpr:
        self.refuse_infinite(function.type.domain, span)
        if isinstance(function, Lifted):
            return self.linearly(function, span, lambda f: self.laplacian(f, f.span))
        self.gradient_space(function.type.domain, span)
        result = ir.Laplacian(function.type, span, function)
        self.derivatives.append(result)
        return result

    def integral(self, node: syntax.Call) -> Thing:
        if len(node.arguments) != 3:
            raise self.problems.report(
                "M211",
                "`Integral` takes a function and two bounds",
                node.span,
                mend="write `Integral(f, a, b)`",
            )
        function = self.function(node.arguments[0].value)
        low, high = self.each((a.value for a in node.arguments[1:]), self.value)
        return self.integrated(function, low, high, node.span)

    def integrated(
        self, function: ir.FunctionExpr, low: ir.Expr, high: ir.Expr, span: Span
    ) -> Thing:
        if not isinstance(function.type.domain, Scalar) or isinstance(function.type.domain, Label):
            raise self.problems.report(
                "M236",
                "only functions of one number are integrated, "
                f"and this is on `{function.type.domain}`",
                span,
                notes=self.function_notes(function),
            )
        if isinstance(function, Lifted):
            inside: list[Thing] = []
            for part in function.arguments:
                if isinstance(part, ir.FunctionExpr):
                    inside.append(self.integrated(part, low, high, part.span))
                elif function.function in ("add", "subtract"):
                    length = self.calculate("subtract", (high, low), span)
                    inside.append(self.calculate("multiply", (part, length), span))
                else:
                    inside.append(part)
            self.linearly(function, span, lambda f: f)
            return self.calculate(
                function.function,
                [self.apply(p, (), span) if isinstance(p, ir.FunctionExpr) else p for p in inside],
                span,
            )
        dims = self.ordered([*function.type.dims, *low.type.dims, *high.type.dims])
        kind = replace(function.type, dims=dims)
        return self.apply(ir.Integral(kind, span, function, low, high), (), span)


def _is_numeric(space: Space) -> bool:
    return isinstance(space, Scalar) and not isinstance(space, Label)
