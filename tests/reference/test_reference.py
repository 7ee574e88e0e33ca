"""Emitted programs against the reference interpreter, over random models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.reference.generator import generate
from tests.reference.programs import Program, is_free, reference_log_density
from tests.reference.wide import KINDS, generate_wide

SEEDS = 200
FEW = len(KINDS)
WIDE_SEEDS = 8 * FEW
STEP = 5e-5
"""Of a difference quotient of fourth order, along a direction of length 1: rounding and the fifth
derivative (large in the period of a Periodic) both leave an error below 1e-7."""
LONG_STEP = 5e-4
"""Where values are whitened: the factor of a covariance of condition 1e9 rounds a thousand times
more, which a step ten times longer divides by ten; its fifth derivative still leaves 1e-7."""


BETALN = 2e-6
"""What JAX's logarithm of the Beta function is off by at most (1.3e-6 where its larger argument
is just above 8), twice in each of eight rows of these laws; its gradient is no worse."""
ON_BETALN = ("BetaBinomial", "GammaPoisson", "NegativeBinomial2")


def direction_of(values: dict[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A change of all values that stays within their spaces: a correlation keeps its diagonal, a
    covariance its symmetry, effects that add to zero their sum."""
    change = {k: rng.normal(size=np.shape(v)) for k, v in values.items()}
    if "Omega" in change:
        change["Omega"] = np.array([[0.0, 1.0], [1.0, 0.0]]) * change["Omega"][0, 1]
    if "Sigma" in change:
        change["Sigma"] = change["Sigma"] + change["Sigma"].T
    if "even" in change:
        change["even"] = change["even"] - change["even"].mean(-1, keepdims=True)
    length = np.sqrt(sum(np.sum(c**2) for c in change.values()))
    return {k: c / length for k, c in change.items()}


def start(name: str, shape: Any, values: dict[str, Any], rng: np.random.Generator) -> Any:
    """The value of a site that is moved: of the model's unknowns those that the generator gave."""
    if is_free(name):
        return rng.normal(size=shape)
    if name.endswith(".share"):
        return rng.uniform(0.2, 0.8, size=shape)
    return values[name] if name in values else rng.normal(size=shape)  # weights of a network


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_program_has_the_density_and_the_gradient_of_its_model(seed: int) -> None:
    check(*generate(seed), seed)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(s, marks=pytest.mark.slow if s % 2 or s > FEW else ())
        for s in range(WIDE_SEEDS)
    ],
)
def test_so_has_a_program_of_the_wider_language(seed: int) -> None:
    check(*generate_wide(seed), seed)


def check(text: str, data: dict[str, Any], values: dict[str, Any], seed: int) -> None:
    """Density and directional derivative of a program against the interpreter."""
    rng = np.random.default_rng(seed)
    program = Program(text, data)
    given = {name: start(name, shape, values, rng) for name, shape in program.sampled().items()}
    found, gradient = program.value_and_gradient(given)
    expected = reference_log_density(program, given)
    beyond = 16 * BETALN if any(law in text for law in ON_BETALN) else 0.0
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8 + beyond), text
    if not given:
        return
    change = direction_of(given, rng)

    def along(distance: float) -> float:
        moved = {k: v + distance * change[k] for k, v in given.items()}
        return reference_log_density(program, moved)

    step = LONG_STEP if any(name.endswith(".whitened") for name in given) else STEP
    near, far = along(step) - along(-step), along(2 * step) - along(-2 * step)
    slope = (8 * near - far) / (12 * step)
    directional = sum(float(np.sum(gradient[k] * change[k])) for k in given)
    size = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
    assert directional == pytest.approx(slope, rel=1e-6, abs=1e-6 * (1 + size)), text
