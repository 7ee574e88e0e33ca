"""Every model of the collection has types, and the types are those that the language promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from mercer.compiler import typed as ir
from mercer.compiler.check import compile_front
from mercer.compiler.show import show_expression, show_types
from mercer.compiler.walk import nodes
from mercer.dsl.spaces import Positive, Product, Real, Unit, Vector

MODELS = Path(__file__).parents[1] / "models"
FILES = sorted(MODELS.rglob("*.mercer"))


def front(text: str) -> ir.TypedModel:
    return compile_front(text, "model.mercer")


def location(model: ir.TypedModel, name: str, argument: str = "loc") -> str:
    law = model.observations[name].law
    assert isinstance(law, ir.Distribution)
    return show_expression(law.arguments[argument])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_model_has_types(path: Path) -> None:
    model = compile_front(path.read_text(), path.name, path.parent)
    assert model.observations
    assert show_types(model)
    assert set(model.order) == {
        *model.data,
        *model.shapes,
        *model.unknowns,
        *model.functions,
        *model.definitions,
    }


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_dim_has_its_place_in_the_order(path: Path) -> None:
    model = compile_front(path.read_text(), path.name, path.parent)
    for declared in (*model.unknowns.values(), *model.functions.values()):
        for node in nodes(declared):
            if isinstance(node, ir.Expr):
                assert set(node.type.dims) <= set(model.dims)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_name_stands_after_all_that_it_needs(path: Path) -> None:
    model = compile_front(path.read_text(), path.name, path.parent)
    place = {name: position for position, name in enumerate(model.order)}
    for name, unknown in model.unknowns.items():
        lagged = any(isinstance(n, ir.Lag) for n in nodes(unknown.prior))
        for node in nodes(unknown.prior):
            if isinstance(node, ir.Ref) and not lagged and node.name in place:
                assert place[node.name] < place[name]


def test_two_parts_with_an_unknown_lengthscale_bear_the_part_in_the_name() -> None:
    model = compile_front((MODELS / "co2.mercer").read_text())
    named = [n for n in model.unknowns if n.startswith("seasonal.")]
    assert sorted(named) == [
        "seasonal.Periodic.lengthscale",
        "seasonal.RBF.lengthscale",
        "seasonal.scale",
    ]
    assert "trend.lengthscale" in model.unknowns


def test_a_product_of_kernels_has_one_scale() -> None:
    model = compile_front((MODELS / "co2.mercer").read_text())
    kernel = model.functions["seasonal"].kernel
    assert isinstance(kernel, ir.KernelProduct)
    scales = [k.arguments["scale"] for k in kernel.parts if isinstance(k, ir.KernelCall)]
    assert isinstance(scales[0], ir.Ref) and scales[0].name == "seasonal.scale"
    assert isinstance(scales[1], ir.Constant) and scales[1].value == 1


def test_default_priors_are_relative_to_the_data_that_they_meet() -> None:
    model = compile_front((MODELS / "rod.mercer").read_text())
    lengthscale, scale = (model.unknowns[f"u.{n}"].prior for n in ("lengthscale", "scale"))
    assert isinstance(lengthscale, ir.Distribution) and isinstance(scale, ir.Distribution)
    assert show_expression(lengthscale.arguments["loc"]) == "log(spread(x))"
    assert show_expression(scale.arguments["scale"]) == "spread(temperature)"
    assert model.unknowns["u.scale"].is_default


def test_all_tucker_modes_but_one_have_scale_one() -> None:
    model = compile_front((MODELS / "tucker.mercer").read_text())
    assert [n for n in model.unknowns if n.endswith(".scale")] == ["u.scale"]


def test_a_layer_of_infinite_width_has_scale_one() -> None:
    model = compile_front((MODELS / "kernel_machine.mercer").read_text())
    assert [n for n in model.unknowns if n.endswith(".scale")] == ["f.scale"]


def test_a_constant_is_observed_at_the_rows_of_its_law() -> None:
    model = compile_front((MODELS / "rod.mercer").read_text())
    assert model.observations["zero"].type.dims == ("m",)
    assert location(model, "zero") == "Laplacian(u)(rod)"


def test_a_lookup_takes_the_indices_of_the_column() -> None:
    model = compile_front((MODELS / "swing.mercer").read_text())
    assert location(model, "share") == "base[state] + swing[state](year)"
    assert model.functions["swing"].type.dims == ("s",)
    assert model.observations["share"].type.dims == ("n",)


def test_linear_operators_go_inside_sums() -> None:
    model = front(
        "data x[n], t[n] : Real\n"
        "u : (place: Real, time: Real) -> Real ~ GP(RBF())\n"
        "heat = D(u, time) - 0.1 * Laplacian(u)\n"
        "zero = 0\n"
        "zero ~ Normal(heat(x, t), 0.01)\n"
    )
    assert location(model, "zero") == "D(u, time)(x, t) - 0.1 * Laplacian(u)(x, t)"
    assert "heat" not in model.definitions


def test_a_linear_map_becomes_its_weights() -> None:
    model = front(
        "data x[n] : Real^d\ndata y[n] : Real\n"
        "f : Real^d -> Real ~ Linear(weights ~ Normal(0, 3), bias ~ Normal(0, 1))\n"
        "y ~ Normal(f(x), 1)\n"
    )
    assert not model.functions
    assert model.unknowns["f.weights"].type.dims == ("d",)
    assert location(model, "y") == "sum(f.weights * x, d) + f.bias"


def test_pipes_and_names_of_arguments_are_gone() -> None:
    model = front(
        "data p[n] : Real^2\ndata t[n], y[n] : Real\n"
        "f : (place: Real^2, time: Real) -> Real ~ GP(RBF()[place] * Matern32()[time])\n"
        "y ~ Normal(f(time = t, place = p) |> exp, 1)\n"
    )
    assert location(model, "y") == "exp(f(p, t))"


def test_a_definition_shares_and_a_def_copies() -> None:
    model = front(
        "data x[n], y[n] : Real\n"
        "long = RBF(lengthscale ~ Weibull(8, 30))\n"
        "def Short() = Matern32(lengthscale ~ LogNormal(0, 1))\n"
        "f ~ GP(long + Short())\n"
        "g ~ GP(long + Short())\n"
        "y ~ Normal(f(x) + g(x), 1)\n"
    )
    lengthscales = [n for n in model.unknowns if n.endswith("lengthscale")]
    assert sorted(lengthscales) == ["f.lengthscale", "g.lengthscale", "long.lengthscale"]


def test_a_signature_left_out_is_that_of_the_uses() -> None:
    model = front(
        "data x[n] : Real^d\ndata t[n], y[n] : Real\n"
        "f ~ GP(RBF())\ng ~ GP(Matern32())\ny ~ Normal(f(x) + g(t), 1)\n"
    )
    assert model.functions["f"].type.domain == Vector(Real(), "d")
    assert model.functions["g"].type.domain == Real()


def test_one_lengthscale_a_label_and_a_coordinate() -> None:
    model = front(
        "data x[n] : Real^d\ndata g[n] : Label(s)\ndata y[n] : Real\n"
        "f[s] : Real^d -> Real ~ GP(RBF(lengthscale[s, d] ~ LogNormal(0, 1)))\n"
        "y ~ Normal(f[g](x), 1)\n"
    )
    kind = model.unknowns["f.lengthscale"].type
    assert kind.dims == ("s", "d") and kind.coordinates == ("d",)


@pytest.mark.parametrize(
    ("expression", "space"),
    [
        ("a * b + 1", Positive()),
        ("exp(c)", Positive()),
        ("1 - p", Unit()),
        ("a / (1 + b^2)", Positive()),
        ("a - b", Real()),
    ],
)
def test_arithmetic_keeps_what_is_positive(expression: str, space: object) -> None:
    model = front(
        "data y[n] : Real\na ~ HalfNormal(1)\nb ~ HalfNormal(1)\nc ~ Normal(0, 1)\n"
        f"p ~ Beta(1, 1)\nq = {expression}\ny ~ Normal(q, 1)\n"
    )
    assert model.definitions["q"].type.space == space


def test_the_state_of_a_flow_is_a_point_with_names() -> None:
    model = compile_front((MODELS / "gallery" / "lotka_volterra.mercer").read_text())
    path = model.functions["z"]
    assert isinstance(path.type.codomain, Product)
    assert path.type.codomain.names == ("hare", "lynx")
    assert location(model, "hare") == "log(z(t).hare)"


def test_a_used_file_gives_its_abbreviations(tmp_path: Path) -> None:
    (tmp_path / "kernels.mercer").write_text("def Long() = RBF(lengthscale = 30)\n")
    text = 'use "kernels.mercer"\ndata x[n], y[n] : Real\nf ~ GP(Long())\ny ~ Normal(f(x), 1)\n'
    assert "f" in compile_front(text, "model.mercer", tmp_path).functions


def test_a_parameter_of_labels_has_their_index_where_its_prior_stands_in_place() -> None:
    model = front(
        """data t[n], y[n] : Real
        data g[n] : Label(c)
        f : (time: Real, kind: Label(c)) -> Real ~ GP(
            RBF()[time] * Coregion(rank = 2, weights ~ Normal(0, 1), kappa[c] ~ HalfNormal(1))[kind]
        )
        y ~ Normal(f(t, g), 0.3)
        """
    )
    assert model.unknowns["f.weights"].type.dims == ("c", "2")
    assert model.unknowns["f.weights"].type.coordinates == ("2",)
    assert model.unknowns["f.kappa"].type.dims == ("c",)


def test_parts_alike_that_see_different_factors_bear_these_in_the_name() -> None:
    model = front(
        """data t[n], y[n] : Real
        data s[n] : Real^2
        f : (place: Real^2, time: Real) -> Real ~ GP(
            RBF()[place] * RBF()[time] * Matern12(lengthscale ~ HalfNormal(1))[time]
        )
        y ~ Normal(f(s, t), 0.3)
        """
    )
    assert set(model.unknowns) == {
        "f.RBF.place.lengthscale",
        "f.RBF.time.lengthscale",
        "f.Matern12.lengthscale",
        "f.scale",
    }
