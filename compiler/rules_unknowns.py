"""The rules of unknown values: their types, spaces and priors."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, space_of
from mercer.compiler.expand import Push
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_data import DataRules
from mercer.compiler.rules_supports import known_type
from mercer.compiler.walk import children, nodes
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    Interval,
    Space,
    ValueType,
    Vector,
    value_type,
)
from mercer.stdlib import catalog


class UnknownRules(DataRules):
    def target_dims(self, target: syntax.Target) -> tuple[Dim, ...]:
        pairs = list(zip(target.indices, target.index_spans, strict=True))
        dims = tuple(self.each(pairs, lambda pair: self.index(*pair)))
        repeated = [d for d in dims if dims.count(d) > 1]
        if repeated:
            raise self.twice(repeated[0], target.span)
        return dims

    def type_of(self, name: str) -> ValueType:
        """The type of an unknown value: as written, or as its distribution says."""
        if name in self.types:
            return self.types[name]
        if name in self.failed:
            raise Failed(name)
        try:
            self.types[name] = self.unknown_type(name)
        except Failed:
            self.failed.add(name)
            raise
        return self.types[name]

    def unknown_type(self, name: str) -> ValueType:
        tilde = self.scoped.unknowns[name]
        dims = self.target_dims(tilde.target)
        if tilde.signature is not None:
            space = self.space(tilde.signature.codomain)
            kind = value_type(space, dims)
            repeated = [d for d in kind.dims if kind.dims.count(d) > 1]
            if repeated:
                raise self.twice(repeated[0], tilde.signature.span)
            return kind
        node = tilde.prior
        while (
            isinstance(node, syntax.Call)
            and isinstance(node.function, syntax.Name)
            and (node.function.id in ("Truncated", "Censored", "Weighted") and node.arguments)
        ):
            node = node.arguments[0].value
        if isinstance(node, Push):
            image = self.law(node, Home(name, dims), None)
            assert isinstance(image, ir.Pushed)
            return ValueType(image.image.type.space, dims)
        word = node.function.id if isinstance(node, syntax.Call) and isinstance(
            node.function, syntax.Name
        ) else ""  # fmt: skip
        entry = catalog.distributions().get(word)
        if entry is None:
            self.law(tilde.prior, Home(name, dims), None)
            raise Failed(name)
        if word == "Uniform" and isinstance(node, syntax.Call):
            ends = [a.value.value for a in node.arguments if isinstance(a.value, syntax.Number)]
            if len(ends) == 2:
                return ValueType(space_of(Bounds(ends[0], ends[1])), dims)
            return ValueType(space_of(Bounds()), dims)
        kind_known = known_type(entry, dims)
        if kind_known is None:
            example = entry.support.replace("(k)", "(k)")
            raise self.problems.report(
                "M242",
                f"the space of `{name}` must be written",
                tilde.target.span,
                why=f"`{word}` draws from `{example}`, and nothing says over which index.",
                mend=f"write `{name} : {example} ~ ...`",
            )
        return kind_known

    def unknown_declared(self, name: str) -> None:
        if self.is_random_function(name):
            self.function_declared(name)
            return
        tilde = self.scoped.unknowns[name]
        kind = self.type_of(name)
        space: Space = kind.space
        if tilde.signature is not None:
            space = self.space(tilde.signature.codomain)
        home = Home(name, kind.dims, parts=in_place_parts(tilde.prior))
        low, high = self.interval_ends(tilde.signature, kind, home)
        law = self.law(tilde.prior, home, kind)
        self.check_meeting(
            law, kind.space if isinstance(space, Vector) else space, tilde.target.span, name
        )
        if any(isinstance(n, ir.Lag) for n in nodes(law)) and self.is_absent(law):
            raise self.problems.report(
                "M234",
                f"the prior of `{name}` is absent before the first row",
                tilde.prior.span,
                mend="say what it is there: `... else p0`",
            )
        self.unknowns[name] = ir.Unknown(
            name, tilde.target.span, tilde.doc, kind, space, law, low, high
        )

    def interval_ends(
        self, signature: syntax.Signature | None, kind: ValueType, home: Home
    ) -> tuple[ir.Expr | None, ir.Expr | None]:
        if not isinstance(kind.space, Interval) or signature is None:
            return None, None
        node = signature.codomain
        if isinstance(node, syntax.Binary):
            node = node.left
        if not isinstance(node, syntax.Call):
            return None, None
        low, high = self.each((a.value for a in node.arguments), self.value)
        for end in (low, high):
            self.refuse_indices(end, kind, set(), home)
        return low, high

    def is_absent(self, node: object) -> bool:
        """Whether `node` has no value before the first row."""
        match node:
            case ir.Lag():
                return True
            case ir.Else(_, _, _, second):
                return self.is_absent(second)
            case ir.Law() | ir.Expr() | ir.FunctionExpr():
                return any(self.is_absent(c) for c in children(node))
            case _:
                return False
