"""The judgements of the type checker: what each asks and gives; the rules are in `rules_*`.

A judgement returns the typed thing or raises `Failed` after it has reported why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mercer.compiler import typed as ir
from mercer.compiler.problems import Failed, Problems
from mercer.compiler.scope import Scoped
from mercer.dsl import syntax
from mercer.dsl.spaces import Dim, FunctionType, Product, Space, ValueType
from mercer.dsl.span import Span

T = TypeVar("T")


@dataclass(frozen=True)
class Lifted(ir.FunctionExpr):
    """Arithmetic of functions and values; application to a point sends it inside."""

    function: str
    arguments: tuple[ir.Expr | ir.FunctionExpr, ...]


@dataclass(frozen=True)
class Word(ir.FunctionExpr):
    """An elementwise function of the library by its name: `tanh`, `relu`."""

    name: str


@dataclass(frozen=True)
class Written(ir.FunctionExpr):
    """A `def` by its name, as yet without the types of its arguments."""

    node: Any


Thing = ir.Expr | ir.FunctionExpr


@dataclass(frozen=True)
class Home:
    """Where priors in place are declared: their owner, and what may stand in their brackets.

    `parts` maps each (part, argument) of the owner that is unknown to how often it occurs.
    """

    owner: str
    dims: tuple[Dim, ...]
    coordinate: Dim | None = None
    parts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    outcome: ir.Expr | None = None
    link: str = "identity"
    inputs: tuple[ir.Expr | None, ...] = ()


class Judgements(ABC):
    """The state that all rules share: what has been declared so far, and the mistakes."""

    def __init__(self, scoped: Scoped, rank: Mapping[Dim, int]) -> None:
        self.scoped = scoped
        self.problems = Problems(scoped.problems)
        self.rank = dict(rank)
        self.data: dict[str, ir.DataDeclared] = {}
        self.indices: dict[str, ir.IndexDeclared] = {}
        self.shapes: dict[str, ir.ShapeDeclared] = {}
        self.unknowns: dict[str, ir.Unknown] = {}
        self.functions: dict[str, ir.Function] = {}
        self.definitions: dict[str, ir.Definition] = {}
        self.observations: dict[str, ir.Observation] = {}
        self.alike: set[str] = set()  # owners whose parts were told to need names
        self.directives: list[ir.Directive] = []
        self.failed: set[str] = set(scoped.failed)
        self.busy: list[str] = []
        self.types: dict[str, ValueType] = {}
        self.signatures: dict[str, FunctionType] = {}
        self.things: dict[str, Thing] = {}
        self.derivatives: list[ir.FunctionExpr] = []
        self.linear: dict[str, tuple[ir.Expr, ir.Expr]] = {}  # linear maps: weights, bias
        self.networks: dict[str, Any] = {}
        self.cores: dict[str, ir.Expr] = {}  # multilinear maps: their weights
        self.layers: dict[str, Any] = {}
        self.shown: dict[ir.Expr, str] = {}  # values of linear maps and networks: how they read

    # --- what the rules give each other ------------------------------------------------------

    @abstractmethod
    def space(self, node: syntax.Expression) -> Space:
        """`node` is a space."""

    @abstractmethod
    def thing(self, node: syntax.Expression) -> Thing:
        """`node` is a value or a function."""

    @abstractmethod
    def called(self, node: syntax.Call) -> Thing:
        """`node` calls a function of the model or a word of the library."""

    @abstractmethod
    def lookup(self, base: Thing, items: Sequence[syntax.Expression], span: Span) -> Thing:
        """`base[items]` is a value or a function."""

    @abstractmethod
    def whole_space(self, expr: ir.Expr) -> Space:
        """The space of the points that `expr` gives, as the domain of a function left out."""

    @abstractmethod
    def is_user_name(self, name: str) -> bool:
        """The model declares `name`."""

    @abstractmethod
    def unknown_name(self, name: str, span: Span) -> Failed:
        """Nothing declares `name`."""

    @abstractmethod
    def value(self, node: syntax.Expression) -> ir.Expr:
        """`node` is a value."""

    @abstractmethod
    def named(self, name: str, span: Span) -> Thing:
        """`name` is a value or a function of the model."""

    @abstractmethod
    def signature(self, name: str) -> FunctionType:
        """`name` is an unknown function of this type."""

    @abstractmethod
    def apply(self, function: ir.FunctionExpr, point: Sequence[ir.Expr], span: Span) -> ir.Expr:
        """`function` at a point: one expression for each factor, or one in all."""

    @abstractmethod
    def call(
        self, function: ir.FunctionExpr, arguments: Sequence[syntax.Argument], span: Span
    ) -> ir.Expr:
        """`function(arguments)` is a value."""

    @abstractmethod
    def calculate(self, word: str, arguments: Sequence[ir.Expr], span: Span) -> ir.Expr:
        """The elementwise function `word` of values."""

    @abstractmethod
    def law(self, node: syntax.Expression, home: Home, wanted: ValueType | None) -> ir.Law:
        """`node` is a distribution over points of type `wanted`."""

    @abstractmethod
    def in_place(
        self,
        argument: syntax.Argument,
        part: str,
        space: str,
        home: Home,
        own: tuple[Dim, ...] = (),
    ) -> ir.Expr:
        """`argument` declares an unknown, which is its value."""

    @abstractmethod
    def require(self, expr: ir.Expr, space: str, what: str) -> None:
        """`expr` lies in the space of `what`."""

    @abstractmethod
    def random_names(self, node: object) -> set[str]:
        """The unknowns and functions that `node` depends on, through definitions."""

    @abstractmethod
    def lift(self, word: str, arguments: tuple[Thing, ...], span: Span) -> Thing:
        """`word` of values and functions."""

    @abstractmethod
    def index(self, name: str, span: Span) -> Dim:
        """`name` is an index, maybe primed."""

    @abstractmethod
    def coordinate(self, base: ir.Expr, product: Product, position: int, span: Span) -> ir.Expr:
        """One coordinate of a point of a product."""

    @abstractmethod
    def renamed(self, base: ir.Expr, old: Dim, new: Dim, span: Span) -> ir.Expr:
        """`base` with one of its dims under another name."""

    @abstractmethod
    def is_numeric(self, index: str) -> bool:
        """The labels of `index` are numbers."""

    @abstractmethod
    def is_random_function(self, name: str) -> bool:
        """The unknown `name` is a function."""

    @abstractmethod
    def reduced_space(self, name: str, space: Space) -> Space:
        """The space of a sum, a mean, ... of numbers of `space`."""

    @abstractmethod
    def apply_linear(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        """A random linear map at a point: its weights and its bias, written out."""

    # --- helpers -----------------------------------------------------------------------------

    @abstractmethod
    def is_network(self, name: str) -> bool:
        """Whether `name` is a neural network."""

    @abstractmethod
    def apply_network(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        """The value of a neural network at a point."""

    @abstractmethod
    def is_core(self, name: str) -> bool:
        """Whether `name` is a multilinear map."""

    @abstractmethod
    def apply_multilinear(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        """The value of a multilinear map at its arguments."""

    @abstractmethod
    def is_layer(self, name: str) -> bool:
        """Whether `name` is an equivariant layer."""

    @abstractmethod
    def apply_layer(self, function: ir.FunctionRef, value: ir.Expr, span: Span) -> ir.Expr:
        """The field that an equivariant layer makes of an image or a field."""

    @abstractmethod
    def check_field(self, word: str, arguments: Sequence[ir.Expr], span: Span) -> None:
        """`word` of these, some of them fields, commutes with the group."""

    @abstractmethod
    def refuse_slope(self, function: ir.FunctionRef, span: Span) -> Failed:
        """Reports that a network has no derivative here."""

    def each(self, items: Iterable[Any], judge: Callable[[Any], T]) -> list[T]:
        """Judges all the items before it fails, so that their mistakes are told together."""
        results: list[T] = []
        failure: Failed | None = None
        for item in items:
            try:
                results.append(judge(item))
            except Failed as failed:
                failure = failed
        if failure is not None:
            raise failure
        return results

    def place(self, name: str) -> Span | None:
        """Where `name` is declared, for notes."""
        scoped = self.scoped
        if name in scoped.data:
            return scoped.data[name].target.span
        if name in scoped.unknowns:
            return scoped.unknowns[name].target.span
        if name in scoped.definitions:
            return scoped.definitions[name].target.span
        return self.unknowns[name].span if name in self.unknowns else None

    def notes(self, *names: str) -> tuple[tuple[Span, str], ...]:
        """A note at the declaration of each name."""
        found = ((self.place(name), f"`{name}` is declared here") for name in names)
        return tuple((span, text) for span, text in found if span is not None)

    def ordered(self, dims: Iterable[Dim]) -> tuple[Dim, ...]:
        """The dims, each once, in the order that all arrays have."""
        for dim in (dims := list(dict.fromkeys(dims))):
            self.rank.setdefault(dim, len(self.rank))
        return tuple(sorted(dims, key=self.rank.__getitem__))

    def union(self, space: Space, parts: Sequence[ir.Expr]) -> ValueType:
        """The type of a value made cell by cell: dims are matched by name."""
        dims = self.ordered(d for p in parts for d in p.type.dims)
        coordinates = {d for p in parts for d in p.type.coordinates}
        return ValueType(space, dims, tuple(d for d in dims if d in coordinates))
