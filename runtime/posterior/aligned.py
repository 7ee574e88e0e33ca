"""Draws of the factors of a product, whose components have no order, into draws in one order.

    f = sum over r  u_1[r] u_2[r] ...              is the same for any order of the components, and
                                                   with the signs of two of their parts turned;
    f = sum over r, s  W[r, s] u[r] v[s]           is the same with u Q, v R and Q' W R, where Q
                                                   and R are orthogonal.

Each draw is brought as close as it gets to a reference, which is the mean of all draws that were
brought close to one of them. The product itself never changes. Of components, two are as close as
their values on the grid of all entries of their parts: inner products there are the products of
those of the parts. Rotations are Procrustes' (Schoenemann 1966).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from scipy.optimize import linear_sum_assignment

_PASSES = 3
"""The reference is one draw at first, then the mean of draws that are already aligned."""


@dataclass(frozen=True)
class Part:
    """Draws [samples, rows, *positions] of one factor; `letters` name its positions."""

    draws: np.ndarray
    letters: tuple[str, ...]


def aligned(parts: Mapping[str, Part]) -> dict[str, Part]:
    """The factors of one product, each draw in the order of the others."""
    letters = [part.letters for part in parts.values()]
    if len(letters) > 1 and len(letters[0]) == 1 and len(set(letters)) == 1:
        found = _permuted(list(parts.values()))
    elif any(len(own) > 1 for own in letters):
        found = _rotated(list(parts.values()))
    else:
        found = list(parts.values())
    return dict(zip(parts, found, strict=True))


# --- components in any order ----------------------------------------------------------------------


def _permuted(parts: list[Part]) -> list[Part]:
    draws = [part.draws for part in parts]
    sizes = [np.sum(d[:1] ** 2, axis=1) for d in draws]
    order = np.argsort(-np.prod(sizes, axis=0)[0], kind="stable")
    reference = [d[0][:, order] for d in draws]
    for _ in range(_PASSES):
        found = [_matched([d[s] for d in draws], reference) for s in range(len(draws[0]))]
        draws = [np.stack(each) for each in zip(*found, strict=True)]
        reference = [d.mean(axis=0) for d in draws]
    return [replace(part, draws=d) for part, d in zip(parts, draws, strict=True)]


def _matched(own: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One draw [rows, components] of each factor, in the order and with the signs of another."""
    products = [a.T @ b for a, b in zip(own, reference, strict=True)]
    size = reduce(np.multiply, [np.sum(a**2, axis=0) for a in own])
    other = reduce(np.multiply, [np.sum(b**2, axis=0) for b in reference])
    far = size[:, None] + other - 2 * reduce(np.multiply, products)
    first, second = linear_sum_assignment(far)
    place = first[np.argsort(second)]
    signs = [np.where(p[place, np.arange(len(place))] < 0, -1.0, 1.0) for p in products]
    # An even number of signs is turned: where it is odd, that of the part that matters least.
    odd = reduce(np.multiply, signs) < 0
    strength = np.stack([np.abs(p[place, np.arange(len(place))]) for p in products])
    scale = np.stack([np.sum(a[:, place] ** 2, axis=0) for a in own])
    least = np.argmin(strength / np.where(scale > 0, scale, 1.0), axis=0)
    for number, sign in enumerate(signs):
        sign[odd & (least == number)] *= -1.0
    return [a[:, place] * sign for a, sign in zip(own, signs, strict=True)]


# --- coordinates that may be rotated --------------------------------------------------------------


def _rotated(parts: list[Part]) -> list[Part]:
    """Each factor of one position, and with it the factors that have that position too."""
    draws = [part.draws for part in parts]
    every = [letter for part in parts for letter in part.letters]
    for number, part in enumerate(parts):
        others = [k for k, p in enumerate(parts) if k != number and part.letters[0] in p.letters]
        if len(part.letters) != 1 or len(others) != 1 or every.count(part.letters[0]) != 2:
            continue
        (other,) = others
        axis = 2 + parts[other].letters.index(part.letters[0])
        reference = _principal(draws[number][0])
        for _ in range(_PASSES):
            turns = _turns(draws[number], reference)
            draws[number] = draws[number] @ turns
            moved = np.moveaxis(draws[other], axis, -1)
            moved = np.einsum("s...i,sij->s...j", moved, turns)
            draws[other] = np.moveaxis(moved, -1, axis)
            reference = draws[number].mean(axis=0)
    return [replace(part, draws=d) for part, d in zip(parts, draws, strict=True)]


def _principal(values: np.ndarray) -> np.ndarray:
    """[rows, positions] with orthogonal columns, the largest first."""
    return values @ np.linalg.svd(values, full_matrices=False)[2].T


def _turns(draws: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The rotations Q [samples, k, k] that bring each u Q closest to the reference."""
    left, _, right = np.linalg.svd(np.swapaxes(draws, 1, 2) @ reference)
    found: np.ndarray = left @ right
    return found
