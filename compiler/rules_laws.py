"""The rules of distributions: wrapped, transformed, each argument in its space."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.bounds import bounds_of
from mercer.compiler.expand import Push
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_arguments import ArgumentRules
from mercer.compiler.walk import nodes
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Real,
    ValueType,
)
from mercer.stdlib import catalog

WRAPPERS: dict[str, tuple[str, ...]] = {
    "Truncated": ("low", "high"),
    "Censored": ("below", "above"),
    "Weighted": ("weight",),
}


class LawRules(ArgumentRules):
    def law(self, node: syntax.Expression, home: Home, wanted: ValueType | None) -> ir.Law:
        match node:
            case Push():
                return self.pushed(node, home, wanted)
            case syntax.Call(syntax.Name(name), _) if name in WRAPPERS:
                return self.wrapped(name, node, home, wanted)
            case syntax.Call(syntax.Name(name)) if name in catalog.distributions():
                return self.distribution(catalog.distributions()[name], node, home, wanted)
            case syntax.Name(name) if name in catalog.distributions() or name in WRAPPERS:
                raise self.problems.report(
                    "M214",
                    f"`{name}` needs its arguments",
                    node.span,
                    mend=f"write `{name}(...)`",
                )
            case syntax.Call(syntax.Name(name), _) if not self.is_user_name(name):
                words = [*catalog.distributions(), *WRAPPERS, *catalog.priors()]
                if name in catalog.priors():
                    raise self.problems.report(
                        "M214",
                        f"`{name}` is a prior of functions, and a distribution is expected here",
                        node.function.span,
                    )
                if self.scoped.is_partial and name not in catalog.kernels():
                    raise Failed(name)
                raise self.problems.report(
                    "M214",
                    f"there is no distribution `{name}`",
                    node.function.span,
                    mend=meant(name, words, "distributions have NumPyro's names"),
                )
            case _:
                raise self.problems.report(
                    "M214",
                    "a distribution is expected after `~`",
                    node.span,
                    mend="an equation is written with `=`",
                )

    def pushed(self, node: Push, home: Home, wanted: ValueType | None) -> ir.Law:
        inner = None if wanted is None else ValueType(Real(), wanted.dims, wanted.coordinates)
        base = self.law(node.base, home, inner)
        space, _ = self.support(base)
        kind = inner or ValueType(Real())
        kind = ValueType(space, kind.dims, kind.coordinates)
        self.things[node.variable] = ir.Ref(kind, node.base.span, node.variable)
        image = self.value(node.image)
        if self.is_falling(image, node.variable):
            raise self.problems.report(
                "M252",
                "only an increasing or decreasing function carries a distribution",
                node.span,
                why="The law of `g` of a draw is known where `g` can be undone.",
            )
        self.refuse_indices(image, wanted, set(), home)
        return ir.Pushed(node.span, base, node.variable, image)

    def is_falling(self, image: ir.Expr, variable: str) -> bool:
        """A word of no monotone kind is applied to the draw itself."""
        table = catalog.elementwise()
        return any(
            isinstance(n, ir.Elementwise)
            and len(n.arguments) == 1
            and isinstance(n.arguments[0], ir.Ref)
            and n.arguments[0].name == variable
            and n.function in table
            and table[n.function].monotone == 0
            and not (
                n.function in ("abs", "relu") and bounds_of(n.arguments[0].type.space).low >= 0
            )
            for n in nodes(image)
        )

    def wrapped(self, name: str, node: syntax.Call, home: Home, wanted: ValueType | None) -> ir.Law:
        words = ("distribution", *WRAPPERS[name])
        given: dict[str, syntax.Argument] = {}
        for position, argument in enumerate(node.arguments):
            word = argument.name or (words[position] if position < len(words) else "")
            if word not in words:
                raise self.problems.report(
                    "M210" if argument.name else "M211",
                    f"`{name}` has no argument `{word}`"
                    if word
                    else f"`{name}` has too many arguments",
                    argument.name_span or argument.span,
                    mend=meant(word, words, f"write `{name}({', '.join(words)})`"),
                )
            given[word] = argument
        if "distribution" not in given or len(given) < 2:
            raise self.problems.report(
                "M213",
                f"`{name}` needs a distribution and {quoted(WRAPPERS[name])}",
                node.span,
                mend=f"write `{name}({', '.join(words)})`",
            )
        base = self.law(given.pop("distribution").value, home, wanted)
        values: dict[str, ir.Expr] = {}
        for word, argument in given.items():
            if argument.operator == "~":
                values[word] = self.in_place(argument, name, "Real", home)
            else:
                values[word] = self.value(argument.value)
            self.refuse_indices(values[word], wanted, set(), home)
            if name == "Weighted":
                self.require(values[word], "NonNegative", "a weight")
        match name:
            case "Truncated":
                return ir.Truncated(node.span, base, values.get("low"), values.get("high"))
            case "Censored":
                return ir.Censored(node.span, base, values.get("below"), values.get("above"))
            case _:
                return ir.Weighted(node.span, base, values["weight"])
