"""Raw cells turned into numbers and labels, and what a space allows of them, vectorised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from mercer.dsl.spaces import (
    Bool,
    Constrained,
    Count,
    Group,
    Interval,
    Positive,
    Space,
    Sphere,
    Unit,
)
from mercer.runtime.data import times
from mercer.runtime.data.columns import EXACT, Column, Words, blocks

Labels = np.ndarray
"""Labels of an index: text (dtype object), whole numbers (int64) or other numbers (float64)."""

_MISSING_WORDS = ("NA", "N/A", "NaN", "nan", "NAN", "null", "None", "")
_TOLERANCE = 1e-6  # of sums and norms: data are written with about seven digits
_WHOLE = 2**63  # int64 ends before it
_PADDED = re.compile(r"\s*[+-]?0[0-9]")


class Numbers(NamedTuple):
    """Cells as float64 (NaN: missing), where that failed, and whether they were dates."""

    values: np.ndarray
    is_bad: np.ndarray
    are_dates: bool = False


def numbers(raw: Column, *, truth: bool = False) -> Numbers:
    """`raw` as float64; an empty cell, None and NA are NaN, dates are days (`times`).

    With `truth`, the words true and false are 1 and 0.
    """
    if isinstance(raw, Words):
        distinct = numbers(raw.words, truth=truth)
        return Numbers(distinct.values[raw.codes], distinct.is_bad[raw.codes], distinct.are_dates)
    raw = np.asarray(raw[...])
    if raw.dtype.kind in "Mm":
        return Numbers(times.days(raw), np.zeros(raw.shape, dtype=bool), raw.dtype.kind == "M")
    if raw.dtype.kind in "biuf":
        return Numbers(raw.astype(np.float64, copy=False), np.zeros(raw.shape, dtype=bool))
    flat = pd.Series(raw.ravel(), dtype=object)
    if truth:
        words = flat.astype(str).str.strip().str.lower()
        flat = flat.mask(words == "true", 1.0).mask(words == "false", 0.0)
    found = np.array(pd.to_numeric(flat, errors="coerce"), dtype=np.float64)
    suspects = np.flatnonzero(np.isnan(found))
    is_bad = np.zeros(found.shape, dtype=bool)
    cells = flat.to_numpy()[suspects]
    is_bad[suspects] = [not is_missing(cell) for cell in cells]
    moments = times.moments(flat.to_numpy()[is_bad], months=True) if is_bad.any() else None
    if moments is not None and np.isnan(found).all():
        found[is_bad] = times.days(moments)
        return Numbers(found.reshape(raw.shape), np.zeros(raw.shape, dtype=bool), True)
    return Numbers(found.reshape(raw.shape), is_bad.reshape(raw.shape))


def number_blocks(raw: Column, truth: bool = False) -> Iterator[tuple[int, np.ndarray, Numbers]]:
    """First row, cells and numbers of each block of rows."""
    if isinstance(raw, Words):
        every = numbers(raw.words, truth=truth)
        for start, (place,) in blocks(raw.codes):
            read = Numbers(every.values[place], every.is_bad[place], every.are_dates)
            yield start, raw.words[place], read
        return
    for start, (block,) in blocks(raw):
        yield start, block, numbers(block, truth=truth)


def labels(raw: Column) -> tuple[Labels, np.ndarray]:
    """`raw` as labels, and where they are missing; the shape is kept."""
    if isinstance(raw, Words):
        found, missing = labels(raw.words)
        return found[raw.codes], missing[raw.codes]
    raw = np.asarray(raw[...])
    if raw.dtype.kind == "b":
        return np.where(raw, "true", "false").astype(object), np.zeros(raw.shape, dtype=bool)
    if raw.dtype.kind in "iu" and (raw.dtype != np.uint64 or raw.max(initial=0) < _WHOLE):
        return raw.astype(np.int64, copy=False), np.zeros(raw.shape, dtype=bool)
    if raw.dtype.kind == "f":
        missing = ~np.isfinite(raw)
        filled = np.where(missing, 0.0, raw)
        whole = bool(np.all((filled == np.round(filled)) & (np.abs(filled) < EXACT)))
        return filled.astype(np.int64) if whole else filled, missing
    flat = pd.Series((times.texts(raw) if raw.dtype.kind == "M" else raw).ravel(), dtype=object)
    absent = flat.isna().to_numpy() | (flat == "").to_numpy(dtype=bool)
    present = flat[~absent]
    if len(present) and all(map(_is_whole_number, present)):
        if all(-_WHOLE <= int(cell) < _WHOLE for cell in present):
            whole = np.zeros(len(flat), dtype=np.int64)
            whole[~absent] = present
            return whole.reshape(raw.shape), absent.reshape(raw.shape)
    elif len(present) and all(map(_is_plain_number, present)):
        filled = np.zeros(len(flat))
        filled[~absent] = np.asarray(present, dtype=np.float64)
        found, missing = labels(np.where(absent, np.nan, filled))
        return found.reshape(raw.shape), missing.reshape(raw.shape)
    text = np.full(len(flat), "", dtype=object)
    text[~absent] = [label_text(cell) for cell in present]
    return text.reshape(raw.shape), absent.reshape(raw.shape)


def label_blocks(raw: Column) -> Iterator[tuple[int, Labels, np.ndarray]]:
    """First row, labels and where they are missing, of each block of rows."""
    if isinstance(raw, Words):
        found, absent = labels(raw.words)
        for start, (place,) in blocks(raw.codes):
            yield start, found[place], absent[place]
        return
    for start, (block,) in blocks(raw):
        yield start, *labels(block)


def distinct_labels(raw: Column) -> Labels:
    """Each label of `raw` once, in the order in which they first occur."""
    if isinstance(raw, Words):
        found, absent = labels(raw.words)
        return union([found[~absent]], is_sorted=False)
    parts = [union([f[~a]], is_sorted=False) for _, f, a in label_blocks(raw)]
    return union(parts, is_sorted=False)


def label_text(label: object) -> str:
    """How a label is written: whole numbers without a point, truth as in a model."""
    if isinstance(label, (bool, np.bool_)):
        return "true" if label else "false"
    if isinstance(label, (float, np.floating)) and float(label).is_integer():
        return str(int(label))
    return str(label).strip()


def union(parts: list[Labels], *, is_sorted: bool) -> Labels:
    """Every label of `parts` once: sorted, or in the order of their first occurrence."""
    parts = [part.ravel() for part in parts if part.size]
    if not parts:
        return np.zeros(0, dtype=np.int64)
    if len({part.dtype == object for part in parts}) > 1:
        parts = [as_text(part) for part in parts]
    joined = np.concatenate(parts)
    found = pd.unique(joined)
    return np.sort(found) if is_sorted else found


def as_text(part: Labels) -> Labels:
    """Labels as text."""
    if part.dtype == object:
        return part
    distinct, place = np.unique(part, return_inverse=True)
    return np.array([label_text(v) for v in distinct], dtype=object)[place].reshape(part.shape)


def codes(wanted: Labels, among: Labels) -> np.ndarray:
    """The position of each of `wanted` in `among`, -1 for what is not there."""
    if among.dtype == object and wanted.dtype != object:
        wanted = as_text(wanted)
    elif among.dtype != object and wanted.dtype == object:
        found = numbers(wanted)
        is_padded = np.array([bool(_PADDED.match(str(cell))) for cell in wanted.ravel()])
        is_other = found.is_bad | is_padded.reshape(wanted.shape)
        wanted = np.where(is_other, np.nan, found.values)
    flat = wanted.ravel()
    is_count = among.dtype.kind == "i" and among.size and flat.dtype.kind == "i"
    if is_count and np.array_equal(among, np.arange(among.size)):
        within = (flat >= 0) & (flat < among.size)
        return np.where(within, flat, -1).reshape(wanted.shape)
    return pd.Index(among).get_indexer(pd.Index(flat)).reshape(wanted.shape)


def is_missing(cell: object) -> bool:
    """Whether one cell of a column of objects holds nothing."""
    if isinstance(cell, str):
        return cell.strip() in _MISSING_WORDS
    return cell is None or cell is pd.NA or cell is pd.NaT or cell != cell


def outside(space: Space, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Where numbers (NaN apart) are not in `space`, and what is wanted of them, in words."""
    nothing = np.zeros(values.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        match space:
            case Positive():
                return values <= 0, "a number above 0"
            case Unit():
                return (values < 0) | (values > 1), "a number from 0 to 1"
            case Count():
                return (values < 0) | (values != np.round(values)) & ~np.isnan(values), (
                    "0, 1, 2, ..."
                )
            case Bool():
                return (values != 0) & (values != 1) & ~np.isnan(values), "0 or 1, false or true"
            case Interval(low, high):
                lowest, highest = _bound(low, -np.inf), _bound(high, np.inf)
                return (values < lowest) | (values > highest), f"a number from {low} to {high}"
    return nothing, ""


def outside_together(space: Space, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Which points (trailing axes; NaN apart) are not in `space`, and what is wanted."""
    match space:
        case Constrained("Simplex", _):
            negative = (values < 0).any(-1)
            return negative | (np.abs(values.sum(-1) - 1) > _TOLERANCE), (
                "shares: at least 0 each, 1 together"
            )
        case Constrained("Ordered", _):
            return np.any(np.diff(values, axis=-1) <= 0, axis=-1), "in rising order"
        case Constrained("ZeroSum", _):
            size = 1 + np.abs(values).max(-1, initial=0)
            return np.abs(values.sum(-1)) > _TOLERANCE * size, "0 together"
        case Constrained(("Correlation" | "Covariance") as kind, _):
            return _not_covariance(values, kind == "Correlation"), (
                f"a {kind.lower()} matrix: symmetric and positive definite"
                + (", its diagonal 1" if kind == "Correlation" else "")
            )
        case Sphere():
            return np.abs((values**2).sum(-1) - 1) > _TOLERANCE, "of length 1"
        case Group(kind, degree):
            product = np.einsum("...ij,...kj->...ik", values, values)
            turned = np.abs(product - np.eye(degree)).max((-1, -2), initial=0) > _TOLERANCE
            determinant = np.linalg.det(values)
            match kind:
                case "SO":
                    return turned | (determinant < 0), "a rotation matrix"
                case "SL":
                    return np.abs(determinant - 1) > _TOLERANCE, "a matrix of determinant 1"
                case _:
                    return determinant <= 0, "a matrix of positive determinant"
    return np.zeros(0, dtype=bool), ""


def _not_covariance(values: np.ndarray, is_correlation: bool) -> np.ndarray:
    turned = np.swapaxes(values, -1, -2)
    scale = 1 + np.abs(values).max((-1, -2), initial=0)
    found = np.abs(values - turned).max((-1, -2), initial=0) > _TOLERANCE * scale
    clean = np.where(np.isnan(values), 0.0, (values + turned) / 2)
    found |= np.linalg.eigvalsh(clean).min(-1) <= 0
    if is_correlation:
        diagonal = np.diagonal(values, axis1=-2, axis2=-1)
        found |= (np.abs(diagonal - 1) > _TOLERANCE).any(-1)
    return np.asarray(found & ~np.isnan(values).any((-1, -2)))


def _bound(bound: float | str, otherwise: float) -> float:
    """A bound as a number; one written as an expression is left to the model."""
    try:
        return float(bound)
    except ValueError:
        return otherwise


def _is_whole_number(cell: object) -> bool:
    return isinstance(cell, (int, np.integer)) and not isinstance(cell, bool)


def _is_plain_number(cell: object) -> bool:
    return isinstance(cell, (int, float, np.number)) and not isinstance(cell, bool)
