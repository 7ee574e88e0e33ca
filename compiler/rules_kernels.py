"""The rules of kernels: what each may see, and its algebra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_arguments import in_place_parts, parts_of, view_of
from mercer.compiler.rules_defaults import KernelHome, Seen, all_numbers
from mercer.compiler.rules_smoothness import SmoothnessRules
from mercer.compiler.walk import nodes
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Dim,
    Field,
    FunctionType,
    Image,
    Label,
    Product,
    Real,
    Scalar,
    Shape,
    ValueType,
    Vector,
    is_homogeneous,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import KernelEntry, Parameter
from mercer.stdlib.kernels import NO_COVARIANCES

STATIONARY = ("RBF", "Matern52", "Matern32", "RationalQuadratic")
"""Kernels that a potential may have, or sums and multiples of them."""
ON_SPACES = {"SO(2)": 2, "SL(2)": 2, "GL(2)": 2, "SO(3)": 3}
"""The groups of `Invariant`, and the length of the vectors that they act on."""


class KernelRules(SmoothnessRules):
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
                view = f"{view_of(items)}{seen.view}"
                seen = replace(self.chosen(seen, items, node), view=view)
                return self.kernel(base, seen, home, owner)
            case syntax.Name(name) if name in self.scoped.definitions:
                if name in self.failed:
                    raise Failed(name)
                seen = replace(seen, view="")
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
                better = NO_COVARIANCES.get(name)
                raise self.problems.report(
                    "M214",
                    f"`{name}` is no covariance" if better else f"there is no kernel `{name}`",
                    node.function.span,
                    why="It is not positive definite in general." if better else None,
                    mend=f"use `{better}()`" if better else meant(name, catalog.kernels()),
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
        curved = is_homogeneous(space)
        wrong = (
            curved and not entry.on_curved
            or entry.is_of_walks and not graph
            or entry.input == "label" and not label
            or entry.input == "number" and not number
            or entry.input == "shape" and not (shape or curved)
            or entry.input == "vector" and (
                label or (graph and not entry.on_shapes) or isinstance(space, Field)
            )
        ) and entry.name not in ("White", "Constant")  # fmt: skip
        if wrong:
            kind = {"label": "labels", "number": "numbers", "shape": "surfaces and graphs"}
            if entry.input == "shape" and not entry.on_curved:
                kind["shape"] = "graphs" if entry.is_of_walks else "graphs and clouds"
            mend = {True: "between labels: `Coregion(rank = 2)`"}.get(label)
            raise self.problems.report(
                "M229",
                f"`{entry.name}` is a kernel of {kind.get(entry.input, 'numbers and vectors')}, "
                f"and this is `{space}`",
                span,
                mend=mend
                or ("use `Matern32()`, `Intrinsic()` or `Heat()`" if graph else None)
                or ("use `Matern32()`, `RBF()` or `Heat()`" if curved else None),
            )

    def kernel_call(
        self, entry: KernelEntry, node: syntax.Call, seen: Seen, home: KernelHome, owner: str
    ) -> ir.Kernel:
        self.check_seen(entry, seen, node.span)
        if entry.input == "field":
            self.check_field_kernel(entry, seen, home, node.span)
        bound = self.bind(entry, node.arguments, node.span)
        coordinate = self.coordinate_dim(seen)
        place = replace(self.home_of(owner, home), coordinate=coordinate)
        arguments: dict[str, ir.Expr] = {}
        inner: list[ir.Kernel] = []
        failed = False
        counts = _counts(entry, bound)
        for parameter in entry.parameters:
            try:
                argument = bound.get(parameter.name)
                if parameter.space == "Kernel" and argument is not None:
                    inner.append(self.kernel(argument.value, seen, home, owner))
                elif parameter.space in ("Group", "Text") and argument is not None:
                    arguments[parameter.name] = self.setting(argument, parameter)
                elif argument is not None and argument.operator == "~":
                    own = self.own_dims(parameter, seen, counts)
                    self.refuse_each(entry.name, argument, (coordinate, *own), seen, place, home)
                    arguments[parameter.name] = self.in_place(
                        argument, entry.name + seen.view, parameter.space, place, own
                    )
                elif argument is not None:
                    value = self.plain(argument)
                    self.check_argument(value, parameter, seen, home, coordinate)
                    arguments[parameter.name] = value
                elif parameter.name == "scale" and id(node) not in home.free:
                    arguments["scale"] = self.one_number(1.0, node.span)
                elif parameter.default is not None:
                    arguments[parameter.name] = self.default(
                        entry, parameter, node, seen, home, place, counts
                    )
            except Failed:
                failed = True
        if failed:
            raise Failed(entry.name)
        if "over" in arguments:
            self.check_over(arguments["over"], seen, home.kind)
        call = ir.KernelCall(
            node.span, entry.name, arguments, seen.factor, seen.coordinates, tuple(inner)
        )
        if entry.input == "field":
            self.check_potentials(call)
        return call

    def check_field_kernel(
        self, entry: KernelEntry, seen: Seen, home: KernelHome, span: Span
    ) -> None:
        """A kernel of fields is one of functions from Real^d to Real^d, d from 2 on."""
        space, codomain = seen.space, home.kind.codomain
        sizes: set[str] = set()
        if isinstance(space, Vector) and seen.coordinates is None:
            sizes = {space.size}
        elif isinstance(space, Product) and all_numbers(space):
            sizes = {str(len(space.factors))}
        if isinstance(codomain, Vector) and codomain.size in sizes - {"1", INFINITE}:
            return
        size = next(iter(sizes - {"1", INFINITE}), "2")
        raise self.problems.report(
            "M229",
            f"`{entry.name}` is a kernel of vector fields, and `{home.function}` goes from "
            f"`{home.kind.domain}` to `{codomain}`",
            span,
            why="A field has as many coordinates as its domain, and at least two.",
            mend=f"write `{home.function} : Real^{size} -> Real^{size}`",
        )

    def check_potentials(self, call: ir.KernelCall) -> None:
        """What is differentiated is stationary, so that it varies alike everywhere, and smooth."""
        for kernel in call.inner:
            for node in nodes(kernel):
                entry = node.entry if isinstance(node, ir.KernelCall) else ""
                if entry and entry not in STATIONARY:
                    raise self.problems.report(
                        "M229",
                        f"`{entry}` is no kernel of a potential",
                        node.span if isinstance(node, ir.KernelCall) else call.span,
                        why="The derivatives of a potential vary alike everywhere where its "
                        "kernel depends on differences of its inputs only.",
                        mend=f"use {', '.join(f'`{n}()`' for n in STATIONARY)}",
                    )
            have, name, span = self.smoothness(kernel, None)
            if have < 1:
                raise self.problems.report(
                    "M227",
                    f"`{name}` is too rough for the derivatives of a potential",
                    span or call.span,
                    mend="use a smoother kernel, such as `Matern52()`",
                )

    def check_over(self, over: ir.Expr, seen: Seen, kind: FunctionType) -> None:
        """A group that acts on what the kernel sees: images, or vectors as long as its matrices."""
        assert isinstance(over, ir.Text)
        word, space = over.value.replace(" ", ""), seen.space
        if word not in ON_SPACES:
            raise self.problems.report(
                "M249",
                f"`over` is a group, and `{over.value}` is none that is known",
                over.span,
                mend=f"groups are {', '.join(ON_SPACES)}",
            )
        degree = ON_SPACES[word]
        if isinstance(space, Image):
            fits = degree == 2
        elif isinstance(space, Product):
            fits = all_numbers(space) and len(space.factors) == degree
        else:
            fits = isinstance(space, Vector) and self.length_of(space.size) == degree
        if not fits or seen.factor is not None or seen.coordinates is not None:
            where = "images and " if degree == 2 else ""
            raise self.problems.report(
                "M229",
                f"`{word}` acts on {where}vectors of length {degree}, and this is `{kind.domain}`",
                over.span,
                mend=f"write `Real^{degree} ->` in the signature, and give the kernel all of it",
            )

    def length_of(self, dim: Dim) -> int | None:
        if dim.isdigit():
            return int(dim)
        declared = self.indices.get(dim)
        return None if declared is None or declared.labels is None else len(declared.labels)

    def setting(self, argument: syntax.Argument, parameter: Parameter) -> ir.Expr:
        line = self.scoped.sources[argument.value.span.file].line(argument.value.span.line)
        span = argument.value.span
        text = line[span.column - 1 : span.end_column - 1].strip('"')
        self.check_choice(text, parameter, span)
        return ir.Text(ValueType(Real()), span, text)

    def check_choice(self, text: str, parameter: Parameter, span: Span) -> None:
        if parameter.choices and text not in parameter.choices:
            raise self.problems.report(
                "M245",
                f"`{parameter.name}` cannot be `{text}`",
                span,
                mend=meant(text, parameter.choices, f"it is one of {quoted(parameter.choices)}"),
            )

    def refuse_each(
        self,
        part: str,
        argument: syntax.Argument,
        own: tuple[Dim | None, ...],
        seen: Seen,
        place: Home,
        home: KernelHome,
    ) -> None:
        coordinate = own[0]
        others = [i for i in argument.indices if i not in place.dims and i not in own]
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

    def check_number(self, value: ir.Expr, parameter: Parameter) -> None:
        """A number in the space of its parameter; written in the model, where it must be."""
        if isinstance(value, ir.Text):
            raise self.problems.report("M251", f"`{parameter.name}` is no string", value.span)
        if parameter.structural and not isinstance(value, ir.Constant):
            raise self.problems.report(
                "M249",
                f"`{parameter.name}` must be a number written here",
                value.span,
                why="It shapes the program, which is made before anything is known.",
            )
        if isinstance(value, ir.Constant):
            self.check_choice(f"{value.value:g}", parameter, value.span)
            if parameter.least is not None and value.value < parameter.least:
                problem = f"`{parameter.name}` must be at least {parameter.least:g}"
                raise self.problems.report("M245", problem, value.span)
        self.require(value, parameter.space.split("^")[0], f"`{parameter.name}`")

    def check_argument(
        self,
        value: ir.Expr,
        parameter: Parameter,
        seen: Seen,
        home: KernelHome,
        coordinate: Dim | None,
    ) -> None:
        self.check_number(value, parameter)
        allowed = {*home.kind.dims, coordinate}
        if isinstance(seen.space, Vector):
            allowed.add(seen.space.size)
        if isinstance(seen.space, Label) and parameter.per_label:
            index = seen.space.index
            allowed.add(index)
            if parameter.count and index not in value.type.dims:
                raise self.problems.report(
                    "M251",
                    f"`{parameter.name}` needs one number for each label of `{index}`",
                    value.span,
                    why=f"This is `{value.type}`.",
                    mend=f"declare it with that index: `w[{index}] ~ Normal(0, 1)`",
                )
        if parameter.count:
            allowed |= {d for d in value.type.dims if d[0].isdigit()}
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
            words = {id(call): part for call, part in parts_of(body)}
            for call in self.leaves_of(body, follow=False):
                for argument in self.left_out(call, home.free):
                    key = (words[id(call)], argument)
                    parts[key] = parts.get(key, 0) + 1
            dims = home.kind.dims
            home.homes[owner] = Home(owner, dims, parts=parts)
        return home.homes[owner]


def _flat(
    parts: Sequence[ir.Kernel], kind: type[ir.KernelSum | ir.KernelProduct]
) -> tuple[ir.Kernel, ...]:
    flat: list[ir.Kernel] = []
    for part in parts:
        flat += part.parts if isinstance(part, kind) else (part,)
    return tuple(flat)


def _counts(entry: KernelEntry, bound: dict[str, syntax.Argument]) -> dict[str, int]:
    """The structural arguments of a kernel that are numbers, as given or by default."""
    found = {}
    for parameter in entry.parameters:
        given = bound.get(parameter.name)
        value: object = parameter.default
        if given and isinstance(given.value, syntax.Number):
            value = given.value.value
        if parameter.structural and isinstance(value, int | float):
            found[parameter.name] = int(value)
    return found
