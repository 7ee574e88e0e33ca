"""The rules of neural networks, which become their weights and sums of products of them.

    h_0 = x,    h_l = activation(W_l h_(l-1) / sqrt(fan in) + b_l),    f(x) = W h / sqrt(fan in) + b

The division is a part of the network, not of the prior: with `weights ~ Normal(0, 1)` values of
unit size keep their size through layers of any width, as in the limit of infinite width (Neal
1996), and every weight that is sampled is of the same size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.judge import Home
from mercer.compiler.problems import Failed
from mercer.compiler.rules_arguments import in_place_parts
from mercer.compiler.rules_linear import LinearRules
from mercer.dsl import syntax
from mercer.dsl.spaces import Count, Dim, FunctionType, Product, Real, ValueType, coordinates_of
from mercer.dsl.span import Span
from mercer.stdlib import catalog


@dataclass(frozen=True)
class Layer:
    """`weights` over `inside` (nothing: a number comes in) and `outside`, `bias` over `outside`."""

    weights: ir.Expr
    bias: ir.Expr
    inside: tuple[Dim, ...]


@dataclass(frozen=True)
class Network:
    layers: tuple[Layer, ...]
    activation: str


class NetworkRules(LinearRules):
    def network(self, name: str) -> Network:
        """The network `name`, with its weights declared: `name.layer1.weights` and so on."""
        known: Network | None = self.networks.get(name)
        if known is not None:
            return known
        node = self.scoped.unknowns[name].prior
        assert isinstance(node, syntax.Call)
        kind = self.signature(name)
        bound = self.bind(catalog.priors()["Network"], node.arguments, node.span)
        if isinstance(kind.domain, Product):
            raise self.problems.report(
                "M248",
                f"`Network` does not go from `{kind.domain}` to `{kind.codomain}`",
                node.span,
                mend=f"let `{name}` be a function of a vector: `Real^d`, a column over `d`",
                notes=self.notes(name),
            )
        inside, outside = self.linear_dims(kind, node.span)
        widths = self.widths(bound.get("hidden"))
        activation = self.activation(bound.get("activation"))
        layers = []
        for number, width in enumerate((*widths, None), start=1):
            after = outside if width is None else (self.free_dim(width, inside, outside),)
            word = "output" if width is None else f"layer{number}"
            layers.append(
                Layer(
                    self.layer_part(name, kind, f"{word}.weights", inside, after, bound),
                    self.layer_part(name, kind, f"{word}.bias", (), after, bound),
                    inside,
                )
            )
            inside = after
        found = self.networks[name] = Network(tuple(layers), activation)
        return found

    def apply_network(
        self, function: ir.FunctionRef, values: Sequence[ir.Expr], span: Span
    ) -> ir.Expr:
        network, kind = self.network(function.name), self.signature(function.name)
        value = values[0]
        for old, new in zip(coordinates_of(kind.domain), network.layers[0].inside, strict=True):
            if old != new:
                value = self.renamed(value, old, new, span)
        for number, layer in enumerate(network.layers):
            if number:
                value = self.calculate(network.activation, (value,), span)
            weights, bias = layer.weights, layer.bias
            for dim, at in function.at:
                weights = self.lookup_of(weights, dim, at, span)
                bias = self.lookup_of(bias, dim, at, span)
            value = self.calculate("multiply", (weights, value), span)
            if layer.inside:
                value = self.sum_over(value, layer.inside, span)
                value = self.calculate("divide", (value, self.root_of(layer.inside[0], span)), span)
            value = self.calculate("add", (value, bias), span)
        return value

    # --- parts ---

    def layer_part(
        self,
        name: str,
        kind: FunctionType,
        part: str,
        inside: tuple[Dim, ...],
        outside: tuple[Dim, ...],
        bound: dict[str, syntax.Argument],
    ) -> ir.Expr:
        """Weights or biases of one layer: each has the prior of the weights, independently."""
        node = self.scoped.unknowns[name].prior
        unknown = f"{name}.{part}"
        dims = self.ordered([*kind.dims, *outside, *inside])
        shape = ValueType(Real(), dims, tuple(d for d in dims if d in (*outside, *inside)))
        given = bound.get("weights")
        if given is None:
            numbers = {"loc": 0.0, "scale": 1.0}
            terms = {k: self.one_number(v, node.span) for k, v in numbers.items()}
            law: ir.Law = ir.Distribution(node.span, "Normal", terms)
        elif given.operator == "~":
            home = Home(unknown, shape.dims, parts=in_place_parts(given.value))
            law = self.law(given.value, home, shape)
            self.check_meeting(law, shape.space, given.span, unknown)
        else:
            raise self.problems.report(
                "M251",
                f"the weights of `{name}` are unknown",
                given.span,
                mend="give them a prior: `weights ~ Normal(0, 1)`",
            )
        self.declare(unknown, node.span, shape, law, name, is_default=given is None)
        return ir.Ref(shape, node.span, unknown)

    def free_dim(self, width: int, *taken: tuple[Dim, ...]) -> Dim:
        """A name for the units of a layer that its neighbours do not have."""
        dim = str(width)
        while any(dim in dims for dims in taken):
            dim += "'"
        return dim

    def root_of(self, dim: Dim, span: Span) -> ir.Expr:
        """The square root of a size."""
        if dim.rstrip("'").isdigit():
            return ir.Constant(ValueType(Real()), span, int(dim.rstrip("'")) ** 0.5)
        one = ir.Constant(ValueType(Count(), (dim,)), span, 1.0)
        size = ir.Reduce(ValueType(Count()), span, "size", one, (dim,))
        return self.calculate("sqrt", (size,), span)

    def widths(self, argument: syntax.Argument | None, prior: str = "Network") -> tuple[int, ...]:
        if argument is None:
            default = catalog.priors()[prior].parameter("hidden")
            assert default is not None and isinstance(default.default, str)
            return tuple(int(w) for w in re.findall(r"\d+", default.default))
        node = argument.value
        items = node.items if isinstance(node, syntax.List) else ()
        found = [i.value for i in items if isinstance(i, syntax.Number)]
        if not items or len(found) != len(items) or any(w < 1 or w != int(w) for w in found):
            raise self.problems.report(
                "M249",
                "`hidden` is a list of widths, whole numbers from 1 on",
                node.span,
                mend="write `hidden = [50, 50]`",
            )
        return tuple(int(w) for w in found)

    def activation(self, argument: syntax.Argument | None) -> str:
        if argument is None:
            return "tanh"
        node, known = argument.value, catalog.elementwise()
        word = node.id if isinstance(node, syntax.Name) else ""
        if word not in known or known[word].arity != 1:
            raise self.problems.report(
                "M251",
                "`activation` is a function of the library, of one number",
                node.span,
                mend="write `activation = tanh`, `relu`, `softplus` or `logistic`",
            )
        return word

    def is_network(self, name: str) -> bool:
        prior = self.scoped.unknowns[name].prior
        head = prior.function if isinstance(prior, syntax.Call) else prior
        return isinstance(head, syntax.Name) and head.id == "Network"

    def refuse_slope(self, function: ir.FunctionRef, span: Span) -> Failed:
        return self.problems.report(
            "M236",
            f"`{function.name}` is a network or a layer, whose derivative is not in the language",
            span,
            notes=self.notes(function.name),
        )
