"""A structure with functions inside others -> how they are inferred, in words, or why not so."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler.structure import Structure
from mercer.dsl.diagnostic import Diagnostic

PATIENT_SECONDS = 300.0
"""Estimated seconds of sampling up to which `auto` samples the values of all layers."""


def has_deep_batches(structure: Structure, asked: str, seconds: float | None) -> bool:
    """Whether the layers of a structure get laws of their own, learned over batches of rows."""
    if not structure.layers:
        return False
    return asked == "svi" or (
        asked == "auto" and seconds is not None and seconds > PATIENT_SECONDS
    )


def wrong_for_layers(structure: Structure, asked: str) -> Diagnostic | None:
    """A method that a composition cannot have."""
    layer = structure.layers[0]
    if asked == "map":
        return Diagnostic(
            "M321",
            f"the values of `{layer.owner}`, a function inside another, by MAP",
            layer.apply.span,
            why="the most probable values of a function inside another say nothing of how uncertain "
            "they are, nor of those between the rows.",
            mend="write `infer SVI()` for a law of its values, or `infer NUTS()` to sample them.",
        )
    return None


def no_deep_batches(structure: Structure, why: str) -> Diagnostic:
    """A composition too large for a sampler that cannot be taken a few rows at a time."""
    layer = structure.layers[0]
    return Diagnostic(
        "M321",
        f"`{layer.key}` inside another function takes the rows a few at a time, which this model "
        "does not allow",
        layer.apply.span,
        why=f"{why}.",
        mend="write `infer NUTS()` to sample its values at all rows.",
    )


def layer_sentences(structure: Structure) -> Iterator[str]:
    """What a plan says of layers with laws of their own."""
    names = ", ".join(dict.fromkeys(layer.owner for layer in structure.layers))
    yield (
        f"{names}: inside another function, with one Normal law of the whitened values at inducing "
        "points for each output. Values at the rows are drawn from it at each step and passed on "
        "(doubly stochastic variational inference, Salimbeni & Deisenroth 2017)."
    )
