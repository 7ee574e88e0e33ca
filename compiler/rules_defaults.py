"""The rules of default priors: laws of the library, relative to the data they meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed
from mercer.compiler.rules_scales import ScaleRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Circle,
    Count,
    Dim,
    FunctionType,
    Label,
    Positive,
    Product,
    Real,
    Scalar,
    Space,
    ValueType,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import KernelEntry, Parameter


@dataclass(frozen=True)
class Seen:
    """What a kernel sees of the domain: a factor of it, and positions inside that.

    `view` is how brackets say so, for the names of its unknowns.
    """

    space: Space
    factor: int | None = None
    coordinates: tuple[int, ...] | None = None
    view: str = ""


@dataclass(frozen=True)
class KernelHome:
    """The function that a kernel belongs to, and what default priors are relative to.

    `inputs`: for each factor of the domain, where the function is applied (None: not to data).
    `free`: the leaves (by identity) whose scale is left out and not 1.
    """

    function: str
    kind: FunctionType
    inputs: tuple[ir.Expr | None, ...]
    outcome: ir.Expr | None
    link: str
    free: frozenset[int] = frozenset()
    homes: dict[str, Home] = field(default_factory=dict)


class DefaultRules(ScaleRules):
    def left_out(self, call: syntax.Call, free: frozenset[int]) -> Iterator[str]:
        """The arguments of a kernel that get default priors."""
        assert isinstance(call.function, syntax.Name)
        entry = catalog.kernels()[call.function.id]
        names = [p.name for p in entry.parameters]
        given = {
            a.name or names[i] for i, a in enumerate(call.arguments) if a.name or i < len(names)
        }
        for parameter in entry.parameters:
            if parameter.name in given or not isinstance(parameter.default, str):
                continue
            if parameter.default not in catalog.defaults() or parameter.space == "Text":
                continue
            if parameter.name == "scale" and id(call) not in free:
                continue
            yield parameter.name

    def one_number(self, value: float, span: Span) -> ir.Constant:
        space: Space = Count() if value == int(value) and value >= 0 else Real()
        return ir.Constant(ValueType(space), span, value)

    def default(
        self,
        entry: KernelEntry,
        parameter: Parameter,
        node: syntax.Call,
        seen: Seen,
        home: KernelHome,
        place: Home,
        counts: dict[str, int],
    ) -> ir.Expr:
        default = parameter.default
        if isinstance(default, float | int):
            return self.one_number(float(default), node.span)
        assert isinstance(default, str)
        if default not in catalog.defaults() or parameter.space == "Text":
            return ir.Text(ValueType(Real()), node.span, default)
        name = self.name_in_place(parameter.name, entry.name + seen.view, place, node.span)
        if name not in self.unknowns:
            dims = self.own_dims(parameter, seen, counts)
            space: Space = Positive() if parameter.space == "Positive" else Real()
            kind = ValueType(space, self.ordered(dims), tuple(d for d in dims if d[0].isdigit()))
            law = self.default_law(default, seen, home, node.span)
            self.declare(name, node.span, kind, law, place.owner, is_default=True)
        return ir.Ref(self.unknowns[name].type, node.span, name)

    def own_dims(self, parameter: Parameter, seen: Seen, counts: dict[str, int]) -> tuple[Dim, ...]:
        """The dims of a parameter that has values for each label, or several by a count."""
        labels = (
            (seen.space.index,) if isinstance(seen.space, Label) and parameter.per_label else ()
        )
        if not parameter.count or (parameter.per_label and not labels):
            return labels
        if parameter.count not in counts:  # what was given is wrong, which is told
            raise Failed(parameter.name)
        size = str(counts[parameter.count])
        return (*labels, size + "'" if size in labels else size)

    def default_law(self, default: str, seen: Seen, home: KernelHome, span: Span) -> ir.Law:
        """The law of the library, with `input` and `outcome` measured on the data that it meets."""
        from mercer.dsl.parse import parse

        text = catalog.defaults()[default].law
        tilde = parse(f"it ~ {text}", "<library>").declarations[0]
        assert isinstance(tilde, syntax.Tilde)
        law = tilde.prior
        assert isinstance(law, syntax.Call) and isinstance(law.function, syntax.Name)
        entry = catalog.distributions()[law.function.id]
        values = {
            p.name: self.measured(a.value, seen, home, span)
            for p, a in zip(entry.parameters, law.arguments, strict=False)
        }
        return ir.Distribution(span, entry.name, values)

    def measured(
        self, node: syntax.Expression, seen: Seen, home: KernelHome, span: Span
    ) -> ir.Expr:
        match node:
            case syntax.Number():
                return self.one_number(node.value, span)
            case syntax.Name("input"):
                return self.spread_of_input(seen, home, span)
            case syntax.Name("outcome"):
                if home.outcome is None:
                    return self.one_number(1.0, span)
                kind = ValueType(Positive())
                return ir.Spread(kind, span, "outcome", home.outcome, home.link)
            case syntax.Call(syntax.Name(word), (argument,)):
                inside = self.measured(argument.value, seen, home, span)
                if isinstance(inside, ir.Constant) and word == "log" and inside.value == 1:
                    return self.one_number(0.0, span)
                return ir.Elementwise(ValueType(Real()), span, word, (inside,))
            case syntax.Binary(sign, left, right):
                word = {"/": "divide", "*": "multiply", "^": "power"}[sign]
                parts = [self.measured(n, seen, home, span) for n in (left, right)]
                ones = [isinstance(p, ir.Constant) and p.value == 1 for p in parts]
                if ones[1] or (ones[0] and word == "power"):
                    return parts[0]
                return ir.Elementwise(ValueType(Positive()), span, word, tuple(parts))
            case _:
                raise AssertionError(node)

    def spread_of_input(self, seen: Seen, home: KernelHome, span: Span) -> ir.Expr:
        """The spread of the rows of what the kernel sees; 1 where that is not data."""
        domain = home.kind.domain
        if isinstance(domain, Product):
            chosen = range(len(domain.factors)) if seen.factor is None else [seen.factor]
            if seen.factor is None and seen.coordinates is not None:
                chosen = list(seen.coordinates)
        else:
            chosen = [0]
        parts = [home.inputs[i] if i < len(home.inputs) else None for i in chosen]
        found = [p for p in parts if p is not None and not isinstance(p.type.space, Label)]
        if not found or len(found) != len(parts):
            return self.one_number(1.0, span)
        if len(found) == 1:
            return ir.Spread(ValueType(Positive()), span, "input", found[0])
        assert isinstance(domain, Product)
        product = Product(tuple(domain.factors[i] for i in chosen))
        kind = ValueType(product, self.ordered(d for p in found for d in p.type.dims))
        point = ir.Point(kind, span, tuple(found))
        return ir.Spread(ValueType(Positive()), span, "input", point)


def all_numbers(space: Product) -> bool:
    """Whether a kernel sees the product as one vector: a circle has a distance of its own."""
    return all(isinstance(f, Scalar) and not isinstance(f, Label | Circle) for f in space.factors)
