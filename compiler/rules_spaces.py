"""The rules of spaces: `Real^d`, `Label(g)`, products, shapes made from data."""

from __future__ import annotations

from collections.abc import Sequence

from mercer.compiler import typed as ir
from mercer.compiler.judge import Judgements
from mercer.compiler.problems import Failed, meant
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Bool,
    Circle,
    Constrained,
    Count,
    Dim,
    Field,
    Group,
    Image,
    Interval,
    Label,
    Positive,
    Product,
    Real,
    Scalar,
    Shape,
    Space,
    Sphere,
    Tangent,
    Unit,
    Vector,
)
from mercer.dsl.span import Span

PLAIN: dict[str, Space] = {
    "Real": Real(),
    "Positive": Positive(),
    "Unit": Unit(),
    "Count": Count(),
    "Bool": Bool(),
    "Circle": Circle(),
}
SIZED = ("Simplex", "Ordered", "ZeroSum", "Correlation", "Covariance")
GROUPS = {"SO": (2, 3), "SL": (2,), "GL": (2,)}
SHAPES = ("Graph", "Mesh", "Manifold")
WORDS = (*PLAIN, *SIZED, *GROUPS, "Interval", "Label", "Sphere", "Image", "Field", "Tangent")


class SpaceRules(Judgements):
    def space(self, node: syntax.Expression) -> Space:
        match node:
            case syntax.Name(name) if name in PLAIN:
                return PLAIN[name]
            case syntax.Name(name) if name in self.scoped.definitions and self.is_shape(name):
                return self.shape(name)
            case syntax.Name(name) if name in self.failed:
                raise Failed(name)
            case syntax.Name(name) if name in (*SIZED, *GROUPS, "Label", "Image", "Field"):
                raise self.wrong_space(node, f"`{name}` needs its size: `{name}(...)`")
            case syntax.Binary("^", base, size):
                return self.power(base, size, node)
            case syntax.Binary("*", left, right):
                factors: list[Space] = []
                for part in self.each((left, right), self.space):
                    grouped = isinstance(part, Product) and not part.names
                    factors += part.factors if isinstance(part, Product) and grouped else (part,)
                return Product(tuple(factors))
            case syntax.NamedProduct(parts):
                names = tuple(name for name, _ in parts)
                for name in names:
                    if names.count(name) > 1:
                        raise self.wrong_space(node, f"the coordinate `{name}` is there twice")
                return Product(tuple(self.each((p for _, p in parts), self.space)), names)
            case syntax.Call(syntax.Name(name), arguments):
                return self.made(name, [a.value for a in arguments], node)
            case syntax.Name(name):
                shapes = [n for n in self.scoped.definitions if self.is_shape(n)]
                mend = meant(
                    name, [*WORDS, *shapes], "spaces are `Real`, `Positive`, `Label(g)`, ..."
                )
                raise self.problems.report(
                    "M209", f"there is no space `{name}`", node.span, mend=mend
                )
            case _:
                raise self.wrong_space(node, "this is not a space")

    def wrong_space(self, node: syntax.Expression, problem: str) -> Failed:
        return self.problems.report(
            "M209", problem, node.span, mend="a space is written as `Real`, `Real^d`, `Label(g)`"
        )

    def power(self, base: syntax.Expression, size: syntax.Expression, node: syntax.Binary) -> Space:
        scalar = self.space(base)
        if not isinstance(scalar, Scalar):
            raise self.wrong_space(
                node, f"only a space of numbers has powers, and `{scalar}` is none"
            )
        if isinstance(size, syntax.Name) and size.id == INFINITE:
            return Vector(scalar, INFINITE)
        return Vector(scalar, self.size(size))

    def size(self, node: syntax.Expression) -> Dim:
        """The name of a dim: an index that something fixes, or a number."""
        match node:
            case syntax.Number(text) if node.is_integer and int(text) > 0:
                return text
            case syntax.Name(name):
                return self.index(name, node.span)
            case _:
                raise self.wrong_space(node, "a size is a number or an index")

    def index(self, name: str, span: Span) -> Dim:
        base = name.rstrip("'")
        if base in self.scoped.dims:
            return name
        if base in self.failed or self.scoped.model.lost:
            raise Failed(name)
        value = base in self.scoped.names()
        why = f"`{base}` is a value, not an index." if value else None
        raise self.problems.report(
            "M207",
            f"nothing fixes the index `{base}`",
            span,
            why=why or "An index comes with data, or is declared.",
            mend=meant(
                base,
                self.scoped.dims,
                f"declare `index {base} = 1..3`, or data with it: `data x[{base}] : Real`",
            ),
        )

    def made(self, name: str, items: Sequence[syntax.Expression], node: syntax.Call) -> Space:
        if name in SIZED and len(items) == 1:
            return Constrained(name, self.size(items[0]))
        if name == "Label" and len(items) == 1 and isinstance(items[0], syntax.Name):
            return Label(self.index(items[0].id, items[0].span))
        if name == "Interval" and len(items) == 2:
            low, high = (self.bound(i) for i in items)
            if isinstance(low, float) and isinstance(high, float) and low >= high:
                raise self.wrong_space(node, f"an interval from {low:g} to {high:g} is empty")
            return Interval(low, high)
        numbers = [int(i.text) for i in items if isinstance(i, syntax.Number) and i.is_integer]
        if name in GROUPS and numbers and numbers[0] in GROUPS[name] and len(items) == 1:
            return Group(name, numbers[0])
        if name == "Circle" and len(items) == 1:
            word = node.arguments[0].name
            period = self.bound(items[0])
            if isinstance(period, float) and period > 0 and word in (None, "period"):
                return Circle(period)
            raise self.wrong_space(node, "the period of a circle is a number above 0")
        if name == "Sphere" and numbers and numbers[0] > 0 and len(items) == 1:
            return Sphere(numbers[0])
        if name == "Image" and len(items) == len(numbers) in (2, 3) and min(numbers) > 0:
            return Image(*numbers)
        if name == "Field" and len(items) == 2 and len(numbers) == 1:
            group = self.space(items[0])
            if isinstance(group, Group):
                return Field(group, numbers[0])
        if name == "Tangent" and len(items) == 1:
            shape = self.space(items[0])
            if isinstance(shape, Shape) and shape.ambient is not None:
                return Tangent(shape)
        if name in SHAPES:
            raise self.wrong_space(node, f"a `{name}` needs a name: `M = {name}(...)`, then `M`")
        if name in WORDS or name in PLAIN:
            raise self.wrong_space(node, f"`{name}` does not take these arguments")
        raise self.problems.report(
            "M209", f"there is no space `{name}`", node.function.span, mend=meant(name, WORDS)
        )

    def bound(self, node: syntax.Expression) -> float | str:
        match node:
            case syntax.Number():
                return node.value
            case syntax.Unary("-", syntax.Number() as number):
                return -number.value
            case _:
                span = node.span
                line = self.scoped.sources[span.file].line(span.line)
                return line[span.column - 1 : span.end_column - 1]

    # --- shapes ------------------------------------------------------------------------------

    def is_shape(self, name: str) -> bool:
        value = self.scoped.definitions[name].value
        return (
            isinstance(value, syntax.Call)
            and isinstance(value.function, syntax.Name)
            and value.function.id in SHAPES
        )

    def shape(self, name: str) -> Shape:
        """`M = Manifold(cloud, dim = 2)`, checked when it is first needed."""
        if name in self.shapes:
            space = self.shapes[name].space
            assert isinstance(space, Shape)
            return space
        if name in self.failed:
            raise Failed(name)
        declaration = self.scoped.definitions[name]
        node = declaration.value
        assert isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name)
        kind = node.function.id
        try:
            space, settings = self.shape_from(name, kind, node)
        except Failed:
            self.failed.add(name)
            raise
        span = declaration.target.span
        self.shapes[name] = ir.ShapeDeclared(name, span, declaration.doc, space, settings)
        return space

    def shape_from(
        self, name: str, kind: str, node: syntax.Call
    ) -> tuple[Shape, dict[str, ir.Expr | ir.Text]]:
        wanted = {"Graph": ["a", "b"], "Mesh": ["vertices", "faces"], "Manifold": ["cloud"]}[kind]
        optional = {"Manifold": ["dim", "neighbours", "modes"], "Mesh": ["modes"]}.get(kind, [])
        settings: dict[str, ir.Expr | ir.Text] = {}
        for position, argument in enumerate(node.arguments):
            words = wanted + optional
            word = argument.name or (words[position] if position < len(words) else "")
            if word not in words:
                raise self.problems.report(
                    "M210",
                    f"`{kind}` has no argument `{argument.name}`"
                    if argument.name
                    else f"`{kind}` has only {len(words)} arguments",
                    argument.name_span or argument.span,
                    mend=meant(word, words, f"its arguments are {', '.join(words)}"),
                )
            settings[word] = self.value(argument.value)
        missing = [w for w in wanted if w not in settings]
        if missing:
            raise self.problems.report(
                "M213",
                f"`{kind}` needs `{missing[0]}`",
                node.span,
                mend=f"write `{kind}({', '.join(wanted)})`",
            )
        for word, value in settings.items():
            if self.random_names(value):
                raise self.problems.report(
                    "M249",
                    f"`{word}` of a `{kind}` must be data or a number",
                    value.span,
                    why="The shape is made once, before anything unknown is.",
                )
        if kind == "Graph":
            ends = [settings[w].type.space for w in wanted]
            if not isinstance(ends[0], Label) or ends[0] != ends[1]:
                raise self.problems.report(
                    "M251",
                    "the edges of a graph are two columns of labels of one index",
                    node.span,
                    mend="declare both in one line: `data a[e], b[e] : Label(v)`",
                )
            return Shape(name, kind, None, ends[0].index), settings
        cloud = settings[wanted[0]]
        if len(cloud.type.coordinates) != 1:
            raise self.problems.report(
                "M251",
                f"the points of a `{kind}` are vectors",
                cloud.span,
                mend="declare them as `data cloud[m] : Real^3`",
            )
        if kind == "Mesh":
            corners = settings["faces"].type
            if not isinstance(corners.space, Label) or len(corners.coordinates) != 1:
                raise self.problems.report(
                    "M251",
                    "the faces of a `Mesh` are three labels of vertices each",
                    settings["faces"].span,
                    mend="declare them as `data faces[t] : Label(v)^3`, `v` the index of the "
                    "vertices",
                )
        return Shape(name, kind, Vector(Real(), cloud.type.coordinates[0])), settings
