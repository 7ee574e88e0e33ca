"""Typed expressions into JAX text, with the dims of its value.

Every array has its axes in the model's one order of dims, so that two arrays meet by inserting
axes of length one, never by moving any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from mercer.compiler import typed as ir
from mercer.compiler.structure import Structure, owner_of
from mercer.compiler.walk import in_order, responses
from mercer.dsl.spaces import Dim, Label
from mercer.stdlib import catalog

Dims = tuple[Dim, ...]

_INFIX = {
    "add": ("+", 1, False),
    "subtract": ("-", 1, True),
    "multiply": ("*", 2, False),
    "divide": ("/", 2, True),
}
_COMPARISONS = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
_ATOM = 9


@dataclass(frozen=True)
class Code:
    text: str
    dims: Dims
    precedence: int = _ATOM

    def inside(self, precedence: int, strict: bool = False) -> str:
        """The text as an operand of an operator of this precedence."""
        weak = self.precedence < precedence or (strict and self.precedence == precedence)
        return f"({self.text})" if weak else self.text


@dataclass
class Body:
    """The body of one emitted function while it is written: its statements and what it reads."""

    structure: Structure
    identifiers: Mapping[str, str]
    summaries: dict[ir.Expr, str]
    lines: list[str] = field(default_factory=list)
    reads: dict[str, None] = field(default_factory=dict)
    locals: set[str] = field(default_factory=set)
    formals: dict[str, str] = field(default_factory=dict)  # formal names of a lambda
    given: dict[ir.Expr, Code] = field(default_factory=dict)  # values that are arguments

    @property
    def model(self) -> ir.TypedModel:
        return self.structure.model

    def order(self, dims: Dims | list[Dim] | set[Dim]) -> Dims:
        return in_order(self.model, dims)

    # --- names and sizes ---

    def read(self, name: str) -> str:
        self.reads[name] = None
        return self.identifiers[name]

    def size(self, dim: Dim) -> str:
        """The length of a dim: a number, or the shape of an input that has it."""
        name = dim.rstrip("'")
        if name.isdigit():
            return name
        index = self.model.indices.get(name)
        if index is not None and index.labels is not None:
            return str(len(index.labels))
        for data in self.model.data.values():
            if data.name not in responses(self.model) and name in data.type.dims:
                return f"{self.read(data.name)}.shape[{self.order(data.type.dims).index(name)}]"
        return f"{self.read(name)}.shape[0]"

    def shape(self, dims: Dims) -> str:
        sizes = ", ".join(self.size(d) for d in dims)
        return f"({sizes},)" if len(dims) == 1 else f"({sizes})"

    # --- expressions ---

    def value(self, expr: ir.Expr) -> Code:
        """The text of an expression; definitions that it needs become statements first."""
        if expr in self.summaries:
            return Code(self.read(self.summaries[expr]), self.order(expr.type.dims))
        if expr in self.given:
            self.reads["at"] = None
            return self.given[expr]
        match expr:
            case ir.Constant(_, _, value):
                return Code(repr(float(value)), (), _ATOM if value >= 0 else 3)
            case ir.Ref(_, _, name):
                return Code(self.reference(name), self.order(expr.type.dims))
            case ir.Labels(kind, _, index):
                return Code(self.labels(index, isinstance(kind.space, Label)), (index,))
            case ir.LabelConstant(_, _, index, label):
                labels = self.model.indices[index].labels
                if labels is None:
                    return Code(self.read(label_name(index, label)), ())
                return Code(str(list(labels).index(label)), ())
            case ir.Elementwise():
                return self.elementwise(expr)
            case ir.Gather(_, _, base, dim, at):
                return self.gather(self.value(base), dim, self.value(at))
            case ir.Stack(_, _, index, parts):
                codes = [self.value(part) for part in parts]
                dims = self.order([*(d for c in codes for d in c.dims), index])
                others = tuple(d for d in dims if d != index)
                listed = ", ".join(self.arranged(c, others, full=True).text for c in codes)
                axis = dims.index(index)
                word = f"jnp.stack([{listed}], axis={axis})" if others else f"jnp.array([{listed}])"
                return Code(word, dims)
            case ir.Rename(_, _, base, old, new):
                inner = self.value(base)
                dims = tuple(new if d == old else d for d in inner.dims)
                return self.arranged(Code(inner.text, dims, inner.precedence), self.order(dims))
            case ir.Reduce():
                return self.reduce(expr)
            case ir.Apply() if self.structure.layer(expr.text):
                word = self.read(expr.text) if expr.text not in self.locals else ""
                return Code(word or self.identifiers[expr.text], self.order(expr.type.dims))
            case ir.Centred(_, _, base):
                inner, own = self.value(base), expr.type.coordinates
                dims = (*(d for d in inner.dims if d not in own), *own)
                made = Code(f"centred({self.arranged(inner, dims).text})", dims)
                return self.arranged(made, self.order(dims))
            case ir.OverField():
                return self.features(expr)
            case ir.OnSphere(_, _, latitude, longitude):
                places = [self.value(e) for e in (latitude, longitude)]
                dims = self.order([d for p in places for d in p.dims])
                words = [self.arranged(p, dims).text for p in places]
                return Code(f"unit_vectors({', '.join(words)})", (*dims, "3"))
            case ir.Apply():
                key = repr(expr.text)
                return Code(f"at[{key}]", self.order(expr.type.dims))
            case ir.Spread(_, _, "input", argument):
                parts = argument.fields if isinstance(argument, ir.Point) else (argument,)
                text = f"input_spread({', '.join(self.columns(p) for p in parts)})"
                pixels = prod(int(d.rstrip("'")) for d in self.pixels(argument))
                # An image is one point: its spread is that of all pixels together.
                return Code(f"{text} * {pixels**0.5!r}" if pixels > 1 else text, (), 2)
            case ir.Spread(_, _, _, argument, link):
                return Code(f"outcome_spread({self.value(argument).text}, {link!r})", ())
            case _:
                raise AssertionError(f"no text for {type(expr).__name__}")

    def columns(self, expr: ir.Expr) -> str:
        """An input as a column [n], or as rows of coordinates [n, d]."""
        code = self.value(expr)
        coordinates = expr.type.coordinates
        if not coordinates:
            return code.text if len(code.dims) < 2 else f"jnp.ravel({code.text})"
        last = (*(d for d in code.dims if d not in coordinates), *coordinates)
        text = self.arranged(code, last).text
        if pixels := self.pixels(expr):
            count = prod(int(d.rstrip("'")) for d in pixels)
            return f"jnp.reshape({text}, (-1, {count}))"
        return text

    def pixels(self, expr: ir.Expr) -> Dims:
        """The sides of an image; of what is none, nothing."""
        own = expr.type.coordinates
        is_image = len(own) > 1 and all(d.rstrip("'").isdigit() for d in own)
        return own if is_image else ()

    def reference(self, name: str) -> str:
        if name in self.formals:
            return self.formals[name]
        if name in self.model.definitions:
            word = self.identifiers[name]
            if name not in self.locals:
                self.locals.add(name)
                definition = self.model.definitions[name]
                code, dims = self.value(definition.value), self.order(definition.type.dims)
                text = code.text
                if code.dims != dims:  # `mu[n] = level`: the same for all rows
                    text = f"jnp.broadcast_to({self.arranged(code, dims).text}, {self.shape(dims)})"
                self.lines.append(f"{word} = {text}  # line {definition.span.line}")
            return word
        if name in self.structure.block and name in self.model.unknowns:
            return f"at[{name!r}]"
        return self.read(name)

    def labels(self, index: str, as_codes: bool) -> str:
        if as_codes:
            return f"jnp.arange({self.size(index)})"
        declared = self.model.indices[index].labels
        if declared is not None:
            return f"jnp.array({[float(x) for x in declared]})"
        return self.read(index)

    def features(self, expr: ir.OverField) -> Code:
        # Where equivariant layers are written; they are made of values themselves.
        from mercer.compiler.layers import features_text

        return features_text(self, expr)

    def elementwise(self, expr: ir.Elementwise) -> Code:
        return self.elementwise_text(expr.function, [self.value(a) for a in expr.arguments])

    def elementwise_text(self, word: str, parts: Sequence[Code]) -> Code:
        dims = self.order([d for p in parts for d in p.dims])
        parts = [self.arranged(p, dims) for p in parts]
        if word in _INFIX:
            sign, level, strict = _INFIX[word]
            left, right = parts
            text = f"{left.inside(level)} {sign} {right.inside(level, strict)}"
            return Code(text, dims, level)
        if word == "negative":
            return Code(f"-{parts[0].inside(3)}", dims, 3)
        if word == "power":
            return Code(f"{parts[0].inside(5)} ** {parts[1].inside(4)}", dims, 4)
        if word in _COMPARISONS:
            text = f"{parts[0].inside(1)} {_COMPARISONS[word]} {parts[1].inside(1)}"
            return Code(f"jnp.asarray({text}, float)", dims)
        template = catalog.elementwise()[word].source
        return Code(template.format(*(p.text for p in parts)), dims)

    def gather(self, base: Code, dim: Dim, at: Code) -> Code:
        axis = base.dims.index(dim)
        others = tuple(d for d in base.dims if d != dim)
        result = self.order((*others, *at.dims))
        if not set(others) & set(at.dims):
            if not others:
                return Code(f"{base.inside(_ATOM)}[{at.text}]", at.dims)
            dims = (*base.dims[:axis], *at.dims, *base.dims[axis + 1 :])
            text = f"jnp.take({base.text}, {at.text}, axis={axis})"
            return self.arranged(Code(text, dims), result)
        # An index that both share: one entry for each of its labels.
        grid = tuple(
            at if d == dim else Code(f"jnp.arange({self.size(d)})", (d,)) for d in base.dims
        )
        places = ", ".join(self.arranged(g, result, full=True).text for g in grid)
        return Code(f"{base.inside(_ATOM)}[{places}]", result)

    def reduce(self, expr: ir.Reduce) -> Code:
        if expr.function == "size":
            return Code(" * ".join(f"{self.size(d)}" for d in expr.over) or "1", (), 2)
        if product := self.contracted(expr):
            return product
        inner = self.value(expr.argument)
        axes = tuple(inner.dims.index(d) for d in expr.over if d in inner.dims)
        dims = tuple(d for d in inner.dims if d not in expr.over)
        where = str(axes[0]) if len(axes) == 1 else str(axes)
        everything = "" if not dims and inner.dims else f", axis={where}"
        template = catalog.reductions()[expr.function].source
        if expr.by is not None:
            at = self.value(expr.by)
            assert isinstance(expr.by.type.space, Label)
            group = expr.by.type.space.index
            text = (
                f"reduce_by({expr.function!r}, {inner.text}, {at.text}, "
                f"{self.size(group)}, axis={where})"
            )
            kept = tuple(group if d in expr.over else d for d in inner.dims)
            return self.arranged(Code(text, kept), self.order(kept))
        return Code(template.format(inner.text + everything), dims)

    def contracted(self, expr: ir.Reduce) -> Code | None:
        """A sum over what both factors of a product have: one contraction, no table of products."""
        inside = expr.argument
        if expr.function != "sum" or expr.by or not isinstance(inside, ir.Elementwise):
            return None
        if inside.function != "multiply":
            return None
        left, right = (self.value(a) for a in inside.arguments)
        if not all(d in left.dims and d in right.dims for d in expr.over):
            return None
        every = list(dict.fromkeys((*left.dims, *right.dims)))
        letter = dict(zip(every, "abcdefghijklmnopqrstuvwxyz", strict=False))
        dims = self.order([d for d in every if d not in expr.over])
        words = ["".join(letter[d] for d in part) for part in (left.dims, right.dims, dims)]
        rule = f"{words[0]},{words[1]}->{words[2]}"
        return Code(f"jnp.einsum({rule!r}, {left.text}, {right.text})", dims)

    def arranged(self, code: Code, dims: Dims, full: bool = False) -> Code:
        """`code` with the axes of `dims`, in that order; missing ones get length 1.

        Leading missing axes are left to broadcasting, unless `full`.
        """
        if not code.dims:
            return code
        present = tuple(d for d in dims if d in code.dims)
        text, level = code.text, code.precedence
        if present != code.dims:
            axes = tuple(code.dims.index(d) for d in present)
            text, level = f"jnp.transpose({text}, {axes})", _ATOM
        first = 0 if full else dims.index(present[0])
        if any(d not in present for d in dims[first:]):
            pattern = ", ".join(":" if d in present else "None" for d in dims[first:])
            text = f"{Code(text, (), level).inside(_ATOM)}[{pattern}]"
            level = _ATOM
        return Code(text, dims, level)


def label_name(index: str, label: str | float) -> str:
    """The name of the argument that holds the place of a label which the data fix."""
    return f"{index} {label if isinstance(label, str) else f'{label:g}'}"


def applied_function(model: ir.TypedModel, apply: ir.Apply) -> ir.Function:
    """The unknown function of an application."""
    return model.functions[owner_of(apply)]
