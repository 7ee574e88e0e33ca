"""A model with numbers to choose among, and its data, into the fit with the best of them.

Rows are held out in turn (cross-validation): each number has a fit to the others of every turn, and
the log density of what was held out says which is best. A number that is surely worse than the best
so far takes no part in further turns (a race, Maron & Moore 1994). The last fit has the best number
and all rows. It is a fit of the model with the number written in the place of the list: saved and
opened, it is that model.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mercer.compiler.deep import held_share, rows_of_choice
from mercer.compiler.plan import Plan
from mercer.inference import text_of
from mercer.model import Model
from mercer.runtime.data.bind import Bound
from mercer.runtime.methods.checkpoint import Checkpoint, begin, digest, surroundings
from mercer.runtime.posterior.blocks import apart
from mercer.runtime.posterior.fit import Fit


def fit_chosen(
    model: Model,
    plan: Plan,
    bound: Bound,
    infer: str,
    *,
    seed: int,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **options: Any,
) -> Fit:
    """The fit with the number whose fit to the other rows gives the held-out ones most density.

    The scores have a checkpoint of their own beside that of the last fit.
    """
    assert model.choice is not None
    rows = rows_of_choice(plan.structure)
    turns = turns_of(bound.sizes[rows], held_share(plan.structure, plan.method), seed)
    kept = Checkpoint()
    if checkpoint is not None:
        kept = _scores_file(Path(checkpoint), model, bound, infer, seed, resume, options)
    scores: dict[str, Any] = dict(kept.load("scores") or {})
    race = Race(tuple(f"{number:g}" for number in model.choice.numbers))
    for turn, held in enumerate(turns):
        own = np.setdiff1d(np.arange(bound.sizes[rows]), held)
        fitted, tested = apart(bound, rows, own), apart(bound, rows, held, after=len(own))
        found = {}
        for name in race.running:
            key = f"{name} {turn}"
            if key not in scores:
                fit = model.at(float(name)).fit(fitted, infer, seed=seed, **options)
                scores[key] = held_out_densities(fit, tested)
                kept.save("scores", dict(scores))
            found[name] = np.asarray(scores[key])
        race.add(found)
        if len(race.running) == 1:
            break
    if not math.isfinite(race.means[race.best]):
        raise ValueError("data: no held-out row has an outcome, so that nothing can be chosen by")
    best = float(race.best)
    last = model.at(best).fit(
        bound, infer, seed=seed, checkpoint=checkpoint, resume=resume and _is_there(checkpoint),
        **options,
    )  # fmt: skip
    kept.discard()
    note = (
        f"nu = {best:g} was chosen: {race.rows} held-out rows have a mean log density of "
        f"{race.told}. The fit with it has all rows."
    )
    first, *others = last.diagnostics
    return replace(last, diagnostics=(first, note, *others))


ENOUGH = 1000
"""Held-out rows after which no further turn is taken. What overfits says most rows well and a few
very badly: of few rows all are held out once."""


def turns_of(rows: int, share: float, seed: int) -> list[np.ndarray]:
    """The rows that are held out in each turn: as many in each, so that one program serves all."""
    order = np.random.default_rng((seed, 17)).permutation(rows)
    count = min(max(1, round(share * rows)), rows - 1)
    if count < 1:
        raise ValueError(f"data: at least two rows are wanted to choose by, got {rows}")
    number = min(rows // count, math.ceil(ENOUGH / count))
    return [np.sort(order[turn * count : (turn + 1) * count]) for turn in range(number)]


_SURE = 3.0
"""Standard errors of the mean difference by which a number is surely worse."""


class Race:
    """Names compared by densities of the same rows; some leave before the end."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.running = names
        self.densities = {name: np.zeros(0) for name in names}

    def add(self, found: dict[str, np.ndarray]) -> None:
        """The densities of further rows, of all that are running."""
        for name, each in found.items():
            self.densities[name] = np.concatenate([self.densities[name], each])
        best = self.densities[self.best]
        self.running = tuple(
            name for name in self.running if not _is_worse(self.densities[name], best)
        )

    @property
    def means(self) -> dict[str, float]:
        return {name: _mean(each) for name, each in self.densities.items()}

    @property
    def best(self) -> str:
        return max(self.running, key=lambda name: self.means[name])

    @property
    def rows(self) -> int:
        return len(self.densities[self.best])

    @property
    def told(self) -> str:
        """The means, with the rows of those that left."""
        parts = []
        for name, mean in self.means.items():
            count = len(self.densities[name])
            left = f" (of {count} rows, after which it left)" if count < self.rows else ""
            parts.append(f"{mean:.3f} with {name}{left}")
        return ", ".join(parts)


def held_out_densities(fit: Fit, rows: Bound) -> np.ndarray:
    """The log density of the outcomes at each of the rows that were held out; NaN: not seen."""
    found = fit.predict(rows)
    return np.concatenate([np.ravel(found.density(name)) for name in found.densities])


def _mean(each: np.ndarray) -> float:
    seen = each[~np.isnan(each)]
    return float(np.mean(seen)) if len(seen) else -math.inf


def _is_worse(each: np.ndarray, best: np.ndarray) -> bool:
    gap = best - each
    gap = gap[~np.isnan(gap)]
    if len(gap) < 2:
        return False
    return float(np.mean(gap)) > _SURE * float(np.std(gap, ddof=1)) / math.sqrt(len(gap)) > 0


def _is_there(path: str | Path | None) -> bool:
    return path is not None and Path(path).exists()


def _scores_file(
    path: Path,
    model: Model,
    bound: Bound,
    infer: str,
    seed: int,
    resume: bool,
    options: dict[str, Any],
) -> Checkpoint:
    belongs = {
        "the digest of the model": digest(text_of(model)),
        "the digest of the data": digest(dict(bound.arrays)),
        "the method": infer,
        "the seed": seed,
        **{k: v for k, v in options.items() if k != "progress"},
        **surroundings(),
    }
    own = path.with_name(f"{path.name}.choice")
    return begin(own, belongs, resume=resume and own.exists(), every=0.0)
