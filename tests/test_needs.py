"""What a typed model needs of its data: outcomes told from inputs, axes in the model's order."""

from __future__ import annotations

from collections.abc import Mapping

from mercer.compiler.typed import (
    DataDeclared,
    Definition,
    Distribution,
    Elementwise,
    Expr,
    IndexDeclared,
    Observation,
    Ref,
    TypedModel,
)
from mercer.dsl.spaces import Label, Real, Space, ValueType, Vector, value_type
from mercer.dsl.span import Source, Span
from mercer.needs import needs_of

SPAN = Span("m.mercer", 1, 1, 1, 2)
REAL = Real()
ROW = value_type(Real(), ("n",))


def _data(name: str, space: Space = REAL, indices: tuple[str, ...] = ("n",)) -> DataDeclared:
    return DataDeclared(name, SPAN, None, value_type(space, indices), space)


def _ref(name: str, type_: ValueType = ROW) -> Ref:
    return Ref(type_, SPAN, name)


def _definition(name: str, value: Expr) -> Definition:
    return Definition(name, SPAN, None, ROW, value, True)


def _observed(name: str, **arguments: Expr) -> Observation:
    return Observation(name, SPAN, None, ROW, Distribution(SPAN, "Normal", arguments))


def _model(
    data: tuple[DataDeclared, ...],
    observations: tuple[Observation, ...],
    definitions: tuple[Definition, ...] = (),
    indices: Mapping[str, IndexDeclared] | None = None,
    dims: tuple[str, ...] = ("n",),
) -> TypedModel:
    source = Source("m.mercer", "")
    return TypedModel(
        doc=None,
        source=source,
        sources={"m.mercer": source},
        indices=indices or {},
        data={d.name: d for d in data},
        shapes={},
        unknowns={},
        functions={},
        definitions={d.name: d for d in definitions},
        observations={o.name: o for o in observations},
        directives=(),
        order=(),
        dims=dims,
    )


def _outcomes(model: TypedModel) -> set[str]:
    return {need.name for need in needs_of(model).data if need.is_outcome}


def test_observed_data_are_outcomes() -> None:
    model = _model((_data("x"), _data("y")), (_observed("y", loc=_ref("x")),))
    assert _outcomes(model) == {"y"}


def test_data_used_only_in_an_observed_definition_are_outcomes() -> None:
    log = _definition("log_y", Elementwise(ROW, SPAN, "log", (_ref("y"),)))
    data = (_data("x"), _data("y"))
    assert _outcomes(_model(data, (_observed("log_y", loc=_ref("x")),), (log,))) == {"y"}
    # Used as an input too, it must be whole.
    assert _outcomes(_model(data, (_observed("log_y", loc=_ref("y")),), (log,))) == set()


def test_the_inputs_of_an_input_are_no_outcomes() -> None:
    z = _definition("z", Elementwise(ROW, SPAN, "log", (_ref("x"),)))
    log = _definition("log_y", Elementwise(ROW, SPAN, "divide", (_ref("y"), _ref("z"))))
    model = _model((_data("x"), _data("y")), (_observed("log_y", loc=_ref("z")),), (z, log))
    assert _outcomes(model) == {"y"}


def test_axes_have_the_order_of_the_model_and_coordinates_come_last() -> None:
    data = (_data("y", Vector(Real(), "d"), ("n", "k")),)
    needs = needs_of(_model(data, (_observed("y"),), dims=("d", "k", "n")))
    assert needs.data[0].dims == ("n", "k", "d")
    assert needs.data[0].order == ("k", "n", "d")


def test_an_index_knows_its_label_columns_and_its_declared_labels() -> None:
    index = IndexDeclared("k", SPAN, None, ("a", "b"))
    data = (_data("g", Label("k")), _data("x", Vector(Real(), "d")))
    needs = needs_of(_model(data, (), indices={"k": index}, dims=("n", "k", "d")))
    assert needs.index("k").labels == ("a", "b")
    assert needs.index("k'").fed_by == ("g",)
    assert needs.index("n").is_looked_up and not needs.index("d").is_looked_up
