"""A fit of a product of random functions into draws whose components have one order."""

from __future__ import annotations

from typing import Any

from mercer.factors import in_one_order, products_of
from mercer.inference import model_of
from mercer.runtime.posterior.fit import Fit


def align(fit: Fit) -> Any:
    """The posterior of a fit as a dataset, the factors of its products in one order: in all draws
    component 1 of `Multilinear(diagonal = true)` is the same one, with the same signs; the
    coordinates of a full core's modes are rotated alike, and the core with them. So chains can be
    compared. The products are what they were.

    ValueError: no outcome of the fit is a product of Gaussian unknowns.
    """
    group = fit.idata["posterior"]
    found = getattr(group, "ds", group)  # a node of ArviZ 1 holds its dataset in `ds`
    products = products_of(model_of(fit.model_source, "fit").typed)
    if not products:
        raise ValueError("fit: its outcomes are made of no product of Gaussian unknowns")
    try:
        return found.assign(in_one_order(products, found))
    except LookupError as error:
        raise ValueError(f"fit: its posterior has no draws of {error}, only statistics") from None
