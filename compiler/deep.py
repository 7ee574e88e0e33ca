"""A structure with functions inside others -> how they are inferred, in words, or why not so."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.inner import Layer, is_infinite
from mercer.compiler.structure import Structure
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import Space

PATIENT_SECONDS = 300.0
"""Estimated seconds of sampling up to which `auto` samples the values of all layers."""


def has_deep_batches(structure: Structure, asked: str, seconds: float | None) -> bool:
    """Whether the layers of a structure get laws of their own, learned over batches of rows."""
    if not structure.layers:
        return False
    return asked == "svi" or (asked == "auto" and seconds is not None and seconds > PATIENT_SECONDS)


def wrong_for_layers(structure: Structure, asked: str) -> Diagnostic | None:
    """A method that a composition cannot have."""
    layer = structure.layers[0]
    if has_grams(structure):
        if asked != "nuts":
            return None
        return Diagnostic(
            "M321",
            "a Gram matrix by NUTS",
            layer.apply.span,
            why="the Gram matrix of a layer of infinite width is no random quantity: it maximises "
            "a bound.",
            mend="leave the method out; or give the layer a finite width, `Real^128`.",
        )
    if asked == "map":
        return Diagnostic(
            "M321",
            f"the values of `{layer.owner}`, a function inside another, by MAP",
            layer.apply.span,
            why="the most probable values of a function inside another say nothing of how "
            "uncertain they are, nor of those between the rows.",
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
    finite = [x for x in structure.layers if not is_infinite(_codomain(structure, x))]
    if has_grams(structure):
        yield from gram_sentences(structure)
    if not finite:
        return
    names = ", ".join(dict.fromkeys(layer.owner for layer in finite))
    yield (
        f"{names}: inside another function, with one Normal law of the whitened values at inducing "
        "points for each output. Values at the rows are drawn from it at each step and passed on "
        "(doubly stochastic variational inference, Salimbeni & Deisenroth 2017)."
    )


# --- Gram matrices --------------------------------------------------------------------------------

COLLAPSED = 2e9
"""Operations of one bound over all rows up to which a Gaussian outcome is integrated out at once,
where a Gram matrix takes up to a few thousand bounds to learn."""


def has_grams(structure: Structure) -> bool:
    """Whether some layer hands on a Gram matrix."""
    return any(is_infinite(_codomain(structure, layer)) for layer in structure.layers)


def is_collapsed(structure: Structure, asked: str, flops: float | None) -> bool:
    """Whether the outcomes behind Gram matrices are integrated out over all rows at once."""
    every = set(structure.model.observations) == set(structure.locations)
    only_grams = all(is_infinite(_codomain(structure, layer)) for layer in structure.layers)
    small = flops is None or flops <= COLLAPSED
    return every and only_grams and asked in ("auto", "map") and small


def gram_sentences(structure: Structure) -> Iterator[str]:
    """What a plan says of layers to `Real^inf`."""
    parts = []
    for layer in structure.layers:
        if is_infinite(_codomain(structure, layer)):
            nu = structure.model.functions[layer.owner].settings.get("nu")
            text = f"{nu.value:g}" if isinstance(nu, ir.Constant) else "1"
            parts.append(f"{layer.owner} with nu = {text}")
    yield (
        f"{', '.join(parts)}: a layer of infinite width, known by the Gram matrix of its inducing "
        "points, which is learned: it maximises the bound less nu times its divergence from the "
        "kernel's (a deep kernel machine, Yang et al. 2023). It starts at the kernel's, the limit "
        "of a wide network."
    )


def _codomain(structure: Structure, layer: Layer) -> Space:
    return structure.model.functions[layer.owner].type.codomain
