"""The rules of `Equivariant` and `Flow`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mercer.compiler import typed as ir
from mercer.compiler.expand import Lambda, replaced
from mercer.compiler.judge import Home, Word
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_multilinear import MultilinearRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Field,
    FunctionType,
    Image,
    Label,
    Product,
    Real,
    Scalar,
    Space,
    ValueType,
    Vector,
    coordinates_of,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class MapRules(MultilinearRules):
    def other(
        self,
        name: str,
        kind: FunctionType,
        entry: str,
        node: syntax.Call,
        bound: Mapping[str, syntax.Argument],
    ) -> ir.Function:
        """`Equivariant`: its weights are an unknown `name.weights`."""
        tilde = self.scoped.unknowns[name]
        self.check_shape(name, kind, entry, node.span)
        shape = ValueType(Real())
        home = Home(name, kind.dims, parts=in_place_parts(node))
        settings: dict[str, ir.Expr | ir.Text] = {}
        for parameter in catalog.priors()[entry].parameters:
            argument = bound.get(parameter.name)
            if parameter.name == "weights":
                if argument is not None and argument.operator == "~":
                    settings["weights"] = self.shaped(argument, entry, shape, home)
                elif argument is not None:
                    settings["weights"] = self.plain(argument)
                else:
                    unknown = f"{name}.weights"
                    numbers = [self.one_number(v, node.span) for v in (0.0, 1.0)]
                    law = ir.Distribution(
                        node.span, "Normal", dict(zip(("loc", "scale"), numbers, strict=True))
                    )
                    self.declare(unknown, node.span, shape, law, name, is_default=True)
                    settings["weights"] = ir.Ref(shape, node.span, unknown)
            elif argument is None:
                default = parameter.default
                if isinstance(default, str):
                    settings[parameter.name] = ir.Text(ValueType(Real()), node.span, default)
                elif default is not None:
                    settings[parameter.name] = self.one_number(float(default), node.span)
            else:
                settings[parameter.name] = self.word_or_value(argument)
        return ir.Function(name, tilde.target.span, tilde.doc, kind, entry, settings=settings)

    def check_shape(self, name: str, kind: FunctionType, entry: str, span: Span) -> None:
        domain, codomain = kind.domain, kind.codomain
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        fits = {
            "Equivariant": isinstance(domain, Image | Field)
            and isinstance(codomain, Image | Field | Vector),
        }.get(entry, True)
        infinite = any(isinstance(f, Vector) and f.size == INFINITE for f in (*factors, codomain))
        if not fits or infinite:
            is_layer = entry == "Equivariant"
            why = "A layer reads images, or fields that other layers made: points have no grid."
            raise self.problems.report(
                "M248",
                f"`{entry}` does not go from `{domain}` to `{codomain}`",
                span,
                why=why if is_layer else None,
                mend="average a kernel over the group: `GP(Invariant(RBF(), over = SO(2)))`"
                if is_layer and isinstance(domain, Vector)
                else None,
                notes=self.notes(name),
            )

    def flow(
        self,
        name: str,
        kind: FunctionType,
        node: syntax.Call,
        bound: Mapping[str, syntax.Argument],
    ) -> ir.Function:
        tilde = self.scoped.unknowns[name]
        if not isinstance(kind.domain, Scalar) or isinstance(kind.domain, Label):
            raise self.problems.report(
                "M248",
                f"a path is a function of one number, and `{name}` is of `{kind.domain}`",
                node.span,
                notes=self.notes(name),
            )
        state = kind.codomain
        span = bound["rate"].value.span
        formal, point = self.formal_point(name, state, span)
        whole: ir.Expr = point[0]
        if isinstance(state, Product):
            whole = ir.Point(ValueType(state), span, point)
        rate = self.rate(bound["rate"].value, whole, point, state, name)
        if bound["start"].operator == "~":
            home = Home(name, kind.dims, parts=in_place_parts(node))
            start = self.shaped(bound["start"], "Flow", value_type(state, kind.dims), home)
        else:
            start = self.value(bound["start"].value)
        self.same_point(start, state, name, bound["start"].value.span, "start")
        self.same_point(rate, state, name, span, "rate")
        settings: dict[str, ir.Expr | ir.Text] = {"rate": rate, "start": start}
        settings["at"] = (
            self.plain(bound["at"]) if "at" in bound else self.one_number(0.0, node.span)
        )
        return ir.Function(
            name, tilde.target.span, tilde.doc, kind, "Flow", formal=formal, settings=settings
        )

    def rate(
        self,
        node: syntax.Expression,
        whole: ir.Expr,
        point: Sequence[ir.Expr],
        state: Space,
        name: str,
    ) -> ir.Expr:
        if isinstance(node, Lambda):
            if len(node.parameters) != 1:
                raise self.problems.report(
                    "M244", f"the rate takes the state alone: `def {node.name}(z) = ...`", node.span
                )
            word = f"{name}.state"
            self.things[word] = whole
            body = replaced(node.body, {node.parameters[0]: syntax.Name(word, span=node.span)})
            return self.value(body)
        thing = self.thing(node)
        if isinstance(thing, Word):
            return self.calculate(thing.name, (whole,), node.span)
        if not isinstance(thing, ir.FunctionExpr):
            raise self.problems.report(
                "M225", "the rate of a `Flow` is a `def` or a function", node.span
            )
        return self.apply(thing, point, node.span)

    def same_point(self, value: ir.Expr, state: Space, name: str, span: Span, word: str) -> None:
        if isinstance(state, Product):
            space = value.type.space
            fits = isinstance(space, Product) and len(space.factors) == len(state.factors)
            fits = fits and (not state.names or getattr(space, "names", ()) == state.names)
        elif isinstance(state, Scalar):
            fits = not value.type.coordinates and not isinstance(value.type.space, Product)
        else:
            fits = set(coordinates_of(state)) <= set(value.type.dims)
        if not fits:
            raise self.problems.report(
                "M221",
                f"the {word} of `{name}` must be a point of `{state}`",
                span,
                why=f"This is `{value.type}`.",
                notes=self.notes(name),
            )
