"""The rules of functions: signatures, application, derivatives, reductions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.expand import Lambda, replaced
from mercer.compiler.judge import Judgements, Lifted, Thing, Word, Written
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_lookups import LookupRules
from mercer.compiler.show import show_expression
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Count,
    Dim,
    Field,
    FunctionType,
    Label,
    Product,
    Real,
    Scalar,
    Shape,
    Space,
    Tangent,
    ValueType,
    Vector,
    cell_of,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog

OPERATORS = ("D", "Laplacian", "Integral")


class FunctionRules(LookupRules):
    def called(self, node: syntax.Call) -> Thing:
        head = node.function
        if isinstance(head, syntax.Name) and not self.is_user_name(head.id):
            return self.word_called(head.id, node)
        if isinstance(head, syntax.Name) and not self.is_function(head.id):
            name = head.id
            if name in catalog.reductions() or name in catalog.elementwise() or name in OPERATORS:
                return self.word_called(name, node)
        function = self.thing(head)
        if not isinstance(function, ir.FunctionExpr):
            text = head.id if isinstance(head, syntax.Name) else "this"
            raise self.problems.report(
                "M225",
                f"`{text}` is no function, it is a value of type `{function.type}`",
                head.span,
                mend=f"look up by label with brackets: `{text}[...]`",
                notes=self.notes(text),
            )
        return self.call(function, node.arguments, node.span)

    def is_function(self, name: str) -> bool:
        if name in self.scoped.definitions:
            return name in self.failed or isinstance(
                self.named(name, self.places(name)), ir.FunctionExpr
            )
        return name in self.failed or name in self.scoped.unknowns and self.is_random_function(name)

    def places(self, name: str) -> Span:
        span = self.place(name)
        assert span is not None
        return span

    def is_random_function(self, name: str) -> bool:
        """An unknown with a function signature, or a function prior after its `~`."""
        tilde = self.scoped.unknowns[name]
        if tilde.signature is not None:
            return tilde.signature.domain is not None
        prior = tilde.prior
        return (
            isinstance(prior, syntax.Call)
            and isinstance(prior.function, syntax.Name)
            and prior.function.id in catalog.priors()
            and prior.function.id not in catalog.distributions()
        )

    def word_called(self, name: str, node: syntax.Call) -> Thing:
        if name in catalog.reductions():
            return self.reduction(name, node)
        if name == "standardize":
            x = self.value(self.one(name, node))
            mean, spread = (
                self.reduced(w, x, x.type.dims, None, node.span) for w in ("mean", "sd")
            )
            centred = self.calculate("subtract", (x, mean), node.span)
            return self.calculate("divide", (centred, spread), node.span)
        if name == "D":
            return self.derivative(node)
        if name == "Laplacian":
            return self.laplacian(self.function(self.one(name, node)), node.span)
        if name == "Integral":
            return self.integral(node)
        if name in catalog.elementwise():
            entry = catalog.elementwise()[name]
            for argument in node.arguments:
                if argument.name is not None:
                    raise self.problems.report(
                        "M210",
                        f"arguments of `{name}` have no names",
                        argument.span,
                        mend=f"write `{name}(...)` with {entry.arity} in order",
                    )
            if entry.arity not in (-1, len(node.arguments)):
                raise self.problems.report(
                    "M211",
                    f"`{name}` takes {entry.arity} argument{'s' * (entry.arity != 1)}, "
                    f"and {len(node.arguments)} came",
                    node.span,
                )
            arguments = self.each((a.value for a in node.arguments), self.thing)
            return self.lift(name, tuple(arguments), node.span)
        if name == "pool" and len(node.arguments) == 1:
            return self.pool(self.value(node.arguments[0].value), node.span)
        assert isinstance(node.function, syntax.Name)
        for argument in node.arguments:
            try:
                self.thing(argument.value)
            except Failed:
                continue
        raise self.unknown_name(name, node.function.span)

    def one(self, name: str, node: syntax.Call) -> syntax.Expression:
        if len(node.arguments) != 1 or node.arguments[0].name is not None:
            raise self.problems.report("M211", f"`{name}` takes one argument", node.span)
        return node.arguments[0].value

    def pool(self, field: ir.Expr, span: Span) -> ir.Expr:
        """The mean over the plane and the group: one number for each channel."""
        space = field.type.space
        if not isinstance(space, Field):
            raise self.problems.report(
                "M221", f"`pool` takes a field, and this is `{field.type}`", field.span
            )
        size = str(space.channels)
        function = ir.Opaque(FunctionType(space, Vector(Real(), size)), span, "pool")
        return self.apply(function, (field,), span)

    # --- names and signatures ----------------------------------------------------------------

    def random_function(self, name: str, span: Span) -> ir.FunctionRef:
        return ir.FunctionRef(self.signature(name), span, name)

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
            if len(spaces) > 1 or (names[0] and spaces):
                space: Space = Product(spaces, names if all(names) else ())
            else:
                space = spaces[0]
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
        yield from (d.prior for d in self.scoped.observations.values())
        yield from (d.prior for d in self.scoped.unknowns.values())
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
        if isinstance(kind.space, Label | Product | Field):
            return kind.space
        if len(kind.coordinates) == 1:
            return Vector(Real(), kind.coordinates[0])
        if kind.coordinates:
            raise self.problems.report(
                "M221", f"`{kind}` is not the input of a function without a signature", expr.span
            )
        return Real()

    # --- application -------------------------------------------------------------------------

    def function(self, node: syntax.Expression) -> ir.FunctionExpr:
        thing = self.thing(node)
        if not isinstance(thing, ir.FunctionExpr) or isinstance(thing, Word | Written):
            raise self.problems.report("M225", "an unknown function is expected here", node.span)
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
        return [found[n] for n in names]

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
            text = show_expression(function)
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
        if isinstance(function, ir.FunctionRef) and self.is_linear(function.name):
            return self.apply_linear(function, values, span)
        kept = {d for v in values for d in v.type.coordinates if (id(v), d) not in consumed}
        kind = self.result_type(function, lifted, kept)
        text = f"{show_expression(function)}({', '.join(show_expression(v) for v in values)})"
        return ir.Apply(kind, span, function, tuple(values), text)

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
        if fits and not own and not isinstance(value, ir.Text):
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
            mend=self.mend_match(factor, whole),
            notes=(*self.function_notes(function), *self.notes(*sites)),
        )

    def mend_match(self, factor: Space, whole: Space) -> str | None:
        if isinstance(factor, Label):
            return f"a column of labels is declared so: `data g[n] : Label({factor.index})`"
        if isinstance(factor, Vector) and isinstance(whole, Vector):
            return "the two sizes must have one name"
        if isinstance(factor, Vector) and isinstance(whole, Scalar):
            return f"write `{whole} ->` in the signature, or apply it to a `{factor}`"
        return None

    # --- derivatives -------------------------------------------------------------------------

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

    # --- reductions --------------------------------------------------------------------------

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
        if isinstance(value.type.space, Label | Product) and name != "size":
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


def nodes_in(node: Any) -> Iterator[Any]:
    """`node` and every syntax node below it."""
    if isinstance(node, tuple):
        for item in node:
            yield from nodes_in(item)
    elif isinstance(node, syntax.Node):
        yield node
        for part in fields(node):
            yield from nodes_in(getattr(node, part.name))


def names_with_place(rules: Judgements, value: ir.Expr) -> list[str]:
    """The name to point at for a value that does not fit."""
    match value:
        case ir.Ref(_, _, name):
            return [name]
        case ir.Apply(_, _, ir.FunctionRef(_, _, name)):
            return [name]
        case _:
            return []


def _is_numeric(space: Space) -> bool:
    return isinstance(space, Scalar) and not isinstance(space, Label)
