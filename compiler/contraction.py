"""A location into products of unknowns, each summed over shared positions and linear in each.

    offset + weight * sum over r  u_1[.., r] u_2[.., r] ...  + ... ,    r one or several dims

Tucker: `sum over r, s of W[r, s] u[n, r] v[n, s]`; CP: `sum over r of u[n, r] v[n, r]`.
`Multilinear` has become such sums; one that a model writes out, `sum(u(x) * v(z), k)`, is the same.
A function that is added, `level(t)`, is a product of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mercer.compiler import typed as ir
from mercer.compiler.affine import NotAffine, Term, affine_in
from mercer.compiler.walk import children, names_below
from mercer.dsl.spaces import Dim, Real, ValueType


@dataclass(frozen=True)
class Factor:
    """One unknown of product number `product`. `term`: which entries of its site `key` each row
    reads, one for each position of the dims `over`."""

    owner: str
    key: str
    over: tuple[Dim, ...]
    term: Term
    product: int


@dataclass(frozen=True)
class Contraction:
    """`weights` of each product are data or constants, and multiply it; `offsets` are added,
    without any factor. The functions that are added come first."""

    factors: tuple[Factor, ...]
    weights: tuple[tuple[ir.Expr, ...], ...]
    offsets: tuple[ir.Expr, ...]

    @property
    def products(self) -> tuple[tuple[Factor, ...], ...]:
        """The factors of each."""
        numbers = range(len(self.weights))
        return tuple(tuple(f for f in self.factors if f.product == n) for n in numbers)


class NoContraction(Exception):
    """Why an expression is no sum of products."""


@dataclass(frozen=True)
class _Product:
    leaves: tuple[ir.Expr, ...]
    sums: tuple[Dim, ...]


def products_in(model: ir.TypedModel, candidates: frozenset[str]) -> list[tuple[Factor, ...]]:
    """The products of at least two of `candidates` in the laws of all outcomes, also those inside
    a link."""
    found: list[tuple[Factor, ...]] = []

    def look(node: object) -> None:
        if not names_below(model, node) & candidates:
            return
        if isinstance(node, ir.Expr):
            try:
                products = contraction_of(model, node, candidates).products
            except NoContraction:
                pass
            else:
                found.extend(product for product in products if len(product) > 1)
                return
            if isinstance(node, ir.Ref) and node.name in model.definitions:
                look(model.definitions[node.name].value)
                return
        for child in children(node):
            look(child)

    for observation in model.observations.values():
        look(observation.law)
    return found


def contraction_of(
    model: ir.TypedModel, location: ir.Expr, candidates: frozenset[str]
) -> Contraction:
    """The contraction that a location is, with a product of at least two of `candidates`; or
    NoContraction."""
    alone, products, offsets = [], [], []
    for term in _terms(model, location, candidates):
        product = _product(model, term, candidates)
        owners = [n for leaf in product.leaves for n in names_below(model, leaf) & candidates]
        if len(owners) > 1:
            products.append(product)
        elif owners and owners[0] in model.functions:
            alone.append(product)
        else:
            offsets.append(term)
    if not products:
        raise NoContraction("it has no product of Gaussian unknowns")
    factors, weights = [], []
    for number, product in enumerate([*alone, *products]):
        own = []
        for leaf in product.leaves:
            names = names_below(model, leaf) & candidates
            if names:
                factors.append(_factor(model, leaf, names, product.sums, number))
                continue
            own.append(leaf)
            if set(leaf.type.dims) & set(product.sums):
                known = sorted(names_below(model, leaf)) or ["a constant"]
                raise NoContraction(f"`{known[0]}`, which is known, has a value for each position")
        weights.append(tuple(own))
    every = [factor.owner for factor in factors]
    if twice := next((n for n in every if every.count(n) > 1), None):
        raise NoContraction(f"`{twice}` is in it twice")
    if shared := names_below(model, tuple(offsets)) & set(every):
        raise NoContraction(f"`{min(shared)}` is also added to it")
    return Contraction(tuple(factors), tuple(weights), tuple(offsets))


def _terms(model: ir.TypedModel, expr: ir.Expr, candidates: frozenset[str]) -> Iterator[ir.Expr]:
    """What is added up; a sign becomes a factor -1 inside its term."""
    match expr:
        case ir.Ref(_, _, name) if name in model.definitions and _has(model, expr, candidates):
            yield from _terms(model, model.definitions[name].value, candidates)
        case ir.Elementwise(_, _, "add", (left, right)):
            yield from _terms(model, left, candidates)
            yield from _terms(model, right, candidates)
        case ir.Elementwise(_, span, "subtract", (left, right)):
            yield from _terms(model, left, candidates)
            for term in _terms(model, right, candidates):
                yield ir.Elementwise(term.type, span, "negative", (term,))
        case _:
            yield expr


def _product(model: ir.TypedModel, expr: ir.Expr, candidates: frozenset[str]) -> _Product:
    if not _has(model, expr, candidates):
        return _Product((expr,), ())
    match expr:
        case ir.Ref(_, _, name) if name in model.definitions:
            return _product(model, model.definitions[name].value, candidates)
        case ir.Elementwise(_, span, "negative", (inner,)):
            found = _product(model, inner, candidates)
            minus = ir.Constant(ValueType(Real()), span, -1.0)
            return _Product((*found.leaves, minus), found.sums)
        case ir.Elementwise(_, _, "multiply", (left, right)):
            a, b = (_product(model, side, candidates) for side in (left, right))
            if set(a.sums) & set(right.type.dims) or set(b.sums) & set(left.type.dims):
                raise NoContraction("a sum inside it has the index of what it is multiplied by")
            if set(a.sums) & set(b.sums):
                raise NoContraction("two sums in it are over the same index")
            return _Product((*a.leaves, *b.leaves), (*a.sums, *b.sums))
        case ir.Elementwise(_, span, "divide", (left, right)) if not _has(model, right, candidates):
            found = _product(model, left, candidates)
            one = ir.Constant(ValueType(Real()), span, 1.0)
            inverse = ir.Elementwise(right.type, span, "divide", (one, right))
            return _Product((*found.leaves, inverse), found.sums)
        case ir.Reduce(_, _, "sum", argument, over, None):
            found = _product(model, argument, candidates)
            return _Product(found.leaves, (*found.sums, *over))
        case _:
            return _Product((expr,), ())


def _factor(
    model: ir.TypedModel,
    leaf: ir.Expr,
    names: set[str],
    sums: tuple[Dim, ...],
    number: int,
) -> Factor:
    """One unknown of product `number`, read entry by entry."""
    over = tuple(d for d in sums if d in leaf.type.dims)
    try:
        form = affine_in(model, leaf, frozenset(names))
    except NotAffine:
        raise NoContraction(f"`{min(names)}` enters it in another way") from None
    if len(names) > 1 or len(form.terms) != 1 or form.terms[0].coefficient is not None:
        raise NoContraction(f"`{min(names)}` is not a factor by itself")
    (term,) = form.terms
    if term.sums:
        raise NoContraction(f"`{term.site.owner}` is summed over before it is multiplied")
    return Factor(term.site.owner, term.site.key, over, replace(term, sums=over), number)


def _has(model: ir.TypedModel, expr: ir.Expr, candidates: frozenset[str]) -> bool:
    return bool(names_below(model, expr) & candidates)
