"""A typed model with numbers to choose among -> what is chosen, and the text with one of them.

`nu = [1, 10, inf]` of layers to `Real^inf`: no bound can say how much a Gram matrix may learn, as
each is the higher the less `nu` is. What rows that were held out have for density can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.span import Span


@dataclass(frozen=True)
class Choice:
    """One of `numbers`, for `nu` of all `layers`; `spans`: where they are written."""

    layers: tuple[str, ...]
    numbers: tuple[float, ...]
    spans: tuple[Span, ...]

    @property
    def usual(self) -> float:
        """The number of the plan that is shown before anything is chosen: the first finite one."""
        return next(n for n in self.numbers if math.isfinite(n))

    def text_with(self, number: float, text: str) -> str:
        """The text of the model with one number in the place of all."""
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for span in sorted(self.spans, reverse=True):
            first, last = span.line - 1, span.end_line - 1
            before, after = lines[first][: span.column - 1], lines[last][span.end_column - 1 :]
            # No line moves: messages name the lines of the model as it was written.
            lines[first : last + 1] = [f"{before}{number:g}{after}", *[""] * (last - first)]
        return "\n".join(lines)

    def sentence(self, held: float) -> str:
        """What a plan says of it."""
        among = ", ".join(f"{n:g}" for n in self.numbers)
        return (
            f"{', '.join(self.layers)}: nu is chosen among {among} by the log density of "
            f"rows held out from a fit for each, {100 * held:.3g} % at a time until all or a "
            "thousand were, without those that are surely worse; the last fit, with the chosen "
            f"one, has all rows. What follows is the plan with nu = {self.usual:g}."
        )


def choice_of(model: ir.TypedModel, name: str) -> Choice | None:
    """What a fit of the model in the file `name` chooses; None: nothing.

    Raises MercerError M304 where layers are chosen among different numbers, or out of reach.
    """
    found = {
        layer: nu
        for layer, function in model.functions.items()
        if isinstance(nu := function.settings.get("nu"), ir.OneOf)
    }
    if not found:
        return None
    first = next(iter(found.values()))
    for layer, own in found.items():
        why, mend = None, None
        if own.numbers != first.numbers:
            why = "all layers get the same `nu`, from one list."
            mend = "write the same numbers, in the same order, in each layer."
        elif own.span.file != name:
            why = "the numbers are in a file that this one uses."
            mend = f"write `{layer}` in this file."
        if why is not None:
            problem = f"`nu` of `{layer}` chosen among numbers of its own has no engine yet"
            raise MercerError(
                [Diagnostic("M304", problem, own.span, why=why, mend=mend)], model.sources
            )
    spans = dict.fromkeys(own.span for own in found.values())
    return Choice(tuple(found), first.numbers, tuple(spans))
