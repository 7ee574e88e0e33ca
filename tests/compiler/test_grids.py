"""Which models and data are taken as a grid, by which axes, and why others are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mercer import gridded
from mercer.compiler.engines import MOST_APART
from mercer.compiler.grids import LABEL, OUTPUT, GridUse, grid_of
from mercer.dsl.diagnostic import MercerError
from mercer.model import Model
from mercer.runtime.engines.grid import MOST
from mercer.runtime.methods.density import Density, arguments_of

RNG = np.random.default_rng(5)
PLANE = """
data x[n] : Real^d
data y[n] : Real
mu ~ Normal(0, 1)
f ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))
noise ~ HalfNormal(1)
y ~ Normal(mu + f(x), noise)
"""
STATIONS = """
data place[s] : Real^2
data time[t] : Real
data y[s, t] : Real
f : (place: Real^2, time: Real) -> Real ~ GP(Matern52()[place] * Matern32()[time])
noise ~ HalfNormal(1)
y ~ Normal(f(place, time), noise)
"""
LONG = """
data place[n] : Real^2
data time[n], y[n] : Real
f : (place: Real^2, time: Real) -> Real ~ GP(RBF()[place] * RBF()[time])
noise ~ HalfNormal(1)
y ~ Normal(f(place, time), noise)
"""
OUTPUTS = """
data x[n] : Real
data y[n, k] : Real
f : Real -> Real^k ~ GP(RBF(), outputs = Coregion(rank = 2))
y ~ Normal(f(x), 0.1)
"""


def cells(rows: int, columns: int) -> np.ndarray:
    first, second = np.sort(RNG.uniform(0, 3, rows)), np.linspace(0, 2, columns)
    return RNG.permutation(np.stack(np.meshgrid(first, second), -1).reshape(-1, 2))


def grid(text: str, data: dict[str, Any]) -> GridUse | str:
    model = Model.from_text(text)
    return grid_of(model.structure, model.bind(data).sizes)


def rows(x: np.ndarray) -> dict[str, Any]:
    return {"x": x, "y": RNG.normal(size=len(x))}


def test_columns_of_a_vector_that_form_a_grid_are_its_axes() -> None:
    found = grid(PLANE, rows(cells(9, 8)))
    assert found == GridUse((((0, 0),), ((0, 1),)), (9, 8), 0, True)


def test_rows_left_out_and_outcomes_missing_are_cells_without_a_value() -> None:
    data = rows(cells(9, 8)[:-3])
    data["y"][:2] = np.nan
    found = grid(PLANE, data)
    assert isinstance(found, GridUse) and found.missing == 5 and found.cells == 72


def test_scattered_sites_beside_times_are_one_axis_and_the_times_another() -> None:
    place, time = RNG.uniform(size=(20, 2)), RNG.uniform(size=7)
    data = {"place": place, "time": time, "y": RNG.normal(size=(20, 7))}
    assert grid(STATIONS, data) == GridUse((((0, 0), (0, 1)), ((1, 0),)), (20, 7), 0, True)
    # In one long table too, and where the kernel would let the coordinates be two axes.
    long = {"place": np.repeat(place, 7, axis=0), "time": np.tile(time, 20)}
    long["y"] = RNG.normal(size=140)
    assert grid(LONG, long) == GridUse((((0, 0), (0, 1)), ((1, 0),)), (20, 7), 0, True)


def test_correlated_outputs_are_one_more_axis() -> None:
    data = {"x": RNG.uniform(size=30), "y": RNG.normal(size=(30, 3))}
    assert grid(OUTPUTS, data) == GridUse((((0, 0),), (OUTPUT,)), (30, 3), 0, True)


def test_copies_of_one_kernel_are_one_more_axis() -> None:
    text = """
    data x[n] : Real
    data y[g, n] : Real
    f[g] ~ GP(RBF())
    y ~ Normal(f(x), 0.1)
    """
    data = {"x": RNG.uniform(size=30), "y": RNG.normal(size=(4, 30))}
    assert grid(text, data) == GridUse((((0, 0),), (LABEL,)), (30, 4), 0, True)


SCATTERED = RNG.uniform(size=(40, 2))
WHY = [
    (PLANE, SCATTERED, "the inputs of its rows form no grid"),
    (PLANE, np.concatenate([cells(5, 4)] * 2), "several rows have the same input"),
    (PLANE.replace("RBF", "Matern32"), cells(5, 4), "no product over parts of its input"),
    (PLANE.replace("f ~ GP", "g ~ GP(RBF())\nf ~ GP").replace("f(x)", "f(x) + g(x)"), cells(5, 4),
     "one random function"),
]  # fmt: skip


@pytest.mark.parametrize("text, x, why", WHY)
def test_what_is_no_grid_says_why(text: str, x: np.ndarray, why: str) -> None:
    found = grid(text, rows(x))
    assert isinstance(found, str) and why in found


BIG = cells(40, 30)
CHOICES = [
    (PLANE, rows(BIG), "Grid"),
    (PLANE, rows(BIG[:-40]), "Grid"),
    (PLANE, rows(BIG[:500]), "Dense"),
    (PLANE, rows(cells(6, 5)), "Dense"),
    (PLANE.replace("RBF", "Matern32"), rows(BIG), "Dense"),
    (PLANE, rows(RNG.uniform(size=(1200, 2))), "Dense"),
]


@pytest.mark.parametrize("text, data, engine", CHOICES)
def test_the_plan_takes_a_grid_where_it_is_the_cheapest(text: str, data: Any, engine: str) -> None:
    model = Model.from_text(text)
    assert model.plan(model.bind(data).sizes).engine_name == engine


def test_the_plan_and_the_engine_agree_on_how_much_is_eliminated() -> None:
    assert MOST_APART == MOST
    data = rows(BIG)
    data["y"][: MOST + 1] = np.nan
    model = Model.from_text(PLANE + "infer f by Kronecker()\n")
    with pytest.raises(MercerError) as caught:
        model.plan(model.bind(data).sizes)
    assert "602 cells of the grid have no value" in str(caught.value)


def test_the_plan_says_what_the_grid_is() -> None:
    told = Model.from_text(PLANE).explain(rows(BIG[:-1]))
    assert "factor by factor of the grid that the inputs form" in told
    assert "40 of x[1] × 30 of x[2]" in told or "30 of x[1] × 40 of x[2]" in told
    assert "1 cell has no value" in told and "grid 0.0" not in told


def test_asked_for_without_a_grid_it_is_refused_with_the_reason() -> None:
    model = Model.from_text(PLANE + "infer f by Kronecker()\n")
    assert model.plan().engine_name == "Grid"  # what the data are nobody knows yet
    with pytest.raises(MercerError) as caught:
        model.plan(model.bind(rows(SCATTERED)).sizes)
    assert "the inputs of its rows form no grid" in str(caught.value)


def test_a_program_on_a_grid_has_the_density_of_the_exact_one() -> None:
    from numpyro.infer.util import log_density

    from mercer.runtime.methods.density import arguments_of

    data, found = rows(cells(7, 6)[:-2]), {}
    for word in ("Kronecker", "Exact"):
        model = Model.from_text(f"{PLANE}infer f by {word}()\n")
        bound = model.bind(data)
        program = model.program(model.plan(bound.sizes))
        at = {"f.lengthscale": np.array([0.8, 1.1]), "f.scale": 1.4, "noise": 0.3}
        arguments = arguments_of(program, bound).all()
        found[word] = float(log_density(program.model, (), arguments, at)[0])
    assert found["Kronecker"] == pytest.approx(found["Exact"], rel=1e-10)


def test_a_covariance_of_the_outputs_may_be_unknown():
    """The density is that of one factorisation, at the same unknowns."""
    text = """
    data x[n] : Real
    data y[n, k] : Real
    Omega : Correlation(k) ~ LKJ(2)
    f : Real -> Real^k ~ GP(RBF(), outputs = Omega)
    noise ~ LogNormal(0, 1)
    y ~ Normal(f(x), noise)
    """
    data = {"x": np.linspace(0, 3, 8), "y": RNG.normal(size=(8, 2))}
    found = []
    for engine in ("Kronecker", "Exact"):
        model = Model.from_text(f"{text}\ninfer f by {engine}()".replace("\n    ", "\n"))
        bound = model.bind(data)
        program = model.program(model.plan(bound.sizes))
        density = Density(program, arguments_of(program, bound))
        at = np.linspace(-0.5, 0.5, len(density.functions.zero))
        found.append(density.value_and_grad(at))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-9)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-7)


def test_of_many_rows_few_are_looked_at_where_all_inputs_differ(monkeypatch):
    looked = []
    own = gridded._codes
    monkeypatch.setattr(gridded, "_codes", lambda *given: looked.append(given[2:]) or own(*given))
    columns = {"x": RNG.normal(size=(6_000, 3)), "y": RNG.normal(size=6_000)}
    assert grid(PLANE, columns) == "the inputs of its rows form no grid"
    assert looked == [(4096,)] * 3
    assert grid(PLANE, rows(cells(80, 90))).counts in {(80, 90), (90, 80)}


def test_a_field_whose_kernel_ties_its_coordinates_is_on_no_grid():
    text = """
data place[s] : Real^2
data time[t] : Real
data v[s, t] : Real^2
f : (place: Real^2, time: Real) -> Real^2 ~ GP(DivergenceFree(RBF())[place] * RBF()[time])
v ~ Normal(f(place, time), 0.2)
"""
    data = {"place": RNG.normal(size=(4, 2)), "time": np.arange(5.0)}
    told = grid(text, data | {"v": RNG.normal(size=(4, 5, 2))})
    assert told == "the kernel of `f` ties the coordinates of its values to its points"
