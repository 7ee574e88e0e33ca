"""A sparse positive semi-definite matrix into its lowest eigenpairs, none left out.

Lanczos' method in blocks, on the inverse of the matrix shifted below 0: the Krylov space of a block
of random vectors, kept orthonormal to rounding, and the pairs in it (Golub & Underwood 1977). A
block finds at once what several vectors share an eigenvalue of, as each of the vector waves of a
closed surface does with another. By Sylvester's law of inertia the signs of the pivots of the
matrix less a number say how many eigenvalues lie below it: so it is known whether a start missed
any, and they are looked for beside what was found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import qr
from scipy.sparse import identity
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

_SHIFT = 1e-3
"""The shift below 0, in units of the mean diagonal over the number of unknowns: far above rounding,
and below the lowest frequencies that matter."""

_BLOCK = 8
_TOGETHER = 4  # right-hand sides for which SuperLU is fastest
_BEYOND = 4
"""Pairs that are sought beyond those wanted: among them there is a gap to count up to."""

_SAME = 1e-8
"""Eigenvalues closer than this share of the largest are one, but for rounding."""

_PRECISION = 1e-11
"""The residual of a pair of the inverse, in units of its eigenvalue."""

_INSIDE = 1e-10
"""What is left of a vector beside a space, in units of the largest eigenvalue, that is rounding."""

_WITHIN = 0.382
"""Where in a gap to count: in the middle matrices of whole numbers may have pivots of 0."""


def lowest_pairs(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest `count` eigenvalues [count], in order, and their vectors [n, count].

    On one thread of BLAS: the products are of a few columns, many times, and its threads wait for
    one another longer than they compute.
    """
    with threadpool_limits(1, user_api="blas"):
        return _lowest_pairs(matrix, count)


def _lowest_pairs(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    size = matrix.shape[0]
    shift = -_SHIFT * matrix.diagonal().mean() * count / size
    inverse = _Inverse(matrix, shift)
    random = np.random.default_rng(0)  # the same vectors each time
    values, vectors, missed = np.zeros(0), np.zeros((size, 0)), count + _BEYOND
    while missed > 0:
        more, beside = _krylov(inverse, min(missed, size - len(values)), vectors, random)
        values = np.concatenate([values, shift + 1.0 / more])
        vectors = np.concatenate([vectors, beside], axis=1)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
        missed = _missed(matrix, values, count)
    return values[:count], vectors[:, :count]


def _missed(matrix: Any, values: np.ndarray, count: int) -> int:
    """How many eigenvalues are not among `values`, at least up to the last that is wanted."""
    gaps = np.diff(values)
    is_gap = gaps > _SAME * abs(values[-1])
    after = count - 1 + np.flatnonzero(is_gap[count - 1 :])
    before = np.flatnonzero(is_gap[: count - 1])
    # Where all beyond are the same, whichever of them are wanted are as good as the others.
    if len(after):
        place = after[np.argmax(gaps[after])]
    elif len(before):
        place = before[-1]
    else:
        return 0
    bound = values[place] + _WITHIN * gaps[place]
    return int(np.sum(_factored(matrix, float(bound)).U.diagonal() < 0)) - (int(place) + 1)


def _factored(matrix: Any, shift: float) -> Any:
    """L U of the matrix less a shift. Symmetric: the order of elimination is chosen for that, and
    without pivoting the signs in U are those of the eigenvalues."""
    shifted = (matrix - shift * identity(matrix.shape[0], format="csc")).tocsc()
    return splu(
        shifted,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


class _Inverse:
    """The inverse of a matrix less a shift."""

    def __init__(self, matrix: Any, shift: float) -> None:
        self._factors, self.size = _factored(matrix, shift), matrix.shape[0]

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Of vectors [n, b]."""
        parts = [block[:, k : k + _TOGETHER] for k in range(0, block.shape[1], _TOGETHER)]
        return np.concatenate([self._factors.solve(np.asfortranarray(p)) for p in parts], axis=1)


def _krylov(
    inverse: _Inverse, wanted: int, known: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues [wanted] of the inverse and their vectors, beside those `known`."""
    size, room = inverse.size, inverse.size - known.shape[1]
    width = min(_BLOCK, room)
    most = min(4 * wanted + 8 * width, room)  # vectors in the space, before it is made smaller
    basis = np.zeros((size, most), order="F")
    inner = np.zeros((most, most))  # the inverse in the space
    block, _ = _orthonormal(random.normal(size=(size, width)), [known], random)
    used, tried = 0, 2 * wanted
    while True:
        own = slice(used, used + block.shape[1])
        basis[:, own], used = block, own.stop
        space = basis[:, :used]
        image = inverse(block)
        image -= known @ (known.T @ image)
        inside = space.T @ image
        image -= space @ inside
        inner[:used, own], inner[own, :used] = inside, inside.T
        least = _INSIDE * np.max(np.abs(inner))
        block, left = _orthonormal(image, [known, space], random, least=least)
        block = block[:, : room - used]
        is_full = used + width > most < room
        if not (is_full or used >= tried or used == room):
            continue
        values, shares = np.linalg.eigh(inner[:used, :used])
        values, shares = values[::-1], shares[:, ::-1]
        residual = np.linalg.norm(left @ shares[own, :wanted], axis=0)
        if used == room or np.all(residual <= _PRECISION * values[:wanted]):
            return values[:wanted], space @ shares[:, :wanted]
        if is_full:
            # A thick restart (Wu & Simon 2000): the best of the space stand for all of it.
            few = wanted + (used - wanted) // 4
            basis[:, :few] = space @ shares[:, :few]
            inner[:] = 0.0
            inner[range(few), range(few)] = values[:few]
            used = few
        tried = used + max(wanted // 4, width)


def _orthonormal(
    block: np.ndarray,
    spaces: list[np.ndarray],
    random: np.random.Generator,
    *,
    least: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal block beside `spaces`, and the shares of `block`, which lies beside them but
    for rounding, in it. Columns that are not more than `least` of their own are random ones."""
    parts: Any = qr(block, mode="economic", pivoting=True)
    found, shares, order = parts
    left = np.empty_like(shares)
    left[:, order] = shares
    new = int(np.sum(np.abs(np.diagonal(shares)) > least))
    found[:, new:] = random.normal(size=found[:, new:].shape)
    left[new:] = 0.0
    for _ in range(1 if new == len(left) else 2):
        for space in spaces:
            found -= space @ (space.T @ found)
        found, turn = np.linalg.qr(found)
        left[:new] = turn[:new, :new] @ left[:new]
    return found, left
