"""An emitted program and its data turned into a `Fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mercer.dsl.spaces import Label
from mercer.runtime.cache import use_cache
from mercer.runtime.checkpoint import Checkpoint, begin, digest, surroundings
from mercer.runtime.diagnose import LEAST_JITTER, diagnose, of_inducing, of_normal_law
from mercer.runtime.fit import Fit
from mercer.runtime.infer import at_all_rows, infer, settings_of, takes_batches
from mercer.runtime.inference import Method
from mercer.runtime.placing import learned_of
from mercer.runtime.posterior import KEPT_ROWS, complete, complete_without_rows, inference_data
from mercer.runtime.progress import Report, watched
from mercer.runtime.statistics import statistics_note
from mercer.runtime.stochastic import Fitted


def run(
    program: ModuleType,
    bound: Any,
    *,
    method: Method | None = None,
    seed: int = 0,
    progress: bool | None = None,
    bind: Callable[[Any, Any], Any] | None = None,
    model_source: str = "",
    plan_text: str = "",
    checkpoint: str | Path | None = None,
    resume: bool = False,
    identity: Mapping[str, Any] | None = None,
    **options: Any,
) -> Fit:
    """The posterior of `program` given `bound`.

    `method` None: the one of the program. `bind(new, fitted)` binds new data for predictions.
    `options` are settings of the method (`mercer.stdlib.methods`) and keyword arguments of what
    runs it; None stands for what the model says, or else for the table's. Same seed, same draws.
    Raises ValueError for an option that the method does not have.

    `checkpoint`: a file for the state of what takes long, which `resume` goes on from; `fit.save`
    removes it. `identity` says of which model the fit is, for a checkpoint of another one.
    """
    use_cache()
    by: Method = method or program.INFERENCE.method
    settings = settings_of(program, by, options)
    kept = Checkpoint()
    if checkpoint is not None:
        data = digest({"arrays": dict(bound.arrays), "labels": dict(bound.labels)})
        belongs = {**(identity or {}), "the digest of the data": data, "the method": by}
        belongs |= {"the seed": seed, **settings, **surroundings()}
        kept = begin(checkpoint, belongs, resume=resume)

    def find(report: Report) -> Fitted:
        return infer(
            program,
            bound,
            method=by,
            settings=settings,
            seed=seed,
            report=report,
            checkpoint=kept,
        )

    def assemble(report: Report) -> Any:
        if takes_batches(program) and bound.sizes[program.ROWS] > KEPT_ROWS:
            return complete_without_rows(program, arguments, found, seed=seed, report=report)
        return complete(
            program,
            at_all_rows(program, bound, fitted),
            found,
            seed=seed,
            labels=_outcomes_with_labels(bound),
            report=report,
            checkpoint=kept,
        )

    text = f"fitting by {by}"
    if by == "nuts":
        text = "sampling {chains} chains of {warmup} + {draws}".format(**settings)
    fitted = watched(text, find, progress=progress)
    found, arguments = fitted.draws, fitted.arguments
    groups = watched("drawing what was integrated out", assemble, progress=progress)
    settings = {"method": by, "seed": seed, **settings}
    stats = groups["sample_stats"]
    jitter = {k: v for k, v in stats.items() if k in LEAST_JITTER}
    most = {k: float(np.max(v)) for k, v in jitter.items()}
    quality = {k: float(np.mean(stats[k])) for k in ("bound", "unexplained") if k in stats}
    attributes = {"created_by": "mercer", **settings, **most, **quality}
    idata = inference_data(program, bound, groups, attributes)
    return Fit(
        idata=idata,
        program=program,
        bound=bound,
        arguments=arguments,
        sampled=found,
        settings=settings,
        diagnostics=(
            *diagnose(found, method=by, depth=settings.get("depth", 10), jitter=jitter),
            *of_inducing(stats),
            *of_normal_law(stats),
            *statistics_note(groups, found.chains * found.draws),
        ),
        learned=learned_of(program, arguments),
        bind=bind,
        model_source=model_source,
        plan_text=plan_text,
        checkpoint=kept,
    )


def _outcomes_with_labels(bound: Any) -> dict[str, int]:
    """How many labels each outcome has that is one of labels."""
    return {
        need.name: len(bound.labels[need.space.index])
        for need in bound.needs.data
        if need.is_outcome and isinstance(need.space, Label)
    }
