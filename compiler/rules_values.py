"""The rules of values: names, arithmetic by the names of dims, elementwise functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, bounds_of, combine, named_bounds, space_of, spoken
from mercer.compiler.expand import Lambda, Push
from mercer.compiler.judge import Lifted, Thing, Word, Written
from mercer.compiler.problems import Failed, meant
from mercer.compiler.rules_spaces import SpaceRules
from mercer.compiler.walk import names_of
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Bool,
    Constrained,
    Count,
    Field,
    FunctionType,
    Label,
    Positive,
    Product,
    Real,
    Scalar,
    Space,
    Unit,
    ValueType,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog

OPERATORS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "^": "power",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
ARITHMETIC = ("add", "subtract", "multiply", "divide", "power")
NOWHERE = FunctionType(Real(), Real())


class ValueRules(SpaceRules):
    def value(self, node: syntax.Expression) -> ir.Expr:
        thing = self.thing(node)
        if isinstance(thing, ir.Integral):
            return self.apply(thing, (), node.span)
        if isinstance(thing, ir.FunctionExpr):
            named = next((n for n in _inner(thing) if isinstance(n, ir.FunctionRef | Word)), None)
            name = named.name if named else "this"
            raise self.problems.report(
                "M226",
                f"`{name}` is a function, and a value is needed here",
                named.span if named and named.span.file == node.span.file else node.span,
                mend=f"apply it: `{name}(x)`" if named else "apply it to a point",
                notes=self.notes(name),
            )
        return thing

    def thing(self, node: syntax.Expression) -> Thing:
        match node:
            case syntax.Number():
                return self.number(node.value, node.span)
            case syntax.String(text):
                return ir.Text(ValueType(Real()), node.span, text)
            case syntax.Name(name):
                return self.named(name, node.span)
            case Lambda():
                return Written(NOWHERE, node.span, node)
            case syntax.Unary(sign, operand):
                inside = self.thing(operand)
                if sign == "+":
                    return inside
                if isinstance(inside, ir.Constant):
                    return self.number(-inside.value, node.span)
                return self.lift("negative", (inside,), node.span)
            case syntax.Binary("else", first, second):
                left, right = self.each((first, second), self.value)
                return self.alternative(left, right, node.span)
            case syntax.Binary("|>", left, right):
                argument = syntax.Argument(left, span=left.span)
                return self.thing(syntax.Call(right, (argument,), span=node.span))
            case syntax.Binary(operator, left, right):
                return self.lift(
                    OPERATORS[operator], tuple(self.each((left, right), self.thing)), node.span
                )
            case syntax.Call():
                return self.called(node)
            case syntax.Lookup(base, items):
                return self.lookup(self.thing(base), items, node.span)
            case syntax.Member(base, name):
                return self.member(self.value(base), name, node.span)
            case syntax.Record(parts):
                return self.record(parts, node.span)
            case syntax.List(items):
                values = tuple(self.each(items, self.value))
                dim = str(len(values))
                kind = ValueType(_common(values), (dim,), (dim,))
                return ir.Stack(kind, node.span, dim, values)
            case Push():
                raise self.expected("a value", node.span)
            case _:
                raise self.expected("a value", node.span)

    def expected(self, what: str, span: Span) -> Failed:
        return self.problems.report("M214", f"{what} is expected here", span)

    def number(self, value: float, span: Span) -> ir.Constant:
        space: Space = Positive() if value > 0 else Real()
        if value >= 0 and value == int(value):
            space = Count()
        return ir.Constant(ValueType(space), span, value)

    # --- names -------------------------------------------------------------------------------

    def is_user_name(self, name: str) -> bool:
        return (
            name in self.scoped.data
            or name in self.scoped.unknowns
            or name in self.scoped.definitions
            or name in self.failed
            or name in self.things
        )

    def unknown_name(self, name: str, span: Span) -> Failed:
        """Says that nothing is called so, and what the word would be elsewhere."""
        if self.scoped.is_partial:
            return Failed(name)
        for what, table in (
            ("a distribution, and stands after `~`", catalog.distributions()),
            ("a kernel, and stands inside `GP(...)`", catalog.kernels()),
            ("a function prior, and stands after `~`", catalog.priors()),
        ):
            if name in table:
                return self.problems.report("M214", f"`{name}` is {what}", span)
        words = [*self.scoped.names(), *self.scoped.dims, *catalog.elementwise(), *self.words()]
        words += catalog.kernels() if name[:1].isupper() else ()
        return self.problems.report(
            "M201",
            f"nothing here is called `{name}`",
            span,
            mend=meant(name, words, f"declare it: `data {name}[n] : Real`, or `{name} ~ ...`"),
        )

    def words(self) -> tuple[str, ...]:
        return (*catalog.reductions(), "standardize", "D", "Laplacian", "Integral")

    def labels(self, name: str, span: Span) -> ir.Labels:
        return ir.Labels(ValueType(Label(name), (name,)), span, name)

    # --- arithmetic --------------------------------------------------------------------------

    def lift(self, word: str, arguments: tuple[Thing, ...], span: Span) -> Thing:
        """`word` of values; of functions it is the function that does it at each point."""
        functions = [a for a in arguments if isinstance(a, ir.FunctionExpr)]
        if not functions:
            return self.calculate(word, [a for a in arguments if isinstance(a, ir.Expr)], span)
        if len(arguments) == 1 and isinstance(functions[0], Word | Written):
            raise self.expected("a value", functions[0].span)
        known = [f for f in functions if not isinstance(f, Word | Written)]
        if len(known) != len(functions):
            raise self.expected("a function of the model", functions[0].span)
        first = known[0]
        for other in known[1:]:
            if other.type.domain != first.type.domain:
                raise self.problems.report(
                    "M224",
                    f"functions on `{first.type.domain}` and on `{other.type.domain}` "
                    "have no arithmetic together",
                    span,
                    notes=(
                        (first.span, f"this is `{first.type}`"),
                        (other.span, f"this is `{other.type}`"),
                    ),
                )
        dims = self.ordered(d for a in arguments for d in a.type.dims)
        vectors = [f.type.codomain for f in known if coordinates_of(f.type.codomain)]
        codomain = vectors[0] if vectors else Real()
        return Lifted(FunctionType(first.type.domain, codomain, dims), span, word, arguments)

    def calculate(self, word: str, arguments: Sequence[ir.Expr], span: Span) -> ir.Expr:
        if word in ("equal", "not_equal"):
            arguments = self.same_labels(arguments)
        for argument in arguments:
            self.refuse_no_number(word, argument, arguments)
        if all(isinstance(a, ir.Constant) for a in arguments) and word == "negative":
            assert isinstance(arguments[0], ir.Constant)
            return self.number(-arguments[0].value, span)
        if any(isinstance(a.type.space, Field) for a in arguments):
            self.check_field(word, arguments, span)
        space = self.result_space(word, arguments)
        return ir.Elementwise(self.union(space, arguments), span, word, tuple(arguments))

    def same_labels(self, arguments: Sequence[ir.Expr]) -> list[ir.Expr]:
        """`g == "Texas"`: the string is a label of the index of `g`."""
        indices = [a.type.space.index for a in arguments if isinstance(a.type.space, Label)]
        if len(set(indices)) > 1:
            raise self.problems.report(
                "M232",
                f"labels of `{indices[0]}` and of `{indices[1]}` are never the same",
                arguments[1].span,
            )
        if not indices:
            return list(arguments)
        found: list[ir.Expr] = []
        for argument in arguments:
            if isinstance(argument, ir.Text):
                kind = ValueType(Label(indices[0]))
                label = ir.LabelConstant(kind, argument.span, indices[0], argument.value)
                declared = self.indices[indices[0].rstrip("'")].labels
                if declared is not None and argument.value not in declared:
                    raise self.problems.report(
                        "M250",
                        f'`{indices[0]}` has no label "{argument.value}"',
                        argument.span,
                        mend=meant(argument.value, [str(x) for x in declared]),
                    )
                found.append(label)
            else:
                found.append(argument)
        return found

    def refuse_no_number(self, word: str, argument: ir.Expr, arguments: Sequence[ir.Expr]) -> None:
        space = argument.type.space
        if isinstance(argument, ir.Text):
            raise self.problems.report("M232", "a string has no arithmetic", argument.span)
        if isinstance(space, Label) and word not in ("equal", "not_equal"):
            if self.is_numeric(space.index):
                return
            raise self.problems.report(
                "M232",
                f"labels of `{space.index}` have no arithmetic",
                argument.span,
                why="A label is a name; only an index declared as a range is a column of numbers.",
                mend=f"look something up by it, as in `a[{self.text(argument)}]`",
            )
        if isinstance(space, Product):
            raise self.problems.report(
                "M232",
                "a point of a product has no arithmetic",
                argument.span,
                mend=f"read a coordinate: `.{space.names[0]}`" if space.names else None,
            )

    def text(self, node: ir.Expr) -> str:
        from_source = self.scoped.sources.get(node.span.file)
        if from_source is None or node.span.line != node.span.end_line:
            return "this"
        return from_source.line(node.span.line)[node.span.column - 1 : node.span.end_column - 1]

    def is_numeric(self, index: str) -> bool:
        declared = self.scoped.indices.get(index.rstrip("'"))
        return declared is not None and isinstance(declared.labels, syntax.Range)

    def bounds(self, expr: ir.Expr) -> Bounds:
        if isinstance(expr, ir.Constant):
            return Bounds(expr.value, expr.value)
        return bounds_of(expr.type.space)

    def result_space(self, word: str, arguments: Sequence[ir.Expr]) -> Space:
        if word in COMPARISONS:
            return Bool()
        shaped = next(
            (a.type.space for a in arguments if not isinstance(a.type.space, Scalar)), None
        )
        if shaped is not None and not isinstance(shaped, Constrained):
            return shaped  # Field: relu keeps it
        if word in ARITHMETIC:
            left, right = (self.bounds(a) for a in arguments)
            return space_of(combine(word, left, right))
        if word == "negative":
            bound = self.bounds(arguments[0])
            return space_of(Bounds(-bound.high, -bound.low))
        entry = catalog.elementwise()[word]
        for parameter, argument in zip(entry.parameters, arguments, strict=False):
            self.require(argument, parameter.space, f"the argument of `{word}`")
        if word in ("sqrt", "abs", "relu"):
            inside = self.bounds(arguments[0])
            return space_of(Bounds(0.0, is_open=inside.is_open and inside.low >= 0))
        spaces = tuple(type(space_of(self.bounds(a))).__name__ for a in arguments)
        given = entry.space_of
        return space_of(named_bounds(given(spaces) if given else "Real"))

    def require(self, expr: ir.Expr, space: str, what: str) -> None:
        wanted = named_bounds(space)
        if isinstance(expr, ir.Constant):
            wrong = wanted.low == 0 == expr.value and wanted.is_open
            wrong |= space == "Count" and expr.value % 1 != 0
            if not Bounds(expr.value, expr.value).within(wanted) or wrong:
                raise self.problems.report(
                    "M245",
                    f"{what} must be `{space}`, and {expr.value:g} is not",
                    expr.span,
                )
            return
        if self.bounds(expr).within(wanted) or not self.random_names(expr):
            return
        if isinstance(expr.type.space, Label | Constrained | Product):
            return
        text = self.text(expr)
        names = sorted(n for n in names_of(expr) if n in self.scoped.unknowns)
        column = next(
            (
                n
                for n in sorted(names_of(expr))
                if n in self.scoped.data and not bounds_of(self.data[n].type.space).within(wanted)
            ),
            None,
        )
        positive = wanted.low == 0 and wanted.high > 1
        mend = f"write `exp({text})` or `softplus({text})`" if positive else None
        if wanted.high == 1:
            mend = f"write `logistic({text})`"
        if isinstance(expr, ir.Ref) and mend:
            mend += f", or declare `{expr.name} : {space}`"
        elif column and mend:
            mend = f"if `{column}` is always so, declare `data {column} : {space}`; else {mend}"
        raise self.problems.report(
            "M220",
            f"{what} must be `{space}`, and `{text}` can be any `{spoken(expr.type.space)}`",
            expr.span,
            mend=mend,
            notes=self.notes(*names[:2]),
        )

    def reduced_space(self, name: str, space: Space) -> Space:
        inside = bounds_of(space)
        if name == "mean":
            return space_of(inside)
        if inside.low < 0:
            return Positive() if name == "sd" else Real()
        if name == "sum" and isinstance(space, Count | Bool):
            return Count()
        return Positive() if name == "sd" else space_of(Bounds(0.0, is_open=inside.is_open))

    def alternative(self, first: ir.Expr, second: ir.Expr, span: Span) -> ir.Expr:
        """`a else b`: a column of `k'` and one of `k` are the same labels."""
        for dim in second.type.coordinates:
            other = dim[:-1] if dim.endswith("'") else dim + "'"
            if other in first.type.coordinates and dim not in first.type.dims:
                first = self.renamed(first, other, dim, span)
        bounds = [self.bounds(first), self.bounds(second)]
        space = first.type.space
        if isinstance(space, Scalar) and not isinstance(space, Label | Bool):
            low = min(b.low for b in bounds)
            is_open = all(b.is_open or b.low > low for b in bounds)
            space = space_of(Bounds(low, max(b.high for b in bounds), is_open))
        return ir.Else(self.union(space, (first, second)), span, first, second)

    def renamed(self, base: ir.Expr, old: str, new: str, span: Span) -> ir.Expr:
        dims = tuple(new if d == old else d for d in base.type.dims)
        coordinates = tuple(new if d == old else d for d in base.type.coordinates)
        kind = ValueType(base.type.space, self.ordered(dims), coordinates)
        return ir.Rename(kind, span, base, old, new)

    # --- points of products ------------------------------------------------------------------

    def record(self, parts: Sequence[syntax.Argument], span: Span) -> ir.Expr:
        values = self.each((p.value for p in parts), self.value)
        spaces = tuple(self.whole_space(v) for v in values)
        product = Product(spaces, tuple(p.name or "" for p in parts))
        return self.point(product, values, span)

    def point(self, product: Product, values: Sequence[ir.Expr], span: Span) -> ir.Point:
        inner = [
            tuple(d for d in v.type.dims if d not in coordinates_of(f))
            for v, f in zip(values, product.factors, strict=True)
        ]
        dims = self.ordered(d for part in inner for d in part)
        return ir.Point(ValueType(product, dims), span, tuple(values))

    def member(self, base: ir.Expr, name: str, span: Span) -> ir.Expr:
        product = base.type.space
        if not isinstance(product, Product) or name not in product.names:
            names = product.names if isinstance(product, Product) else ()
            raise self.problems.report(
                "M230",
                f"there is no coordinate `{name}` here",
                span,
                why=None if names else f"`{self.text(base)}` is a point of `{base.type}`.",
                mend=meant(
                    name, names, f"its coordinates are {', '.join(names)}" if names else None
                ),
            )
        position = product.names.index(name)
        if isinstance(base, ir.Point):
            return base.fields[position]
        return self.coordinate(base, product, position, span)

    def coordinate(
        self, base: ir.Expr, product: Product, position: int, span: Span
    ) -> ir.Coordinate:
        factor = product.factors[position]
        own = coordinates_of(factor)
        space = factor if isinstance(factor, Scalar | Product) else Real()
        kind = ValueType(space, (*base.type.dims, *own), own)
        return ir.Coordinate(kind, span, base, position)


def _common(values: Sequence[ir.Expr]) -> Space:
    spaces = {type(v.type.space) for v in values}
    if not values or len(spaces) > 1:
        return (
            Positive()
            if spaces <= {Positive, Count}
            and values
            and min(v.value if isinstance(v, ir.Constant) else 0.0 for v in values) > 0
            else Real()
        )
    if spaces == {Count} and all(isinstance(v, ir.Constant) and v.value > 0 for v in values):
        return Positive()
    return Real() if spaces == {Unit} else values[0].type.space


def _inner(thing: Thing) -> Iterator[Thing]:
    yield thing
    if isinstance(thing, Lifted):
        for part in thing.arguments:
            yield from _inner(part)
