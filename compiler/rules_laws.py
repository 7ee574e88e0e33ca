"""The rules of distributions: arguments, priors in place, supports, the indices of an outcome."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, bounds_of, named_bounds, space_of, spoken
from mercer.compiler.expand import Push
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_functions import FunctionRules
from mercer.compiler.walk import nodes
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Bool,
    Constrained,
    Count,
    Dim,
    Label,
    Product,
    Real,
    Scalar,
    Space,
    ValueType,
    Vector,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import DistributionEntry, Entry, Parameter

WRAPPERS: dict[str, tuple[str, ...]] = {
    "Truncated": ("low", "high"),
    "Censored": ("below", "above"),
    "Weighted": ("weight",),
}


class LawRules(FunctionRules):
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

    # --- arguments ---------------------------------------------------------------------------

    def bind(
        self, entry: Entry, arguments: Sequence[syntax.Argument], span: Span
    ) -> dict[str, syntax.Argument]:
        """Each argument with the name of its parameter; typing errors are told all at once."""
        names = [p.name for p in entry.parameters]
        bound: dict[str, syntax.Argument] = {}
        failed = False
        for position, argument in enumerate(arguments):
            name = argument.name
            if name is None:
                if position >= len(names):
                    takes = (
                        f"{len(names)} argument{'s' * (len(names) != 1)}"
                        if names
                        else "no arguments"
                    )
                    raise self.problems.report(
                        "M211",
                        f"`{entry.name}` takes {takes}, and {len(arguments)} came",
                        argument.span,
                        mend=f"its arguments are {', '.join(names)}" if names else None,
                    )
                name = names[position]
            elif name not in names:
                self.problems.report(
                    "M210",
                    f"`{entry.name}` has no argument `{name}`",
                    argument.name_span or argument.span,
                    mend=meant(
                        name,
                        names,
                        f"its arguments are {', '.join(names)}" if names else "it takes none",
                    ),
                )
                failed = True
                continue
            if name in bound:
                raise self.problems.report("M212", f"`{name}` is given twice", argument.span)
            bound[name] = argument
        if failed:
            raise Failed(entry.name)
        missing = [
            p.name
            for p in entry.parameters
            if p.required and p.default is None and p.name not in bound
        ]
        if missing:
            raise self.problems.report(
                "M213",
                f"`{entry.name}` needs {quoted(missing)}",
                span,
                mend=f"write `{entry.name}({', '.join(names)})`",
            )
        return bound

    def distribution(
        self,
        entry: DistributionEntry,
        node: syntax.Call,
        home: Home,
        wanted: ValueType | None,
    ) -> ir.Distribution:
        bound = self.bind(entry, node.arguments, node.span)
        for group in entry.alternatives:
            given = [n for n in group if n in bound]
            if len(given) != 1:
                raise self.problems.report(
                    "M212" if given else "M213",
                    f"`{entry.name}` takes one of {quoted(group)}"
                    + (f", and {quoted(given)} came" if given else ""),
                    node.span,
                )
        arguments = dict(
            self.each(bound.items(), lambda item: self.law_argument(entry, item, home, wanted))
        )
        return ir.Distribution(node.span, entry.name, arguments)

    def law_argument(
        self,
        entry: DistributionEntry,
        item: tuple[str, syntax.Argument],
        home: Home,
        wanted: ValueType | None,
    ) -> tuple[str, ir.Expr]:
        name, argument = item
        parameter = entry.parameter(name)
        assert parameter is not None
        if argument.operator == "~":
            value = self.in_place(argument, entry.name, parameter.space, home)
        else:
            value = self.plain(argument)
        event: set[Dim] = set()
        vector = re.search(r"\^k|\(k\)", parameter.space) is not None
        if vector:
            value, event = self.event_dims(value, wanted, entry, parameter)
        elif entry.event and wanted is not None and wanted.coordinates:
            event = set()
        if isinstance(value, ir.Text):
            raise self.problems.report("M251", f"`{name}` is no string", value.span)
        if isinstance(value.type.space, Product):
            raise self.problems.report(
                "M251", f"`{name}` is a number, and this is `{value.type}`", value.span
            )
        self.refuse_indices(value, wanted, event, home)
        if not re.match(r"Simplex|Ordered|Covariance|Correlation|Matrix", parameter.space):
            self.require(value, parameter.space.split("^")[0], f"`{name}` of `{entry.name}`")
        return name, value

    def plain(self, argument: syntax.Argument) -> ir.Expr:
        """The value of an argument; a distribution there is a mistake of its own."""
        node = argument.value
        if (
            isinstance(node, syntax.Call)
            and isinstance(node.function, syntax.Name)
            and node.function.id in catalog.distributions()
            and not self.is_user_name(node.function.id)
        ):
            name = argument.name or "name"
            raise self.problems.report(
                "M215",
                "a distribution is no value",
                node.span,
                why="`=` fixes an argument; `~` makes it an unknown.",
                mend=f"write `{name} ~ {node.function.id}(...)`",
            )
        return self.value(node)

    def event_dims(
        self,
        value: ir.Expr,
        wanted: ValueType | None,
        entry: DistributionEntry,
        parameter: Parameter,
    ) -> tuple[ir.Expr, set[Dim]]:
        """The dims that belong to one draw, under the names that the outcome gives them."""
        if wanted is None:
            return value, set(value.type.coordinates)
        space = wanted.space
        if isinstance(space, Label) and not parameter.space.startswith("Ordered"):
            k = space.index
            primed = k + "'"
            if k not in value.type.dims and primed in value.type.dims:
                value = self.renamed(value, primed, k, value.span)
            if k not in value.type.dims:
                raise self.problems.report(
                    "M251",
                    f"`{parameter.name}` needs one number for each label of `{k}`",
                    value.span,
                    why=f"This is `{value.type}`.",
                    mend=f"declare it with that index: `p : Simplex({k}) ~ Dirichlet(1)`",
                )
            return value, {k}
        extra = {d for d in value.type.coordinates if d not in wanted.dims}
        if "Matrix" in parameter.space or "Covariance" in parameter.space:
            extra |= {d + "'" for d in wanted.coordinates}
        return value, extra

    def refuse_indices(
        self, value: ir.Expr, wanted: ValueType | None, event: set[Dim], home: Home
    ) -> None:
        if wanted is None:
            return
        extra = [d for d in value.type.dims if d not in wanted.dims and d not in event]
        if extra:
            dims = quoted(wanted.dims)
            raise self.problems.report(
                "M217",
                f"this brings the index `{extra[0]}`, which `{home.owner}` does not have",
                value.span,
                why=f"`{home.owner}` has {'the indices ' + dims if wanted.dims else 'no index'}.",
                mend=f"look it up by a column of labels, or reduce it: `sum(..., {extra[0]})`",
                notes=self.notes(home.owner),
            )

    # --- priors in place ---------------------------------------------------------------------

    def in_place(self, argument: syntax.Argument, part: str, space: str, home: Home) -> ir.Expr:
        assert argument.name is not None
        span = argument.name_span or argument.span
        name = self.name_in_place(argument.name, part, home, span)
        for index in argument.indices:
            if index not in home.dims and index != home.coordinate:
                if index in self.failed:
                    raise Failed(index)
                raise self.problems.report(
                    "M207",
                    f"`{home.owner}` has no index `{index}`",
                    span,
                    why=f"Its indices are {quoted(home.dims)}."
                    if home.dims
                    else "It has no index.",
                    mend=f"write `{argument.name} ~ ...`: one, shared by all",
                )
        dims = self.ordered(argument.indices)
        coordinates = tuple(d for d in dims if d == home.coordinate)
        kind = ValueType(space_of(named_bounds(space)), dims, coordinates)
        inner = Home(name, dims, parts=in_place_parts(argument.value))
        law = self.law(argument.value, inner, kind)
        self.check_meeting(law, kind.space, span, name)
        self.declare(name, span, kind, law, home.owner, is_default=False)
        return ir.Ref(kind, span, name)

    def name_in_place(self, argument: str, part: str, home: Home, span: Span) -> str:
        alike = home.parts.get((part, argument), 0)
        holders = sum(count for (_, a), count in home.parts.items() if a == argument)
        if alike > 1:
            if home.owner in self.alike:
                raise Failed(home.owner)
            self.alike.add(home.owner)
            raise self.problems.report(
                "M216",
                f"two parts of `{home.owner}` are a `{part}` with an unknown `{argument}`",
                span,
                why=f"Both would be called `{home.owner}.{part}.{argument}`.",
                mend=f"give a part a name on a line of its own: `long = {part}({argument} ~ ...)`",
            )
        return f"{home.owner}.{part}.{argument}" if holders > 1 else f"{home.owner}.{argument}"

    def declare(
        self, name: str, span: Span, kind: ValueType, law: ir.Law, owner: str, *, is_default: bool
    ) -> None:
        self.types[name] = kind
        self.unknowns.setdefault(
            name,
            ir.Unknown(name, span, None, kind, kind.space, law, None, None, owner, is_default),
        )

    # --- supports ----------------------------------------------------------------------------

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
        """The space of an outcome lies in the support of its distribution."""
        support, discrete = self.support(law)
        if isinstance(outcome, ir.Constant):
            fits = Bounds(outcome.value, outcome.value).within(bounds_of(support))
            declared = outcome.type.space
            low = bounds_of(support)
            fits = (
                fits
                and not (low.is_open and outcome.value == low.low)
                and not isinstance(support, Label)
            )
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


def is_flat(law: ir.Law) -> bool:
    return isinstance(law, ir.Distribution) and law.entry == "Flat"


def in_place_parts(node: Any) -> dict[tuple[str, str], int]:
    """How often each (part, argument) written with `~` occurs in a declaration itself."""
    counts: dict[tuple[str, str], int] = {}

    def visit(part: Any) -> None:
        if isinstance(part, tuple):
            for item in part:
                visit(item)
        elif isinstance(part, syntax.Call):
            head = part.function.id if isinstance(part.function, syntax.Name) else ""
            visit(part.function)
            for argument in part.arguments:
                if argument.operator == "~" and argument.name:
                    key = (head, argument.name)
                    counts[key] = counts.get(key, 0) + 1
                else:
                    visit(argument.value)
        elif isinstance(part, syntax.Node):
            for name in part.__dataclass_fields__:
                visit(getattr(part, name))

    visit(node)
    return counts


def _support_space(text: str) -> Space:
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
