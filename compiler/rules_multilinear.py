"""The rules of random multilinear maps, which become their weights and sums of products of them.

    f(x_1, ..., x_K) = sum over r_1 ... r_K of W[r_1, ..., r_K] x_1[r_1] ... x_K[r_K]

(Tucker 1966); with `diagonal = true` only the weights with equal positions are there (CP).
"""

from __future__ import annotations

from collections.abc import Sequence

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_layers import LayerRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Dim,
    FunctionType,
    Product,
    Real,
    Space,
    ValueType,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class MultilinearRules(LayerRules):
    def core(self, name: str) -> ir.Expr:
        """The weights of the map `name`, declared as `name.weights` unless they are given."""
        known: ir.Expr | None = self.cores.get(name)
        if known is not None:
            return known
        node = self.scoped.unknowns[name].prior
        assert isinstance(node, syntax.Call)
        kind = self.signature(name)
        self.check_vectors(name, kind, node.span)
        bound = self.bind(catalog.priors()["Multilinear"], node.arguments, node.span)
        inside = self.core_dims(name, kind, node.span)
        outside = coordinates_of(kind.codomain)
        coordinates = tuple(dict.fromkeys((*outside, *(d for d in inside if d is not None))))
        dims = self.ordered([*kind.dims, *coordinates])
        shape = ValueType(Real(), dims, tuple(d for d in dims if d in coordinates))
        home = Home(name, kind.dims, parts=in_place_parts(node))
        given = bound.get("weights")
        if given is None:
            numbers = {"loc": 0.0, "scale": 1.0}
            terms = {k: self.one_number(v, node.span) for k, v in numbers.items()}
            law = ir.Distribution(node.span, "Normal", terms)
            self.declare(f"{name}.weights", node.span, shape, law, name, is_default=True)
            weights: ir.Expr = ir.Ref(shape, node.span, f"{name}.weights")
        elif given.operator == "~":
            weights = self.shaped(given, "Multilinear", shape, home)
        else:
            weights = self.plain(given)
            self.refuse_indices(weights, shape, set(), home)
        self.cores[name] = weights
        return weights

    def core_dims(self, name: str, kind: FunctionType, span: Span) -> tuple[Dim | None, ...]:
        """The dim of the weights that each argument meets; None where that is a number."""
        spaces = factors_of(kind.domain)
        found: list[Dim | None] = []
        if not self.is_diagonal(name):
            taken: list[Dim] = [*kind.dims, *coordinates_of(kind.codomain)]
            for space in spaces:
                for dim in coordinates_of(space):
                    while dim in taken:
                        dim += "'"
                    taken.append(dim)
                    found.append(dim)
                if not coordinates_of(space):
                    found.append(None)
            return tuple(found)
        ranks = {coordinates_of(space) for space in spaces if coordinates_of(space)}
        if len(ranks) > 1:
            sizes = " and ".join(f"`{s}`" for s in dict.fromkeys(map(str, spaces)))
            raise self.problems.report(
                "M248",
                "the weights of a diagonal core have one position for all its arguments",
                span,
                why=f"`{name}` has arguments in {sizes}, and their ranks differ.",
                mend="give all of them the same rank, or leave `diagonal = true` out",
                notes=self.notes(name),
            )
        outside = (*kind.dims, *coordinates_of(kind.codomain))
        for space in spaces:
            own: Dim | None = None
            for dim in coordinates_of(space):
                own = dim
                while own in outside:
                    own += "'"
            found.append(own)
        return tuple(found)

    def is_diagonal(self, name: str) -> bool:
        node = self.scoped.unknowns[name].prior
        assert isinstance(node, syntax.Call)
        argument = self.bind(catalog.priors()["Multilinear"], node.arguments, node.span).get(
            "diagonal"
        )
        if argument is None:
            return False
        value = argument.value
        word = value.id if isinstance(value, syntax.Name) else ""
        if argument.operator == "~" or word not in ("true", "false"):
            raise self.problems.report(
                "M249", "`diagonal` must be written here as `true` or `false`", value.span
            )
        return word == "true"

    def apply_multilinear(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        """The sums, one argument after the other: no table over all positions and rows is made."""
        total, kind = self.core(function.name), self.signature(function.name)
        for dim, at in function.at:
            if dim in total.type.dims:
                total = self.lookup_of(total, dim, at, span)
        inside = self.core_dims(function.name, kind, span)
        spaces = factors_of(kind.domain)
        for number in reversed(range(len(spaces))):
            value, own = values[number], inside[number]
            for old in coordinates_of(spaces[number]):
                if own is not None and old != own:
                    value = self.renamed(value, old, own, span)
            total = self.calculate("multiply", (total, value), span)
            if own is not None and own not in inside[:number]:
                total = self.sum_over(total, (own,), span)
        return total

    def is_core(self, name: str) -> bool:
        prior = self.scoped.unknowns[name].prior
        head = prior.function if isinstance(prior, syntax.Call) else prior
        return isinstance(head, syntax.Name) and head.id == "Multilinear"

    def check_vectors(self, name: str, kind: FunctionType, span: Span) -> None:
        every = (*factors_of(kind.domain), kind.codomain)
        fits = all(isinstance(s, Real | Vector) for s in every)
        if fits and not any(isinstance(s, Vector) and s.size == INFINITE for s in every):
            return
        raise self.problems.report(
            "M248",
            f"`Multilinear` does not go from `{kind.domain}` to `{kind.codomain}`",
            span,
            why="It maps numbers and vectors to numbers and vectors.",
            notes=self.notes(name),
        )


def factors_of(domain: Space) -> tuple[Space, ...]:
    return domain.factors if isinstance(domain, Product) else (domain,)
