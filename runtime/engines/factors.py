"""Rows of an outcome, each a product of factors summed over positions, into moments and messages.

    f_n = c_n * sum over positions of  prod_k u_k[p_k(n)],    u_k independent Normal

Each factor has `count` groups of `rank` entries, one group for each distinct point, label, or for
all rows; row n sees group `code[n]`. With m the mean and S = V + m m' the second moment of a group,
all expectations are products of these, contracted over positions: one `einsum`, whether the
positions are shared (CP), joined by a core (Tucker), or anything between. What rows say of a group
is summed before it is stored: [count, rank, rank], never one matrix a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.engines.terms import Factor, Site
from mercer.runtime.engines.timeline import codes_of, times_of

DENSE = 4000
"""Entries of a factor on no line, at most: its law is one dense matrix."""

_TABLE = 2**22
"""Numbers in the widest table of a step over rows: some 32 MB."""

Kind = Literal["line", "dense", "finite"]


@dataclass(frozen=True)
class Shape:
    """A factor of product number `product` as structure. `letters` name its positions, `sizes`
    their lengths; `is_by_row`: rows see different groups."""

    key: str
    process: str
    kind: Kind
    letters: str
    sizes: tuple[int, ...]
    count: int
    is_by_row: bool
    product: int = 0

    @property
    def rank(self) -> int:
        return math.prod(self.sizes)


class Groups(NamedTuple):
    """Where a factor stands in the data: the group `code` [N] of each row (empty: one group), a row
    `reader` [count] that reads each, and the first group of each `chain`."""

    code: Any
    reader: Any
    chain: Any


class Message(NamedTuple):
    """What the rows say of each group u: exp(shift' u - u' precision u / 2)."""

    precision: Array
    shift: Array


class Moments(NamedTuple):
    """The law of each group: `mean` [count, rank], `covariance` [count, rank, rank]."""

    mean: Array
    covariance: Array


class Product:
    """All factors of an outcome: `shapes` by key, in the order of a sweep."""

    def __init__(self, shapes: Mapping[str, Shape], rows: int) -> None:
        self.shapes, self.rows = dict(shapes), rows
        self.size: dict[str, int] = {}
        for shape in shapes.values():
            self.size.update(zip(shape.letters, shape.sizes, strict=True))
        widest = math.prod(n**2 for n in self.size.values())
        steps = math.ceil(rows / max(256, _TABLE // max(1, widest)))
        self.step = math.ceil(rows / steps) if steps else 1

    # --- what rows say of a factor ---

    def message(
        self,
        key: str,
        laws: Mapping[str, Moments],
        codes: Mapping[str, Array],
        weight: Array,
        target: Array,
    ) -> Message:
        """Sums over rows of weight E[a a'] and target E[a], a being the product of the others.

        `weight` [N]: c_n^2 / noise variance; `target` [N]: c_n (y_n - offset_n) / noise variance.
        """
        shape = self.shapes[key]
        if not shape.is_by_row:
            zero = (jnp.zeros(shape.sizes * 2), jnp.zeros(shape.sizes))
        else:
            zero = (
                jnp.zeros((shape.count, shape.rank, shape.rank)),
                jnp.zeros((shape.count, shape.rank)),
            )

        def add(total: Any, codes: Mapping[str, Array], weight: Array, target: Array) -> Any:
            mean, second = self._others(key, laws, codes, weight, target)
            if shape.is_by_row:
                n = len(weight)
                second = second.reshape(n, shape.rank, shape.rank)
                return (
                    total[0].at[codes[key]].add(second),
                    total[1].at[codes[key]].add(mean.reshape(n, shape.rank)),
                )
            return total[0] + second, total[1] + mean

        precision, shift = self._over_rows(add, zero, codes, weight, target)
        precision = precision.reshape(shape.count, shape.rank, shape.rank)
        precision = 0.5 * (precision + jnp.swapaxes(precision, 1, 2))
        return Message(precision, shift.reshape(shape.count, shape.rank))

    def values(
        self, laws: Mapping[str, Moments], codes: Mapping[str, Array]
    ) -> tuple[Array, Array]:
        """Means [N] and variances [N] of the product at each row, without the weight c."""

        def one(codes: Mapping[str, Array], count: int) -> Any:
            first, second = self._operands(self.shapes, laws, codes)
            mean = self._einsum(first, "z", count)
            return mean, self._einsum(second, "z", count) - mean**2

        count, step = self.rows, self.step
        if count <= step:
            return one(codes, count)
        laid = {k: _laid(c, step) for k, c in codes.items() if len(c)}
        none = {k: c for k, c in codes.items() if not len(c)}
        mean, variance = lax.map(lambda part: one({**part, **none}, step), laid)
        return mean.reshape(-1)[:count], variance.reshape(-1)[:count]

    # --- inside ---

    def _over_rows(
        self, add: Any, total: Any, codes: Mapping[str, Array], weight: Array, target: Array
    ) -> Any:
        """`add` over all rows, so many at a time that no table grows large."""
        if len(weight) <= self.step:
            return add(total, codes, weight, target)
        laid = {k: _laid(c, self.step) for k, c in codes.items() if len(c)}
        none = {k: c for k, c in codes.items() if not len(c)}
        parts = (laid, _laid(weight, self.step), _laid(target, self.step))

        def one(total: Any, part: Any) -> Any:
            own, weight, target = part
            return add(total, {**own, **none}, weight, target), None

        return lax.scan(one, total, parts)[0]

    def _others(
        self,
        key: str,
        laws: Mapping[str, Moments],
        codes: Mapping[str, Array],
        weight: Array,
        target: Array,
    ) -> tuple[Array, Array]:
        shape = self.shapes[key]
        others = {k: s for k, s in self.shapes.items() if k != key}
        first, second = self._operands(others, laws, codes)
        row = "z" if shape.is_by_row else ""
        own, twice = shape.letters, shape.letters + shape.letters.upper()
        mean = self._einsum([*first, (target, "z")], row + own, len(weight))
        return mean, self._einsum([*second, (weight, "z")], row + twice, len(weight))

    def _operands(
        self, shapes: Mapping[str, Shape], laws: Mapping[str, Moments], codes: Mapping[str, Array]
    ) -> tuple[list[tuple[Array, str]], list[tuple[Array, str]]]:
        """Means and second moments at the rows, with the letters of their axes."""
        first, second = [], []
        for key, shape in shapes.items():
            mean, covariance = laws[key]
            square = covariance + mean[:, :, None] * mean[:, None, :]
            if shape.is_by_row:
                mean, square = mean[codes[key]], square[codes[key]]
                axes, row = (mean.shape[0],), "z"
            else:
                mean, square, axes, row = mean[0], square[0], (), ""
            twice = shape.letters + shape.letters.upper()
            first.append((mean.reshape(*axes, *shape.sizes), row + shape.letters))
            second.append((square.reshape(*axes, *shape.sizes * 2), row + twice))
        return first, second

    def _einsum(self, operands: list[tuple[Array, str]], result: str, count: int) -> Array:
        there = set("".join(letters for _, letters in operands))
        missing = [letter for letter in result if letter not in there]
        sizes = [count if m == "z" else self.size[m.lower()] for m in missing]
        if missing:
            operands = [*operands, (jnp.ones(sizes), "".join(missing))]
        rule = ",".join(letters for _, letters in operands) + "->" + result
        return jnp.einsum(rule, *(array for array, _ in operands), optimize="optimal")


def _laid(values: Array, step: int) -> Array:
    """[N] as [parts, step], filled up with zeros: rows of no weight."""
    missing = -len(values) % step
    return jnp.concatenate([values, jnp.zeros(missing, values.dtype)]).reshape(-1, step)


# --- on the host ----------------------------------------------------------------------------------


def grouped(key: str, site: Site, factor: Factor) -> tuple[Shape, Groups]:
    """A factor as structure, and where it stands in the data: missing rows have groups too."""
    index = np.asarray(factor.index)
    index = index.reshape(len(index), -1)
    rank = index.shape[1]
    lengths = factor.sizes
    is_by_row = site.points is not None or len(index) > 1
    if not is_by_row:
        shape = Shape(
            key, site.process, "finite", factor.letters, lengths, 1, False, factor.product
        )
        return shape, Groups(np.zeros(0, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32))
    first = index[:, 0]
    kind: Kind = "finite"
    if site.points is None:
        _, reader, code = np.unique(first, return_index=True, return_inverse=True)
        chain = np.zeros(1, np.int32)
    else:
        kind = "line" if factor.is_along else "dense"
        points = jax.tree.map(np.asarray, site.points)
        flat = Site(site.process, points, site.size)
        labels = np.asarray(codes_of(flat, apart=rank == 1))[first]
        columns = [np.asarray(f).reshape(site.size, -1)[first] for f in points.factors]
        if kind == "line":
            times = np.asarray(times_of(flat))[first]
            table = np.stack([labels.astype(float), times], axis=1)
        else:
            table = np.concatenate([labels[:, None].astype(float), *columns], axis=1)
        _, reader, code = np.unique(table, axis=0, return_index=True, return_inverse=True)
        own = labels[reader]
        chain = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])).astype(np.int32)
    count = len(reader)
    if kind == "dense" and count * rank > DENSE:
        raise MercerError([_too_many(key, count * rank)])
    shape = Shape(key, site.process, kind, factor.letters, lengths, count, True, factor.product)
    code = code.reshape(-1).astype(np.int32)
    return shape, Groups(code, reader.astype(np.int32), chain)


def _too_many(key: str, size: int) -> Diagnostic:
    return Diagnostic(
        "M609",
        f"`{key}` has {size:,} values, too many for one matrix",
        why=f"its kernel has no states along a line; at most {DENSE:,} are taken together.",
        mend="give it a Matern kernel of one number, or sample: --infer nuts",
    )
