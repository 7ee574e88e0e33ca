"""Arrays that are bound turned into what is worth a word: points outside their space, no data.

An error stops the fit; a warning does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Label
from mercer.runtime.data.columns import blocks
from mercer.runtime.data.labels import Axes
from mercer.runtime.data.needs import DataNeed, Needs, base_of
from mercer.runtime.data.spread import Spread, spread_of
from mercer.runtime.data.values import label_text, outside_together


def outside_its_space(need: DataNeed, values: np.ndarray, axes: Axes) -> list[Diagnostic]:
    """Spaces that concern a whole point: shares, rotations, covariance matrices."""
    if not need.coordinates or isinstance(need.space, Label):
        return []
    first = _first_outside(need, values)
    if first is None:
        return []
    place, wanted = first
    rows = [
        f"{dim} {label_text(axes.labels[base_of(dim)][at])}"
        for dim, at in zip(need.indices, place, strict=True)
    ]
    where = f" at {', '.join(rows)}" if rows else ""
    return [
        Diagnostic(
            "M410",
            f"{need.name}{where} is not in {need.space}",
            need.span,
            why=f"it must be {wanted}",
        )
    ]


def worth_a_word(
    needs: Needs, arrays: Mapping[str, np.ndarray], *, is_fit: bool
) -> list[Diagnostic]:
    """Nothing observed at all (an error), a column that never varies (a warning)."""
    if not is_fit:
        return []
    problems, empty = [], []
    given = [need for need in needs.data if need.is_outcome and need.name in arrays]
    for need in needs.data:
        values = arrays.get(need.name)
        if values is None:
            continue
        seen = spread_of(values, labels=isinstance(need.space, Label))
        if not values.size:
            problems.append(_no_rows(need))
        elif need.is_outcome and seen.missing == values.size:
            empty.append(need)
        else:
            problems += _too_alike(need, values, seen)
    for need in empty:
        problems.append(
            Diagnostic(
                "M419",
                f"every value of {need.name} is missing",
                need.span,
                why="there is nothing to learn from" if len(empty) == len(given) else None,
                severity="error" if len(empty) == len(given) else "warning",
            )
        )
    return problems


def _no_rows(need: DataNeed) -> Diagnostic:
    return Diagnostic(
        "M411",
        f"{need.name} has no values",
        need.span,
        why=f"there are no rows of {', '.join(need.indices)}",
        severity="error" if need.is_outcome else "warning",
    )


def _too_alike(need: DataNeed, values: np.ndarray, seen: Spread) -> list[Diagnostic]:
    """One value alone, or the same everywhere: a spread that nothing can be relative to."""
    count = values.size - seen.missing
    if need.is_outcome and need.indices and count == 1:
        problem = f"there is one value of {need.name} only"
        why = "noise and signal cannot be told apart in it: priors alone decide"
        return [Diagnostic("M428", problem, need.span, why=why, severity="warning")]
    if isinstance(need.space, Label) or count < 2 or seen.ends[0] != seen.ends[1]:
        return []
    why = "a column that never varies says nothing about an effect"
    if need.is_outcome:
        why = "an outcome that never varies says nothing about what it depends on"
    problem = f"{need.name} is {seen.ends[0]:.6g} everywhere"
    mend = f"is this the column that is meant? If not: --columns {need.name}=..."
    return [Diagnostic("M415", problem, need.span, why=why, mend=mend, severity="warning")]


def _first_outside(need: DataNeed, values: np.ndarray) -> tuple[tuple[int, ...], str] | None:
    """Where the first point stands that is not in its space, and what is wanted of it."""
    if not need.indices:
        is_wrong, wanted = outside_together(need.space, values)
        return ((), wanted) if wanted and is_wrong.any() else None
    for start, (block,) in blocks(values):
        is_wrong, wanted = outside_together(need.space, block)
        if wanted and is_wrong.any():
            at = [int(i) for i in np.argwhere(is_wrong)[0]]
            return (start + at[0], *at[1:]), wanted
    return None
