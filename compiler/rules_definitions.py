"""The rules of definitions, recurrences among them."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.expand import Push
from mercer.compiler.problems import Failed, quoted
from mercer.compiler.rules_unknowns import UnknownRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    ValueType,
)
from mercer.stdlib import catalog


class DefinitionRules(UnknownRules):
    def definition_declared(self, name: str) -> None:
        if name in self.things or name in self.shapes:
            return
        if name in self.failed:
            raise Failed(name)
        declaration = self.scoped.definitions[name]
        if self.is_shape(name):
            self.shape(name)
            return
        if self.is_kernel(declaration.value):
            return  # checked where a function uses it
        self.busy.append(name)
        try:
            self.refuse_distribution(declaration)
            dims = self.target_dims(declaration.target)
            thing = self.listed(declaration, dims) or self.thing(declaration.value)
            if isinstance(thing, ir.Integral):
                thing = self.apply(thing, (), declaration.value.span)
            if isinstance(thing, ir.FunctionExpr):
                self.things[name] = thing
                return
            if isinstance(thing, ir.Text):
                raise self.problems.report("M251", "a string is no value", declaration.value.span)
            kind = self.defined_type(declaration, thing, dims)
        except Failed:
            self.failed.add(name)
            raise
        finally:
            self.busy.pop()
        span = declaration.target.span
        is_data = not (self.random_names(thing) - {name})
        self.definitions[name] = ir.Definition(name, span, declaration.doc, kind, thing, is_data)
        self.things[name] = ir.Ref(kind, span, name)

    def refuse_distribution(self, declaration: syntax.Define) -> None:
        node = declaration.value
        head = node.function if isinstance(node, syntax.Call) else node
        if isinstance(node, Push) or (
            isinstance(head, syntax.Name)
            and isinstance(node, syntax.Call)
            and not self.is_user_name(head.id)
            and (head.id in catalog.distributions() or head.id in catalog.priors())
        ):
            raise self.problems.report(
                "M215",
                "a distribution is no value",
                node.span,
                why="`=` defines, `~` draws.",
                mend=f"write `{declaration.target.name} ~ ...`",
            )

    def listed(self, declaration: syntax.Define, dims: tuple[Dim, ...]) -> ir.Expr | None:
        """`m[k] = [3, 10]`: a list takes the one index there."""
        node = declaration.value
        if not isinstance(node, syntax.List):
            return None
        if len(dims) != 1:
            raise self.problems.report(
                "M247",
                "a list needs one index",
                declaration.target.span,
                mend=f"write `{declaration.target.name}[k] = [...]`, with `index k = ...`",
            )
        stack = self.value(node)
        assert isinstance(stack, ir.Stack)
        known = self.indices[dims[0].rstrip("'")].labels
        if known is not None and len(known) != len(stack.parts):
            raise self.problems.report(
                "M247",
                f"`{dims[0]}` has {len(known)} labels, and the list {len(stack.parts)}",
                node.span,
                notes=((self.scoped.dims[dims[0]], f"`{dims[0]}` is declared here"),),
            )
        parts = [d for p in stack.parts for d in p.type.dims]
        kind = ValueType(stack.type.space, self.ordered([*dims, *parts]))
        return ir.Stack(kind, node.span, dims[0], stack.parts)

    def defined_type(
        self, declaration: syntax.Define, value: ir.Expr, dims: tuple[Dim, ...]
    ) -> ValueType:
        if not declaration.target.indices:
            return value.type
        name = declaration.target.name
        extra = [d for d in value.type.dims if d not in dims and d not in value.type.coordinates]
        if extra:
            raise self.problems.report(
                "M247",
                f"the value of `{name}` has the index `{extra[0]}`, which `{name}` does not have",
                declaration.value.span,
                why=f"`{name}` has the indices {quoted(dims)}.",
                mend=f"write `{name}[{', '.join((*dims, extra[0]))}]`, or leave the brackets out",
            )
        coordinates = tuple(c for c in value.type.coordinates)
        rest = tuple(c for c in coordinates if c not in dims)
        return ValueType(value.type.space, (*dims, *rest), coordinates)
