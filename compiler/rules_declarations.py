"""The rules of names and of `infer`: what a name of the model is."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.bounds import Bounds, space_of
from mercer.compiler.judge import Thing, Word
from mercer.compiler.problems import Failed, meant
from mercer.compiler.rules_observations import ObservationRules
from mercer.compiler.walk import names_of
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    FunctionType,
    Label,
    Real,
    ValueType,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog
from mercer.stdlib.entry import Parameter


class DeclarationRules(ObservationRules):
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
                parameter = entry.parameter(key)
                assert parameter is not None
                settings[key] = self.method_setting(parameter, argument)
        self.directives.append(ir.Directive(name, node.span, node.doc, entry.name, settings))

    def method_setting(self, parameter: Parameter, argument: syntax.Argument) -> ir.Expr:
        """A setting of a method: a number of its space, a word, or a name where it takes data."""
        if argument.operator == "~":
            raise self.problems.report("M214", "a setting of a method is no unknown", argument.span)
        if parameter.space == "Text":
            return self.setting(argument, parameter)
        value = self.value(argument.value)
        self.check_number(value, parameter)
        return value


_NOWHERE = FunctionType(Real(), Real())
