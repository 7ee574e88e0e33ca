"""The rules of declarations: indices, data, unknowns, definitions, observations, directives."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, space_of
from mercer.compiler.expand import Push
from mercer.compiler.judge import Home, Thing, Word
from mercer.compiler.problems import Failed, meant, quoted
from mercer.compiler.rules_laws import in_place_parts, known_type
from mercer.compiler.rules_priors import PriorRules
from mercer.compiler.walk import children, names_of, nodes
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    FunctionType,
    Interval,
    Label,
    Real,
    Space,
    ValueType,
    Vector,
    value_type,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class DeclarationRules(PriorRules):
    def named(self, name: str, span: Span) -> Thing:
        if name in self.things:
            return self.placed(self.things[name], span)
        if name in self.failed:
            raise Failed(name)
        if name in self.scoped.data:
            self.data_declared(name)
            return ir.Ref(self.data[name].type, span, name)
        if name in self.scoped.unknowns:
            if self.is_random_function(name):
                return ir.FunctionRef(self.signature(name), span, name)
            return ir.Ref(self.type_of(name), span, name)
        if name in self.scoped.definitions:
            if name in self.busy:  # a recurrence: it is looked up rows before
                indices = self.scoped.definitions[name].target.indices
                return ir.Ref(ValueType(space_of(Bounds()), indices), span, name)
            self.definition_declared(name)
            if name not in self.things:
                what = (
                    "a kernel" if self.is_kernel(self.scoped.definitions[name].value) else "a space"
                )
                raise self.problems.report(
                    "M214", f"`{name}` is {what}, and a value is expected here", span,
                    notes=self.notes(name),
                )  # fmt: skip
            return self.placed(self.things[name], span)
        if name.rstrip("'") in self.scoped.dims:
            return ir.Labels(ValueType(Label(name.rstrip("'")), (name,)), span, name)
        if name in catalog.elementwise():
            return Word(_NOWHERE, span, name)
        raise self.unknown_name(name, span)

    def placed(self, thing: Thing, span: Span) -> Thing:
        """The thing as it is used here: messages show this place."""
        if isinstance(thing, ir.Ref):
            return ir.Ref(thing.type, span, thing.name)
        return thing

    def random_names(self, node: object) -> set[str]:
        found: set[str] = set()
        for name in names_of(node):
            if name in self.data:
                continue
            if name in self.definitions:
                if not self.definitions[name].is_data:
                    found.add(name)
            else:
                found.add(name)
        return found

    # --- indices and data --------------------------------------------------------------------

    def index_declared(self, name: str) -> None:
        node = self.scoped.indices.get(name)
        if node is None:
            self.indices[name] = ir.IndexDeclared(name, self.scoped.dims[name], None, None)
            return
        labels: tuple[str, ...] | tuple[float, ...]
        if isinstance(node.labels, syntax.Range):
            ends = [self.whole_number(n) for n in (node.labels.low, node.labels.high)]
            if ends[0] > ends[1]:
                raise self.no_labels(name, node.labels, f"nothing lies from {ends[0]} to {ends[1]}")
            labels = tuple(float(i) for i in range(ends[0], ends[1] + 1))
        else:
            items = node.labels.items
            words = [i.value for i in items if isinstance(i, syntax.String)]
            numbers = [i.value for i in items if isinstance(i, syntax.Number)]
            labels = tuple(words) if words else tuple(numbers)
            if len(labels) != len(items) or not items:
                raise self.no_labels(name, node.labels, "labels are strings, or numbers")
            if len(set(labels)) != len(labels):
                raise self.no_labels(name, node.labels, "a label is there twice")
        self.indices[name] = ir.IndexDeclared(name, node.name_span, node.doc, labels)

    def whole_number(self, node: syntax.Expression) -> int:
        if isinstance(node, syntax.Number) and node.is_integer:
            return int(node.text)
        if isinstance(node, syntax.Unary) and isinstance(node.operand, syntax.Number):
            return -self.whole_number(node.operand)
        raise self.no_labels("k", node, "the ends of a range are whole numbers")

    def no_labels(self, name: str, node: syntax.Node, problem: str) -> Failed:
        mend = f'write `index {name} = 1..3` or `index {name} = ["bad", "good"]`'
        return self.problems.report("M253", problem, node.span, mend=mend)

    def data_declared(self, name: str) -> None:
        if name in self.data:
            return
        data = self.scoped.data[name]
        try:
            space = self.space(data.space)
        except Failed:
            self.failed.add(name)
            raise
        indices = data.target.indices
        kind = value_type(space, indices)
        repeated = [d for d in kind.dims if kind.dims.count(d) > 1]
        if repeated:
            self.failed.add(name)
            raise self.twice(repeated[0], data.target.span)
        if isinstance(space, Vector) and space.size == "inf":
            self.failed.add(name)
            raise self.problems.report(
                "M209",
                "data have finitely many coordinates",
                data.space.span,
                mend="write `Real^d`",
            )
        self.data[name] = ir.DataDeclared(name, data.target.span, data.doc, kind, space)

    def twice(self, dim: Dim, span: Span) -> Failed:
        return self.problems.report(
            "M202",
            f"the index `{dim}` is there twice",
            span,
            mend=f"write `{dim}'` for a second index over the same labels",
        )

    # --- unknowns ----------------------------------------------------------------------------

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

    # --- definitions -------------------------------------------------------------------------

    def definition_declared(self, name: str) -> None:
        if name in self.things or name in self.shapes:
            return
        if name in self.failed:
            raise Failed(name)
        declaration = self.scoped.definitions[name]
        if self.is_shape(name):
            self.shape(name)
            return
        if self.is_kernel(declaration.value):
            return  # checked where a function uses it
        self.busy.append(name)
        try:
            self.refuse_distribution(declaration)
            dims = self.target_dims(declaration.target)
            thing = self.listed(declaration, dims) or self.thing(declaration.value)
            if isinstance(thing, ir.Integral):
                thing = self.apply(thing, (), declaration.value.span)
            if isinstance(thing, ir.FunctionExpr):
                self.things[name] = thing
                return
            if isinstance(thing, ir.Text):
                raise self.problems.report("M251", "a string is no value", declaration.value.span)
            kind = self.defined_type(declaration, thing, dims)
        except Failed:
            self.failed.add(name)
            raise
        finally:
            self.busy.pop()
        span = declaration.target.span
        is_data = not (self.random_names(thing) - {name})
        self.definitions[name] = ir.Definition(name, span, declaration.doc, kind, thing, is_data)
        self.things[name] = ir.Ref(kind, span, name)

    def refuse_distribution(self, declaration: syntax.Define) -> None:
        node = declaration.value
        head = node.function if isinstance(node, syntax.Call) else node
        if isinstance(node, Push) or (
            isinstance(head, syntax.Name)
            and isinstance(node, syntax.Call)
            and not self.is_user_name(head.id)
            and (head.id in catalog.distributions() or head.id in catalog.priors())
        ):
            raise self.problems.report(
                "M215",
                "a distribution is no value",
                node.span,
                why="`=` defines, `~` draws.",
                mend=f"write `{declaration.target.name} ~ ...`",
            )

    def listed(self, declaration: syntax.Define, dims: tuple[Dim, ...]) -> ir.Expr | None:
        """`m[k] = [3, 10]`: a list takes the one index there."""
        node = declaration.value
        if not isinstance(node, syntax.List):
            return None
        if len(dims) != 1:
            raise self.problems.report(
                "M247",
                "a list needs one index",
                declaration.target.span,
                mend=f"write `{declaration.target.name}[k] = [...]`, with `index k = ...`",
            )
        stack = self.value(node)
        assert isinstance(stack, ir.Stack)
        known = self.indices[dims[0].rstrip("'")].labels
        if known is not None and len(known) != len(stack.parts):
            raise self.problems.report(
                "M247",
                f"`{dims[0]}` has {len(known)} labels, and the list {len(stack.parts)}",
                node.span,
                notes=((self.scoped.dims[dims[0]], f"`{dims[0]}` is declared here"),),
            )
        parts = [d for p in stack.parts for d in p.type.dims]
        kind = ValueType(stack.type.space, self.ordered([*dims, *parts]))
        return ir.Stack(kind, node.span, dims[0], stack.parts)

    def defined_type(
        self, declaration: syntax.Define, value: ir.Expr, dims: tuple[Dim, ...]
    ) -> ValueType:
        if not declaration.target.indices:
            return value.type
        name = declaration.target.name
        extra = [d for d in value.type.dims if d not in dims and d not in value.type.coordinates]
        if extra:
            raise self.problems.report(
                "M247",
                f"the value of `{name}` has the index `{extra[0]}`, which `{name}` does not have",
                declaration.value.span,
                why=f"`{name}` has the indices {quoted(dims)}.",
                mend=f"write `{name}[{', '.join((*dims, extra[0]))}]`, or leave the brackets out",
            )
        coordinates = tuple(c for c in value.type.coordinates)
        rest = tuple(c for c in coordinates if c not in dims)
        return ValueType(value.type.space, (*dims, *rest), coordinates)

    # --- observations ------------------------------------------------------------------------

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

    # --- inference ---------------------------------------------------------------------------

    def directive_declared(self, node: syntax.Infer) -> None:
        name = node.name or ""
        known = [*self.unknowns, *self.functions, *self.scoped.unknowns]
        if name and name not in known:
            if name.split(".")[0] in self.failed or self.problems.diagnostics:
                if name.split(".")[0] in (*self.failed, *self.scoped.unknowns):
                    raise Failed(name)
            raise self.problems.report(
                "M241",
                f"there is no unknown `{name}`",
                node.name_span or node.span,
                mend=meant(name, known),
            )
        method = node.method
        head = method.function if isinstance(method, syntax.Call) else method
        word = head.id if isinstance(head, syntax.Name) else ""
        table = {m.lower(): m for m in catalog.methods()}
        if word.lower() not in table:
            raise self.problems.report(
                "M241",
                f"there is no inference method `{word}`"
                if word
                else "an inference method is expected",
                head.span,
                mend=meant(word, catalog.methods(), "methods are " + ", ".join(catalog.methods())),
            )
        entry = catalog.methods()[table[word.lower()]]
        settings: dict[str, ir.Expr | ir.Text] = {}
        if isinstance(method, syntax.Call):
            for key, argument in self.bind(entry, method.arguments, method.span).items():
                if argument.operator == "~":
                    raise self.problems.report(
                        "M214", "a setting of a method is no unknown", argument.span
                    )
                settings[key] = self.value(argument.value)
        self.directives.append(ir.Directive(name, node.span, node.doc, entry.name, settings))


_NOWHERE = FunctionType(Real(), Real())
