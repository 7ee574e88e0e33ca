"""The rules of equivariant layers, which become fields made by coordinate networks.

A layer `f : A -> B ~ Equivariant()` has as its unknowns the weights of a small network that gives
the values of its kernel. What stands between two layers must commute with the group too: a
function of each value of a field does, and little else.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.rules_networks import NetworkRules
from mercer.dsl import syntax
from mercer.dsl.spaces import (
    Dim,
    Field,
    FunctionType,
    Image,
    Real,
    Scalar,
    ValueType,
    coordinates_of,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog

LEAST_GRID = 12
"""Cells of a grid, each way, from which on a layer that is silent of it takes a stride of 2."""

_FEATURES = {"SO(2)": 2, "SL(2)": 4, "GL(2)": 5}
"""Of an element of each group, how many coordinates without a cut: strains, cosine and sine."""


@dataclass(frozen=True)
class LayerParts:
    """The weights of a layer, its settings by name, and where its stride was written."""

    weights: tuple[tuple[tuple[ir.Expr, ...], tuple[Dim, ...], tuple[Dim, ...]], ...]
    settings: Mapping[str, float]


class LayerRules(NetworkRules):
    def is_layer(self, name: str) -> bool:
        """`Equivariant` from an image or a field to a field. Other maps are functions that the plan
        refuses by name."""
        prior = self.scoped.unknowns[name].prior
        head = prior.function if isinstance(prior, syntax.Call) else prior
        if not (isinstance(head, syntax.Name) and head.id == "Equivariant"):
            return False
        kind = self.signature(name)
        fits = isinstance(kind.domain, Image | Field) and isinstance(kind.codomain, Field)
        return fits and not kind.dims

    def layer(self, name: str) -> LayerParts:
        """The layer `name`, with its weights declared: `name.layer1.weights` and so on."""
        known: LayerParts | None = self.layers.get(name)
        if known is not None:
            return known
        node = self.scoped.unknowns[name].prior
        assert isinstance(node, syntax.Call)
        kind = self.signature(name)
        self.check_groups(name, kind, node.span)
        assert isinstance(kind.codomain, Field)
        entry = catalog.priors()["Equivariant"]
        bound = self.bind(entry, node.arguments, node.span)
        settings = self.layer_settings(bound)
        read = _channels(kind.domain)
        count = 2 + (_FEATURES[str(kind.codomain.group)] if isinstance(kind.domain, Field) else 0)
        outputs = (str(kind.codomain.channels), self.free_dim(read, (str(kind.codomain.channels),)))
        inside: tuple[Dim, ...] = (str(count),)
        weights = []
        hidden = self.widths(bound.get("hidden"), "Equivariant")
        for number, width in enumerate((*hidden, None), start=1):
            after = outputs if width is None else (self.free_dim(width, inside),)
            if width is None:
                inside_last = self.free_dim(int(inside[0].rstrip("'")), outputs)
                if inside_last != inside[0]:
                    inside = (inside_last,)
            word = "output" if width is None else f"layer{number}"
            made = [self.layer_part(name, kind, f"{word}.weights", inside, after, bound)]
            if width is not None:
                made.append(self.layer_part(name, kind, f"{word}.bias", (), after, bound))
            weights.append((tuple(made), inside, after))
            inside = after
        found = self.layers[name] = LayerParts(tuple(weights), settings)
        return found

    def check_groups(self, name: str, kind: FunctionType, span: Span) -> None:
        domain, codomain = kind.domain, kind.codomain
        assert isinstance(codomain, Field)
        groups = [s.group for s in (domain, codomain) if isinstance(s, Field)]
        why = mend = None
        if any(group.degree != 2 for group in groups):
            why = f"`{codomain.group}` does not act on the plane of an image."
            mend = "use SO(2), SL(2) or GL(2)"
        elif len(set(groups)) > 1:
            why = f"A layer commutes with one group, and here are `{groups[0]}` and `{groups[1]}`."
            mend = f"write `Field({groups[0]}, {codomain.channels})`"
        if why:
            raise self.problems.report(
                "M248",
                f"`Equivariant` does not go from `{domain}` to `{codomain}`",
                span,
                why=why,
                mend=mend,
                notes=self.notes(name),
            )

    def layer_settings(self, bound: Mapping[str, syntax.Argument]) -> dict[str, float]:
        """The numbers that shape a layer; `stride` only where it was written."""
        found: dict[str, float] = {}
        for parameter in catalog.priors()["Equivariant"].parameters:
            if parameter.name in ("hidden", "weights"):
                continue
            argument = bound.get(parameter.name)
            if argument is None:
                if isinstance(parameter.default, float):
                    found[parameter.name] = parameter.default
                continue
            value = self.word_or_value(argument)
            self.check_number(value, parameter)
            assert isinstance(value, ir.Constant)
            least = 0 if parameter.name == "seed" else 1 if parameter.space == "Count" else None
            if least is not None and value.value < least:
                raise self.problems.report(
                    "M245", f"`{parameter.name}` must be at least {least}", value.span
                )
            found[parameter.name] = value.value
        return found

    def word_or_value(self, argument: syntax.Argument) -> ir.Expr:
        node = argument.value
        if isinstance(node, syntax.Name) and not self.is_user_name(node.id):
            if node.id in ("true", "false"):
                return self.one_number(float(node.id == "true"), node.span)
            if node.id in catalog.elementwise():
                return ir.Text(ValueType(Real()), node.span, node.id)
        if argument.operator == "~" or self.random_names(value := self.value(node)):
            raise self.problems.report(
                "M249", f"`{argument.name}` must be written here as a constant", node.span
            )
        return value

    def apply_layer(self, function: ir.FunctionRef, value: ir.Expr, span: Span) -> ir.Expr:
        name, kind = function.name, self.signature(function.name)
        parts = self.layer(name)
        codomain = kind.codomain
        assert isinstance(codomain, Field)
        height, width = self.grid_of(kind, value)
        stride = self.stride_of(name, parts, (height, width), span)
        settings = ir.LayerSettings(
            str(codomain.group),
            int(parts.settings["samples"]),
            # Each layer has samples of its own, which no other draws: its name is in their seed.
            int(parts.settings["seed"]) * 2**20 + zlib.crc32(name.encode()) % 2**20,
            parts.settings["radius"],
            stride,
            parts.settings["spread"],
            parts.settings["angle"],
        )
        own = coordinates_of(kind.domain)
        made = self.result_type(function, [d for d in value.type.dims if d not in own], set())
        return ir.Convolved(
            made, span, name, value, parts.weights, settings, (height // stride, width // stride)
        )

    def grid_of(self, kind: FunctionType, value: ir.Expr) -> tuple[int, int]:
        """The grid of an image, or that on which a field was made."""
        if isinstance(kind.domain, Image):
            return kind.domain.height, kind.domain.width
        return self.maker_of(value).grid

    def maker_of(self, field: ir.Expr) -> ir.Convolved:
        """The layer that made a field, whatever was done to its values since."""
        match field:
            case ir.Convolved():
                return field
            case ir.OverField(_, _, _, base):
                return self.maker_of(base)
            case ir.Ref(_, _, name) if name in self.definitions:
                return self.maker_of(self.definitions[name].value)
            case ir.Elementwise(_, _, _, arguments):
                return self.maker_of(next(a for a in arguments if isinstance(a.type.space, Field)))
            case _:
                raise self.problems.report(
                    "M221",
                    "a field must come from an equivariant layer",
                    field.span,
                    mend="lift an image first: `lift : Image(28, 28) -> Field(GL(2), 16) ~ "
                    "Equivariant()`",
                )

    def stride_of(self, name: str, parts: LayerParts, grid: tuple[int, int], span: Span) -> int:
        if "stride" not in parts.settings:
            halves = all(side % 2 == 0 and side >= LEAST_GRID for side in grid)
            return 2 if halves else 1
        stride = int(parts.settings["stride"])
        if any(side % stride or side < stride for side in grid):
            raise self.problems.report(
                "M249",
                f"a stride of {stride} does not divide a grid of {grid[0]} × {grid[1]}",
                span,
                why="The cells that it would leave over are not the same on both sides, so that "
                "the layer would not commute with the turns of the grid.",
                mend=f"write `stride = 1` in `{name}`, or pad the images",
                notes=self.notes(name),
            )
        return stride

    def check_field(self, word: str, arguments: Sequence[ir.Expr], span: Span) -> None:
        fields = [a for a in arguments if isinstance(a.type.space, Field)]
        others = [a for a in arguments if not isinstance(a.type.space, Field)]
        for other in others:
            if other.type.dims or not isinstance(other.type.space, Scalar):
                raise self.problems.report(
                    "M232",
                    f"`{word}` of a field and of `{other.type}`",
                    span,
                    why="What differs from value to value of a field does not commute with the "
                    "group.",
                    mend="do that after `pool`",
                )
        makers = [self.maker_of(field) for field in fields]
        for other in makers[1:]:
            first = makers[0]
            if (other.function, other.type, other.grid) != (first.function, first.type, first.grid):
                raise self.problems.report(
                    "M232",
                    f"the fields of `{first.function}` and of `{other.function}` have no "
                    "arithmetic together",
                    span,
                    why="Each layer has its values at elements of the group that are its own.",
                    mend="add what you make of both after `pool`",
                    notes=self.notes(first.function, other.function),
                )


def _channels(space: object) -> int:
    if isinstance(space, Field):
        return space.channels
    assert isinstance(space, Image)
    return space.channels or 1
