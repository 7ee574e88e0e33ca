"""The products of a model and draws of their factors into the factors in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mercer.compiler import typed as ir
from mercer.compiler.contraction import Factor, products_in
from mercer.compiler.structure import gaussian_candidates
from mercer.runtime.posterior.aligned import Part, aligned

_JUDGED = 20
"""Rows of each factor of which convergence is judged: each number takes a while."""


def products_of(model: ir.TypedModel) -> list[tuple[Factor, ...]]:
    """The products of Gaussian unknowns in the outcomes of a model."""
    return products_in(model, gaussian_candidates(model))


def in_one_order(products: list[tuple[Factor, ...]], posterior: Any) -> dict[str, Any]:
    """The factors of each product as arrays of a dataset of draws, all draws in one order.

    LookupError: names a factor of which there are no draws.
    """
    found: dict[str, Any] = {}
    for factors in products:
        now = {**posterior.data_vars, **found}
        for factor in factors:
            if factor.key not in now:
                raise LookupError(factor.key)
        parts = {f.key: _part(now[f.key], f) for f in factors}
        by_key = {f.key: f for f in factors}
        for key, part in aligned(parts).items():
            found[key] = now[key].copy(data=_back(now[key], part, by_key[key]))
    return found


def identified(
    model: ir.TypedModel, values: Mapping[str, np.ndarray], posterior: Any
) -> dict[str, np.ndarray]:
    """What convergence is judged by: sampled `values`, but for the factors of products, which have
    no order and no sign of their own. In their place are those of the posterior, aligned; a few of
    the rows of each. All as it is where the posterior has no draws of them."""
    products = products_of(model)
    if not products:
        return dict(values)
    try:
        found = in_one_order(products, posterior)
    except LookupError:
        return dict(values)
    factors = {f.key: f for factors in products for f in factors}
    # An unknown, or what is moved in its place: `u.whitened`, `core.weights.standard`.
    own = {name + way for f in factors.values() for name in (f.owner,) for way in _WAYS}
    judged = {name: value for name, value in values.items() if name not in own}
    for key, array in found.items():
        rows, positions = _axes(array, factors[key])
        every = array.transpose("chain", "draw", *rows, *positions).values
        flat = every.reshape(*every.shape[:2], -1, *every.shape[2 + len(rows) :])
        # Rows that share a point have the same values.
        distinct = np.unique(flat[0, 0], axis=0, return_index=True)[1]
        few = np.linspace(0, len(distinct) - 1, min(_JUDGED, len(distinct))).round().astype(int)
        judged[key] = flat[:, :, np.sort(distinct)[few]]
    return judged


_WAYS = ("", ".whitened", ".standard")


def _axes(array: Any, factor: Factor) -> tuple[list[str], list[str]]:
    """The dims of an array that are rows, and those that are positions, in its site's order."""
    own = array.dims[2:]
    places = [
        n for n, a in enumerate(factor.term.access) if isinstance(a, str) and a in factor.over
    ]
    return [d for n, d in enumerate(own) if n not in places], [own[n] for n in places]


def _part(array: Any, factor: Factor) -> Part:
    rows, positions = _axes(array, factor)
    letters = tuple(str(a) for a in factor.term.access if isinstance(a, str) and a in factor.over)
    values = array.transpose("chain", "draw", *rows, *positions).values
    shape = values.shape[2 + len(rows) :]
    return Part(values.reshape(values.shape[0] * values.shape[1], -1, *shape), letters)


def _back(array: Any, part: Part, factor: Factor) -> np.ndarray:
    rows, positions = _axes(array, factor)
    turned = array.transpose("chain", "draw", *rows, *positions)
    values = turned.copy(data=part.draws.reshape(turned.shape))
    found: np.ndarray = values.transpose(*array.dims).values
    return found
