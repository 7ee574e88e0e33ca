"""The rules of application: which dims a point takes, over which the function lifts."""

from __future__ import annotations

from collections.abc import Sequence

from mercer.compiler import typed as ir
from mercer.compiler.expand import Lambda, replaced
from mercer.compiler.judge import Judgements, Lifted, Word, Written
from mercer.compiler.problems import meant, quoted
from mercer.compiler.rules_signatures import SignatureRules
from mercer.compiler.show import show_expression
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    Field,
    Label,
    Product,
    Real,
    Scalar,
    Shape,
    Space,
    Sphere,
    ValueType,
    Vector,
    cell_of,
    coordinates_of,
)
from mercer.dsl.span import Span

PLACE = ("lat", "lon")
"""The coordinates of a place on the sphere, in degrees."""


class ApplicationRules(SignatureRules):
    def function(self, node: syntax.Expression) -> ir.FunctionExpr:
        thing = self.thing(node)
        if not isinstance(thing, ir.FunctionExpr) or isinstance(thing, Word | Written):
            raise self.problems.report("M225", "an unknown function is expected here", node.span)
        if isinstance(thing, ir.FunctionRef) and (
            self.is_network(thing.name) or self.is_layer(thing.name)
        ):
            raise self.refuse_slope(thing, node.span)
        if isinstance(thing, ir.FunctionRef) and self.is_core(thing.name):
            raise self.problems.report(
                "M236",
                f"`{thing.name}` is multilinear, and its derivative is not in the language",
                node.span,
                notes=self.notes(thing.name),
            )
        if isinstance(thing, ir.FunctionRef) and self.is_linear(thing.name):
            raise self.problems.report(
                "M236",
                f"`{thing.name}` is linear: its derivative is its weights",
                node.span,
                mend=f"give the weights a name: `w ~ Normal(0, 1)`, then `weights = w` in "
                f"`{thing.name}`",
                notes=self.notes(thing.name),
            )
        return thing

    def call(
        self, function: ir.FunctionExpr, arguments: Sequence[syntax.Argument], span: Span
    ) -> ir.Expr:
        if isinstance(function, Written):
            return self.call_written(function.node, arguments, span)
        if isinstance(function, ir.Integral):
            raise self.problems.report("M225", "an integral is a number, not a function", span)
        values = self.each((a.value for a in arguments), self.value)
        if isinstance(function, Word):
            return self.calculate(function.name, values, span)
        domain = function.type.domain
        if any(a.name for a in arguments):
            values = self.by_name(function, domain, arguments, values, span)
        return self.apply(function, values, span)

    def call_written(
        self, node: Lambda, arguments: Sequence[syntax.Argument], span: Span
    ) -> ir.Expr:
        if len(arguments) != len(node.parameters):
            raise self.problems.report(
                "M244", f"`{node.name}` takes {len(node.parameters)} arguments", span
            )
        values = {p: a.value for p, a in zip(node.parameters, arguments, strict=True)}
        return self.value(replaced(node.body, values))

    def by_name(
        self,
        function: ir.FunctionExpr,
        domain: Space,
        arguments: Sequence[syntax.Argument],
        values: Sequence[ir.Expr],
        span: Span,
    ) -> list[ir.Expr]:
        names = domain.names if isinstance(domain, Product) else ()
        if domain == Sphere(2):
            names = PLACE
        found: dict[str, ir.Expr] = {}
        for position, (argument, value) in enumerate(zip(arguments, values, strict=True)):
            name = argument.name or (names[position] if position < len(names) else "")
            if name not in names:
                raise self.problems.report(
                    "M230",
                    f"there is no coordinate `{name}` in `{domain}`",
                    argument.name_span or argument.span,
                    mend=meant(
                        name, names, f"its coordinates are {', '.join(names)}" if names else None
                    ),
                    notes=self.function_notes(function),
                )
            if name in found:
                raise self.problems.report("M212", f"`{name}` is given twice", argument.span)
            found[name] = value
        missing = [n for n in names if n not in found]
        if missing:
            raise self.problems.report(
                "M222",
                f"{quoted(missing)} is missing",
                span,
                notes=self.function_notes(function),
            )
        given = [found[n] for n in names]
        return [self.on_sphere(given[0], given[1], span)] if domain == Sphere(2) else given

    def on_sphere(self, latitude: ir.Expr, longitude: ir.Expr, span: Span) -> ir.Expr:
        for value, word in ((latitude, "a latitude"), (longitude, "a longitude")):
            self.require(value, "Real", word)
        dims = self.ordered([*latitude.type.dims, *longitude.type.dims])
        kind = ValueType(Real(), (*dims, "3"), ("3",))
        return ir.OnSphere(kind, span, latitude, longitude)

    def as_point(self, value: ir.Expr, factor: Space, function: ir.FunctionExpr) -> ir.Expr:
        """`(lat = a, lon = b)` as a point of the sphere, where one is wanted."""
        space = value.type.space
        if factor != Sphere(2) or not isinstance(space, Product) or set(space.names) != {*PLACE}:
            return value
        parts = self.taken_apart(value, Product((Real(), Real()), PLACE), function, value.span)
        if not isinstance(value, ir.Point):
            parts = [parts[space.names.index(n)] for n in PLACE]
        return self.on_sphere(parts[0], parts[1], value.span)

    def function_notes(self, function: ir.FunctionExpr) -> tuple[tuple[Span, str], ...]:
        while isinstance(function, ir.Derivative | ir.Laplacian | ir.Integral):
            function = function.of
        if not isinstance(function, ir.FunctionRef):
            return ()
        span = self.place(function.name)
        return () if span is None else ((span, f"`{function.name}` is `{function.type}`"),)

    def is_linear(self, name: str) -> bool:
        prior = self.scoped.unknowns[name].prior
        head = prior.function if isinstance(prior, syntax.Call) else prior
        return isinstance(head, syntax.Name) and head.id == "Linear"

    def apply(self, function: ir.FunctionExpr, point: Sequence[ir.Expr], span: Span) -> ir.Expr:
        if isinstance(function, ir.Integral):
            kind = self.result_type(function, (), set())
            text = show_expression(function, self.shown)
            return ir.Apply(kind, span, function, (), text)
        domain = function.type.domain
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        values = list(point)
        if isinstance(domain, Product) and len(values) == 1 and len(factors) > 1:
            values = self.taken_apart(values[0], domain, function, span)
        if len(values) != len(factors):
            raise self.problems.report(
                "M222",
                f"a function of {len(factors)} is applied to {len(values)}",
                span,
                why=f"Its domain is `{domain}`.",
                notes=self.function_notes(function),
            )
        values = [self.as_point(v, f, function) for v, f in zip(values, factors, strict=True)]
        consumed = set()
        for value, factor in zip(values, factors, strict=True):
            consumed |= {(id(value), c) for c in self.match(value, factor, function)}
        lifted = [d for v in values for d in v.type.dims if (id(v), d) not in consumed]
        if isinstance(function, Lifted):
            inside: list[ir.Expr] = []
            for part in function.arguments:
                inside.append(
                    self.apply(part, values, part.span)
                    if isinstance(part, ir.FunctionExpr)
                    else part
                )
            return self.calculate(function.function, inside, span)
        clash = set(coordinates_of(function.type.codomain)) & set(lifted)
        if clash:
            dim = sorted(clash)[0]
            raise self.problems.report(
                "M221",
                f"the argument has the index `{dim}`, and so has the value",
                span,
                mend=f"look the argument up as `[{dim}']`" if not dim.isdigit() else None,
                notes=self.function_notes(function),
            )
        kept = {d for v in values for d in v.type.coordinates if (id(v), d) not in consumed}
        kind = self.result_type(function, lifted, kept)
        words = [show_expression(v, self.shown) for v in values]
        text = f"{show_expression(function, self.shown)}({', '.join(words)})"
        if isinstance(function, ir.FunctionRef) and self.is_linear(function.name):
            return self.shown_as(text, self.apply_linear(function, values, span))
        if isinstance(function, ir.FunctionRef) and self.is_network(function.name):
            return self.shown_as(text, self.apply_network(function, values, span))
        if isinstance(function, ir.FunctionRef) and self.is_core(function.name):
            return self.shown_as(text, self.apply_multilinear(function, values, span))
        if isinstance(function, ir.FunctionRef) and self.is_layer(function.name):
            return self.shown_as(text, self.apply_layer(function, values[0], span))
        return ir.Apply(kind, span, function, tuple(values), text)

    def shown_as(self, text: str, value: ir.Expr) -> ir.Expr:
        self.shown.setdefault(value, text)
        return value

    def result_type(
        self, function: ir.FunctionExpr, lifted: Sequence[Dim], kept: set[Dim]
    ) -> ValueType:
        codomain = function.type.codomain
        own = coordinates_of(codomain)
        dims = self.ordered([*function.type.dims, *lifted, *own])
        space = codomain if isinstance(codomain, Product | Field) else cell_of(codomain)
        coordinates = (*(d for d in dims if d in kept and d not in function.type.dims), *own)
        return ValueType(space, dims, tuple(dict.fromkeys(coordinates)))

    def taken_apart(
        self, value: ir.Expr, domain: Product, function: ir.FunctionExpr, span: Span
    ) -> list[ir.Expr]:
        """One point of a product into its coordinates."""
        if isinstance(value, ir.Point) and len(value.fields) == len(domain.factors):
            given = value.type.space
            assert isinstance(given, Product)
            if given.names and domain.names and set(given.names) == set(domain.names):
                return [value.fields[given.names.index(n)] for n in domain.names]
            return list(value.fields)
        space = value.type.space
        if isinstance(space, Product) and len(space.factors) == len(domain.factors):
            return [self.coordinate(value, space, i, span) for i in range(len(space.factors))]
        raise self.problems.report(
            "M222",
            f"a function of {len(domain.factors)} is applied to one `{value.type}`",
            value.span,
            why=f"Its domain is `{domain}`.",
            notes=self.function_notes(function),
        )

    def match(self, value: ir.Expr, factor: Space, function: ir.FunctionExpr) -> tuple[Dim, ...]:
        """The dims of `value` that a point of `factor` takes; an error if it is none."""
        if isinstance(value, ir.Text):
            raise self.problems.report(
                "M221",
                f"`{factor}` is wanted here, and this is a string",
                value.span,
                notes=self.function_notes(function),
            )
        kind = value.type
        own = coordinates_of(factor)
        fits: bool
        if isinstance(factor, Label):
            fits = kind.space == factor
        elif isinstance(factor, Shape) and factor.ambient is None:
            fits = kind.space == Label(factor.index or "")
        elif isinstance(factor, Field | Product):
            fits = kind.space == factor
        elif isinstance(kind.space, Product | Field):
            fits = False
        elif isinstance(kind.space, Label):
            fits = not own and self.is_numeric(kind.space.index)
        elif isinstance(factor, Scalar):
            fits = True
        else:
            fits = set(own) <= set(kind.dims)
        if fits and not own:
            # Over coordinates it lifts only because the signature asks for a number.
            return ()
        if fits:
            return own
        whole = kind.space
        if len(kind.coordinates) == 1 and not isinstance(whole, Product | Label):
            whole = Vector(Real(), kind.coordinates[0])
        sites = names_with_place(self, value)
        raise self.problems.report(
            "M221",
            f"`{factor}` is wanted here, and this is `{whole}`",
            value.span,
            why=self.why_match(whole),
            mend=self.mend_match(factor, whole),
            notes=(*self.function_notes(function), *self.notes(*sites)),
        )

    def why_match(self, whole: Space) -> str | None:
        if isinstance(whole, Field):
            return "Only equivariant layers, and functions of each value, keep what the group does."
        return None

    def mend_match(self, factor: Space, whole: Space) -> str | None:
        if isinstance(whole, Field) and isinstance(factor, Vector):
            return "average over the group before: `... |> pool |> ...`"
        if isinstance(whole, Field) and isinstance(factor, Field):
            return "the groups and the channels of two layers that meet must be the same"
        if isinstance(factor, Label):
            return f"a column of labels is declared so: `data g[n] : Label({factor.index})`"
        if isinstance(factor, Vector) and isinstance(whole, Vector):
            return "the two sizes must have one name"
        if isinstance(factor, Vector) and isinstance(whole, Scalar):
            return f"write `{whole} ->` in the signature, or apply it to a `{factor}`"
        return None


def names_with_place(rules: Judgements, value: ir.Expr) -> list[str]:
    """The name to point at for a value that does not fit."""
    match value:
        case ir.Ref(_, _, name):
            return [name]
        case ir.Apply(_, _, ir.FunctionRef(_, _, name)):
            return [name]
        case _:
            return []
