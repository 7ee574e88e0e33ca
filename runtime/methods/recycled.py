"""A density whose block is solved for iteratively, along a path of points, each from the last.

What one solve leaves to the next (`mercer.runtime.engines.iterative.Remembered`) is a plain value
that goes with the path, and the density is told its solution as an argument: functions stay pure.
Within a stretch of the path all that the estimate of the log determinant is made of stays the same,
so that an optimiser sees one smooth function; between two stretches it is chosen anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro.infer.util import constrain_fn

from mercer.runtime.engines.iterative import Iterations, Iterative, Remembered

STRETCHES = (10, 30)
"""Steps of an optimiser in all stretches but the last: a start is far from where columns and
directions will be wanted."""


class _Functions(Protocol):
    program: ModuleType
    model: Callable[..., Any]
    unravel: Callable[[Array], Any]
    compiled: Any

    @property
    def value_and_grad(self) -> Callable[[Array, Mapping[str, Any]], tuple[Array, Array]]: ...


def is_iterative(program: ModuleType) -> bool:
    """Whether the block of a program is solved for iteratively."""
    return isinstance(getattr(program, "ENGINE", None), Iterations)


@dataclass(frozen=True)
class Told:
    """Of one evaluation: the largest residual of its solves, and the most iterations."""

    residual: float
    iterations: int


class Path:
    """A density evaluated at one point after another."""

    def __init__(
        self,
        functions: _Functions,
        arrays: Mapping[str, Array],
        block: Callable[[Any], Iterative],
        told: list[Told],
    ) -> None:
        self._functions, self._arrays, self._told = functions, arrays, told
        self._block = block
        self._before: Remembered | None = None
        self._is_new = True

    def stretches(self, steps: int) -> Iterable[int]:
        """The steps of each stretch, chosen anew before each."""
        for count in (*STRETCHES, steps):
            self._is_new = True
            yield count

    def value_and_grad(self, flat: Any) -> tuple[Array, Array]:
        """-log density at a flat point [p], and its gradient."""
        flat = jnp.asarray(flat)
        before = self._before
        if self._is_new or before is None:
            first = self._compiled("first", lambda block: block.first())(flat, self._arrays)
            if before is not None:
                first = first._replace(basis=before.basis, alpha=before.alpha)
            # Solved for once to find the directions, which are then held.
            before = self._before = self._solved(flat, first)[1]
            self._is_new = False
        solution, after = self._solved(flat, before)
        if bool(jnp.all(jnp.isfinite(after.alpha))):
            self._before = before._replace(alpha=after.alpha)
        self._told.append(
            Told(float(jnp.max(solution.residual)), int(jnp.max(solution.iterations)))
        )
        return self._functions.value_and_grad(flat, {**self._arrays, "solved": solution})

    def _solved(self, flat: Array, before: Remembered) -> Any:
        """The solution at a point, and what there is to remember."""
        run = self._compiled("solved", lambda block, before: block.solved(before))
        return run(flat, self._arrays, before)

    def _compiled(self, name: str, of: Callable[..., Any]) -> Callable[..., Any]:
        functions, block = self._functions, self._block

        def compute(flat: Array, arrays: Mapping[str, Array], *rest: Any) -> Any:
            given = functions.unravel(flat)
            values = constrain_fn(
                functions.model, (), dict(arrays), given, return_deterministic=True
            )
            return of(block({**arrays, **values}), *rest)

        return functions.compiled.get(("iterative", name), lambda: jax.jit(compute))


def sentences_of_solves(told: list[Told], tolerance: float) -> tuple[str, ...]:
    """What the solves of an optimisation took, and whether all reached their tolerance."""
    if not told:
        return ()
    counts = [one.iterations for one in told]
    worst = max(one.residual for one in told)
    missed = sum(not one.residual <= tolerance for one in told)
    text = (
        f"{len(told)} densities were solved for by conjugate gradients, of {min(counts)} to "
        f"{max(counts)} iterations (median {np.median(counts):.0f}); the largest relative residual "
        f"is {worst:.1e}."
    )
    if missed:
        text += (
            f" {missed} of them ended above the tolerance of {tolerance:g}: the mode, and what is "
            "said of it, is less exact than asked for. A larger rank helps, infer NAME by "
            "Iterative(rank = ...), and so does more noise."
        )
    return (text,)
