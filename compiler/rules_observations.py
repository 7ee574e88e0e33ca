"""The rules of observations: what may be observed, at which rows."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home, Thing
from mercer.compiler.problems import quoted
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_definitions import DefinitionRules
from mercer.dsl.spaces import (
    Dim,
    ValueType,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class ObservationRules(DefinitionRules):
    def observation_declared(self, name: str) -> None:
        tilde = self.scoped.observations[name]
        span = tilde.target.span
        if tilde.signature is not None:
            self.problems.report(
                "M248",
                f"the space of `{name}` is that of its declaration",
                tilde.signature.span,
                mend=f"write `{name} ~ ...`",
                notes=self.notes(name),
            )
        known = name not in self.failed
        outcome: ir.Expr | None = None
        if known:
            found = self.named(name, span)
            if isinstance(found, ir.FunctionExpr):
                raise self.problems.report(
                    "M237", f"`{name}` is a function, and only data are observed", span,
                    mend=f"observe its values: `zero = 0`, then `zero ~ Normal({name}(x), 0.01)`",
                    notes=self.notes(name),
                )  # fmt: skip
            outcome = found
        if outcome is not None and name in self.definitions:
            random = sorted(self.random_names(self.definitions[name].value))
        if outcome is not None and name in self.definitions and not self.definitions[name].is_data:
            raise self.problems.report(
                "M237",
                f"`{name}` is defined from unknowns, and only data are observed",
                span,
                why=f"It depends on {quoted(random)}.",
                mend="write the `~` for the data, with this on the right",
                notes=self.notes(name),
            )
        wanted = None if outcome is None else outcome.type
        if wanted is not None and tilde.target.indices:
            indices = [d for d in wanted.dims if not d.isdigit()]
            if set(tilde.target.indices) - set(indices):
                raise self.problems.report(
                    "M247",
                    f"`{name}` has {'the indices ' + quoted(indices) if indices else 'no index'}",
                    span,
                    mend=f"write `{name} ~ ...`",
                    notes=self.notes(name),
                )
        constant = self.constant_of(name, outcome)
        if constant is not None:
            wanted = None
        dims = wanted.dims if wanted is not None else ()
        home = Home(name, dims, parts=in_place_parts(tilde.prior))
        law = self.law(tilde.prior, home, wanted)
        if outcome is None:
            return
        kind = outcome.type
        if constant is not None:
            kind = ValueType(kind.space, self.law_dims(law))
        if name in self.data:
            declared = self.data[name].space
        else:
            declared = kind.space
        place = Span(span.file, span.line, span.column, span.line, span.column + len(name))
        self.check_outcome(law, constant or outcome, declared, place, name)
        self.observations[name] = ir.Observation(name, span, tilde.doc, kind, law)

    def constant_of(self, name: str, outcome: Thing | None) -> ir.Constant | None:
        """The number that is observed at every row, where the outcome is one."""
        if outcome is None or name not in self.definitions:
            return None
        value = self.definitions[name].value
        if isinstance(value, ir.Constant) and not self.definitions[name].type.dims:
            return value
        return None

    def law_dims(self, law: ir.Law) -> tuple[Dim, ...]:
        """The rows at which a constant is observed: the indices of the parameters."""
        match law:
            case ir.Distribution(_, entry, arguments):
                word = catalog.distributions()[entry]
                dims: list[Dim] = []
                for name, value in arguments.items():
                    parameter = word.parameter(name)
                    vector = parameter is not None and (
                        "(k)" in parameter.space or "^k" in parameter.space
                    )
                    dims += value.type.indices if vector else value.type.dims
                return self.ordered(dims)
            case ir.Pushed(_, base, _, _) | ir.Truncated(_, base) | ir.Censored(_, base):
                return self.law_dims(base)
            case ir.Weighted(_, base, weight):
                return self.ordered([*self.law_dims(base), *weight.type.dims])
            case _:
                return ()
