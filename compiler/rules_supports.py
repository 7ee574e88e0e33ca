"""The rules of supports: where a prior and its space meet, what an outcome may be."""

from __future__ import annotations

import math
import re

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, bounds_of, named_bounds, space_of, spoken
from mercer.compiler.rules_functions import FunctionRules
from mercer.dsl.spaces import (
    Bool,
    Circle,
    Constrained,
    Count,
    Dim,
    Label,
    Product,
    Real,
    Scalar,
    Space,
    Sphere,
    ValueType,
    Vector,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import DistributionEntry


class SupportRules(FunctionRules):
    def support(self, law: ir.Law) -> tuple[Space, bool]:
        """The space of a draw (`Real` where any space will do), and whether draws are discrete."""
        match law:
            case ir.Distribution(_, entry, arguments):
                known = catalog.distributions()[entry]
                if known.name == "Uniform":
                    ends = [arguments.get(n) for n in ("low", "high")]
                    low, high = (
                        e.value if isinstance(e, ir.Constant) else d if e is None else i
                        for e, d, i in zip(ends, (0.0, 1.0), (-math.inf, math.inf), strict=True)
                    )
                    return space_of(Bounds(low, high)), False
                return _support_space(known.support), known.is_discrete
            case ir.Truncated(_, base, low_end, high_end):
                space, discrete = self.support(base)
                inside = bounds_of(space)
                low = low_end.value if isinstance(low_end, ir.Constant) else -math.inf
                high = high_end.value if isinstance(high_end, ir.Constant) else math.inf
                if discrete or not isinstance(space, Scalar):
                    return space, discrete
                best = max(inside.low, low)
                is_open = inside.is_open and inside.low == best
                return space_of(Bounds(best, min(inside.high, high), is_open)), False
            case ir.Censored(_, base) | ir.Weighted(_, base):
                return self.support(base)
            case ir.Pushed(_, base, _, image):
                return image.type.space, self.support(base)[1]
            case _:
                return Real(), False

    def check_meeting(self, law: ir.Law, space: Space, span: Span, name: str) -> None:
        """The prior of an unknown gives mass to its space."""
        support, discrete = self.support(law)
        if is_flat(law):
            return
        finite = isinstance(space, Bool | Label | Count)
        mine, theirs = bounds_of(space), bounds_of(support)
        shaped = isinstance(space, Constrained) and space.kind in (
            "Simplex",
            "Correlation",
            "Covariance",
        )
        wrong = (
            finite != discrete
            or (isinstance(space, Label) != isinstance(support, Label))
            or max(mine.low, theirs.low) >= min(mine.high, theirs.high)
            or (isinstance(support, Constrained) and support.kind != getattr(space, "kind", None))
            or isinstance(support, Sphere) != isinstance(space, Sphere)
            or (shaped and not isinstance(support, Constrained))
        )
        if wrong:
            raise self.problems.report(
                "M219",
                f"`{name}` lies in `{space}`, where this prior has no density",
                law.span,
                why=f"Its draws are `{spoken(support)}`.",
                notes=((span, f"`{name}` is declared here"),),
            )

    def check_outcome(
        self, law: ir.Law, outcome: ir.Expr, declared: Space, span: Span, name: str
    ) -> None:
        """The space of an outcome lies in the support of its distribution.

        Where it is truncated says how data were collected: a `Real` may be what is above -2 of a
        Normal, and a value below has no density, which the start of a fit tells with its row.
        """
        support, discrete = self.support(untruncated(law))
        if isinstance(outcome, ir.Constant):
            fits = Bounds(outcome.value, outcome.value).within(bounds_of(support))
            declared = outcome.type.space
            low = bounds_of(support)
            fits = (
                fits
                and not (low.is_open and outcome.value == low.low)
                and not isinstance(support, Label)
            )
        elif isinstance(declared, Circle) and declared != Circle():
            # A law of angles is one in radians.
            known = catalog.distributions().get(show_law(law))
            fits = known is None or known.support != "Circle"
            support = support if fits else Circle()
        elif isinstance(support, Sphere):
            fits = isinstance(declared, Sphere)
        elif isinstance(declared, Label) or isinstance(support, Label):
            fits = isinstance(declared, Label) and isinstance(support, Label)
        elif isinstance(support, Constrained):
            fits = isinstance(declared, Constrained) and declared.kind == support.kind
        elif isinstance(declared, Constrained | Product):
            fits = not isinstance(declared, Product)
        elif discrete and not isinstance(outcome, ir.Ref):
            fits = True
        else:
            base = declared.base if isinstance(declared, Vector) else declared
            computed = name in self.scoped.definitions
            fits = bounds_of(base).within(bounds_of(support)) or computed
            fits = fits and not (
                bounds_of(support).is_open and isinstance(base, Count | Bool) and not computed
            )
            if discrete and not computed:
                fits = isinstance(base, Bool) or (
                    isinstance(base, Count) and isinstance(support, Count)
                )
        if not fits:
            entry = show_law(law)
            raise self.problems.report(
                "M218",
                f"`{name}` is `{declared}`, and the draws of `{entry}` are `{spoken(support)}`",
                span,
                mend=f"declare `data {name} : {_declared(support)}` if its values are, "
                "or choose another distribution"
                if name in self.scoped.data and not isinstance(support, Label)
                else None,
                notes=self.notes(name),
            )


def show_law(law: ir.Law) -> str:
    match law:
        case ir.Distribution(_, entry):
            return entry
        case ir.Truncated(_, base) | ir.Censored(_, base) | ir.Weighted(_, base):
            return show_law(base)
        case _:
            return "this distribution"


def untruncated(law: ir.Law) -> ir.Law:
    return untruncated(law.base) if isinstance(law, ir.Truncated) else law


def is_flat(law: ir.Law) -> bool:
    return isinstance(law, ir.Distribution) and law.entry == "Flat"


def _support_space(text: str) -> Space:
    if text == "Sphere":
        return Sphere(2)
    base, _, power = text.partition("^")
    if base == "any":
        return Real()
    found = re.fullmatch(r"(\w+)\(k\)", base)
    if found:
        return Label("k") if found[1] == "Label" else Constrained(found[1], "k")
    if base == "Count":
        return Count()
    if base == "Bool":
        return Bool()
    return Real() if power and base == "Real" else space_of(named_bounds(base))


def known_type(entry: DistributionEntry, indices: tuple[Dim, ...]) -> ValueType | None:
    """The type of an unknown without a space, where its distribution says it."""
    if entry.event or "(" in entry.support and not entry.support.startswith("Interval"):
        return None
    return value_type(_support_space(entry.support), indices)


def _declared(support: Space) -> str:
    """A space to declare data in that lies in the support."""
    inside = bounds_of(support)
    return (
        "Positive"
        if inside.low == 0 and inside.high == math.inf and not isinstance(support, Count)
        else spoken(support)
    )
