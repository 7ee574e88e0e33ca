"""The rules of calls: functions of the model, words of the library."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.judge import Thing
from mercer.compiler.problems import Failed
from mercer.compiler.rules_derivatives import DerivativeRules
from mercer.dsl import syntax
from mercer.dsl.spaces import Field, Real, ValueType
from mercer.dsl.span import Span
from mercer.stdlib import catalog

OPERATORS = ("D", "Laplacian", "Integral")
OVER_FIELDS = ("pool", "peak", "normalize")


class FunctionRules(DerivativeRules):
    def called(self, node: syntax.Call) -> Thing:
        head = node.function
        if isinstance(head, syntax.Name) and not self.is_user_name(head.id):
            return self.word_called(head.id, node)
        if isinstance(head, syntax.Name) and not self.is_function(head.id):
            name = head.id
            if name in catalog.reductions() or name in catalog.elementwise() or name in OPERATORS:
                return self.word_called(name, node)
        function = self.thing(head)
        if not isinstance(function, ir.FunctionExpr):
            text = head.id if isinstance(head, syntax.Name) else "this"
            raise self.problems.report(
                "M225",
                f"`{text}` is no function, it is a value of type `{function.type}`",
                head.span,
                mend=f"look up by label with brackets: `{text}[...]`",
                notes=self.notes(text),
            )
        return self.call(function, node.arguments, node.span)

    def is_function(self, name: str) -> bool:
        if name in self.scoped.definitions:
            return name in self.failed or isinstance(
                self.named(name, self.places(name)), ir.FunctionExpr
            )
        return name in self.failed or name in self.scoped.unknowns and self.is_random_function(name)

    def is_random_function(self, name: str) -> bool:
        """An unknown with a function signature, or a function prior after its `~`."""
        tilde = self.scoped.unknowns[name]
        if tilde.signature is not None:
            return tilde.signature.domain is not None
        prior = tilde.prior
        return (
            isinstance(prior, syntax.Call)
            and isinstance(prior.function, syntax.Name)
            and prior.function.id in catalog.priors()
            and prior.function.id not in catalog.distributions()
        )

    def word_called(self, name: str, node: syntax.Call) -> Thing:
        if name in catalog.reductions():
            return self.reduction(name, node)
        if name == "standardize":
            x = self.value(self.one(name, node))
            mean, spread = (
                self.reduced(w, x, x.type.dims, None, node.span) for w in ("mean", "sd")
            )
            centred = self.calculate("subtract", (x, mean), node.span)
            return self.calculate("divide", (centred, spread), node.span)
        if name == "D":
            return self.derivative(node)
        if name == "Laplacian":
            return self.laplacian(self.function(self.one(name, node)), node.span)
        if name == "Integral":
            return self.integral(node)
        if name in catalog.elementwise():
            entry = catalog.elementwise()[name]
            for argument in node.arguments:
                if argument.name is not None:
                    raise self.problems.report(
                        "M210",
                        f"arguments of `{name}` have no names",
                        argument.span,
                        mend=f"write `{name}(...)` with {entry.arity} in order",
                    )
            if entry.arity not in (-1, len(node.arguments)):
                raise self.problems.report(
                    "M211",
                    f"`{name}` takes {entry.arity} argument{'s' * (entry.arity != 1)}, "
                    f"and {len(node.arguments)} came",
                    node.span,
                )
            arguments = self.each((a.value for a in node.arguments), self.thing)
            return self.lift(name, tuple(arguments), node.span)
        if name == "centre":
            return self.centred(self.value(self.one(name, node)), node.span)
        if name in OVER_FIELDS:
            return self.over_field(name, self.value(self.one(name, node)), node.span)
        assert isinstance(node.function, syntax.Name)
        for argument in node.arguments:
            try:
                self.thing(argument.value)
            except Failed:
                continue
        raise self.unknown_name(name, node.function.span)

    def one(self, name: str, node: syntax.Call) -> syntax.Expression:
        if len(node.arguments) != 1 or node.arguments[0].name is not None:
            raise self.problems.report("M211", f"`{name}` takes one argument", node.span)
        return node.arguments[0].value

    def centred(self, image: ir.Expr, span: Span) -> ir.Expr:
        kind = image.type
        own = kind.coordinates
        if not (isinstance(kind.space, Real) and len(own) == 2 and _sizes(own)):
            raise self.problems.report(
                "M221",
                f"`centre` takes an image, and this is `{kind}`",
                image.span,
                mend="declare it as one of one channel: `data image[n] : Image(28, 28)`",
            )
        return ir.Centred(kind, span, image)

    def over_field(self, word: str, field: ir.Expr, span: Span) -> ir.Expr:
        """A word over the plane and the group: the mean or the largest value of each channel, one
        number for each; or the field with mean 0 and mean square 1."""
        space = field.type.space
        if not isinstance(space, Field):
            raise self.problems.report(
                "M221", f"`{word}` takes a field, and this is `{field.type}`", field.span
            )
        kind = field.type
        if word != "normalize":
            dim = str(space.channels)
            if dim in kind.dims:
                raise self.problems.report(
                    "M221", f"the field has the index `{dim}`, and so has its value", span
                )
            kind = ValueType(Real(), self.ordered([*kind.dims, dim]), (*kind.coordinates, dim))
        return ir.OverField(kind, span, word, field)


def _sizes(dims: tuple[str, ...]) -> bool:
    return all(d.rstrip("'").isdigit() for d in dims)
