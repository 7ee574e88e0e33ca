"""A typed model turned into the reasons why no data can be drawn from it, each at its line."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.walk import nodes
from mercer.dsl.diagnostic import Diagnostic, MercerError


def check_simulable(model: ir.TypedModel) -> None:
    """Raises MercerError M330 with every unknown whose prior is no law to draw from."""
    _stop(model, _flat(model))


def check_recoverable(model: ir.TypedModel) -> None:
    """Raises MercerError M330 to M332 where ranks of simulated truths need not be uniform.

    All that is observed must be drawn from the very law that the density is of.
    """
    _stop(model, [*_flat(model), *_fixed(model), *_not_drawn(model)])


def _stop(model: ir.TypedModel, problems: list[Diagnostic]) -> None:
    if problems:
        raise MercerError(sorted(problems, key=_place), model.sources)


def _place(problem: Diagnostic) -> tuple[str, int, int]:
    span = problem.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)


def _flat(model: ir.TypedModel) -> list[Diagnostic]:
    return [
        Diagnostic(
            "M330",
            f"`{unknown.name}` cannot be drawn from its prior",
            unknown.span,
            why="Flat() has density 1 everywhere: it is no law of a random number",
            mend=f"give it a proper prior for this: {unknown.name} ~ {_proper(unknown)}",
        )
        for unknown in model.unknowns.values()
        if isinstance(unknown.prior, ir.Distribution) and unknown.prior.entry == "Flat"
    ]


def _proper(unknown: ir.Unknown) -> str:
    return "HalfNormal(10)" if str(unknown.space) == "Positive" else "Normal(0, 10)"


def _fixed(model: ir.TypedModel) -> Iterator[Diagnostic]:
    """Observations of definitions: what they are made of would have to be found from a draw."""
    for name, observation in model.observations.items():
        if name not in model.data:
            yield Diagnostic(
                "M331",
                f"`{name}` is defined, so that no simulation can take its place",
                observation.span,
                why="a calibration draws all that is observed, and fits the draws as data",
                mend=f"declare it as data for this: data {name}[...] : Real",
            )


def _not_drawn(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for name, observation in model.observations.items():
        for node in nodes(observation.law):
            if isinstance(node, ir.Censored | ir.Weighted):
                kind = type(node).__name__
                yield Diagnostic(
                    "M332",
                    f"`{name}` is no draw of its distribution",
                    observation.span,
                    why="which rows are censored is an input, which a simulation does not draw"
                    if kind == "Censored"
                    else "a density with a weight is the law of no random number",
                    mend=f"calibrate the model without {kind}(...)",
                )
