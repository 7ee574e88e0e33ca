"""A model with numbers to choose among, and its data, into the fit with the best of them.

Each number has a fit to some of the rows; the others' log density says which is best, and the last
fit has that number and all rows. It is a fit of the model with the number written in the place of
the list: saved and opened, it is that model.
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
    share = held_share(plan.structure, plan.method)
    rows = rows_of_choice(plan.structure)
    order = np.random.default_rng((seed, 17)).permutation(bound.sizes[rows])
    count = min(max(1, round(share * len(order))), len(order) - 1)
    held, own = np.sort(order[:count]), np.sort(order[count:])
    if not len(own):
        raise ValueError(f"data: at least two rows of {rows} are wanted to choose by, got 1")
    kept = Checkpoint()
    if checkpoint is not None:
        kept = _scores_file(Path(checkpoint), model, bound, infer, seed, resume, options)
    scores: dict[str, Any] = dict(kept.load("scores") or {})
    fitted, tested = apart(bound, rows, own), apart(bound, rows, held, after=len(own))
    for number in model.choice.numbers:
        if f"{number:g}" not in scores:
            fit = model.at(number).fit(fitted, infer, seed=seed, **options)
            scores[f"{number:g}"] = np.asarray(held_out_density(fit, tested))
            kept.save("scores", dict(scores))
    best = max(model.choice.numbers, key=lambda number: float(scores[f"{number:g}"]))
    if not math.isfinite(scores[f"{best:g}"]):
        raise ValueError("data: no held-out row has an outcome, so that nothing can be chosen by")
    last = model.at(best).fit(
        bound, infer, seed=seed, checkpoint=checkpoint, resume=resume and _is_there(checkpoint),
        **options,
    )  # fmt: skip
    kept.discard()
    each = ", ".join(f"{float(v):.3f} with {k}" for k, v in scores.items())
    note = (
        f"nu = {best:g} was chosen: {count} held-out rows have a mean log density of {each}. "
        "The fit with it has all rows."
    )
    first, *others = last.diagnostics
    return replace(last, diagnostics=(first, note, *others))


def held_out_density(fit: Fit, rows: Bound) -> float:
    """The mean log density of the outcomes at rows that were held out."""
    found = fit.predict(rows)
    each = np.concatenate([np.ravel(found.density(name)) for name in found.densities])
    seen = np.isfinite(each)
    return float(np.mean(each[seen])) if seen.any() else -math.inf


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
