"""Laws of structure, plan and emission, over the models of the language's own pages."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mercer.compiler.check import compile_front
from mercer.compiler.emit import emit
from mercer.compiler.names import identifiers
from mercer.compiler.plan import plan
from mercer.compiler.shapes import functions_seeing_shapes
from mercer.compiler.structure import analyse
from mercer.dsl.diagnostic import MercerError

MODELS = Path(__file__).parents[1] / "models"
REFUSED = {  # by name, with what the first message is about
    "gallery/arma": "M306",
    "gallery/autoregression": "M306",
    "gallery/garch": "M306",
    "gallery/hidden_markov": "M306",
    "gallery/lotka_volterra": "M301",
    "gallery/mixture": "M307",
}
NAMES = sorted(str(p.relative_to(MODELS).with_suffix("")) for p in MODELS.rglob("*.mercer"))
FIXED = "prepare summaries model processes sites quantities outcomes definitions".split()


def planned(name: str, method: str = "auto"):
    path = MODELS / f"{name}.mercer"
    typed = compile_front(path.read_text(encoding="utf-8"), path.name)
    return plan(analyse(typed), method=method)


def planned_text(text: str):
    return plan(analyse(compile_front(text)))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in REFUSED])
def test_what_runs_is_emitted_with_the_fixed_names(name: str) -> None:
    found = planned(name)
    tree = ast.parse(emit(found))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    more = ["factors"] if found.method == "messages" else ["maps"] if found.training else []
    more += ["inner_functions"] if found.structure.layers else []
    more += ["shapes"] if functions_seeing_shapes(found.structure) else []
    assert sorted(defined) == sorted([*FIXED, *more])


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_engine_is_refused_by_name(name: str) -> None:
    with pytest.raises(MercerError) as caught:
        planned(name)
    codes = {d.code for d in caught.value.diagnostics}
    assert REFUSED[name] in codes
    assert all("has no engine yet" in d.problem and d.span for d in caught.value.diagnostics)


def test_an_emitted_program_imports_nothing_but_the_library_and_jax() -> None:
    for name in NAMES:
        if name in REFUSED:
            continue
        for node in ast.walk(ast.parse(emit(planned(name)))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                words = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                words += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                roots = ("jax", "numpy", "numpyro", "mercer.stdlib", "mercer.runtime")
                assert all(w.startswith(roots) for w in words)


def test_co2_is_one_joint_gaussian_with_its_level_in_it() -> None:
    found = planned("co2")
    assert found.engine_name == "Dense"
    assert found.structure.block == {"level", "trend", "seasonal", "short"}
    assert "noise" in found.sampled


def test_a_hierarchy_of_normals_is_integrated_out_with_its_mean() -> None:
    found = planned("eight_schools")
    assert (found.engine_name, found.sampled) == ("WeightSpace", ("tau",))
    terms = found.structure.locations["y"].terms
    assert sorted(t.site.key for t in terms) == ["mu", "theta"]


def test_no_product_joins_two_members_of_the_block() -> None:
    text = """
data x[n], y[n] : Real
b ~ Normal(0, 1)
f ~ GP(RBF(lengthscale = 1, scale = 1))
y ~ Normal(b * f(x), 0.1)
"""
    found = planned_text(text)
    assert found.structure.block == {"f"}
    assert found.sampled == ("b",)


def test_what_a_scale_depends_on_is_not_integrated_out() -> None:
    text = """
data x[n], y[n] : Real
a ~ Normal(0, 1)
b ~ Normal(0, 1)
y ~ Normal(a + b * x, exp(b))
"""
    assert planned_text(text).structure.block == {"a"}


def test_every_method_changes_the_emitted_program() -> None:
    programs = {emit(planned("gp_regr", method)) for method in ("nuts", "map", "svi")}
    assert len(programs) == 3


def test_the_models_own_method_is_heard() -> None:
    path = MODELS / "gp_regr.mercer"
    text = path.read_text(encoding="utf-8")
    assert planned_text(text + "\ninfer MAP()\n").method == "map"


def test_names_never_meet_in_the_program() -> None:
    words = identifiers(["a.b", "a_b", "lambda", "jnp", "print", "1x"], {"RBF"})
    assert len(set(words.values())) == 6
    assert words["lambda"] not in ("lambda", "jnp", "print")
    assert all(word.isidentifier() for word in words.values())
