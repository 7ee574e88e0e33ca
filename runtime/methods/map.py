"""The density turned into its highest mode and a normal law about it (Laplace).

L-BFGS in unconstrained space, where the mode is that of the density of the unconstrained numbers,
Jacobian included: the point about which the normal approximation is taken.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.compiling import normal_numbers
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Density
from mercer.runtime.methods.draws import Draws
from mercer.runtime.progress import Report, silent
from mercer.runtime.threads import side_by_side


@dataclass(frozen=True, eq=False)
class Mode:
    """The best optimum: `point` flat, `log_density`; `agreeing` of `tried` starts reach it."""

    point: np.ndarray
    log_density: float
    agreeing: int
    tried: int


def find_mode(
    density: Density,
    *,
    restarts: int,
    steps: int,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Mode:
    """The highest of the optima that L-BFGS reaches from `restarts` starts."""
    kept = checkpoint or Checkpoint()
    tally = _Tally(max(1, restarts), report)

    def climb(number: int) -> _Climbed:
        return _climb(density, number, steps=steps, tally=tally, checkpoint=kept)

    _ = density.start  # found, and its function compiled, before several threads would
    found = side_by_side(climb, range(max(1, restarts)))
    found = [result for result in found if np.isfinite(result.lowest) and result.lowest < _WALL]
    if not found:
        problem = "no point of finite density was found by optimisation"
        mend = "check the data and the priors, or use nuts"
        raise MercerError([Diagnostic("M603", problem, mend=mend)])
    density.settle()
    best = min(found, key=lambda result: result.lowest)
    agreeing = sum(result.lowest < best.lowest + 0.1 for result in found)
    return Mode(best.point, -best.lowest, agreeing, len(found))


_WALL = 1e99
"""More than any -log density; a point of no density gets ten times this."""


class _Climbed(NamedTuple):
    """One start of L-BFGS, as the checkpoint holds it.

    Where it has ended: `point` and `lowest`, -log density there. Before: what it was told so far,
    `values` [k] and `gradients` [k, p]. The same answers lead it the same way again, so that they
    are all of its state, and nothing need be known of how SciPy works inside.
    """

    is_over: bool
    point: np.ndarray
    lowest: float
    values: np.ndarray
    gradients: np.ndarray


class _Tally:
    """Evaluations of all starts, told after each."""

    def __init__(self, starts: int, report: Report) -> None:
        self._starts, self._report = starts, report
        self._done = self._ended = 0
        self._lowest = np.inf
        self._lock = threading.Lock()

    def add(self, lowest: float, evaluations: int = 1, ended: int = 0) -> None:
        with self._lock:
            self._done += evaluations
            self._ended += ended
            self._lowest = min(self._lowest, lowest)
        text = f"{self._ended} of {self._starts} starts done, log density {-self._lowest:.5g}"
        self._report(text, self._ended / self._starts, done=self._done, unit="evaluations")


def _climb(
    density: Density, number: int, *, steps: int, tally: _Tally, checkpoint: Checkpoint
) -> _Climbed:
    """The optimum that L-BFGS reaches from start `number`."""
    name = f"start {number}"
    start = np.asarray(density.prior_start(number), float)
    begun = _Climbed(False, start, np.inf, np.zeros(0), np.zeros((0, start.size)))
    begun = checkpoint.load(name, like=begun) or begun
    if begun.is_over:
        tally.add(begun.lowest, 0, ended=1)
        return begun
    values, gradients = list(begun.values), list(begun.gradients)
    told = zip(begun.values, begun.gradients)
    path = density.path()

    def so_far(count: int) -> _Climbed:
        slopes = np.reshape(gradients[:count], (count, start.size))
        return _Climbed(False, start, np.inf, np.asarray(values[:count]), slopes)

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        if (known := next(told, None)) is not None:
            tally.add(float(known[0]))
            return float(known[0]), known[1].copy()
        value, gradient = path.value_and_grad(flat)
        # A point of no density is a wall for the line search, not the end of it.
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            value, gradient = 10 * _WALL, np.zeros_like(flat)
        value, gradient = float(value), np.array(gradient, float)
        tally.add(value)
        if checkpoint.path is not None:
            values.append(value)
            gradients.append(gradient.copy())
            checkpoint.save(name, partial(so_far, len(values)))
        return value, gradient

    ends = {"ftol": 1e-9, "gtol": 1e-5, "maxcor": 20}
    point: Any = start
    result: Any = None
    for count in path.stretches(steps):
        options = {"maxiter": count, "maxfun": 3 * count, **ends}
        result = minimize(evaluate, point, jac=True, method="L-BFGS-B", options=options)
        point = result.x
    over = _Climbed(True, np.asarray(result.x), float(result.fun), np.zeros(0), np.zeros((0, 0)))
    tally.add(over.lowest, 0, ended=1)
    checkpoint.save(name, over)
    return over


def run_map(
    density: Density,
    *,
    seed: int,
    chains: int,
    draws: int,
    restarts: int,
    steps: int,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Draws:
    """Draws from the normal law at the mode, [chains, draws]."""
    checkpoint = checkpoint or Checkpoint()
    mode = find_mode(density, restarts=restarts, steps=steps, report=report, checkpoint=checkpoint)
    root, repaired = inverse_root(_curvature(density, mode.point, report, checkpoint))
    normal = np.asarray(normal_numbers((chains * draws, mode.point.size))(np.asarray(seed)))
    points = mode.point + normal @ root.T
    values = {
        name: np.asarray(v).reshape(chains, draws, *v.shape[1:])
        for name, v in density.constrain(points).items()
    }
    lp = np.full((chains, draws), mode.log_density) - 0.5 * np.sum(normal**2, -1).reshape(
        chains, draws
    )
    notes = (*_notes(mode, repaired), *density.sentences())
    return Draws(values, chains, draws, {"lp": lp}, notes)


def _curvature(
    density: Density, point: np.ndarray, report: Report, checkpoint: Checkpoint
) -> np.ndarray:
    """Hessian [p, p] of -log density at a point."""
    size = point.size
    rows = checkpoint.load("curvature", like=np.zeros((0, size)))
    rows = np.zeros((0, size)) if rows is None else rows
    for i in range(len(rows), size):
        rows = np.vstack([rows, density.hessian_row(point, i)])
        report("the curvature at the mode", len(rows) / size, done=len(rows), unit="rows")
        checkpoint.save("curvature", rows)
    return 0.5 * (rows + rows.T)


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
