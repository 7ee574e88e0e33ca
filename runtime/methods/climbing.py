"""A density with inducing points and Gram matrices among its arguments into a mode of both.

L-BFGS over the unknowns and, in units of their widths, over what is learned beside them. Where
there are Gram matrices the bound and its parts are kept over the iterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from mercer.runtime.compiling import quick_jit
from mercer.runtime.inner import divergences, has_laws, trace_names
from mercer.runtime.methods.density import Density
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.progress import Report

_GRAMS = 3000
"""Iterations at most with Gram matrices, of which the bound is a smooth function."""

_SETTLED = (100, 0.1)
"""Iterations in which the bound rises by so little, in nats, that it is near its top."""

Arrays = Mapping[str, Any]


class Climbed(NamedTuple):
    """The unknowns [p] and the learned arguments at the mode; `traces`: what was kept over the
    iterations, by name."""

    flat: np.ndarray
    moved: dict[str, Any]
    traces: dict[str, np.ndarray]


def climbed(
    density: Density,
    start: np.ndarray,
    widths: Mapping[str, Any],
    *,
    report: Report,
    steps: int = _GRAMS,
    is_exact: bool = False,
) -> Climbed:
    """The mode that L-BFGS reaches from a start.

    A step of one is the width of the data for a point, and an unconstrained unit for the rest.
    With Gram matrices, and not `is_exact`, it ends where the bound has settled.
    """
    arrays = dict(density.arguments.arrays)
    shifts = {name: jnp.zeros_like(arrays[name]) for name in widths}
    zero, unravel = ravel_pytree((jnp.asarray(start), shifts))
    potential = density.functions.potential

    def joint(vector: Any, arrays: Arrays, widths: Arrays) -> Any:
        flat, shifts = unravel(vector)
        return potential(flat, {**arrays, **_moved(arrays, widths, shifts)})

    evaluate = density.functions.compiled.get(
        ("joint", *sorted(widths)), lambda: quick_jit(jax.value_and_grad(joint))
    )

    def told(vector: np.ndarray) -> tuple[float, np.ndarray]:
        report("moving inducing points" if widths else "a first mode")
        if widths:
            value, gradient = evaluate(jnp.asarray(vector), arrays, widths)
        else:
            value, gradient = density.value_and_grad(vector)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return 1e100, np.zeros_like(vector)
        return float(value), np.asarray(gradient, float)

    has_grams = has_laws(density.functions.program)
    ends = {"ftol": 1e-13, "gtol": 1e-7} if has_grams else {"ftol": 1e-8, "gtol": 1e-4}
    parts = _parts(density, unravel, widths) if has_grams else None
    kept: list[np.ndarray] = []

    def after(intermediate_result: Any) -> None:
        if parts is None:
            return
        bound = -float(intermediate_result.fun)
        kept.append(parts(bound, intermediate_result.x, arrays))
        far = len(kept) > _SETTLED[0]
        if far and not is_exact and bound - kept[-1 - _SETTLED[0]][0] < _SETTLED[1]:
            raise StopIteration

    result: Any = minimize(
        told,
        np.asarray(zero),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, **ends},
        callback=after,
    )
    flat, shifts = unravel(jnp.asarray(result.x))
    traces = {}
    if kept:
        columns = [np.arange(1.0, len(kept) + 1), *np.stack(kept).T]
        traces = dict(zip(trace_names(density.functions.program), columns, strict=True))
    return Climbed(np.asarray(flat, float), _moved(arrays, widths, shifts), traces)


def _moved(arrays: Arrays, widths: Arrays, shifts: Arrays) -> dict[str, Any]:
    return {k: arrays[k] + widths[k] * shift for k, shift in shifts.items()}


def _parts(density: Density, unravel: Any, widths: Arrays) -> Any:
    """(bound, vector, arrays) -> the bound, the log likelihood and the divergence of each layer."""
    program = density.functions.program
    unknowns = Unknowns(program, density.arguments)

    @quick_jit
    def of(vector: Array, arrays: Arrays) -> tuple[Array, list[Array]]:
        flat, shifts = unravel(vector)
        known = {**arrays, **_moved(arrays, widths, shifts)}
        prior = unknowns.values(flat, known)[1]
        return prior, [*divergences(program, known).values()]

    def parts(bound: float, vector: np.ndarray, arrays: Arrays) -> np.ndarray:
        prior, each = of(jnp.asarray(vector), arrays)
        own = np.asarray(each)
        # Of a density: log prior + log likelihood - the divergences.
        return np.array([bound, bound - float(prior) + own.sum(), *own])

    return parts
