"""The density turned into its highest mode and a normal law about it (Laplace).

L-BFGS in unconstrained space, where the mode is that of the density of the unconstrained numbers,
Jacobian included: the point about which the normal approximation is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import minimize

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.density import Density
from mercer.runtime.draws import Draws
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side


@dataclass(frozen=True, eq=False)
class Mode:
    """The best optimum: `point` flat, `log_density`; `agreeing` of `tried` starts reach it."""

    point: Array
    log_density: float
    agreeing: int
    tried: int


def find_mode(density: Density, *, restarts: int, steps: int, report: Report = silent) -> Mode:
    """The highest of the optima that L-BFGS reaches from `restarts` starts."""

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density.value_and_grad(flat)
        # A point of no density is a wall for the line search, not the end of it.
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return 1e100, np.zeros_like(flat)
        return float(value), np.asarray(gradient, float)

    ended = 0

    def climb(number: int) -> Any:
        nonlocal ended
        start = np.asarray(density.prior_start(number), float)
        options = {"maxiter": steps, "maxfun": 3 * steps, "ftol": 1e-9, "gtol": 1e-5, "maxcor": 20}
        result = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
        ended += 1
        report(f"{ended} of {restarts} starts", ended / restarts)
        return result

    _ = density.start  # found, and its function compiled, before several threads would
    found = side_by_side(climb, range(max(1, restarts)))
    found = [result for result in found if np.isfinite(result.fun) and result.fun < 1e99]
    if not found:
        problem = "no point of finite density was found by optimisation"
        mend = "check the data and the priors, or use nuts"
        raise MercerError([Diagnostic("M603", problem, mend=mend)])
    best = min(found, key=lambda result: result.fun)
    agreeing = sum(result.fun < best.fun + 0.1 for result in found)
    return Mode(jnp.asarray(best.x), -float(best.fun), agreeing, len(found))


def run_map(
    density: Density,
    *,
    seed: int,
    chains: int,
    draws: int,
    restarts: int,
    steps: int,
    report: Report = silent,
) -> Draws:
    """Draws from the normal law at the mode, [chains, draws]."""
    mode = find_mode(density, restarts=restarts, steps=steps, report=report)
    report("the curvature at the mode")
    root, repaired = inverse_root(density.hessian(mode.point))
    normal = jax.random.normal(jax.random.key(seed), (chains * draws, mode.point.size))
    points = mode.point + normal @ jnp.asarray(root).T
    values = {
        name: np.asarray(v).reshape(chains, draws, *v.shape[1:])
        for name, v in density.constrain(points).items()
    }
    lp = np.full((chains, draws), mode.log_density) - 0.5 * np.sum(
        np.asarray(normal) ** 2, -1
    ).reshape(chains, draws)
    return Draws(values, chains, draws, {"lp": lp}, _notes(mode, repaired))


def inverse_root(hessian: np.ndarray) -> tuple[np.ndarray, int]:
    """R with R R' the inverse of a Hessian, and how many directions had to be repaired.

    A direction along which the density does not fall (eigenvalue not clearly positive) gets the
    curvature 1 of a standard normal: unconstrained numbers are of that size.
    """
    values, vectors = np.linalg.eigh(np.nan_to_num(0.5 * (hessian + hessian.T)))
    is_flat = values <= 1e-8 * max(1.0, float(np.max(np.abs(values), initial=0.0)))
    values = np.where(is_flat, 1.0, values)
    return vectors / np.sqrt(values), int(is_flat.sum())


def _notes(mode: Mode, repaired: int) -> tuple[str, ...]:
    notes = [
        "The posterior is a normal law about the mode (Laplace), not the exact one. "
        f"{mode.agreeing} of {mode.tried} starts reached the best mode, "
        f"log density {mode.log_density:.2f}."
    ]
    if mode.tried > 1 and mode.agreeing == 1:
        notes.append("Only one start reached it: there may be a better one; try more restarts.")
    if repaired:
        ways = "1 direction" if repaired == 1 else f"{repaired} directions"
        notes.append(
            f"At the mode the density does not fall along {ways}: its width there was set to 1 "
            "in unconstrained units. The data say little about some unknown; nuts is safer."
        )
    return tuple(notes)
