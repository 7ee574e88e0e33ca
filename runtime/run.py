"""An emitted program and its data turned into a `Fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import MercerError
from mercer.dsl.spaces import Label
from mercer.runtime.cache import use_cache
from mercer.runtime.hosts import hosts
from mercer.runtime.inference import Method
from mercer.runtime.layers.equivariance import Equivariance, equivariance_of, sentences_of
from mercer.runtime.methods.checkpoint import Checkpoint, begin, digest, surroundings
from mercer.runtime.methods.density import Arguments
from mercer.runtime.methods.draws import Draws
from mercer.runtime.methods.infer import at_all_rows, infer, settings_of, takes_batches
from mercer.runtime.methods.placing import learned_of
from mercer.runtime.methods.stochastic import Fitted
from mercer.runtime.posterior import groups
from mercer.runtime.posterior.conditional import known_of
from mercer.runtime.posterior.diagnose import (
    LEAST_JITTER,
    diagnose,
    of_inducing,
    of_normal_law,
    of_solves,
)
from mercer.runtime.posterior.fit import Fit
from mercer.runtime.posterior.groups import (
    complete,
    complete_without_rows,
    inference_data,
    rows_of,
)
from mercer.runtime.posterior.manyrows import SHARE, rows_at_once
from mercer.runtime.posterior.statistics import statistics_note
from mercer.runtime.progress import Report, watched


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
    judged: Callable[[Mapping[str, np.ndarray], Any], Mapping[str, np.ndarray]] | None = None,
    **options: Any,
) -> Fit:
    """The posterior of `program` given `bound`.

    `method` None: the one of the program. `bind(new, fitted)` binds new data for predictions.
    `options` are settings of the method (`mercer.stdlib.methods`) and keyword arguments of what
    runs it; None stands for what the model says, or else for the table's. Same seed, same draws.
    Raises ValueError for an option that the method does not have.

    `checkpoint`: a file for the state of what takes long, which `resume` goes on from; `fit.save`
    removes it. `identity` says of which model the fit is, for a checkpoint of another one.

    `judged(values, posterior)`: the draws by which convergence is judged, where those of the
    sampled values say nothing.
    """
    use_cache()
    by: Method = method or program.INFERENCE.method
    settings = settings_of(program, by, options)
    kept, together = Checkpoint(), hosts()
    if checkpoint is not None or together.count > 1:
        data = digest({"arrays": dict(bound.arrays), "labels": dict(bound.labels)})
        belongs = {**(identity or {}), "the digest of the data": data, "the method": by}
        belongs |= {"the seed": seed, **settings, **surroundings()}
        together.compare({**belongs, "resume": resume, "a checkpoint": checkpoint is not None})
        if checkpoint is not None:
            kept = _begun(checkpoint, belongs, resume)

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
        if takes_batches(program) and not _at_once(program, bound, fitted):
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
    progress = progress if together.is_first else False
    try:
        with together.watching():
            fitted = watched(text, find, progress=progress, check=together.check)
    except MercerError:
        if together.count > 1:  # what was done together is lost for the others too
            kept.write()
        raise
    found, arguments = fitted.draws, fitted.arguments
    what = "drawing what was integrated out"
    groups = watched(what, assemble, progress=progress, check=together.check)
    settings = {"method": by, "seed": seed, **settings}
    stats = groups["sample_stats"]
    jitter = {k: v for k, v in stats.items() if k in LEAST_JITTER}
    most = {k: float(np.max(v)) for k, v in jitter.items()}
    quality = {k: float(np.mean(stats[k])) for k in ("bound", "unexplained") if k in stats}
    reached = {
        k: float(np.max(stats[k])) for k in ("residual", "iterations", "change") if k in stats
    }
    attributes = {"created_by": "mercer", **settings, **most, **quality, **reached}
    symmetry = _equivariance(program, arguments, found, seed)
    attributes |= {f"equivariance error of {k}": v.error for k, v in symmetry.items()}
    attributes |= {f"Monte Carlo floor of {k}": v.floor for k, v in symmetry.items()}
    idata = inference_data(program, bound, groups, attributes)
    seen = found
    if judged is not None and by == "nuts":
        seen = replace(found, values=judged(found.values, idata["posterior"]))
    return Fit(
        idata=idata,
        program=program,
        bound=bound,
        arguments=arguments,
        sampled=found,
        settings=settings,
        diagnostics=(
            *diagnose(seen, method=by, depth=settings.get("depth", 10), jitter=jitter),
            *of_inducing(stats),
            *of_normal_law(stats),
            *of_solves(stats, getattr(program.ENGINE, "tolerance", 0.0)),
            *sentences_of(symmetry),
            *statistics_note(groups, found.chains * found.draws),
        ),
        learned=learned_of(program, arguments),
        bind=bind,
        model_source=model_source,
        plan_text=plan_text,
        checkpoint=kept,
    )


def _begun(path: str | Path, belongs: Mapping[str, Any], resume: bool) -> Checkpoint:
    """The checkpoint; what another process reads may never come."""
    if hosts().count == 1:
        return begin(path, belongs, resume=resume)
    with hosts().watching():
        return watched(
            "reading the checkpoint",
            lambda report: begin(path, belongs, resume=resume),
            progress=False,
            check=hosts().check,
        )


def _equivariance(
    program: ModuleType, arguments: Arguments, draws: Draws, seed: int
) -> dict[str, Equivariance]:
    """Of each equivariant layer, at the first draw and the first images of the data."""
    training = getattr(program, "TRAINING", None)
    if training is None or training.image is None:
        return {}
    images = arguments.arrays[training.image]
    # The sides of an image are dims without a name.
    depth = sum(dim[0].isdigit() for dim in program.DIMS[program.NAMES[training.image]])
    known = known_of(program, arguments.all(), {k: v[0] for k, v in draws.flat().items()})
    return equivariance_of(program, images.reshape(-1, *images.shape[-depth:]), known, seed=seed)


def _at_once(program: ModuleType, bound: Any, fitted: Fitted) -> bool:
    """Whether the values at all rows have their place in one block of a prediction. Those of more
    rows are predicted when they are wanted."""
    size = rows_at_once(
        program,
        bound,
        [name for name, dims in program.DIMS.items() if program.ROWS in dims],
        [program.ROWS],
        draws=fitted.draws.chains * fitted.draws.draws,
        fitted=rows_of(fitted.arguments),
        room=SHARE * groups.KEPT_BYTES,
    )
    return size is None


def _outcomes_with_labels(bound: Any) -> dict[str, int]:
    """How many labels each outcome has that is one of labels."""
    return {
        need.name: len(bound.labels[need.space.index])
        for need in bound.needs.data
        if need.is_outcome and isinstance(need.space, Label)
    }
