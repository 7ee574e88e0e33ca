"""Tables turned into `Bound`: one array for each data name, by label, checked by its space."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Dim, Label
from mercer.runtime.data.fill import Cells, cells_of, fill
from mercer.runtime.data.labels import Axes, Known, declared_labels, resolve_labels
from mercer.runtime.data.locate import Located, as_at_the_fit, locate, told_columns
from mercer.runtime.data.needs import DataNeed, Needs, base_of, size_of
from mercer.runtime.data.spread import spread_of
from mercer.runtime.data.tables import Tables, read
from mercer.runtime.data.times import UNIT, date_text
from mercer.runtime.data.unmatched import (
    missing_column,
    nothing_used,
    unknown_options,
    unused_columns,
)
from mercer.runtime.data.values import Labels, label_text
from mercer.runtime.data.worth import outside_its_space, worth_a_word


@dataclass(frozen=True, eq=False)
class Bound:
    """The data of a model, as its program takes them.

    `arrays[name]` has the axes `dims[name]`: float64, and int64 codes into `labels` for a
    `Label` column. Only outcomes hold NaN (code -1): missing. An outcome that was not given is
    not there. `sizes` are those of all dims. `codes[index]` are the places of `labels[index]` in
    the fit: those that it did not have come behind its own, and are the `new_labels`. `numbered`
    are the indices whose labels are only the numbers of their rows, `dated` the names whose values
    are days (`times`). `columns` are those of names that were told their columns, which new data
    may call alike. `warnings` are warnings and notes. Arrays of a large file are memory maps.
    """

    needs: Needs
    arrays: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[Dim, ...]]
    labels: Mapping[Dim, Labels]
    sizes: Mapping[Dim, int]
    codes: Mapping[Dim, np.ndarray]
    new_labels: Mapping[Dim, Labels] = field(default_factory=dict)
    numbered: frozenset[Dim] = frozenset()
    dated: frozenset[str] = frozenset()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()

    def describe(self) -> str:
        """A table of what was bound: name, space, shape, range or labels, missing values."""
        rows = self.described()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        lines += [f"{name}: dates, as {UNIT}." for name in sorted(self.dated)]
        return "\n".join(line.rstrip() for line in lines)

    def described(self) -> list[tuple[str, ...]]:
        """The cells of that table, its head first."""
        head = ("name", "space", "shape", "range", "missing")
        return [head, *(self._row(need) for need in self.needs.data)]

    def _row(self, need: DataNeed) -> tuple[str, ...]:
        values = self.arrays.get(need.name)
        if values is None:
            return (need.name, str(need.space), "not given", "", "")
        shape = " × ".join(f"{d} {self.sizes[d]}" for d in self.dims[need.name]) or "1 value"
        seen = spread_of(values, labels=isinstance(need.space, Label))
        if isinstance(need.space, Label):
            spread = f"{seen.distinct} of {self.sizes[need.space.index]} labels"
        else:
            written = date_text if need.name in self.dated else "{:.6g}".format
            spread = " to ".join(dict.fromkeys(written(end) for end in seen.ends))
        return (need.name, str(need.space), shape, spread, str(seen.missing or ""))


def bind(
    declarations: Needs,
    tables: Tables | Any,
    *,
    fitted: Bound | None = None,
    require_outcomes: bool = True,
    wanted: Collection[str] | None = None,
) -> Bound:
    """The arrays of `tables` that `declarations` ask for.

    With `fitted`, the labels of that fit keep their codes and what `tables` leave out (all that
    has no index of theirs) is as it was. With `wanted`, only these inputs must be there; what
    stands for the others must not be read. Errors: `MercerError` with every independent mistake.
    """
    needs = declarations
    try:
        tables = tables if isinstance(tables, Tables) else read(tables)
    except MercerError as error:
        raise MercerError(error.diagnostics, needs.sources) from None
    if fitted is not None:
        tables = as_at_the_fit(tables, fitted.columns)
    located = locate(needs, tables)
    known = None if fitted is None else Known(fitted.labels, fitted.numbered)
    axes = resolve_labels(needs, located, known)
    problems = [*unknown_options(needs, tables), *located.problems]
    problems += [*unused_columns(needs, tables, located), *axes.problems]
    if wanted is not None:
        located.absent = [n for n in located.absent if n.is_outcome or n.name in wanted]
    problems += _absent(needs, located, axes, tables, fitted, require_outcomes)
    if fitted is not None and not located.pieces and not located.alone:
        problems += nothing_used(needs, tables)
    # Values are checked where they stand, also when lengths or labels are already wrong.
    cells = {name: cells_of(piece) for name, piece in located.pieces.items()}
    problems += [problem for found in cells.values() for problem in found.problems]
    problems += _dates_as_fitted(needs, cells, fitted)
    _stop(problems, needs)
    sizes = _sizes(needs, axes, problems)
    _stop(problems, needs)
    arrays: dict[str, np.ndarray] = {}
    for need in needs.data:
        piece = located.pieces.get(need.name)
        start = None
        if fitted is not None and need.name in fitted.arrays:
            start = _carried(need, fitted, axes, sizes)
        if piece is not None:
            values, wrong = fill(piece, cells[need.name], needs, axes, sizes, start)
            problems += wrong
            if values is not None:
                problems += outside_its_space(need, values, axes)
                arrays[need.name] = _ordered(need, values)
        elif start is not None and not need.is_outcome:
            problems += _uncovered(need, start, axes) if _is_wanted(need, wanted) else []
            arrays[need.name] = _ordered(need, start)
        elif not need.is_outcome and not _is_wanted(need, wanted):
            shape = [sizes[dim] for dim in need.order]
            is_label = isinstance(need.space, Label)
            arrays[need.name] = np.zeros(shape, int) if is_label else np.ones(shape)
    problems += worth_a_word(needs, arrays, is_fit=require_outcomes and fitted is None)
    _stop(problems, needs)
    return Bound(
        needs=needs,
        arrays=arrays,
        dims={need.name: need.order for need in needs.data},
        labels=dict(axes.labels),
        sizes=sizes,
        codes=dict(axes.codes),
        new_labels=_new_labels(axes, fitted),
        numbered=frozenset(axes.numbered),
        dated=frozenset(_dated(cells, fitted)),
        columns=told_columns(tables, located) if fitted is None else fitted.columns,
        warnings=tuple(p for p in problems if p.severity != "error"),
    )


def _stop(problems: list[Diagnostic], needs: Needs) -> None:
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        distinct = dict.fromkeys(errors)
        ordered = sorted(distinct, key=lambda p: (p.span is None, p.span) if p.span else (True,))
        raise MercerError(ordered, needs.sources)


def _absent(
    needs: Needs,
    located: Located,
    axes: Axes,
    tables: Tables,
    fitted: Bound | None,
    require_outcomes: bool,
) -> list[Diagnostic]:
    """Messages for the data names that are not there and cannot be left out."""
    problems = []
    for need in located.absent:
        if need.is_outcome and (fitted is not None or not require_outcomes):
            continue
        rows = {base_of(d) for d in need.indices if not needs.index(d).fed_by}
        if fitted is not None and need.name in fitted.arrays and not rows & axes.given:
            continue
        problems.append(missing_column(need, needs, tables))
    return problems


def _is_wanted(need: DataNeed, wanted: Collection[str] | None) -> bool:
    return wanted is None or need.name in wanted


def _sizes(needs: Needs, axes: Axes, problems: list[Diagnostic]) -> dict[Dim, int]:
    sizes: dict[Dim, int] = {}
    for index in needs.indices.values():
        if index.labels is not None:
            axes.labels.setdefault(index.name, declared_labels(index))
        if index.name in axes.labels:
            sizes[index.name] = len(axes.labels[index.name])
    for need in needs.data:
        for dim in need.dims:
            size = size_of(dim)
            if size is None and base_of(dim) in axes.labels:
                size = len(axes.labels[base_of(dim)])
            if size is not None:
                sizes[dim] = size
    for index in needs.indices.values():
        if index.name not in sizes:
            user = next((n for n in needs.data if index.name in map(base_of, n.dims)), None)
            problems.append(
                Diagnostic(
                    "M414",
                    f"nothing in the data says which {index.name} there are",
                    index.span or (user.span if user else None),
                    mend=f"give a column {index.name} with its labels",
                )
            )
    return sizes


def _carried(need: DataNeed, fitted: Bound, axes: Axes, sizes: Mapping[Dim, int]) -> Any:
    """The values of the fit, in declared order, behind them room (NaN, -1) for new labels.

    None where the data at hand bring the rows anew.
    """
    old = fitted.arrays[need.name]
    rows = {base_of(d) for d in need.dims if not fitted.needs.index(d).fed_by}
    if rows & axes.given:
        return None
    old = np.transpose(old, [need.order.index(dim) for dim in need.dims])
    is_label = isinstance(need.space, Label)
    values = np.full([sizes[dim] for dim in need.dims], -1 if is_label else np.nan, old.dtype)
    values[tuple(slice(size) for size in old.shape)] = old
    return values


def _ordered(need: DataNeed, values: np.ndarray) -> np.ndarray:
    axes = [need.dims.index(dim) for dim in need.order]
    if axes == sorted(axes):
        return values
    return np.ascontiguousarray(np.transpose(values, axes)) if values.ndim else values


def _uncovered(need: DataNeed, values: np.ndarray, axes: Axes) -> list[Diagnostic]:
    """New labels for which an input of the fit has no value."""
    gap = values < 0 if isinstance(need.space, Label) else np.isnan(values)
    if not gap.any():
        return []
    first = np.argwhere(gap)[0]
    dim, place = next(
        (d, p) for d, p in zip(need.dims, first, strict=True) if base_of(d) in axes.labels
    )
    label = label_text(axes.labels[base_of(dim)][place])
    return [
        Diagnostic(
            "M412",
            f"{need.name} has no value for the new {dim} {label}",
            need.span,
            mend=f"give a table with the columns {dim} and {need.name} for the new labels",
        )
    ]


def _dated(cells: Mapping[str, Cells], fitted: Bound | None) -> set[str]:
    old = set() if fitted is None else {n for n in fitted.dated if n not in cells}
    return old | {name for name, found in cells.items() if found.are_dates}


def _dates_as_fitted(
    needs: Needs, cells: Mapping[str, Cells], fitted: Bound | None
) -> list[Diagnostic]:
    """Dates where the fit had numbers, whose unit only the user knows; and the reverse."""
    problems = []
    for need in needs.data if fitted is not None else ():
        assert fitted is not None
        if need.name not in cells or need.name not in fitted.arrays:
            continue
        is_now, was = cells[need.name].are_dates, need.name in fitted.dated
        if is_now and not was:
            problem = f"{need.name} holds dates, where the fit had numbers"
            mend = "give numbers in the unit of the fit, or fit with dates"
            problems.append(Diagnostic("M426", problem, need.span, mend=mend))
        elif was and not is_now:
            problem = f"{need.name} holds numbers, where the fit had dates"
            why = f"they are taken as {UNIT}, as the dates were"
            problems.append(Diagnostic("M426", problem, need.span, why=why, severity="warning"))
    return problems


def _new_labels(axes: Axes, fitted: Bound | None) -> dict[Dim, Labels]:
    if fitted is None:
        return {}
    found = {}
    for name, place in axes.codes.items():
        size = len(fitted.labels.get(name, ()))
        if (place >= size).any():
            found[name] = axes.labels[name][place >= size]
    return found
