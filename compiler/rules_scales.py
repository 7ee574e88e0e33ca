"""The rules of scales: of those that would only multiply one another one is declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mercer.compiler.rules_laws import LawRules
from mercer.dsl import syntax
from mercer.stdlib import catalog


class ScaleRules(LawRules):
    def leaves_of(self, node: Any, follow: bool = True, depth: int = 0) -> Iterator[syntax.Call]:
        """The calls of kernels in `node`; `follow` goes into definitions."""
        match node:
            case syntax.Call(syntax.Name(name), arguments):
                if name in catalog.priors() and depth == 0:
                    words = [p.name for p in catalog.priors()[name].parameters]
                    for position, argument in enumerate(arguments):
                        word = argument.name or (words[position] if position < len(words) else "")
                        if word in ("kernel", "outputs"):
                            yield from self.leaves_of(argument.value, follow, depth + 1)
                elif name in catalog.kernels():
                    yield node
                    for argument in arguments:
                        yield from self.leaves_of(argument.value, follow, depth + 1)
            case syntax.Lookup(base):
                yield from self.leaves_of(base, follow, depth + 1)
            case syntax.Binary(_, left, right):
                yield from self.leaves_of(left, follow, depth + 1)
                yield from self.leaves_of(right, follow, depth + 1)
            case syntax.Name(name) if follow and name in self.scoped.definitions and depth < 40:
                yield from self.leaves_of(self.scoped.definitions[name].value, follow, depth + 1)

    def free_scales(self, node: syntax.Expression, fixed: bool = False) -> Iterator[int]:
        """The leaves whose scale is unknown: of scales that multiply one is declared."""
        match node:
            case syntax.Call(syntax.Name(name), arguments) if self.is_made_of_kernels(name):
                entry = catalog.kernels()[name]
                for argument in arguments:
                    known = entry.parameter(argument.name) if argument.name else None
                    if known is None or known.space == "Kernel":
                        yield from self.free_scales(argument.value, fixed)
            case syntax.Call(syntax.Name(name), arguments) if name in catalog.kernels():
                if not fixed and not any(a.name == "scale" for a in arguments):
                    yield id(node)
            case syntax.Binary("+", left, right):
                yield from self.free_scales(left, fixed)
                yield from self.free_scales(right, fixed)
            case syntax.Binary("*", left, right) if self.is_kernel(left) and self.is_kernel(right):
                leaves = list(self.leaves_of(node))
                given = any(a.name == "scale" for leaf in leaves for a in leaf.arguments)
                label = any(self.is_label_kernel(leaf) for leaf in leaves)
                scaled = any(self.is_scaled(part) for part in (left, right))
                if not (fixed or given or label or scaled):
                    able = [leaf for leaf in leaves if self.has_scale(leaf)]
                    yield from (id(leaf) for leaf in able[:1])
            case syntax.Binary("*", left, right):
                yield from self.free_scales(left if self.is_kernel(left) else right, True)
            case syntax.Binary("^", base, _):
                yield from self.free_scales(base, fixed)
            case syntax.Lookup(base):
                yield from self.free_scales(base, fixed)
            case syntax.Name(name) if name in self.scoped.definitions:
                yield from self.free_scales(self.scoped.definitions[name].value, fixed)

    def is_made_of_kernels(self, name: str) -> bool:
        """A kernel of kernels, which has the scales of those: `Invariant`, `Helmholtz`."""
        entry = catalog.kernels().get(name)
        return entry is not None and any(p.space == "Kernel" for p in entry.parameters)

    def is_scaled(self, node: syntax.Expression) -> bool:
        match node:
            case syntax.Lookup(base):
                return self.is_scaled(base)
            case syntax.Binary("*", left, right):
                if self.is_kernel(left) and self.is_kernel(right):
                    return self.is_scaled(left) or self.is_scaled(right)
                return True
            case syntax.Name(name) if name in self.scoped.definitions:
                return self.is_scaled(self.scoped.definitions[name].value)
            case _:
                return False

    def is_label_kernel(self, leaf: syntax.Call) -> bool:
        return isinstance(leaf.function, syntax.Name) and (
            catalog.kernels()[leaf.function.id].input == "label"
        )

    def has_scale(self, leaf: syntax.Call) -> bool:
        assert isinstance(leaf.function, syntax.Name)
        return catalog.kernels()[leaf.function.id].parameter("scale") is not None

    def is_kernel(self, node: syntax.Expression, depth: int = 0) -> bool:
        match node:
            case syntax.Call(syntax.Name(name)):
                applied = name in self.scoped.unknowns and self.is_random_function(name)
                return name in catalog.kernels() and not applied
            case syntax.Lookup(base):
                return self.is_kernel(base, depth)
            case syntax.Binary("+" | "*", left, right):
                return self.is_kernel(left, depth) or self.is_kernel(right, depth)
            case syntax.Binary("^", base, _):
                return self.is_kernel(base, depth)
            case syntax.Name(name) if name in self.scoped.definitions and depth < 20:
                return self.is_kernel(self.scoped.definitions[name].value, depth + 1)
            case _:
                return False
