"""Laws of networks in the compiler: their unknowns, what is integrated out, mistakes."""

from __future__ import annotations

import pytest

import mercer
from mercer.compiler.check import compile_front
from mercer.compiler.plan import plan
from mercer.compiler.structure import analyse

HEAD = "data x[n] : Real^d\ndata t[n], y[n] : Real\ndata g[n] : Label(c)\n"


def unknowns(line: str, law: str = "StudentT(4, f(x), 1)") -> dict[str, tuple[str, ...]]:
    model = compile_front(f"{HEAD}{line}\ny ~ {law}\n")
    return {name: unknown.type.dims for name, unknown in model.unknowns.items()}


def test_a_network_is_its_weights_and_biases_layer_by_layer() -> None:
    assert unknowns("f : Real^d -> Real ~ Network(hidden = [3, 4])") == {
        "f.layer1.weights": ("d", "3"),
        "f.layer1.bias": ("3",),
        "f.layer2.weights": ("3", "4"),
        "f.layer2.bias": ("4",),
        "f.output.weights": ("4",),
        "f.output.bias": (),
    }


def test_layers_of_one_width_have_units_of_their_own() -> None:
    found = unknowns("f : Real^d -> Real ~ Network(hidden = [3, 3, 3])")
    for number in (2, 3):
        assert len(set(found[f"f.layer{number}.weights"])) == 2


def test_a_network_for_each_label_has_weights_for_each() -> None:
    found = unknowns("f[c] : Real -> Real ~ Network(hidden = [3])", "StudentT(4, f[g](t), 1)")
    assert found["f.layer1.weights"] == ("c", "3") and found["f.output.bias"] == ("c",)


def test_what_stands_in_the_prior_of_the_weights_is_one_a_layer() -> None:
    line = "f : Real^d -> Real ~ Network(hidden = [3], weights ~ Normal(0, scale ~ HalfNormal(1)))"
    found = unknowns(line)
    assert {n for n in found if n.endswith("scale")} == {
        f"f.{layer}.{part}.scale" for layer in ("layer1", "output") for part in ("weights", "bias")
    }


def test_the_last_layer_is_integrated_out_under_gaussian_noise() -> None:
    text = f"{HEAD}f : Real^d -> Real ~ Network(hidden = [3])\ny ~ Normal(f(x), 0.5)\n"
    found = plan(analyse(compile_front(text)))
    assert found.structure.block == {"f.output.weights", "f.output.bias"}
    assert set(found.sampled) == {"f.layer1.weights", "f.layer1.bias"}


def test_a_process_over_a_network_is_integrated_out_and_keeps_its_name() -> None:
    text = f"""{HEAD}feature : Real^d -> Real^2 ~ Network(hidden = [3])
f : Real^2 -> Real ~ GP(RBF())
y ~ Normal(f(feature(x)), 0.5)
"""
    found = plan(analyse(compile_front(text)))
    assert "f" in found.structure.block and "f(feature(x))" in found.structure.sites


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("f : Real^d -> Real ~ Network(hidden = 3)", "M249"),
        ("f : Real^d -> Real ~ Network(hidden = [3, 0])", "M249"),
        ("f : Real^d -> Real ~ Network(activation = wobble)", "M251"),
        ("f : Real^d -> Real ~ Network(activation = maximum)", "M251"),
        ("f : Real^d -> Real ~ Network(weights = 0.3)", "M251"),
        ("f : Real * Real -> Real ~ Network()", "M248"),
    ],
)
def test_mistakes_in_a_network_are_told(line: str, code: str) -> None:
    use = "f(t, t)" if "*" in line else "f(x)"
    with pytest.raises(mercer.MercerError) as caught:
        compile_front(f"{HEAD}{line}\ny ~ Normal({use}, 1)\n")
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_network_has_no_derivative_in_the_language() -> None:
    with pytest.raises(mercer.MercerError, match="derivative is not in the language"):
        compile_front(f"{HEAD}f : Real -> Real ~ Network()\ny ~ Normal(D(f)(t), 1)\n")
