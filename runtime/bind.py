"""Tables turned into `Bound`: one array for each data name, by label, checked by its space."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Dim, Label
from mercer.runtime.fill import cells_of, fill
from mercer.runtime.labels import Axes, Known, declared_labels, resolve_labels
from mercer.runtime.locate import Located, locate, missing_column
from mercer.runtime.needs import DataNeed, Needs, base_of, size_of
from mercer.runtime.tables import Tables, read
from mercer.runtime.values import Labels, label_text, outside_together


@dataclass(frozen=True, eq=False)
class Bound:
    """The data of a model, as its program takes them.

    `arrays[name]` has the axes `dims[name]`: float64, and int64 codes into `labels` for a
    `Label` column. Only outcomes hold NaN (code -1): missing. An outcome that was not given is
    not there. `sizes` are those of all dims. `codes[index]` are the places of `labels[index]` in
    the fit: those that it did not have come behind its own, and are the `new_labels`. `numbered`
    are the indices whose labels are only the numbers of their rows.
    """

    needs: Needs
    arrays: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[Dim, ...]]
    labels: Mapping[Dim, Labels]
    sizes: Mapping[Dim, int]
    codes: Mapping[Dim, np.ndarray]
    new_labels: Mapping[Dim, Labels] = field(default_factory=dict)
    numbered: frozenset[Dim] = frozenset()
    warnings: tuple[Diagnostic, ...] = ()

    def describe(self) -> str:
        """A table of what was bound: name, space, shape, range or labels, missing values."""
        rows = self.described()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows)
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
        if isinstance(need.space, Label):
            count = len(np.unique(values[values >= 0]))
            missing = int(np.sum(values < 0))
            spread = f"{count} of {self.sizes[need.space.index]} labels"
        else:
            present = values[~np.isnan(values)]
            missing = values.size - present.size
            ends = (present.min(), present.max()) if present.size else ()
            spread = " to ".join(dict.fromkeys(f"{end:.6g}" for end in ends))
        return (need.name, str(need.space), shape, spread, str(missing) if missing else "")


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
    located = locate(needs, tables)
    known = None if fitted is None else Known(fitted.labels, fitted.numbered)
    axes = resolve_labels(needs, located, known)
    problems = [*located.problems, *axes.problems]
    if wanted is not None:
        located.absent = [n for n in located.absent if n.is_outcome or n.name in wanted]
    problems += _absent(needs, located, axes, tables, fitted, require_outcomes)
    # Values are checked where they stand, also when lengths or labels are already wrong.
    cells = {name: cells_of(piece) for name, piece in located.pieces.items()}
    problems += [problem for found in cells.values() for problem in found.problems]
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
                problems += _together(need, values, axes)
                arrays[need.name] = _ordered(need, values)
        elif start is not None and not need.is_outcome:
            problems += _uncovered(need, start, axes) if _is_wanted(need, wanted) else []
            arrays[need.name] = _ordered(need, start)
        elif not need.is_outcome and not _is_wanted(need, wanted):
            shape = [sizes[dim] for dim in need.order]
            is_label = isinstance(need.space, Label)
            arrays[need.name] = np.zeros(shape, int) if is_label else np.ones(shape)
    problems += _worth_a_word(needs, arrays, require_outcomes and fitted is None)
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
        warnings=tuple(p for p in problems if p.severity == "warning"),
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


def _together(need: DataNeed, values: np.ndarray, axes: Axes) -> list[Diagnostic]:
    """Spaces that concern a whole point: shares, rotations, covariance matrices."""
    if not need.coordinates or isinstance(need.space, Label):
        return []
    is_wrong, wanted = outside_together(need.space, values)
    if not wanted or not is_wrong.any():
        return []
    first = tuple(np.argwhere(is_wrong)[0]) if is_wrong.ndim else ()
    rows = [
        f"{dim} {label_text(axes.labels[base_of(dim)][place])}"
        for dim, place in zip(need.indices, first, strict=True)
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


def _worth_a_word(needs: Needs, arrays: Mapping[str, np.ndarray], is_fit: bool) -> list[Diagnostic]:
    """Nothing observed at all (an error), a column that never varies (a warning)."""
    problems = []
    empty = []
    for need in needs.data:
        values = arrays.get(need.name)
        if values is None or isinstance(need.space, Label) or values.ndim == 0:
            if need.is_outcome and values is not None and values.size and (values == -1).all():
                empty.append(need)
            continue
        if need.is_outcome and np.isnan(values).all():
            empty.append(need)
        elif is_fit and values.size > 1 and np.nanmin(values) == np.nanmax(values):
            problems.append(
                Diagnostic(
                    "M415",
                    f"{need.name} is {np.nanmax(values):.6g} everywhere",
                    need.span,
                    why="a column that never varies says nothing about an effect",
                    severity="warning",
                )
            )
    given = [need for need in needs.data if need.is_outcome and need.name in arrays]
    if is_fit:
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


def _new_labels(axes: Axes, fitted: Bound | None) -> dict[Dim, Labels]:
    if fitted is None:
        return {}
    found = {}
    for name, place in axes.codes.items():
        size = len(fitted.labels.get(name, ()))
        if (place >= size).any():
            found[name] = axes.labels[name][place >= size]
    return found
