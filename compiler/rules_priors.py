"""The rules of function priors: `GP`, `Linear`, `Multilinear`, `Flow` and the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mercer.compiler import typed as ir
from mercer.compiler.expand import Lambda, Push, replaced
from mercer.compiler.judge import Home, Word, Written
from mercer.compiler.problems import Failed, meant
from mercer.compiler.rules_functions import nodes_in
from mercer.compiler.rules_kernels import KernelHome, KernelRules, Seen, all_numbers
from mercer.compiler.rules_laws import in_place_parts
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    Constrained,
    Dim,
    Field,
    FunctionType,
    Image,
    Label,
    Positive,
    Product,
    Real,
    Scalar,
    Space,
    Tangent,
    ValueType,
    Vector,
    coordinates_of,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class PriorRules(KernelRules):
    def function_declared(self, name: str) -> None:
        """`name : A -> B ~ prior` becomes a `Function`, or the weights of a linear map."""
        if name in self.functions or name in self.linear or name in self.failed:
            return
        tilde = self.scoped.unknowns[name]
        kind = self.signature(name)
        node = tilde.prior
        if not (isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name)):
            raise self.no_prior(name, node)
        entry = catalog.priors().get(node.function.id)
        if entry is None:
            raise self.no_prior(name, node)
        bound = self.bind(entry, node.arguments, node.span)
        if entry.name in ("GP", "TP"):
            function = self.process(name, kind, entry.name, node, bound)
        elif entry.name == "Linear":
            self.linear_map(name)
            return
        elif entry.name == "Flow":
            function = self.flow(name, kind, node, bound)
        else:
            function = self.other(name, kind, entry.name, node, bound)
        self.functions[name] = function

    def no_prior(self, name: str, node: syntax.Expression) -> Failed:
        head = node.function if isinstance(node, syntax.Call) else node
        word = head.id if isinstance(head, syntax.Name) else ""
        known = word in catalog.distributions()
        if self.scoped.is_partial and not known:
            return Failed(name)
        return self.problems.report(
            "M214",
            f"`{word}` is a distribution, and `{name}` is a function"
            if known
            else f"there is no function prior `{word}`"
            if word
            else "a function prior is expected after `~`",
            head.span,
            mend=meant(
                word, catalog.priors(), "function priors are " + ", ".join(catalog.priors())
            ),
            notes=self.notes(name),
        )

    # --- Gaussian processes ------------------------------------------------------------------

    def process(
        self,
        name: str,
        kind: FunctionType,
        entry: str,
        node: syntax.Call,
        bound: Mapping[str, syntax.Argument],
    ) -> ir.Function:
        tilde = self.scoped.unknowns[name]
        self.check_codomain(name, kind, node.span)
        kernel_node = bound["kernel"].value
        infinite = isinstance(kind.codomain, Vector) and kind.codomain.size == INFINITE
        outputs_node = bound["outputs"].value if "outputs" in bound else None
        carries = outputs_node is not None and self.is_kernel(outputs_node)
        fixed = infinite or carries or self.is_later_mode(name)
        free = frozenset(self.free_scales(kernel_node, fixed))
        outcome, link = self.outcome_of(name)
        inputs = self.inputs_of(name, kind)
        home = KernelHome(name, kind, inputs, outcome, link, free)
        home.homes[name] = replace(self.home_of(name, home), parts=self.all_parts(name, home))
        failed = False
        settings: dict[str, ir.Expr | ir.Text] = {}
        kernel: ir.Kernel | None = None
        mean: ir.Expr | None = None
        formal: tuple[str, ...] = ()
        outputs: ir.Kernel | ir.Expr | None = None
        for word, argument in bound.items():
            try:
                if word == "kernel":
                    kernel = self.kernel(argument.value, Seen(kind.domain), home, name)
                    self.check_factors(name, kind.domain, kernel, argument.value.span)
                elif word == "mean":
                    mean, formal = self.mean(name, kind, argument, home)
                elif word == "outputs":
                    outputs = self.outputs(name, kind, argument, home)
                elif argument.operator == "~":
                    space = catalog.priors()[entry].parameter(word)
                    assert space is not None
                    settings[word] = self.in_place(argument, entry, space.space, home.homes[name])
                else:
                    value = (
                        self.plain(argument) if not _is_inf(argument) else self.infinity(argument)
                    )
                    parameter = catalog.priors()[entry].parameter(word)
                    if parameter is not None and not _is_inf(argument):
                        self.require(value, parameter.space, f"`{word}`")
                    settings[word] = value
            except Failed:
                failed = True
        if failed:
            raise Failed(name)
        span = tilde.target.span
        return ir.Function(
            name, span, tilde.doc, kind, entry, kernel, mean, formal, outputs, settings
        )

    def infinity(self, argument: syntax.Argument) -> ir.Expr:
        return ir.Constant(ValueType(Positive()), argument.value.span, float("inf"))

    def all_parts(self, name: str, home: KernelHome) -> dict[tuple[str, str], int]:
        return dict(self.home_of(name, home).parts)

    def check_codomain(self, name: str, kind: FunctionType, span: Span) -> None:
        space = kind.codomain
        if isinstance(space, Real | Vector | Tangent):
            return
        raise self.problems.report(
            "M248",
            f"a Gaussian process has values in `Real`, `Real^k`, `Real^inf` or `Tangent(M)`, "
            f"not in `{space}`",
            span,
            mend=f"let `{name}` be `Real` and apply `exp`, `softplus` or `logistic` to it",
            notes=self.notes(name),
        )

    def check_factors(self, name: str, domain: Space, kernel: ir.Kernel, span: Span) -> None:
        """Each factor of the domain is seen by some kernel."""
        if not isinstance(domain, Product) or all_numbers(domain):
            return
        seen: set[int] = set()

        def visit(part: ir.Kernel) -> None:
            match part:
                case ir.KernelCall():
                    if part.factor is None:
                        seen.update(range(len(domain.factors)))
                    else:
                        seen.add(part.factor)
                case ir.KernelSum(_, parts) | ir.KernelProduct(_, parts):
                    for inner in parts:
                        visit(inner)
                case ir.KernelScaled(_, _, inner) | ir.KernelPower(_, inner):
                    visit(inner)

        visit(kernel)
        for position in range(len(domain.factors)):
            if position not in seen:
                word = domain.names[position] if domain.names else str(position + 1)
                kind = (
                    "Coregion(rank = 2)" if isinstance(domain.factors[position], Label) else "RBF()"
                )
                raise self.problems.report(
                    "M228",
                    f"no kernel of `{name}` sees `{word}`",
                    span,
                    why=f"Its domain is `{domain}`, and each factor needs a kernel of its own.",
                    mend=f"multiply by one: `... * {kind}[{word}]`",
                )

    def mean(
        self, name: str, kind: FunctionType, argument: syntax.Argument, home: KernelHome
    ) -> tuple[ir.Expr | None, tuple[str, ...]]:
        formal, point = self.formal_point(name, kind.domain, argument.value.span)
        node = argument.value
        if argument.operator == "~":
            value = self.in_place(argument, "GP", "Real", home.homes[name])
        elif (
            isinstance(node, syntax.Call)
            and isinstance(node.function, syntax.Name)
            and (node.function.id in catalog.means() and not self.is_user_name(node.function.id))
        ):
            if node.function.id == "Identity":
                self.bind(catalog.means()["Identity"], node.arguments, node.span)
                if kind.domain != kind.codomain or len(point) != 1:
                    raise self.problems.report(
                        "M248",
                        f"`Identity()` maps a space to itself, and `{name}` is "
                        f"`{kind.domain} -> {kind.codomain}`",
                        node.span,
                    )
                value = point[0]
            else:
                weights, bias = self.weights_of(
                    name, kind, node, home.homes[name], catalog.means()["Linear"].name
                )
                value = self.linear_value(kind, weights, bias, point, node.span)
        else:
            thing = self.thing(node)
            if isinstance(thing, Written):
                arguments = tuple(
                    syntax.Argument(syntax.Name(f, span=node.span), span=node.span) for f in formal
                )
                for word, expr in zip(formal, point, strict=True):
                    self.things[word] = expr
                value = self.call(thing, arguments, node.span)
            elif isinstance(thing, ir.FunctionExpr):
                value = self.apply(thing, point, node.span)
            else:
                value = thing
        allowed = {*kind.dims, *coordinates_of(kind.codomain)}
        extra = [d for d in value.type.dims if d not in allowed]
        if extra:
            raise self.problems.report(
                "M217",
                f"the mean brings the index `{extra[0]}`, which `{name}` does not have",
                node.span,
                notes=self.notes(name),
            )
        if isinstance(value, ir.Constant) and value.value == 0:
            return None, ()
        return value, formal

    def formal_point(
        self, name: str, domain: Space, span: Span
    ) -> tuple[tuple[str, ...], tuple[ir.Expr, ...]]:
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        names: tuple[str, ...] = (f"{name}.input",)
        if isinstance(domain, Product):
            words = domain.names or tuple(str(i + 1) for i in range(len(factors)))
            names = tuple(f"{name}.input.{w}" for w in words)
        refs = tuple(ir.Ref(value_type(f), span, n) for n, f in zip(names, factors, strict=True))
        return names, refs

    def outputs(
        self, name: str, kind: FunctionType, argument: syntax.Argument, home: KernelHome
    ) -> ir.Kernel | ir.Expr:
        space = kind.codomain
        if not isinstance(space, Vector) or space.size == INFINITE:
            raise self.problems.report(
                "M248",
                f"`outputs` correlates the coordinates of `Real^k`, and `{name}` is to `{space}`",
                argument.span,
                notes=self.notes(name),
            )
        if self.is_kernel(argument.value):
            return self.kernel(argument.value, Seen(Label(space.size)), home, name)
        value = self.plain(argument)
        wanted = {space.size, space.size + "'"}
        if set(value.type.dims) != wanted:
            raise self.problems.report(
                "M251",
                f"`outputs` needs a matrix over `{space.size}`, and this is `{value.type}`",
                argument.value.span,
                mend=f"declare it `Omega : Correlation({space.size}) ~ LKJ(2)`",
            )
        return value

    # --- linear maps -------------------------------------------------------------------------

    def linear_map(self, name: str) -> tuple[ir.Expr, ir.Expr]:
        known = self.linear.get(name)
        if known is not None:
            return known
        tilde = self.scoped.unknowns[name]
        node = tilde.prior
        assert isinstance(node, syntax.Call)
        kind = self.signature(name)
        home = Home(name, kind.dims, parts=in_place_parts(node))
        self.linear[name] = self.weights_of(name, kind, node, home, "Linear")
        return self.linear[name]

    def weights_of(
        self, name: str, kind: FunctionType, node: syntax.Call, home: Home, word: str
    ) -> tuple[ir.Expr, ir.Expr]:
        """The weights and the bias of a linear map `kind`."""
        entry = catalog.priors()["Linear"]
        bound = self.bind(entry, node.arguments, node.span)
        inside, outside = self.linear_dims(kind, node.span)
        dims = self.ordered([*kind.dims, *outside, *inside])
        coordinates = tuple(d for d in dims if d in (*outside, *inside))
        shape = ValueType(Real(), dims, coordinates)
        given = bound.get("weights")
        if given is None:
            law = ir.Distribution(
                node.span,
                "Normal",
                {"loc": self.one_number(0.0, node.span), "scale": self.one_number(1.0, node.span)},
            )
            unknown = f"{name}.weights"
            self.declare(unknown, node.span, shape, law, name, is_default=True)
            weights: ir.Expr = ir.Ref(shape, node.span, unknown)
        elif given.operator == "~":
            weights = self.shaped(given, word, shape, home)
        else:
            weights = self.plain(given)
            self.refuse_indices(weights, shape, set(), home)
        level = ValueType(Real(), self.ordered([*kind.dims, *outside]), outside)
        offset = bound.get("bias")
        if offset is None:
            bias: ir.Expr = self.one_number(0.0, node.span)
        elif offset.operator == "~":
            bias = self.shaped(offset, word, level, home)
        else:
            bias = self.plain(offset)
            self.refuse_indices(bias, level, set(), home)
        return weights, bias

    def shaped(self, argument: syntax.Argument, part: str, shape: ValueType, home: Home) -> ir.Expr:
        """A prior in place for a whole array: each entry has it, independently."""
        assert argument.name is not None
        span = argument.name_span or argument.span
        name = self.name_in_place(argument.name, part, home, span)
        inner = Home(name, shape.dims, parts=in_place_parts(argument.value))
        law = self.law(argument.value, inner, shape)
        self.check_meeting(law, shape.space, span, name)
        self.declare(name, span, shape, law, home.owner, is_default=False)
        return ir.Ref(shape, span, name)

    def linear_dims(
        self, kind: FunctionType, span: Span
    ) -> tuple[tuple[Dim, ...], tuple[Dim, ...]]:
        domain, codomain = kind.domain, kind.codomain
        outside = coordinates_of(codomain)
        fits = isinstance(codomain, Real | Vector) and not isinstance(domain, Label | Field)
        if isinstance(domain, Product):
            fits = fits and all_numbers(domain)
            inside: tuple[Dim, ...] = (str(len(domain.factors)),)
        else:
            inside = coordinates_of(domain)
        if INFINITE in (*inside, *outside) or not fits:
            raise self.problems.report(
                "M248",
                f"a linear map cannot be `{domain} -> {codomain}`",
                span,
                why="It maps numbers and vectors to numbers and vectors.",
            )
        inside = tuple(d + "'" if d in (*outside, *kind.dims) else d for d in inside)
        return inside, outside

    def apply_linear(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        weights, bias = self.linear_map(function.name)
        kind = self.signature(function.name)
        for dim, at in function.at:
            parts = [
                self.lookup_of(p, dim, at, span) if dim in p.type.dims else p
                for p in (weights, bias)
            ]
            weights, bias = parts
        return self.linear_value(kind, weights, bias, values, span)

    def lookup_of(self, base: ir.Expr, dim: Dim, at: ir.Expr, span: Span) -> ir.Expr:
        rest = [d for d in base.type.dims if d != dim]
        coordinates = tuple(c for c in base.type.coordinates if c != dim)
        kind = ValueType(base.type.space, self.ordered([*rest, *at.type.dims]), coordinates)
        return ir.Gather(kind, span, base, dim, at)

    def linear_value(
        self,
        kind: FunctionType,
        weights: ir.Expr,
        bias: ir.Expr,
        point: Sequence[ir.Expr],
        span: Span,
    ) -> ir.Expr:
        inside, _ = self.linear_dims(kind, span)
        total: ir.Expr | None = None
        if isinstance(kind.domain, Product):
            for position, value in enumerate(point):
                label = ir.LabelConstant(
                    ValueType(Label(inside[0])), span, inside[0], float(position)
                )
                weight = weights
                if inside[0] in weights.type.dims:
                    weight = self.lookup_of(weights, inside[0], label, span)
                part = self.calculate("multiply", (weight, value), span)
                total = part if total is None else self.calculate("add", (total, part), span)
        else:
            value = point[0]
            for old, new in zip(coordinates_of(kind.domain), inside, strict=True):
                if old != new:
                    value = self.renamed(value, old, new, span)
            total = self.calculate("multiply", (weights, value), span)
            if inside:
                total = self.sum_over(total, inside, span)
        assert total is not None
        if isinstance(bias, ir.Constant) and bias.value == 0:
            return total
        return self.calculate("add", (total, bias), span)

    def sum_over(self, value: ir.Expr, over: tuple[Dim, ...], span: Span) -> ir.Expr:
        dims = tuple(d for d in value.type.dims if d not in over)
        coordinates = tuple(d for d in value.type.coordinates if d not in over)
        return ir.Reduce(ValueType(Real(), dims, coordinates), span, "sum", value, over)

    # --- the others --------------------------------------------------------------------------

    def other(
        self,
        name: str,
        kind: FunctionType,
        entry: str,
        node: syntax.Call,
        bound: Mapping[str, syntax.Argument],
    ) -> ir.Function:
        """`Multilinear`, `Equivariant`, `Network`: their weights are an unknown `name.weights`."""
        tilde = self.scoped.unknowns[name]
        self.check_shape(name, kind, entry, node.span)
        shape = ValueType(Real())
        if entry == "Multilinear":
            shape = self.core_shape(kind)
        home = Home(name, kind.dims, parts=in_place_parts(node))
        settings: dict[str, ir.Expr | ir.Text] = {}
        for parameter in catalog.priors()[entry].parameters:
            argument = bound.get(parameter.name)
            if parameter.name == "weights":
                if argument is not None and argument.operator == "~":
                    settings["weights"] = self.shaped(argument, entry, shape, home)
                elif argument is not None:
                    settings["weights"] = self.plain(argument)
                else:
                    unknown = f"{name}.weights"
                    numbers = [self.one_number(v, node.span) for v in (0.0, 1.0)]
                    law = ir.Distribution(
                        node.span, "Normal", dict(zip(("loc", "scale"), numbers, strict=True))
                    )
                    self.declare(unknown, node.span, shape, law, name, is_default=True)
                    settings["weights"] = ir.Ref(shape, node.span, unknown)
            elif argument is None:
                default = parameter.default
                if isinstance(default, str):
                    settings[parameter.name] = ir.Text(ValueType(Real()), node.span, default)
                elif default is not None:
                    settings[parameter.name] = self.one_number(float(default), node.span)
            else:
                settings[parameter.name] = self.word_or_value(argument)
        return ir.Function(name, tilde.target.span, tilde.doc, kind, entry, settings=settings)

    def word_or_value(self, argument: syntax.Argument) -> ir.Expr:
        node = argument.value
        if isinstance(node, syntax.Name) and not self.is_user_name(node.id):
            if node.id in ("true", "false"):
                return self.one_number(float(node.id == "true"), node.span)
            if node.id in catalog.elementwise():
                return ir.Text(ValueType(Real()), node.span, node.id)
        value = self.value(node)
        if self.random_names(value):
            raise self.problems.report(
                "M249", f"`{argument.name}` must be written here as a constant", node.span
            )
        return value

    def check_shape(self, name: str, kind: FunctionType, entry: str, span: Span) -> None:
        domain, codomain = kind.domain, kind.codomain
        factors = domain.factors if isinstance(domain, Product) else (domain,)
        vectors = all(isinstance(f, Real | Vector) for f in (*factors, codomain))
        fits = {
            "Multilinear": vectors,
            "Network": vectors and not isinstance(domain, Product),
            "Equivariant": isinstance(domain, Image | Field)
            and isinstance(codomain, Image | Field | Vector),
        }.get(entry, True)
        infinite = any(isinstance(f, Vector) and f.size == INFINITE for f in (*factors, codomain))
        if not fits or infinite:
            raise self.problems.report(
                "M248",
                f"`{entry}` does not go from `{domain}` to `{codomain}`",
                span,
                notes=self.notes(name),
            )

    def core_shape(self, kind: FunctionType) -> ValueType:
        factors = kind.domain.factors if isinstance(kind.domain, Product) else (kind.domain,)
        dims: list[Dim] = [*kind.dims, *coordinates_of(kind.codomain)]
        for factor in factors:
            for dim in coordinates_of(factor):
                while dim in dims:
                    dim += "'"
                dims.append(dim)
        coordinates = tuple(d for d in dims if d not in kind.dims)
        return ValueType(Real(), self.ordered(dims), self.ordered(coordinates))

    def flow(
        self,
        name: str,
        kind: FunctionType,
        node: syntax.Call,
        bound: Mapping[str, syntax.Argument],
    ) -> ir.Function:
        tilde = self.scoped.unknowns[name]
        if not isinstance(kind.domain, Scalar) or isinstance(kind.domain, Label):
            raise self.problems.report(
                "M248",
                f"a path is a function of one number, and `{name}` is of `{kind.domain}`",
                node.span,
                notes=self.notes(name),
            )
        state = kind.codomain
        span = bound["rate"].value.span
        formal, point = self.formal_point(name, state, span)
        whole: ir.Expr = point[0]
        if isinstance(state, Product):
            whole = ir.Point(ValueType(state), span, point)
        rate = self.rate(bound["rate"].value, whole, point, state, name)
        if bound["start"].operator == "~":
            home = Home(name, kind.dims, parts=in_place_parts(node))
            start = self.shaped(bound["start"], "Flow", value_type(state, kind.dims), home)
        else:
            start = self.value(bound["start"].value)
        self.same_point(start, state, name, bound["start"].value.span, "start")
        self.same_point(rate, state, name, span, "rate")
        settings: dict[str, ir.Expr | ir.Text] = {"rate": rate, "start": start}
        settings["at"] = (
            self.plain(bound["at"]) if "at" in bound else self.one_number(0.0, node.span)
        )
        return ir.Function(
            name, tilde.target.span, tilde.doc, kind, "Flow", formal=formal, settings=settings
        )

    def rate(
        self,
        node: syntax.Expression,
        whole: ir.Expr,
        point: Sequence[ir.Expr],
        state: Space,
        name: str,
    ) -> ir.Expr:
        if isinstance(node, Lambda):
            if len(node.parameters) != 1:
                raise self.problems.report(
                    "M244", f"the rate takes the state alone: `def {node.name}(z) = ...`", node.span
                )
            word = f"{name}.state"
            self.things[word] = whole
            body = replaced(node.body, {node.parameters[0]: syntax.Name(word, span=node.span)})
            return self.value(body)
        thing = self.thing(node)
        if isinstance(thing, Word):
            return self.calculate(thing.name, (whole,), node.span)
        if not isinstance(thing, ir.FunctionExpr):
            raise self.problems.report(
                "M225", "the rate of a `Flow` is a `def` or a function", node.span
            )
        return self.apply(thing, point, node.span)

    def same_point(self, value: ir.Expr, state: Space, name: str, span: Span, word: str) -> None:
        if isinstance(state, Product):
            space = value.type.space
            fits = isinstance(space, Product) and len(space.factors) == len(state.factors)
            fits = fits and (not state.names or getattr(space, "names", ()) == state.names)
        elif isinstance(state, Scalar):
            fits = not value.type.coordinates and not isinstance(value.type.space, Product)
        else:
            fits = set(coordinates_of(state)) <= set(value.type.dims)
        if not fits:
            raise self.problems.report(
                "M221",
                f"the {word} of `{name}` must be a point of `{state}`",
                span,
                why=f"This is `{value.type}`.",
                notes=self.notes(name),
            )

    # --- the data that a function meets ------------------------------------------------------

    def inputs_of(self, name: str, kind: FunctionType) -> tuple[ir.Expr | None, ...]:
        """For each factor of the domain the first data to which the function is applied."""
        factors = kind.domain.factors if isinstance(kind.domain, Product) else (kind.domain,)
        found: list[ir.Expr | None] = [None] * len(factors)
        for use in self.uses(name):
            try:
                values: list[ir.Expr] = self.each((a.value for a in use.arguments), self.value)
                if isinstance(kind.domain, Product) and any(a.name for a in use.arguments):
                    reference = ir.FunctionRef(kind, use.span, name)
                    values = self.by_name(reference, kind.domain, use.arguments, values, use.span)
            except Failed:
                continue
            for position, value in enumerate(values[: len(factors)]):
                data = not self.random_names(value) and value.type.dims
                if found[position] is None and data and len(values) == len(factors):
                    found[position] = value
        return tuple(found)

    def outcome_of(self, name: str) -> tuple[ir.Expr | None, str]:
        """The first outcome that the function adds to, and its link."""
        for outcome, tilde in self.scoped.observations.items():
            if outcome in self.failed or not any(
                name in self.heads(call.function) for call in self.outer_calls(tilde.prior)
            ):
                continue
            try:
                seen = self.named(outcome, tilde.target.span)
            except Failed:
                continue
            if not isinstance(seen, ir.Expr) or not seen.type.dims:
                continue
            if isinstance(seen.type.space, Label | Constrained | Product):
                continue
            return seen, self.link_of(tilde.prior)
        return None, "identity"

    def link_of(self, node: syntax.Expression) -> str:
        if isinstance(node, Push):
            return self.link_of(node.base)
        if isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name):
            known = catalog.distributions().get(node.function.id)
            if known is not None:
                return known.link
            if node.arguments:
                return self.link_of(node.arguments[0].value)
        return "identity"

    def outer_calls(self, node: Any, depth: int = 0) -> Iterator[syntax.Call]:
        """Applications of unknown functions that are no argument of another (but a multilinear)."""
        if isinstance(node, syntax.Name) and node.id in self.scoped.definitions and depth < 30:
            yield from self.outer_calls(self.scoped.definitions[node.id].value, depth + 1)
        elif isinstance(node, syntax.Call):
            heads = {h for h in self.heads(node.function) if h in self.scoped.unknowns}
            functions = {h for h in heads if self.is_random_function(h)}
            if functions:
                yield node
                if not all(self.is_multilinear(h) for h in functions):
                    return
            yield from self.outer_calls(node.arguments, depth)
        elif isinstance(node, tuple):
            for item in node:
                yield from self.outer_calls(item, depth)
        elif isinstance(node, syntax.Node):
            for part in node.__dataclass_fields__:
                yield from self.outer_calls(getattr(node, part), depth)

    def is_multilinear(self, name: str) -> bool:
        prior = self.scoped.unknowns[name].prior
        return (
            isinstance(prior, syntax.Call)
            and isinstance(prior.function, syntax.Name)
            and prior.function.id in ("Multilinear", "Linear")
        )

    def is_later_mode(self, name: str) -> bool:
        """A mode of a Tucker decomposition that is not its first: its scale is 1."""
        for body in self.bodies():
            for node in nodes_in(body):
                if not (isinstance(node, syntax.Call) and isinstance(node.function, syntax.Name)):
                    continue
                head = node.function.id
                if head not in self.scoped.unknowns or not self.is_multilinear(head):
                    continue
                prior = self.scoped.unknowns[head].prior
                if not isinstance(prior, syntax.Call) or not isinstance(
                    prior.function, syntax.Name
                ):
                    continue
                if prior.function.id != "Multilinear":
                    continue
                modes: list[str] = []
                for argument in node.arguments:
                    if isinstance(argument.value, syntax.Call):
                        modes += sorted(self.heads(argument.value.function))
                gps = [m for m in modes if m in self.scoped.unknowns and self.is_random_function(m)]
                if name in gps[1:] and name != gps[0]:
                    return True
        return False


def _is_inf(argument: syntax.Argument) -> bool:
    return isinstance(argument.value, syntax.Name) and argument.value.id == "inf"
