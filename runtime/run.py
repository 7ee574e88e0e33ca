"""An emitted program and its data turned into a `Fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from mercer.runtime.cache import use_cache
from mercer.runtime.density import Density, arguments_of
from mercer.runtime.diagnose import LEAST_JITTER, diagnose, of_inducing
from mercer.runtime.draws import Draws
from mercer.runtime.fit import Fit
from mercer.runtime.inference import Method
from mercer.runtime.map import run_map
from mercer.runtime.nuts import run_nuts
from mercer.runtime.placing import Placed, learned_of, place
from mercer.runtime.posterior import (
    KEPT_ROWS,
    complete,
    complete_without_rows,
    inference_data,
)
from mercer.runtime.progress import Report, watched
from mercer.runtime.stochastic import Fitted, run_stochastic
from mercer.runtime.svi import run_svi
from mercer.stdlib.methods import METHODS

_RUNNERS: dict[Method, Callable[..., Draws]] = {
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
    **options: Any,
) -> Fit:
    """The posterior of `program` given `bound`.

    `method` None: the one of the program. `bind(new, fitted)` binds new data for predictions.
    `options` are settings of the method (`mercer.stdlib.methods`) and keyword arguments of what
    runs it; None stands for what the model says, or else for the table's. Same seed, same draws.
    Raises ValueError for an option that the method does not have.
    """
    use_cache()
    by: Method = method or program.INFERENCE.method
    is_variational = program.INFERENCE.lane == "variational"
    runner: Callable[..., Any] = run_stochastic if is_variational else _RUNNERS[by]
    settings = settings_of(program, by, options, runner)
    text = f"fitting by {by}"
    if by == "nuts":
        text = "sampling {chains} chains of {warmup} + {draws}".format(**settings)
    if is_variational:

        def fit_rows(report: Report) -> Fitted:
            return run_stochastic(program, bound, seed=seed, report=report, **settings)

        fitted = watched(text, fit_rows, progress=progress)
        found, arguments = fitted.draws, fitted.arguments
    else:
        arguments = arguments_of(program, bound)

        def put(report: Report) -> Placed:
            return place(program, arguments, seed=seed, report=report)

        placed = watched("placing inducing points", put, progress=progress)
        arguments = placed.arguments

        def infer(report: Report) -> Draws:
            density = Density(program, arguments, seed=seed)
            if placed.start is not None:
                density.start = placed.start
            if not density.has_unknowns:
                return Draws({}, settings["chains"], settings["draws"])
            return runner(density, seed=seed, report=report, **settings)

        found = watched(text, infer, progress=progress)

    def assemble(report: Report) -> Any:
        if is_variational and bound.sizes[program.ROWS] > KEPT_ROWS:
            return complete_without_rows(program, arguments, found, seed=seed, report=report)
        every = arguments
        if is_variational:
            learned = {n: jnp.asarray(v) for n, v in learned_of(program, arguments).items()}
            every = arguments_of(program, bound)
            every = replace(every, arrays={**every.arrays, **learned})
        return complete(program, every, found, seed=seed, report=report)

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
        ),
        learned=learned_of(program, arguments),
        bind=bind,
        model_source=model_source,
        plan_text=plan_text,
    )


def settings_of(
    program: ModuleType, by: Method, options: Mapping[str, Any], runner: Callable[..., Any]
) -> dict[str, Any]:
    """The settings of method `by`: of the table, then of the model, then those given, as far as
    `runner` takes them."""
    entry = next(e for e in METHODS if e.name.lower() == by)
    counts = {p.name for p in entry.parameters if p.space == "Count"}
    own = program.INFERENCE.settings if program.INFERENCE.method == by else {}
    given = {k: v for k, v in options.items() if v is not None}
    every = {p.name for e in METHODS for p in e.parameters}
    own_words = ("density", "program", "bound", "seed", "report")
    taken = [k for k in signature(runner).parameters if k not in own_words]
    wrong = sorted(k for k in given if k not in taken and k not in every)
    if wrong:
        raise ValueError(f"options: {by} takes {', '.join(taken)}, got {wrong}")
    found: dict[str, Any] = {p.name: p.default for p in entry.parameters} | dict(own) | given
    return {k: int(v) if k in counts else v for k, v in found.items() if k in taken}
