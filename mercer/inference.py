"""A model, its plan and its data turned into a fit or a simulation: compiler meets runtime here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import xarray as xr

from mercer.compiler.plan import Plan
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Label
from mercer.model import Model
from mercer.needs import needs_of
from mercer.program import told_at_model_lines
from mercer.runtime import archive
from mercer.runtime.bind import Bound, bind
from mercer.runtime.cache import use_cache
from mercer.runtime.density import arguments_of
from mercer.runtime.fit import Bind, Fit
from mercer.runtime.posterior import dataset
from mercer.runtime.run import run
from mercer.runtime.simulate import simulate
from mercer.runtime.tables import read


def fit_program(
    model: Model,
    plan: Plan,
    bound: Bound,
    *,
    seed: int,
    progress: bool | None,
    **settings: int | None,
) -> Fit:
    """Runs the program of `plan`; a fault inside it is told at the line of the model."""
    program = model.program(plan)
    with told_at_model_lines(program, model.typed.source):
        return run(
            program,
            bound,
            method=plan.method,
            seed=seed,
            progress=progress,
            bind=binding_of(model),
            model_source=text_of(model),
            plan_text="\n".join(plan.sentences),
            **settings,
        )


def simulate_program(model: Model, plan: Plan, bound: Bound, *, seed: int) -> xr.Dataset:
    """One joint draw of the unknowns and, given them, of the outcomes."""
    use_cache()
    program = model.program(plan)
    with told_at_model_lines(program, model.typed.source):
        values = simulate(program, arguments_of(program, bound), jax.random.key(seed))
    for need in bound.needs.data:
        if need.name in values and isinstance(need.space, Label):
            # As a table would hold them, so that what is simulated can be fitted.
            values[need.name] = bound.labels[need.space.index][values[need.name]]
    return dataset(dict(program.DIMS), bound, values, leading=())


def open_program_fit(path: str | Path) -> Fit:
    """The fit in a file: its model is compiled again, no code is read from the file."""
    use_cache()
    found: list[Model] = []

    def compile_again(text: str, settings: Mapping[str, Any]) -> tuple[ModuleType, Any]:
        model = model_of(text, path)
        found.append(model)

        def bound_of(**parts: Any) -> Bound:
            needs = needs_of(model.typed)
            return Bound(needs=needs, dims={n.name: n.order for n in needs.data}, **parts)

        return model.program(model.plan(infer=settings["method"])), bound_of

    fit = archive.open_fit(path, compile=compile_again)
    return fit.with_binding(binding_of(found[0]))


def binding_of(model: Model) -> Bind:
    """What binds new data for a prediction, knowing the labels of the fit.

    New data are what `read` takes, or what it has given.
    """
    needs = needs_of(model.typed)

    def bind_new(new: Any, fitted: Any, wanted: Any = None) -> Bound:
        return bind(needs, read(new), fitted=fitted, require_outcomes=False, wanted=wanted)

    return bind_new


def text_of(model: Model) -> str:
    """All the texts that a model was made of, with the files that it uses."""
    sources = {source.name: source.text for source in model.typed.sources.values()}
    return json.dumps({"name": model.name, "sources": {**sources, model.name: model.text}})


def model_of(text: str, path: str | Path) -> Model:
    """The model that `text_of` wrote into the file `path`."""
    try:
        parts = json.loads(text)
        name, sources = str(parts["name"]), dict(parts["sources"])
        _ = sources[name]
    except (ValueError, KeyError, TypeError) as error:
        raise MercerError([Diagnostic("M507", f"{path} holds no model")]) from error
    return Model.from_sources(name, sources)
