"""A model, its plan and its data turned into a fit or a simulation: compiler meets runtime here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import xarray as xr

from mercer.compiler.plan import Plan
from mercer.compiler.rowwise import rowwise
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.factors import identified, products_of
from mercer.model import Model
from mercer.needs import needs_of
from mercer.program import statements_of, told_at_model_lines
from mercer.runtime.blame import NoStart
from mercer.runtime.cache import use_cache
from mercer.runtime.data.bind import Bound, bind
from mercer.runtime.data.tables import read
from mercer.runtime.methods.checkpoint import digest
from mercer.runtime.methods.density import arguments_of
from mercer.runtime.methods.placing import place
from mercer.runtime.posterior import archive
from mercer.runtime.posterior.fit import Bind, Fit
from mercer.runtime.posterior.groups import dataset
from mercer.runtime.recovery.simulate import simulate
from mercer.runtime.run import run


def fit_program(
    model: Model,
    plan: Plan,
    bound: Bound,
    *,
    seed: int,
    progress: bool | None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    **settings: int | None,
) -> Fit:
    """Runs the program of `plan`; a fault inside it is told at the line of the model."""
    program = model.program(plan)
    identity = {
        "the digest of the model": digest(sorted(sources_of(model).values())),
        "the digest of its program": digest(statements_of(program)),
    }
    with told_at_model_lines(program, model.typed.source), _blamed(model):
        fit = run(
            program,
            bound,
            method=plan.method,
            seed=seed,
            progress=progress,
            bind=binding_of(model),
            model_source=text_of(model),
            plan_text="\n".join(plan.sentences),
            checkpoint=checkpoint,
            resume=resume,
            identity=identity,
            judged=partial(identified, model.typed) if products_of(model.typed) else None,
            **settings,
        )
    # What was asked for, and the sizes, give the same plan when a file is opened.
    told = {**fit.settings, "asked": plan.asked}
    return replace(fit, settings=told, **told_by(model))


@contextlib.contextmanager
def _blamed(model: Model) -> Iterator[None]:
    """Shows where the term stands that has no finite density."""
    try:
        yield
    except NoStart as error:
        if error.culprit is None:
            raise
        typed = model.typed
        declared = {**typed.unknowns, **typed.functions, **typed.observations}
        name = error.culprit.name
        if name not in declared:  # a site by way of which it is drawn: `b.standard`, `f.whitened`
            name = name.rpartition(".")[0]
        if name not in declared:  # the joint Gaussian of all outcomes with a Gaussian law
            name = " and ".join(typed.observations)
            declared[name] = next(iter(typed.observations.values()))
        raise NoStart(
            error.culprit._replace(name=name), declared[name].span, typed.sources
        ) from error


def simulate_program(model: Model, plan: Plan, bound: Bound, *, seed: int) -> xr.Dataset:
    """One joint draw of the unknowns and, given them, of the outcomes."""
    use_cache()
    program = model.program(plan)
    with told_at_model_lines(program, model.typed.source):
        arguments = place(program, arguments_of(program, bound), seed=seed, is_learned=False)
        values = simulate(program, arguments.arguments, jax.random.key(seed))
    drawn = dataset(dict(program.DIMS), bound, values)
    for name, codes in drawn.items():
        if "labels" in codes.attrs:  # a simulation is data, and data hold the labels themselves
            labels = np.asarray(codes.attrs["labels"])
            drawn[name] = (codes.dims, labels[codes.values])
    return drawn


def open_program_fit(path: str | Path) -> Fit:
    """The fit in a file: its model is compiled again, no code is read from the file."""
    use_cache()
    found: list[Model] = []

    def compile_again(
        text: str, settings: Mapping[str, Any], sizes: Mapping[str, int]
    ) -> tuple[ModuleType, Any]:
        model = model_of(text, path)
        found.append(model)

        def bound_of(**parts: Any) -> Bound:
            needs = needs_of(model.typed)
            return Bound(needs=needs, dims={n.name: n.order for n in needs.data}, **parts)

        asked = settings.get("asked", settings["method"])
        return model.program(model.plan(sizes, asked)), bound_of

    fit = archive.open_fit(path, compile=compile_again)
    model = found[0]
    return replace(fit, bind=binding_of(model), **told_by(model))


def binding_of(model: Model) -> Bind:
    """What binds new data for a prediction, knowing the labels of the fit.

    New data are what `read` takes, or what it has given.
    """
    needs = needs_of(model.typed)

    def bind_new(new: Any, fitted: Any, wanted: Any = None) -> Bound:
        return bind(needs, read(new), fitted=fitted, require_outcomes=False, wanted=wanted)

    return bind_new


def told_by(model: Model) -> dict[str, Any]:
    """What a fit knows of its model beside the program."""
    typed = model.typed
    spans = {name: unknown.span for name, unknown in typed.unknowns.items()}
    return {"docs": docs_of(model), "spans": spans, "rowwise": rowwise(typed)}


def docs_of(model: Model) -> dict[str, str]:
    """What the model says of its names, in the strings at the ends of their declarations; of
    itself under the name "".
    """
    typed = model.typed
    groups = (typed.data, typed.unknowns, typed.functions, typed.definitions)
    declared = [d for group in groups for d in group.values()]
    return {"": typed.doc or ""} | {d.name: d.doc for d in declared if d.doc}


def text_of(model: Model) -> str:
    """All the texts that a model was made of, with the files that it uses."""
    return json.dumps({"name": model.name, "sources": sources_of(model)})


def sources_of(model: Model) -> dict[str, str]:
    """The texts that a model was made of, by the names of their files."""
    sources = {source.name: source.text for source in model.typed.sources.values()}
    return {**sources, model.name: model.text}


def model_of(text: str, path: str | Path) -> Model:
    """The model that `text_of` wrote into the file `path`."""
    try:
        parts = json.loads(text)
        name, sources = str(parts["name"]), dict(parts["sources"])
        _ = sources[name]
    except (ValueError, KeyError, TypeError) as error:
        raise MercerError([Diagnostic("M507", f"{path} holds no model")]) from error
    return Model.from_sources(name, sources)
