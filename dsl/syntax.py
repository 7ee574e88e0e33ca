"""The syntax tree: what was written, before anything is known about its names.

Every node is frozen and carries its span; spans do not take part in equality, so that
`parse(format(text)) == parse(text)` compares what is meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mercer.dsl.span import Source, Span


@dataclass(frozen=True)
class Node:
    span: Span = field(compare=False, repr=False, kw_only=True)


# --- expressions -------------------------------------------------------------------------


@dataclass(frozen=True)
class Expression(Node):
    pass


@dataclass(frozen=True)
class Number(Expression):
    """`text` is kept as written, so that the formatter need not choose digits."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text)

    @property
    def is_integer(self) -> bool:
        return self.text.isdigit()


@dataclass(frozen=True)
class String(Expression):
    value: str


@dataclass(frozen=True)
class Name(Expression):
    """A word; a primed index keeps its prime: `k'`."""

    id: str


@dataclass(frozen=True)
class Argument(Node):
    """One argument of a call: `v`, `name = v`, `name ~ v`, `name[d] ~ v`."""

    value: Expression
    name: str | None = None
    indices: tuple[str, ...] = ()
    operator: str | None = None  # None (positional), "=" or "~"
    name_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Call(Expression):
    function: Expression
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Lookup(Expression):
    """`base[item, ...]`: look up by label, rename an index, shift, or choose coordinates."""

    base: Expression
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Member(Expression):
    """`base.name`: a coordinate of a product."""

    base: Expression
    name: str


@dataclass(frozen=True)
class Unary(Expression):
    operator: str  # "-" or "+"
    operand: Expression


@dataclass(frozen=True)
class Binary(Expression):
    """`operator` is one of + - * / ^ < <= > >= == != |> else."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Range(Expression):
    """`low..high`, both ends included."""

    low: Expression
    high: Expression


@dataclass(frozen=True)
class List(Expression):
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Record(Expression):
    """`(u = 1, v = 2)`: a point of a product with named coordinates."""

    fields: tuple[Argument, ...]


# --- spaces and signatures ----------------------------------------------------------------
# A space is an expression (`Real`, `Real^d`, `Label(g)`, `A * B`) or a named product.


@dataclass(frozen=True)
class NamedProduct(Expression):
    """`(place: Real^2, time: Real)`."""

    fields: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True)
class Signature(Node):
    """`: codomain` (a value; `domain` is None) or `: domain -> codomain` (a function)."""

    domain: Expression | None
    codomain: Expression


# --- declarations -------------------------------------------------------------------------


@dataclass(frozen=True)
class Target(Node):
    """What a declaration declares: `name[index, ...]`; a primed index keeps its prime."""

    name: str
    indices: tuple[str, ...] = ()
    index_spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Declaration(Node):
    doc: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Data(Declaration):
    targets: tuple[Target, ...]
    space: Expression


@dataclass(frozen=True)
class Index(Declaration):
    name: str
    labels: Range | List
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Tilde(Declaration):
    """`name[...] : signature ~ prior`: an unknown, an unknown function or an observation."""

    target: Target
    signature: Signature | None
    prior: Expression


@dataclass(frozen=True)
class Define(Declaration):
    target: Target
    value: Expression


@dataclass(frozen=True)
class Def(Declaration):
    name: str
    parameters: tuple[str, ...]
    value: Expression
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Use(Declaration):
    path: str


@dataclass(frozen=True)
class Infer(Declaration):
    """`infer METHOD(...)` (`name` is None) or `infer NAME by METHOD(...)`."""

    name: str | None
    method: Expression
    name_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Comment(Node):
    """`# text`; `text` is without the mark and its blank. Not part of the meaning."""

    text: str


@dataclass(frozen=True)
class Model(Node):
    """`lost` names what declarations with syntax errors would have declared (`parse_partial`)."""

    declarations: tuple[Declaration, ...]
    doc: str | None = None
    source: Source = field(compare=False, repr=False, kw_only=True)
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    lost: tuple[str, ...] = field(default=(), compare=False, repr=False)
