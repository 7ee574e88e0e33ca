"""The data that a random function meets: its inputs, its outcome, its place in a product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.expand import Push
from mercer.compiler.problems import Failed
from mercer.compiler.rules_kernels import KernelRules
from mercer.compiler.rules_signatures import nodes_in
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Constrained,
    FunctionType,
    Label,
    Product,
)
from mercer.stdlib import catalog


class ContextRules(KernelRules):
    def inputs_of(self, name: str, kind: FunctionType) -> tuple[ir.Expr | None, ...]:
        """For each factor of the domain the first data to which the function is applied."""
        factors = kind.domain.factors if isinstance(kind.domain, Product) else (kind.domain,)
        found: list[ir.Expr | None] = [None] * len(factors)
        for use in self.uses(name):
            try:
                values: list[ir.Expr] = self.each((a.value for a in use.arguments), self.value)
                reference = ir.FunctionRef(kind, use.span, name)
                if any(a.name for a in use.arguments):
                    values = self.by_name(reference, kind.domain, use.arguments, values, use.span)
                if len(values) == len(factors):
                    pairs = zip(values, factors, strict=True)
                    values = [self.as_point(value, factor, reference) for value, factor in pairs]
            except Failed:
                continue
            for position, value in enumerate(values[: len(factors)]):
                data = not self.random_names(value) and value.type.dims
                if found[position] is None and data and len(values) == len(factors):
                    found[position] = value
        return tuple(found)

    def outcome_of(self, name: str) -> tuple[ir.Expr | None, str]:
        """The first outcome that the function adds to, and its link."""
        for outcome, tilde in self.scoped.observations.items():
            if outcome in self.failed or not any(
                name in self.heads(call.function) for call in self.outer_calls(tilde.prior)
            ):
                continue
            try:
                seen = self.named(outcome, tilde.target.span)
            except Failed:
                continue
            if not isinstance(seen, ir.Expr) or not seen.type.dims:
                continue
            if isinstance(seen.type.space, Label | Constrained | Product):
                continue
            return seen, self.link_of(tilde.prior)
        return None, "identity"

    def link_of(self, node: syntax.Expression) -> str:
        if isinstance(node, Push):
            return self.link_of(node.base)
        if isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name):
            known = catalog.distributions().get(node.function.id)
            if known is not None:
                return known.link
            if node.arguments:
                return self.link_of(node.arguments[0].value)
        return "identity"

    def outer_calls(self, node: Any, depth: int = 0) -> Iterator[syntax.Call]:
        """Applications of unknown functions that are no argument of another (but a multilinear)."""
        if isinstance(node, syntax.Name) and node.id in self.scoped.definitions and depth < 30:
            yield from self.outer_calls(self.scoped.definitions[node.id].value, depth + 1)
        elif isinstance(node, syntax.Call):
            heads = {h for h in self.heads(node.function) if h in self.scoped.unknowns}
            functions = {h for h in heads if self.is_random_function(h)}
            if functions:
                yield node
                if not all(self.is_multilinear(h) for h in functions):
                    return
            yield from self.outer_calls(node.arguments, depth)
        elif isinstance(node, tuple):
            for item in node:
                yield from self.outer_calls(item, depth)
        elif isinstance(node, syntax.Node):
            for part in node.__dataclass_fields__:
                yield from self.outer_calls(getattr(node, part), depth)

    def is_multilinear(self, name: str) -> bool:
        prior = self.scoped.unknowns[name].prior
        return (
            isinstance(prior, syntax.Call)
            and isinstance(prior.function, syntax.Name)
            and prior.function.id in ("Multilinear", "Linear")
        )

    def is_later_mode(self, name: str) -> bool:
        """A mode of a Tucker decomposition that is not its first: its scale is 1."""
        for body in self.bodies():
            for node in nodes_in(body):
                if not (isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name)):
                    continue
                head = node.function.id
                if head not in self.scoped.unknowns or not self.is_multilinear(head):
                    continue
                prior = self.scoped.unknowns[head].prior
                if not isinstance(prior, syntax.Call) or not isinstance(
                    prior.function, syntax.Name
                ):
                    continue
                if prior.function.id != "Multilinear":
                    continue
                modes: list[str] = []
                for argument in node.arguments:
                    if isinstance(argument.value, syntax.Call):
                        modes += sorted(self.heads(argument.value.function))
                gps = [m for m in modes if m in self.scoped.unknowns and self.is_random_function(m)]
                if name in gps[1:] and name != gps[0]:
                    return True
        return False
