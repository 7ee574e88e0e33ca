"""An emitted program and its data turned into a `Fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mercer.dsl.spaces import Label
from mercer.runtime.cache import use_cache
from mercer.runtime.checkpoint import Checkpoint, begin, digest, surroundings
from mercer.runtime.density import Density, arguments_of
from mercer.runtime.diagnose import LEAST_JITTER, diagnose, of_inducing
from mercer.runtime.draws import Draws, draws_of
from mercer.runtime.fit import Fit
from mercer.runtime.inference import Method
from mercer.runtime.map import run_map
from mercer.runtime.nuts import run_nuts
from mercer.runtime.placing import Placed, learned_of, place
from mercer.runtime.posterior import complete, inference_data
from mercer.runtime.progress import Report, watched
from mercer.runtime.statistics import statistics_note
from mercer.runtime.svi import run_svi
from mercer.stdlib.methods import METHODS

RUNNERS: dict[Method, Callable[..., Draws]] = {
    "nuts": run_nuts,
    "map": run_map,
    "svi": run_svi,
}


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
    arguments = arguments_of(program, bound)
    kept = Checkpoint()
    if checkpoint is not None:
        data = digest({"arrays": dict(bound.arrays), "labels": dict(bound.labels)})
        belongs = {**(identity or {}), "the digest of the data": data, "the method": by}
        belongs |= {"the seed": seed, **settings, **surroundings()}
        kept = begin(checkpoint, belongs, resume=resume)

    def put(report: Report) -> Placed:
        return place(program, arguments, seed=seed, report=report)

    placed = watched("placing inducing points", put, progress=progress)
    arguments = placed.arguments

    def infer(report: Report) -> Draws:
        if (left := kept.load("draws")) is not None:
            return draws_of(left)
        density = Density(program, arguments, seed=seed)
        if placed.start is not None:
            density.start = placed.start
        if not density.has_unknowns:
            return Draws({}, settings["chains"], settings["draws"])
        drawn = RUNNERS[by](density, seed=seed, report=report, checkpoint=kept, **settings)
        kept.save("draws", drawn.state(), alone=True)
        return drawn

    def assemble(report: Report) -> Any:
        return complete(
            program,
            arguments,
            found,
            seed=seed,
            labels=_outcomes_with_labels(bound),
            report=report,
            checkpoint=kept,
        )

    text = f"fitting by {by}"
    if by == "nuts":
        text = "sampling {chains} chains of {warmup} + {draws}".format(**settings)
    found = watched(text, infer, progress=progress)
    groups = watched("drawing what was integrated out", assemble, progress=progress)
    settings = {"method": by, "seed": seed, **settings}
    jitter = {k: v for k, v in groups["sample_stats"].items() if k in LEAST_JITTER}
    most = {k: float(np.max(v)) for k, v in jitter.items()}
    stats = groups["sample_stats"]
    quality = {k: float(np.mean(stats[k])) for k in ("bound", "unexplained") if k in stats}
    attributes = {"created_by": "mercer", **settings, **most, **quality}
    idata = inference_data(program, bound, groups, attributes)
    told = diagnose(found, method=by, depth=settings.get("depth", 10), jitter=jitter)
    return Fit(
        idata=idata,
        program=program,
        bound=bound,
        arguments=arguments,
        sampled=found,
        settings=settings,
        diagnostics=(
            *told,
            *of_inducing(stats),
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


def settings_of(program: ModuleType, by: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of method `by`: of the table, then of the model, then those given."""
    entry = next(e for e in METHODS if e.name.lower() == by)
    counts = {p.name for p in entry.parameters if p.space == "Count"}
    own = program.INFERENCE.settings if program.INFERENCE.method == by else {}
    given = {k: v for k, v in options.items() if v is not None}
    every = {p.name for e in METHODS for p in e.parameters}
    own_words = ("density", "seed", "report", "checkpoint")
    taken = [k for k in signature(RUNNERS[by]).parameters if k not in own_words]
    wrong = sorted(k for k in given if k not in taken and k not in every)
    if wrong:
        raise ValueError(f"options: {by} takes {', '.join(taken)}, got {wrong}")
    found: dict[str, Any] = {p.name: p.default for p in entry.parameters} | dict(own) | given
    return {k: int(v) if k in counts else v for k, v in found.items() if k in taken}
