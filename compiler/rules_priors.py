"""The rules of Gaussian processes, and of function priors as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mercer.compiler import typed as ir
from mercer.compiler.judge import Written
from mercer.compiler.problems import Failed, meant
from mercer.compiler.rules_defaults import KernelHome, Seen, all_numbers
from mercer.compiler.rules_maps import MapRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    INFINITE,
    FunctionType,
    Label,
    Positive,
    Product,
    Real,
    Space,
    Tangent,
    ValueType,
    Vector,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class PriorRules(MapRules):
    def function_declared(self, name: str) -> None:
        """`name : A -> B ~ prior` becomes a `Function`, or the weights of a linear map."""
        known = {*self.functions, *self.linear, *self.networks, *self.cores, *self.layers}
        if name in known | self.failed:
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
        elif entry.name == "Network":
            self.network(name)
            return
        elif entry.name == "Multilinear":
            self.core(name)
            return
        elif self.is_layer(name):
            self.layer(name)
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
                if word == "nu" and not infinite:
                    raise self.problems.report(
                        "M210",
                        f"`{name}` has values in `{kind.codomain}`, and `nu` belongs to layers to "
                        "`Real^inf`",
                        argument.value.span,
                        why="It weighs the divergence of a Gram matrix from the kernel's; a layer "
                        "of finite width has a law of its own.",
                        mend="leave `nu` out, or let the layer go to `Real^inf`",
                    )
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
                elif isinstance(argument.value, syntax.List):
                    settings[word] = self.one_of(entry, word, argument.value)
                else:
                    settings[word] = self.function_setting(entry, word, argument)
            except Failed:
                failed = True
        if failed:
            raise Failed(name)
        span = tilde.target.span
        return ir.Function(
            name, span, tilde.doc, kind, entry, kernel, mean, formal, outputs, settings
        )

    def function_setting(self, entry: str, word: str, argument: syntax.Argument) -> ir.Expr:
        """A setting of a function prior: a value of its space, or `inf`."""
        if _is_inf(argument):
            return ir.Constant(ValueType(Positive()), argument.value.span, float("inf"))
        value = self.plain(argument)
        parameter = catalog.priors()[entry].parameter(word)
        if parameter is not None:
            self.require(value, parameter.space, f"`{word}`")
        return value

    def one_of(self, entry: str, word: str, node: syntax.List) -> ir.OneOf:
        """The numbers of which a fit chooses one."""
        found = []
        for item in node.items:
            value = self.function_setting(entry, word, syntax.Argument(item, span=item.span))
            if not isinstance(value, ir.Constant):
                raise self.problems.report(
                    "M249", f"what `{word}` is chosen among must be numbers written here", item.span
                )
            found.append(value.value)
        if len(set(found)) < max(len(found), 2):
            raise self.problems.report(
                "M245",
                f"`{word}` is chosen among at least two numbers, each once",
                node.span,
                mend=f"write `{word} = [1, 10, inf]`, or one number: `{word} = 10`",
            )
        return ir.OneOf(ValueType(Positive()), node.span, tuple(found))

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


def _is_inf(argument: syntax.Argument) -> bool:
    return isinstance(argument.value, syntax.Name) and argument.value.id == "inf"
