"""A fit turned into what its pictures are made of: values at fine grids, computed once for all."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mercer.dsl.diagnostic import MercerError
from mercer.dsl.spaces import Bool, Count, Label, Space
from mercer.runtime.pictures.inputs import (
    Inputs,
    Rows,
    Shape,
    has_rows_enough,
    inputs_of,
    rows_for,
    rows_of_data,
    shape_of,
)
from mercer.runtime.pictures.style import short, wrapped
from mercer.runtime.posterior.drawn import DRAWS, drawn
from mercer.runtime.posterior.manyrows import taken_apart

if TYPE_CHECKING:
    from mercer.runtime.posterior.fit import Fit
    from mercer.runtime.posterior.predict import Prediction

_ROWS = 5000
"""Rows behind a picture at most: more are no more to the eye, and would fill the memory."""
_WORK = 2e10
"""Floating-point operations for one grid, seconds of a core; fewer draws where it is dear."""
_NUMBERS = 1e7
"""Numbers over all draws of one grid, each with its mean, sd and draw: a quarter of a gigabyte."""


class Values(NamedTuple):
    """A quantity at `rows`, [row, ...]: for an outcome of labels their probabilities, labels last;
    for one of yes and no the probability of yes.

    `samples` [draw, row, ...], where all that is known of it are draws.
    """

    mean: np.ndarray
    quantile: Callable[[float], np.ndarray]
    rows: Rows
    samples: np.ndarray | None = None


class Study:
    """A fit with all that pictures ask of it.

    `functions`: the quantities that are values of random functions, `f(x)`, and whose they are.
    `unknowns`: the other names of the posterior, those of statistics last. `outcomes`: what was
    observed.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.posterior: Any = fit.idata["posterior"]
        known = fit.program.DIMS
        among = fit.outcomes()
        self.outcomes: list[str] = [name for name in known if name in among]
        names = [*map(str, self.posterior.data_vars), *fit.statistics()]
        self.functions: dict[str, str] = {
            key: site.process
            for key, site in fit.sites().items()
            if site.points is not None
            and key in known
            and (key in names or not (fit.keeps_rows or site.is_inducing))
        }
        drawn = {*self.functions, *self.shapes}
        # The weights of a layer mean nothing to the eye one by one. What has brackets and no site
        # is of a function inside another: its values, or its Gram matrix.
        self.unknowns: list[str] = [
            name
            for name in names
            if name not in drawn and not fit.is_of_layer(name) and "(" not in name
        ]
        self._seen: dict[Any, Prediction | None] = {}
        self._inputs: dict[str, Inputs | None] = {}

    @cached_property
    def shapes(self) -> dict[str, tuple[Any, str]]:
        """Of the functions on a surface in space: it, and the column of their points."""
        shown = getattr(self.fit.program, "SHOWN", {})
        found = {key: (self.fit.shapes[name], column) for key, (name, column) in shown.items()}
        return {
            key: (shape, column)
            for key, (shape, column) in found.items()
            if shape.points.shape[1] == 3 and shape.dim == 2
        }

    # --- names ---

    def titled(self, name: str) -> str:
        """A name with what the model says of it, its unit as a rule: `co2 (ppm)`."""
        owner = self.fit.sites()[name].process if name in self.shapes else name
        doc = self.fit.docs.get(self.functions.get(name, owner), "")
        return wrapped(f"{name} ({doc})" if doc else name)

    def short_name(self, name: str) -> str:
        """The function instead of its value, `f` for `f(x)`, where it has only this one."""
        if name in self.shapes:
            return self.fit.sites()[name].process
        owner = self.functions.get(name, name)
        return owner if list(self.functions.values()).count(owner) == 1 else name

    def space(self, outcome: str) -> Space | None:
        """The space of an outcome that is data; None of one defined from data."""
        need = self.fit.bound.needs.of(outcome)
        return None if need is None else need.space

    def is_discrete(self, outcome: str) -> bool:
        return isinstance(self.space(outcome), Bool | Count | Label)

    def labels(self, dim: str, count: int | None = None) -> list[str]:
        """The labels of a dim, or the numbers of its entries from 1."""
        found = self.fit.bound.labels.get(dim.rstrip("'"))
        if count is None:
            base = dim.rstrip("'")
            count = int(base) if base.isdigit() else int(self.fit.bound.sizes[base])
        if found is None or len(found) != count or dim.rstrip("'") in self.fit.bound.numbered:
            return [str(i + 1) for i in range(count)]
        return [short(label) for label in np.asarray(found).tolist()]

    def label(self, dim: str, place: int) -> str:
        return self.labels(dim)[place]

    def entry_title(self, key: str, entry: tuple[int, ...]) -> str:
        """The labels of an entry of the dims behind the rows: `zinc`, or `k = 2`, if numbered."""
        parts = []
        for dim, place in zip(self.fit.program.DIMS[key][1:], entry, strict=False):
            label = self.label(dim, place)
            name = "coordinate" if dim.isdigit() else f"{dim} ="
            parts.append(f"{name} {label}" if label.isdigit() else label)
        return ", ".join(parts)

    def is_ordered(self, outcome: str) -> bool:
        """Whether the model lists the labels of an outcome, in an order that means something."""
        space = self.space(outcome)
        index = self.fit.bound.needs.indices.get(getattr(space, "index", ""))
        return index is not None and index.labels is not None

    def coordinate(self, data: str, place: int) -> str:
        """The name of one coordinate of a vector: its label, or its number from 1."""
        dim, size = self.fit.bound.dims[data][-1], self.fit.bound.arrays[data].shape[-1]
        if size == 1:
            return self.titled(data)
        label = self.labels(dim, size)[place]
        return f"{data}.{label}" if label.isdigit() else label

    # --- data ---

    def observed(self, outcome: str) -> np.ndarray:
        """The data of an outcome as numbers, NaN where missing; labels by their codes."""
        arrays = self.fit.bound.arrays
        if outcome in arrays:
            values = np.asarray(arrays[outcome])
            return np.where(values < 0, np.nan, values) if values.dtype.kind == "i" else values
        return np.asarray(self.fit.argument(outcome), float)

    def censored(self, outcome: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Of which rows the true value lies below, above the one recorded; None if of none."""
        law = self.fit.laws.get(outcome)
        flags = getattr(law, "below", None), getattr(law, "above", None)
        if all(flag is None for flag in flags):
            return None
        shape = self.observed(outcome).shape
        below, above = (
            np.broadcast_to(np.asarray(False if flag is None else flag, bool), shape)
            for flag in flags
        )
        return below, above

    def has_data(self, outcome: str) -> bool:
        """Whether an outcome has values that differ: `zero = 0` is no datum worth a picture."""
        values = self.observed(outcome)
        seen, shape = values[np.isfinite(values)], self.fit.shape_of(outcome)
        return values.shape == shape and bool(len(seen)) and bool(np.ptp(seen) > 0)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Of an index of many rows the places of some, by chance, in order; all of the others."""
        fit, random = self.fit, np.random.default_rng(0)
        apart = taken_apart(fit.bound, fit.program.DIMS, fit.rowwise)
        many = {dim: fit.bound.sizes[dim] for dim in apart if fit.bound.sizes[dim] > _ROWS}
        return {d: np.sort(random.choice(n, _ROWS, replace=False)) for d, n in many.items()}

    @cached_property
    def at_data(self) -> Prediction:
        """Outcomes and components at the `rows` of the data."""
        sizes = self.fit.bound.sizes
        longest = max((len(self.rows.get(d, range(size))) for d, size in sizes.items()), default=1)
        count = longest * (len(self.outcomes) + len(self.functions))
        return self.fit.thinned(self._draws(0, numbers=count)).at_some(self.rows)

    def seen_at(self, outcome: str) -> np.ndarray:
        """The data of an outcome at the rows of `at_data`."""
        return self.taken(outcome, self.observed(outcome))

    def taken(self, outcome: str, values: np.ndarray) -> np.ndarray:
        """Values of the shape of an outcome at the rows of `at_data`."""
        for axis, dim in enumerate(self.fit.program.DIMS[outcome][: values.ndim]):
            if dim in self.rows:
                values = np.take(values, self.rows[dim], axis=axis)
        return values

    def cells(self, outcome: str) -> np.ndarray:
        """Places of observed values in the flat outcome: all, or of many some by chance."""
        seen = np.flatnonzero(np.isfinite(self.observed(outcome)))
        if len(seen) <= _ROWS:
            return seen
        return np.sort(np.random.default_rng(0).choice(seen, _ROWS, replace=False))

    def made_up(self, outcome: str) -> np.ndarray:
        """What the fitted model makes of the cells of an outcome, [draw, cell]."""
        return drawn(self.fit, outcome, self.cells(outcome))[0]

    def of_how_many(self, outcome: str) -> str:
        """What a title says where the cells are not all values."""
        return _of(len(self.cells(outcome)), self.observed(outcome), "values")

    def of_how_many_rows(self, outcome: str) -> str:
        """What a title says where `at_data` is not at all rows."""
        return _of(self.seen_at(outcome).size, self.observed(outcome), "rows")

    # --- over the inputs ---

    def inputs(self, key: str) -> Inputs | None:
        if key not in self._inputs:
            self._inputs[key] = inputs_of(self.fit, key)
        return self._inputs[key]

    def is_drawn_as(self, key: str, *shapes: Shape) -> bool:
        """Whether a quantity or outcome can be drawn over its inputs so."""
        inputs = self.inputs(key)
        if inputs is None or (shape := shape_of(self.fit, key, inputs)) not in shapes:
            return False
        if key in self.outcomes and not has_rows_enough(self.fit, inputs):
            return False
        return shape in ("curve", "coordinates") or self.values(key) is not None

    def values(self, key: str) -> Values | None:
        """The quantity on its grid, or at the data where the model cannot be asked at new rows."""
        inputs = self.inputs(key)
        if inputs is None:
            return None
        shape = shape_of(self.fit, key, inputs)
        found, rows = self._grid(inputs, shape), None
        if found is not None:
            rows = rows_for(self.fit, inputs, shape)
        elif shape in ("curve", "coordinates"):
            found, rows = self.at_data, rows_of_data(self.fit, inputs, self.rows.get(inputs.row))
        if found is None or rows is None:
            return None
        if key in found.probabilities:
            return Values(found.probabilities[key], _quantiles(found.expected[key]), rows)
        if isinstance(self.space(key), Bool):
            return Values(found.means[key], _quantiles(found.expected[key]), rows)
        samples = None
        if key not in found.normals:
            samples = found.samples[key].reshape(-1, *found.means[key].shape)
        return Values(found.means[key], lambda q: found.quantile(key, q), rows, samples)

    def sds(self, key: str) -> np.ndarray:
        """The standard deviation that goes with `values`: of what their quantiles are of."""
        values = self.values(key)
        assert values is not None
        return 0.5 * (values.quantile(0.841345) - values.quantile(0.158655))

    def _grid(self, inputs: Inputs, shape: Shape) -> Prediction | None:
        """Whatever shares inputs and grid is computed in the same pass."""
        if (inputs, shape) not in self._seen:
            every = [*self.functions, *self.outcomes]
            keys = [
                key
                for key in every
                if self.inputs(key) == inputs and shape_of(self.fit, key, inputs) == shape
            ]
            columns = rows_for(self.fit, inputs, shape).columns
            new = len(next(iter(columns.values()))) * len(keys)
            draws = self._draws(new, numbers=new)
            try:
                self._seen[inputs, shape] = self.fit.thinned(draws).at(keys, columns)
            except MercerError:
                # A flat prior at new labels, a recurrence: the data's own rows must do.
                self._seen[inputs, shape] = None
        return self._seen[inputs, shape]

    def _draws(self, new: int, *, numbers: int) -> int:
        """For `new` rows beside those of the data, of which `numbers` are kept for each draw."""
        rows = max(sum(self.observed(outcome).size for outcome in self.outcomes), 1)
        few = min(_WORK / (rows**2 * (rows + new)), _NUMBERS / max(numbers, 1))
        return int(np.clip(few, *DRAWS))


def _of(shown: int, values: np.ndarray, what: str) -> str:
    count = int(np.isfinite(values).sum())
    return "" if shown >= count else f" ({shown:,} of {count:,} {what}, by chance)"


def _quantiles(draws: np.ndarray) -> Callable[[float], np.ndarray]:
    """Quantiles over the posterior draws, the first axis."""
    return lambda level: np.quantile(draws, level, axis=0)
