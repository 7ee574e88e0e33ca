"""Turns an expression into what it is in the Gaussian unknowns: a constant and a sum of terms.

location = constant + sum over terms of  sum over `sums` of  coefficient * site[access]

A *site* is a vector of jointly Gaussian numbers with mean zero: a random function at a point
(`trend(t)`), or a Gaussian unknown less its mean (`theta`). Means are followed, so that
`theta[s] ~ Normal(mu, tau)` becomes `mu + theta` with `mu` a term of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mercer.compiler import typed as ir
from mercer.compiler.walk import in_order, names_below, substitute
from mercer.dsl.spaces import Dim, Real, ValueType
from mercer.dsl.span import Span


@dataclass(frozen=True)
class SiteUse:
    """A site in an expression: `key` names it; `dims` are its own dims, in the global order."""

    key: str
    owner: str  # the unknown or function
    dims: tuple[Dim, ...]
    apply: ir.Apply | None = None


@dataclass(frozen=True)
class Term:
    """`access[i]` says what dim i of the site is in the row: the name of a dim, or its codes."""

    site: SiteUse
    access: tuple[Dim | ir.Expr, ...]
    coefficient: ir.Expr | None = None
    sums: tuple[Dim, ...] = ()


@dataclass(frozen=True)
class Affine:
    constant: ir.Expr | None
    terms: tuple[Term, ...]


class NotAffine(Exception):
    """`names` are the Gaussian unknowns that enter in another way; conditioning on them helps."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        super().__init__(names)


def affine_in(model: ir.TypedModel, expr: ir.Expr, block: frozenset[str]) -> Affine:
    """The affine form of `expr` in the unknowns and functions named by `block`, or NotAffine."""
    return _Reader(model, block).read(expr)


@dataclass(frozen=True)
class _Reader:
    model: ir.TypedModel
    block: frozenset[str]

    def names(self, node: object) -> set[str]:
        return names_below(self.model, node) & self.block

    def sorted_dims(self, dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
        return in_order(self.model, dims)

    def read(self, expr: ir.Expr) -> Affine:
        if not self.names(expr):
            return Affine(expr, ())
        match expr:
            case ir.Ref(_, _, name) if name in self.model.definitions:
                return self.read(self.model.definitions[name].value)
            case ir.Ref(_, _, name):
                return self.unknown(self.model.unknowns[name])
            case ir.Apply():
                return self.apply(expr)
            case ir.Elementwise(_, _, "add" | "subtract" as word, (left, right)):
                other = self.read(right)
                sign = None if word == "add" else -1.0
                return _added(self.read(left), self.scaled(other, sign), expr)
            case ir.Elementwise(_, _, "negative", (operand,)):
                return self.scaled(self.read(operand), -1.0)
            case ir.Elementwise(_, _, "multiply", (left, right)):
                if self.names(left) and self.names(right):
                    for side in (left, right):  # what is not affine by itself comes first
                        self.read(side)
                    raise NotAffine(self._weaker(self.names(left), self.names(right)))
                inside, factor = (left, right) if self.names(left) else (right, left)
                return self.scaled(self.read(inside), factor)
            case ir.Elementwise(_, _, "divide", (left, right)) if not self.names(right):
                one = _constant(1.0, right)
                inverse = _elementwise("divide", one, right)
                return self.scaled(self.read(left), inverse)
            case ir.Gather(_, _, base, dim, at) if not self.names(at):
                return self.gathered(self.read(base), dim, at)
            case ir.Rename(_, _, base, old, new):
                return self.renamed(self.read(base), old, new)
            case ir.Reduce(_, _, "sum", argument, over, None):
                return self.summed(self.read(argument), over)
            case _:
                raise NotAffine(self.names(expr))

    def _weaker(self, left: set[str], right: set[str]) -> set[str]:
        """Of two factors the one to condition on: numbers before functions, fewer before more."""
        functions = self.model.functions

        def cost(names: set[str]) -> tuple[int, int]:
            return (sum(n in functions for n in names), len(names))

        if cost(left)[0] and cost(right)[0]:
            return left | right
        return min((left, right), key=cost)

    def unknown(self, unknown: ir.Unknown) -> Affine:
        assert isinstance(unknown.prior, ir.Distribution)
        dims = self.sorted_dims(unknown.type.dims)
        own = Term(SiteUse(unknown.name, unknown.name, dims), dims)
        location = unknown.prior.arguments.get("loc")
        if location is None or _is_zero(location):
            return Affine(None, (own,))
        mean = self.read(location)
        return Affine(mean.constant, (*mean.terms, own))

    def apply(self, expr: ir.Apply) -> Affine:
        reference = expr.function
        while isinstance(reference, ir.Derivative | ir.Laplacian | ir.Integral):
            reference = reference.of
        assert isinstance(reference, ir.FunctionRef)
        if place := self.names((expr.point, reference.at)):
            raise NotAffine(place)  # given its points the function is Gaussian
        function = self.model.functions[reference.name]
        dims = self.sorted_dims(expr.type.dims)
        own = Term(SiteUse(expr.text, reference.name, dims, expr), dims)
        if function.mean is None or _is_zero(function.mean):
            return Affine(None, (own,))
        if reference is not expr.function:
            if isinstance(function.mean, ir.Constant) and not isinstance(
                expr.function, ir.Integral
            ):
                return Affine(None, (own,))  # the derivative of a constant mean
            raise NotAffine(self.names(expr))
        values = dict(zip(function.formal, expr.point, strict=True))
        mean = substitute(function.mean, values)
        for dim, at in reference.at:
            if dim in mean.type.dims:
                mean = ir.Gather(_gathered_type(mean.type, dim, at), expr.span, mean, dim, at)
        form = self.read(mean)
        return Affine(form.constant, (*form.terms, own))

    def scaled(self, form: Affine, factor: ir.Expr | float | None) -> Affine:
        if factor is None:
            return form

        def times(value: ir.Expr | None) -> ir.Expr:
            if isinstance(factor, ir.Expr):
                return factor if value is None else _elementwise("multiply", value, factor)
            assert value is not None
            return _elementwise("negative", value)

        for term in form.terms:
            if isinstance(factor, ir.Expr) and set(term.sums) & set(factor.type.dims):
                raise NotAffine({term.site.owner})
        terms = []
        for term in form.terms:
            if isinstance(factor, ir.Expr) or term.coefficient is not None:
                terms.append(replace(term, coefficient=times(term.coefficient)))
            else:
                span = term.site.apply.span if term.site.apply else self.model_span()
                minus = ir.Constant(ValueType(Real()), span, -1.0)
                terms.append(replace(term, coefficient=minus))
        constant = None if form.constant is None else times(form.constant)
        return Affine(constant, tuple(terms))

    def model_span(self) -> Span:
        return next(iter(self.model.observations.values())).span

    def gathered(self, form: Affine, dim: Dim, at: ir.Expr) -> Affine:
        def look(value: ir.Expr) -> ir.Expr:
            return ir.Gather(_gathered_type(value.type, dim, at), at.span, value, dim, at)

        return _moved(form, dim, at, look)

    def renamed(self, form: Affine, old: Dim, new: Dim) -> Affine:
        def name(value: ir.Expr) -> ir.Expr:
            dims = tuple(new if d == old else d for d in value.type.dims)
            coordinates = tuple(new if d == old else d for d in value.type.coordinates)
            kind = ValueType(value.type.space, dims, coordinates)
            return ir.Rename(kind, value.span, value, old, new)

        return _moved(form, old, new, name)

    def summed(self, form: Affine, over: tuple[Dim, ...]) -> Affine:
        constant = form.constant
        if constant is not None:
            if not set(over) <= set(constant.type.dims):
                raise NotAffine({t.site.owner for t in form.terms})
            left = tuple(d for d in constant.type.dims if d not in over)
            kind = ValueType(Real(), left, tuple(c for c in constant.type.coordinates if c in left))
            constant = ir.Reduce(kind, constant.span, "sum", constant, over)
        terms = []
        for term in form.terms:
            if not set(over) <= _dims_of(term):
                raise NotAffine({term.site.owner})
            terms.append(replace(term, sums=(*term.sums, *over)))
        return Affine(constant, tuple(terms))


def _moved(
    form: Affine, dim: Dim, to: Dim | ir.Expr, change: Callable[[ir.Expr], ir.Expr]
) -> Affine:
    """`form` with its dim `dim` replaced: in expressions by `change`, in accesses by `to`."""

    def part(value: ir.Expr) -> ir.Expr:
        return change(value) if dim in value.type.dims else value

    def way(access: Dim | ir.Expr) -> Dim | ir.Expr:
        if isinstance(access, str):
            return to if access == dim else access
        return part(access)

    terms = tuple(
        replace(
            t,
            coefficient=None if t.coefficient is None else part(t.coefficient),
            access=tuple(way(a) for a in t.access),
        )
        for t in form.terms
    )
    return Affine(None if form.constant is None else part(form.constant), terms)


def _dims_of(term: Term) -> set[Dim]:
    dims: set[Dim] = set() if term.coefficient is None else set(term.coefficient.type.dims)
    for access in term.access:
        dims |= {access} if isinstance(access, str) else set(access.type.dims)
    return dims


def _added(left: Affine, right: Affine, expr: ir.Expr) -> Affine:
    if left.constant is None or right.constant is None:
        constant = left.constant or right.constant
    else:
        constant = _elementwise("add", left.constant, right.constant)
    return Affine(constant, (*left.terms, *right.terms))


def _elementwise(word: str, *arguments: ir.Expr) -> ir.Elementwise:
    dims: dict[Dim, None] = {}
    coordinates: dict[Dim, None] = {}
    for argument in arguments:
        dims |= dict.fromkeys(argument.type.dims)
        coordinates |= dict.fromkeys(argument.type.coordinates)
    kind = ValueType(Real(), tuple(dims), tuple(coordinates))
    return ir.Elementwise(kind, arguments[0].span, word, arguments)


def _constant(value: float, like: ir.Expr) -> ir.Constant:
    return ir.Constant(ValueType(Real()), like.span, value)


def _gathered_type(kind: ValueType, dim: Dim, at: ir.Expr) -> ValueType:
    dims = dict.fromkeys(e for d in kind.dims for e in (at.type.dims if d == dim else (d,)))
    return ValueType(kind.space, tuple(dims), tuple(c for c in kind.coordinates if c != dim))


def _is_zero(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Constant) and expr.value == 0
