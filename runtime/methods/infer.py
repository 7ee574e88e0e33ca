"""A program and its data turned into draws of what is left to inference, by the method of its plan.

Before the method runs, the inducing points of a program that has them are placed. What a program
learns beside the draws, those points and a law of the Gaussian unknowns, is in the arguments that
come back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from mercer.runtime.inference import Method
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments, Density, arguments_of
from mercer.runtime.methods.draws import Draws, draws_of
from mercer.runtime.methods.head import run_head
from mercer.runtime.methods.map import run_map
from mercer.runtime.methods.nuts import run_nuts
from mercer.runtime.methods.passing import run_messages
from mercer.runtime.methods.placing import learned_of, place
from mercer.runtime.methods.stochastic import Fitted, run_stochastic
from mercer.runtime.methods.svi import run_svi
from mercer.runtime.methods.training import run_training
from mercer.runtime.progress import Report, silent
from mercer.stdlib.methods import METHODS

_RUNNERS: dict[Method, Callable[..., Any]] = {
    "nuts": run_nuts,
    "map": run_map,
    "svi": run_svi,
    "messages": run_messages,
}
_GIVEN = (
    "density",
    "program",
    "arguments",
    "bound",
    "summaries",
    "seed",
    "report",
    "checkpoint",
    "method",
)
"""Parameters of what runs a method that are no settings."""


def infer(
    program: ModuleType,
    bound: Any,
    *,
    method: Method,
    settings: Mapping[str, Any],
    seed: int,
    summaries: Mapping[str, Any] | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Draws of the unknowns, and the arguments that they were found with.

    `summaries` stand for what the program takes once from its data, where they are known.
    """
    kept = checkpoint or Checkpoint()
    if is_trained(program, method):
        draws, arguments = run_training(
            program,
            bound,
            method="svi" if method == "svi" else "map",
            summaries=summaries,
            seed=seed,
            report=report,
            checkpoint=kept,
            **settings,
        )
        return Fitted(draws, arguments)
    if samples_head(program, method):
        draws, arguments = run_head(
            program,
            bound,
            settings=settings,
            summaries=summaries,
            seed=seed,
            report=report,
            checkpoint=kept,
        )
        return Fitted(draws, arguments)
    if takes_batches(program):
        return run_stochastic(
            program,
            bound,
            summaries=summaries,
            seed=seed,
            report=report,
            checkpoint=kept,
            **settings,
        )
    arguments = arguments_of(program, bound, summaries=summaries)
    if passes_messages(program):
        return run_messages(
            program,
            arguments,
            seed=seed,
            report=report,
            checkpoint=kept,
            **settings,
        )
    placed = place(program, arguments, seed=seed, report=report)
    if (left := kept.load("draws")) is not None:
        return Fitted(replace(draws_of(left), traces=placed.traces), placed.arguments)
    density = Density(program, placed.arguments, seed=seed)
    if placed.start is not None:
        density.start = placed.start
    if not density.has_unknowns:
        nothing = Draws({}, settings["chains"], settings["draws"], traces=placed.traces)
        return Fitted(nothing, placed.arguments)
    runner = _RUNNERS[method]
    draws = runner(density, seed=seed, report=report, checkpoint=kept, **settings)
    kept.save("draws", draws.state(), alone=True)
    return Fitted(replace(draws, traces=placed.traces), placed.arguments)


def at_all_rows(
    program: ModuleType,
    bound: Any,
    fitted: Fitted,
    summaries: Mapping[str, Any] | None = None,
) -> Arguments:
    """The arguments of a fit for all rows of its data; one by batches has only those of a few."""
    if not takes_batches(program):
        return fitted.arguments
    every = arguments_of(program, bound, summaries=summaries)
    return with_learned(program, every, fitted.arguments)


def with_learned(program: ModuleType, arguments: Arguments, fitted: Arguments) -> Arguments:
    """Arguments of any rows, with what was learned at those of the fit."""
    learned = {n: jnp.asarray(v) for n, v in learned_of(program, fitted).items()}
    return replace(arguments, arrays={**arguments.arrays, **learned})


def passes_messages(program: ModuleType) -> bool:
    """Whether the plan is message passing."""
    return bool(program.INFERENCE.lane == "messages")


def takes_batches(program: ModuleType) -> bool:
    """Whether the plan is variational inference by minibatches."""
    return bool(program.INFERENCE.lane == "variational")


def is_trained(program: ModuleType, method: Method) -> bool:
    """Whether the plan is to train layers by stochastic gradients."""
    return hasattr(program, "TRAINING") and method in ("map", "svi")


def samples_head(program: ModuleType, method: Method) -> bool:
    """Whether the plan is to train layers, and to sample what follows them."""
    training = getattr(program, "TRAINING", None)
    return method == "nuts" and training is not None and training.before is not None


def settings_of(program: ModuleType, by: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of method `by`: of the table, then of the model, then those given, as far as
    what runs it takes them. ValueError for an option that it does not have."""
    runner = run_stochastic if takes_batches(program) else _RUNNERS[by]
    runner = run_training if is_trained(program, by) else runner
    entry = next(e for e in METHODS if e.name.lower() == by)
    counts = {p.name for p in entry.parameters if p.space == "Count"}
    own = program.INFERENCE.settings if program.INFERENCE.method == by else {}
    given = {k: v for k, v in options.items() if v is not None}
    every = {p.name for e in METHODS for p in e.parameters}
    taken = [k for k in signature(runner).parameters if k not in _GIVEN]
    wrong = sorted(k for k in given if k not in taken and k not in every)
    if wrong:
        raise ValueError(f"options: {by} takes {', '.join(taken)}, got {wrong}")
    found: dict[str, Any] = {p.name: p.default for p in entry.parameters} | dict(own) | given
    taken = [k for k in taken if k in found]
    return {k: int(found[k]) if k in counts and found[k] is not None else found[k] for k in taken}
