"""The table of kinds of picture: what each is of, when it fits, who draws it, what to see in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from mercer.dsl.spaces import Bool, Label
from mercer.runtime.pictures import checks, curves, inner, maps, outcomes, surfaces, unknowns
from mercer.runtime.pictures.inputs import Shape
from mercer.runtime.pictures.study import Study

Subject = Literal["outcome", "function", "surface", "unknown", "fit"]


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    `name` begins the name of the figure, the subject ends it: `data co2`. For one subject the
    first row of a name that fits draws; so a special case stands above the general one. `fits`
    and `draw` get the name of the outcome, function value or unknown ("" for the fit as a whole).
    `see` is the sentence that a report puts under the picture. `page`: the same to turn round, as
    HTML, or None where the library that makes it is not installed.
    """

    name: str
    of: Subject
    fits: Callable[[Study, str], bool]
    draw: Callable[[Study, str], Figure]
    see: str
    page: Callable[[Study, str], str | None] | None = None


@dataclass(frozen=True)
class Picture:
    """A figure, its name, and what to see in it; `page` makes an HTML page of it, if there is."""

    name: str
    see: str
    figure: Figure
    page: Callable[[], str | None] | None = None


def _is_numbers_over(study: Study, name: str, *shapes: Shape) -> bool:
    return outcomes.is_numbers(study, name) and study.is_drawn_as(name, *shapes)


_LINE: tuple[Shape, Shape] = ("curve", "coordinates")

KINDS: tuple[Kind, ...] = (
    Kind(
        "data",
        "outcome",
        outcomes.has_named_rows,
        outcomes.draw_rows,
        "Dots outside the thin bars, beyond one in twenty, are rows the model does not expect.",
    ),
    Kind(
        "data",
        "outcome",
        lambda study, name: _is_numbers_over(study, name, *_LINE),
        outcomes.draw_numbers,
        "About 19 of 20 dots belong inside the band; runs of dots on one side of the line are "
        "structure that the model misses.",
    ),
    Kind(
        "data",
        "outcome",
        lambda study, name: isinstance(study.space(name), Bool) and study.is_drawn_as(name, *_LINE),
        outcomes.draw_yes_no,
        "The probability of yes, with its own uncertainty; marks above and below are the data.",
    ),
    Kind(
        "data",
        "outcome",
        lambda study, name: (
            isinstance(study.space(name), Label) and study.is_drawn_as(name, *_LINE)
        ),
        outcomes.draw_labels,
        "The probability of each label with its 95 % band; marks below are the data.",
    ),
    Kind(
        "data",
        "outcome",
        lambda study, name: study.is_drawn_as(name, "map"),
        maps.draw_map,
        "Dots that stand out from the colour around them are what the model cannot explain.",
    ),
    Kind(
        "data",
        "outcome",
        outcomes.is_numbers,
        outcomes.draw_scatter,
        "Bars that miss the dashed line, beyond one in twenty, are rows the model does not expect.",
    ),
    Kind(
        "component",
        "function",
        lambda study, name: study.is_drawn_as(name, "curve", "coordinates", "slices"),
        curves.draw_function,
        "The function by itself: its mean, and the bands that hold half and 95 % of the posterior.",
    ),
    Kind(
        "component",
        "function",
        lambda study, name: study.is_drawn_as(name, "map"),
        maps.draw_map,
        "The function by itself; away from the dots, where the data are, it is least certain.",
    ),
    Kind(
        "component",
        "surface",
        lambda study, _: True,
        surfaces.draw_surface,
        "The function over its surface; dark parts of a field are where it is least certain, and "
        "marks are where it vanishes, +1 for centres, sources and sinks, -1 for saddles.",
        surfaces.page_of,
    ),
    Kind(
        "forest",
        "unknown",
        unknowns.is_labelled,
        unknowns.draw_forest,
        "Each label with its uncertainty; labels with few data are drawn towards the others.",
    ),
    Kind(
        "forest",
        "unknown",
        unknowns.is_long,
        unknowns.draw_caterpillar,
        "All labels in order of their means.",
    ),
    Kind(
        "forest",
        "unknown",
        unknowns.is_places,
        unknowns.draw_places,
        "A dot a row. Unknown inputs are found up to a turn or a mirror image: all of them say "
        "the same.",
    ),
    Kind(
        "forest",
        "unknown",
        unknowns.is_table,
        unknowns.draw_matrix,
        "Mean and standard deviation of each cell.",
    ),
    Kind(
        "posterior",
        "fit",
        lambda study, _: bool(unknowns.numbers(study)),
        unknowns.draw_posterior,
        "What the data leave possible for each number.",
    ),
    Kind(
        "gram",
        "fit",
        lambda study, _: bool(inner.grams(study)),
        lambda study, _: inner.draw_grams(study),
        "Blocks that the kernel does not have are what the layer learned to tell apart.",
    ),
    Kind(
        "bound",
        "fit",
        lambda study, _: bool(inner.traces(study)),
        lambda study, _: inner.draw_traces(study),
        "The bound should have stopped to rise; what a layer takes from it is what it learned.",
    ),
    Kind(
        "calibration",
        "outcome",
        outcomes.is_numbers,
        checks.draw_calibration,
        "A hump in the histogram: the model is less sure than it could be; a valley: too sure; a "
        "slope: it is off to one side. All is well while the curve stays in the band.",
    ),
    Kind(
        "calibration",
        "outcome",
        lambda study, name: not outcomes.is_numbers(study, name),
        checks.draw_reliability,
        "Dots belong on the dashed line, within their bars. The rows are those of the fit.",
    ),
    Kind(
        "predictive",
        "outcome",
        checks.is_survival,
        checks.draw_survival,
        "The black steps, of the data, belong inside the band.",
    ),
    Kind(
        "predictive",
        "outcome",
        checks.is_seen,
        checks.draw_predictive,
        "Grey bars outside the blue ranges are features of the data that the model does not make.",
    ),
    Kind(
        "trace",
        "fit",
        lambda study, _: bool(unknowns.numbers(study)),
        unknowns.draw_trace,
        "All chains should cover the same range, without drift.",
    ),
    Kind(
        "rank",
        "fit",
        lambda study, _: bool(unknowns.numbers(study)) and study.fit.sampled.chains > 1,
        unknowns.draw_rank,
        "Each chain's line is flat, about the dashed one, where the chains agree.",
    ),
)


class PictureNotice(UserWarning):
    """A picture is missing; the others are there."""


def pictures_of(study: Study) -> Iterator[Picture]:
    """All pictures of a fit, in the order of the table, drawn one after another.

    One that fails is missing, with a warning that names it: the others are worth having.
    """
    drawn: set[str] = set()
    for kind in KINDS:
        for subject in _subjects(study, kind):
            name = f"{kind.name} {study.short_name(subject)}".strip()
            if name in drawn:
                continue
            try:
                made = kind.draw(study, subject) if kind.fits(study, subject) else None
            except Exception as error:
                drawn.add(name)
                why = str(error).strip().splitlines() or ["no message"]
                told = f"there is no picture `{name}`: {type(error).__name__}: {why[0]}"
                warnings.warn(told, PictureNotice, stacklevel=2)
                continue
            if made is not None:
                drawn.add(name)
                page = None if kind.page is None else partial(kind.page, study, subject)
                yield Picture(name, kind.see, made, page)


def _subjects(study: Study, kind: Kind) -> list[str]:
    if kind.of == "outcome":
        return [n for n in study.outcomes if study.has_data(n)]
    if kind.of == "surface":
        return list(study.shapes)
    return {"function": list(study.functions), "unknown": study.unknowns, "fit": [""]}[kind.of]
