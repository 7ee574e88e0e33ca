"""A fit of a product of random functions into draws whose components have one order."""

from __future__ import annotations

from typing import Any

import numpy as np

from mercer.compiler.contraction import Factor, products_in
from mercer.compiler.structure import gaussian_candidates
from mercer.inference import model_of
from mercer.runtime.posterior.aligned import Part, aligned
from mercer.runtime.posterior.fit import Fit


def align(fit: Fit) -> Any:
    """The posterior of a fit as a dataset, the factors of its products in one order: in all draws
    component 1 of `Multilinear(diagonal = true)` is the same one, with the same signs; the
    coordinates of a full core's modes are rotated alike, and the core with them. So chains can be
    compared. The products are what they were.

    ValueError: no outcome of the fit is a product of Gaussian unknowns.
    """
    model = model_of(fit.model_source, "fit")
    group = fit.idata["posterior"]
    found = getattr(group, "ds", group).copy()  # a node of ArviZ 1 holds its dataset in `ds`
    products = products_in(model.typed, gaussian_candidates(model.typed))
    if not products:
        raise ValueError("fit: its outcomes are made of no product of Gaussian unknowns")
    for factors in products:
        parts = {f.key: _part(found, f) for f in factors if f.key in found}
        if len(parts) != len(factors):
            missing = next(f.key for f in factors if f.key not in found)
            raise ValueError(f"fit: its posterior has no draws of {missing}, only statistics")
        for key, part in aligned(parts).items():
            found[key] = found[key].copy(data=_back(found[key], part, factors, key))
    return found


def _axes(array: Any, factor: Factor) -> tuple[list[str], list[str]]:
    """The dims of an array that are rows, and those that are positions, in its site's order."""
    own = array.dims[2:]
    places = [
        n for n, a in enumerate(factor.term.access) if isinstance(a, str) and a in factor.over
    ]
    return [d for n, d in enumerate(own) if n not in places], [own[n] for n in places]


def _part(posterior: Any, factor: Factor) -> Part:
    array = posterior[factor.key]
    rows, positions = _axes(array, factor)
    letters = tuple(str(a) for a in factor.term.access if isinstance(a, str) and a in factor.over)
    values = array.transpose("chain", "draw", *rows, *positions).values
    shape = values.shape[2 + len(rows) :]
    return Part(values.reshape(values.shape[0] * values.shape[1], -1, *shape), letters)


def _back(array: Any, part: Part, factors: tuple[Factor, ...], key: str) -> np.ndarray:
    factor = next(f for f in factors if f.key == key)
    rows, positions = _axes(array, factor)
    turned = array.transpose("chain", "draw", *rows, *positions)
    values = turned.copy(data=part.draws.reshape(turned.shape))
    found: np.ndarray = values.transpose(*array.dims).values
    return found
