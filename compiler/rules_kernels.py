"""The rules of kernels: what each may see, its algebra, and its default priors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed, meant
from mercer.compiler.rules_laws import LawRules, in_place_parts
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Count,
    Dim,
    Field,
    FunctionType,
    Label,
    Positive,
    Product,
    Real,
    Scalar,
    Shape,
    Space,
    ValueType,
    Vector,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import KernelEntry, Parameter


@dataclass(frozen=True)
class Seen:
    """What a kernel sees of the domain: a factor of it, and positions inside that."""

    space: Space
    factor: int | None = None
    coordinates: tuple[int, ...] | None = None


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


class KernelRules(LawRules):
    def kernel(
        self, node: syntax.Expression, seen: Seen, home: KernelHome, owner: str
    ) -> ir.Kernel:
        match node:
            case syntax.Binary("+", left, right):
                parts = self.each((left, right), lambda n: self.kernel(n, seen, home, owner))
                return ir.KernelSum(node.span, _flat(parts, ir.KernelSum))
            case syntax.Binary("*", left, right):
                for value, kernel in ((left, right), (right, left)):
                    if not self.is_kernel(value) and self.is_kernel(kernel):
                        factor = self.value(value)
                        self.require(factor, "Positive", "a factor of a kernel")
                        inner = self.kernel(kernel, seen, home, owner)
                        return ir.KernelScaled(node.span, factor, inner)
                parts = self.each((left, right), lambda n: self.kernel(n, seen, home, owner))
                return ir.KernelProduct(node.span, _flat(parts, ir.KernelProduct))
            case syntax.Binary("^", base, syntax.Number() as power) if (
                power.is_integer and power.value >= 1
            ):
                inner = self.kernel(base, seen, home, owner)
                return ir.KernelPower(node.span, inner, int(power.value))
            case syntax.Lookup(base, items):
                return self.kernel(base, self.chosen(seen, items, node), home, owner)
            case syntax.Name(name) if name in self.scoped.definitions:
                if name in self.failed:
                    raise Failed(name)
                return self.kernel(self.scoped.definitions[name].value, seen, home, name)
            case syntax.Name(name) if name in catalog.kernels():
                raise self.problems.report(
                    "M214", f"`{name}` needs its arguments", node.span, mend=f"write `{name}()`"
                )
            case syntax.Call(syntax.Name(name), _) if name in catalog.kernels():
                return self.kernel_call(catalog.kernels()[name], node, seen, home, owner)
            case syntax.Call(syntax.Name(name), _) if not self.is_user_name(name):
                if self.scoped.is_partial and name not in catalog.distributions():
                    raise Failed(name)
                raise self.problems.report(
                    "M214",
                    f"there is no kernel `{name}`",
                    node.function.span,
                    mend=meant(name, catalog.kernels()),
                )
            case syntax.Name(name) if name in self.failed:
                raise Failed(name)
            case syntax.Name(name) if not self.is_user_name(name):
                raise self.problems.report(
                    "M201",
                    f"nothing here is called `{name}`",
                    node.span,
                    mend=meant(name, [*self.scoped.definitions, *catalog.kernels()]),
                )
            case _:
                raise self.problems.report(
                    "M214",
                    "a kernel is expected here",
                    node.span,
                    mend="kernels are made by `+`, `*`, `2.5 * k`, `k^2` and `k[lat, lon]`",
                )

    def is_kernel(self, node: syntax.Expression, depth: int = 0) -> bool:
        match node:
            case syntax.Call(syntax.Name(name)):
                return name in catalog.kernels() and name not in self.scoped.unknowns
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

    # --- what a kernel sees ------------------------------------------------------------------

    def chosen(self, seen: Seen, items: Sequence[syntax.Expression], node: syntax.Lookup) -> Seen:
        space = seen.space
        words = [i.id if isinstance(i, syntax.Name) else "" for i in items]
        if isinstance(space, Product):
            positions = self.each(items, lambda i: self.position(space, i))
            if all_numbers(space):
                return Seen(Vector(Real(), str(len(positions))), seen.factor, tuple(positions))
            if len(positions) == 1:
                return Seen(space.factors[positions[0]], positions[0])
            raise self.problems.report(
                "M228", "each factor needs a kernel of its own", node.span,
                mend="multiply them: `RBF()[place] * Matern12()[time]`",
            )  # fmt: skip
        declared = self.indices.get(space.size) if isinstance(space, Vector) else None
        labels = list(declared.labels) if declared and declared.labels is not None else []
        found: list[int] = []
        for item, word in zip(items, words, strict=True):
            label: Any = word
            if isinstance(item, syntax.String):
                label = item.value
            elif isinstance(item, syntax.Number):
                label = item.value
            if label not in labels:
                raise self.problems.report(
                    "M230",
                    f"`{space}` has no coordinate `{word or 'of this kind'}`",
                    item.span,
                    mend="name them in the signature: `f : (lat: Real, lon: Real) -> Real`",
                )
            found.append(labels.index(label))
        return replace(seen, coordinates=tuple(found))

    def position(self, space: Product, item: syntax.Expression) -> int:
        if isinstance(item, syntax.Name) and item.id in space.names:
            return space.names.index(item.id)
        word = item.id if isinstance(item, syntax.Name) else "this"
        raise self.problems.report(
            "M230",
            f"`{space}` has no coordinate `{word}`",
            item.span,
            mend=meant(
                word,
                space.names,
                f"its coordinates are {', '.join(space.names)}"
                if space.names
                else "name them in the signature: `f : (lat: Real, lon: Real) -> Real`",
            ),
        )

    def check_seen(self, entry: KernelEntry, seen: Seen, span: Span) -> None:
        space = seen.space
        if isinstance(space, Product) and not all_numbers(space):
            names = space.names or ("place", "time")
            raise self.problems.report(
                "M228",
                f"on `{space}` each factor needs a kernel of its own",
                span,
                why="Its factors have no common distance.",
                mend=f"write `{entry.name}()[{names[0]}] * ...`, one kernel a factor",
            )
        label, shape = isinstance(space, Label), isinstance(space, Shape)
        infinite = isinstance(space, Vector) and space.size == INFINITE
        if infinite and not entry.gram:
            raise self.problems.report(
                "M235",
                f"`{entry.name}` needs coordinates, and `{space}` has none",
                span,
                why="After `Real^inf` only what a Gram matrix determines exists.",
                mend="use a kernel of distances or inner products, such as `RBF()`",
            )
        size = len(seen.coordinates) if seen.coordinates else None
        number = isinstance(space, Scalar) and not label or size == 1
        graph = isinstance(space, Shape) and space.ambient is None
        wrong = (
            entry.input == "label" and not label
            or entry.input == "number" and not number
            or entry.input == "shape" and not shape
            or entry.input == "vector" and (label or graph or isinstance(space, Field))
        ) and entry.name not in ("White", "Constant")  # fmt: skip
        if wrong:
            kind = {"label": "labels", "number": "numbers", "shape": "surfaces and graphs"}
            mend = {True: "between labels: `Coregion(rank = 2)`"}.get(label)
            raise self.problems.report(
                "M229",
                f"`{entry.name}` is a kernel of {kind.get(entry.input, 'numbers and vectors')}, "
                f"and this is `{space}`",
                span,
                mend=mend or ("use `Intrinsic()` or `Heat()`" if graph else None),
            )

    # --- one kernel --------------------------------------------------------------------------

    def kernel_call(
        self, entry: KernelEntry, node: syntax.Call, seen: Seen, home: KernelHome, owner: str
    ) -> ir.Kernel:
        self.check_seen(entry, seen, node.span)
        bound = self.bind(entry, node.arguments, node.span)
        coordinate = self.coordinate_dim(seen)
        place = replace(self.home_of(owner, home), coordinate=coordinate)
        arguments: dict[str, ir.Expr] = {}
        inner: list[ir.Kernel] = []
        failed = False
        rank = 1.0
        for parameter in entry.parameters:
            try:
                argument = bound.get(parameter.name)
                if parameter.space == "Kernel" and argument is not None:
                    inner.append(self.kernel(argument.value, seen, home, owner))
                elif parameter.space in ("Group", "Text") and argument is not None:
                    arguments[parameter.name] = self.setting(argument)
                elif argument is not None and argument.operator == "~":
                    self.refuse_each(entry.name, argument, coordinate, seen, place, home)
                    arguments[parameter.name] = self.in_place(
                        argument, entry.name, parameter.space, place
                    )
                elif argument is not None:
                    value = self.plain(argument)
                    self.check_argument(value, parameter, seen, home, coordinate)
                    arguments[parameter.name] = value
                elif parameter.name == "scale" and id(node) not in home.free:
                    arguments["scale"] = self.one_number(1.0, node.span)
                elif parameter.default is not None:
                    arguments[parameter.name] = self.default(
                        entry, parameter, node, seen, home, place, rank
                    )
                if parameter.name in ("rank",):
                    given = arguments.get("rank")
                    rank = given.value if isinstance(given, ir.Constant) else 1.0
            except Failed:
                failed = True
        if failed:
            raise Failed(entry.name)
        return ir.KernelCall(
            node.span, entry.name, arguments, seen.factor, seen.coordinates, tuple(inner)
        )

    def setting(self, argument: syntax.Argument) -> ir.Expr:
        line = self.scoped.sources[argument.value.span.file].line(argument.value.span.line)
        span = argument.value.span
        return ir.Text(ValueType(Real()), span, line[span.column - 1 : span.end_column - 1])

    def one_number(self, value: float, span: Span) -> ir.Constant:
        space: Space = Count() if value == int(value) and value >= 0 else Real()
        return ir.Constant(ValueType(space), span, value)

    def refuse_each(
        self,
        part: str,
        argument: syntax.Argument,
        coordinate: Dim | None,
        seen: Seen,
        place: Home,
        home: KernelHome,
    ) -> None:
        others = [i for i in argument.indices if i not in place.dims and i != coordinate]
        if not others:
            return
        span = (argument.name_span or argument.span).to(argument.name_span or argument.span)
        line = self.scoped.sources[span.file].line(span.line)
        end = line.find("]", span.end_column - 1)
        if end >= 0:
            span = Span(span.file, span.line, span.column, span.line, end + 2)
        name = argument.name
        infinite = isinstance(seen.space, Vector) and seen.space.size == INFINITE
        feeders = [
            n for n, s in self.signatures.items()
            if isinstance(s.codomain, Vector) and s.codomain.size == INFINITE
        ]  # fmt: skip
        raise self.problems.report(
            "M204" if infinite or coordinate is None else "M207",
            f"a {name} for each coordinate needs a finite domain"
            if infinite
            else f"`{home.function}` has no index `{others[0]}`",
            span,
            why=(
                f"{feeders[0] if feeders else 'Its input'} has infinite width, so its output has "
                "no coordinates, only a Gram matrix."
                if infinite
                else f"The coordinates of `{seen.space}` have the index `{coordinate}`."
                if coordinate
                else f"`{seen.space}` has no coordinates with a name."
            ),
            mend=f"write one shared {name}: {part}({self.shared_text(argument)})",
        )

    def shared_text(self, argument: syntax.Argument) -> str:
        span = argument.value.span
        line = self.scoped.sources[span.file].line(span.line)
        return f"{argument.name} ~ {line[span.column - 1 : span.end_column - 1]}"

    def coordinate_dim(self, seen: Seen) -> Dim | None:
        if isinstance(seen.space, Vector) and seen.space.size != INFINITE:
            return None if seen.space.size.isdigit() else seen.space.size
        return None

    def check_argument(
        self,
        value: ir.Expr,
        parameter: Parameter,
        seen: Seen,
        home: KernelHome,
        coordinate: Dim | None,
    ) -> None:
        if parameter.structural and not isinstance(value, ir.Constant):
            raise self.problems.report(
                "M249",
                f"`{parameter.name}` must be a number written here",
                value.span,
                why="It shapes the program, which is made before anything is known.",
            )
        if isinstance(value, ir.Text):
            raise self.problems.report("M251", f"`{parameter.name}` is no string", value.span)
        self.require(value, parameter.space.split("^")[0], f"`{parameter.name}`")
        allowed = {*home.kind.dims, coordinate}
        if isinstance(seen.space, Vector):
            allowed.add(seen.space.size)
        if isinstance(seen.space, Label) and parameter.per_label:
            allowed |= {seen.space.index, *(d for d in value.type.dims if d[0].isdigit())}
        extra = [d for d in value.type.dims if d not in allowed]
        if extra:
            raise self.problems.report(
                "M217",
                f"this brings the index `{extra[0]}`, which `{home.function}` does not have",
                value.span,
                mend=f"write `{home.function}[{extra[0]}]` for one function a label",
                notes=self.notes(home.function),
            )

    def home_of(self, owner: str, home: KernelHome) -> Home:
        """The home of the unknowns of `owner`: the function, or a definition that it uses."""
        if owner not in home.homes:
            if owner in self.scoped.definitions:
                body: Any = self.scoped.definitions[owner].value
            else:
                body = self.scoped.unknowns[owner].prior
            parts = in_place_parts(body)
            for call in self.leaves_of(body, follow=False):
                for part, argument in self.left_out(call, home.free):
                    parts[part, argument] = parts.get((part, argument), 0) + 1
            dims = home.kind.dims
            home.homes[owner] = Home(owner, dims, parts=parts)
        return home.homes[owner]

    # --- defaults ----------------------------------------------------------------------------

    def left_out(self, call: syntax.Call, free: frozenset[int]) -> Iterator[tuple[str, str]]:
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
            yield entry.name, parameter.name

    def default(
        self,
        entry: KernelEntry,
        parameter: Parameter,
        node: syntax.Call,
        seen: Seen,
        home: KernelHome,
        place: Home,
        rank: float,
    ) -> ir.Expr:
        default = parameter.default
        if isinstance(default, float | int):
            return self.one_number(float(default), node.span)
        assert isinstance(default, str)
        if default not in catalog.defaults() or parameter.space == "Text":
            return ir.Text(ValueType(Real()), node.span, default)
        name = self.name_in_place(parameter.name, entry.name, place, node.span)
        if name not in self.unknowns:
            dims: tuple[Dim, ...] = ()
            if isinstance(seen.space, Label) and parameter.per_label:
                dims = (seen.space.index,)
                if parameter.space == "Real^rank":
                    columns = str(int(rank))
                    dims = (*dims, columns + "'" if columns in dims else columns)
            space: Space = Positive() if parameter.space == "Positive" else Real()
            kind = ValueType(space, self.ordered(dims), tuple(d for d in dims if d[0].isdigit()))
            law = self.default_law(default, seen, home, node.span)
            self.declare(name, node.span, kind, law, place.owner, is_default=True)
        return ir.Ref(self.unknowns[name].type, node.span, name)

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

    # --- which scales are 1 ------------------------------------------------------------------

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

    # --- smoothness --------------------------------------------------------------------------

    def smoothness(
        self, kernel: ir.Kernel | None, wanted: int | None
    ) -> tuple[float, str, Span | None]:
        """How many mean-square derivatives the function has along a factor, and what limits it."""
        match kernel:
            case ir.KernelCall(span, name, arguments, factor, coordinates):
                if wanted is not None and factor is not None and factor != wanted:
                    return math.inf, name, span
                if (
                    wanted is not None
                    and factor is None
                    and wanted not in (coordinates or (wanted,))
                ):
                    return math.inf, name, span
                entry = catalog.kernels()[name]
                of: Callable[[dict[str, float]], float] | None = entry.smoothness_of
                if of is not None:
                    numbers = {
                        n: a.value for n, a in arguments.items() if isinstance(a, ir.Constant)
                    }
                    return of(numbers), name, span
                return entry.smoothness, name, span
            case ir.KernelSum(_, parts) | ir.KernelProduct(_, parts):
                return min((self.smoothness(p, wanted) for p in parts), key=lambda s: s[0])
            case ir.KernelScaled(_, _, inner) | ir.KernelPower(_, inner):
                return self.smoothness(inner, wanted)
            case _:
                return math.inf, "", None

    def check_derivatives(self) -> None:
        for found in self.derivatives:
            counts: dict[int | None, int] = {}
            inside: ir.FunctionExpr = found
            while isinstance(inside, ir.Derivative | ir.Laplacian):
                factor = inside.factor if isinstance(inside, ir.Derivative) else None
                counts[factor] = counts.get(factor, 0) + 1 + isinstance(inside, ir.Laplacian)
                inside = inside.of
            if not isinstance(inside, ir.FunctionRef) or inside.name not in self.functions:
                continue
            function = self.functions[inside.name]
            for factor, count in counts.items():
                needed = count if factor is None else count + counts.get(None, 0)
                have, name, span = self.smoothness(function.kernel, factor)
                if have < needed:
                    what = "the Laplacian" if isinstance(found, ir.Laplacian) else "the derivative"
                    times = {0: "no derivative", 1: "one derivative"}.get(
                        int(have), f"{have:g} derivatives"
                    )
                    smoother = "Matern52" if needed <= 2 else "RBF"
                    self.problems.report(
                        "M227",
                        f"`{inside.name}` is too rough for {what}",
                        found.span,
                        why=f"A function with the kernel `{name}` has {times} in mean square, "
                        f"and {needed} {'is' if needed == 1 else 'are'} needed.",
                        mend=f"use a smoother kernel, such as `{smoother}`",
                        notes=((span, f"the kernel of `{inside.name}`"),) if span else (),
                    )
                    break


def all_numbers(space: Product) -> bool:
    return all(isinstance(f, Scalar) and not isinstance(f, Label) for f in space.factors)


def _flat(parts: Sequence[ir.Kernel], kind: Any) -> tuple[ir.Kernel, ...]:
    flat: list[ir.Kernel] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    return tuple(flat)
