"""A structure with functions inside others -> how they are inferred, in words, or why not so."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.inner import Layer, is_infinite
from mercer.compiler.structure import Structure
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Dim, Space

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


HELD = 0.2
"""Share of the rows that is held out at a time to say which `nu` is best, where nobody says
another: the fits have four fifths."""


def held_share(structure: Structure, method: str) -> float:
    """The share of the rows that is held out to choose by."""
    return structure.asked.settings.get(method, {}).get("held", HELD)


def rows_of_choice(structure: Structure) -> Dim:
    """The index of which rows are held out; MercerError M304 where there is not one."""
    bases = {layer.base for layer in structure.layers}
    if len(bases) == 1 and len(base := bases.pop()) == 1:
        return base[0]
    raise MercerError(
        [
            Diagnostic(
                "M304",
                "`nu` chosen by what is held out, with layers that do not have the rows of one "
                "index, has no engine yet",
                structure.layers[0].apply.span,
                mend="write one number: `nu = 10`.",
            )
        ],
        structure.model.sources,
    )


# --- Gram matrices --------------------------------------------------------------------------------

COLLAPSED = 2e9
"""Operations of one bound over all rows up to which a Gaussian outcome is integrated out at once,
where a Gram matrix takes up to a few thousand bounds to learn."""


def wrong_options(structure: Structure, asked: str) -> Diagnostic | None:
    """What is asked of the learning of a Gram matrix, where there is none, or no learning by
    draws."""
    layers = {x.owner for x in structure.layers if is_infinite(_codomain(structure, x))}
    for name, directive in structure.asked.engines.items():
        words = [word for word in ("wishart", "order") if word in directive.settings]
        if words and name not in layers:
            return Diagnostic(
                "M321",
                f"`{words[0]}` of `{name}`, which has no Gram matrix that is learned",
                directive.span,
                why="it is about layers to `Real^inf` with a finite `nu`.",
                mend=f"leave `{words[0]}` out.",
            )
        if "wishart" in words and asked == "map":
            return Diagnostic(
                "M321",
                f"a Wishart draw of the Gram matrix of `{name}`, by MAP",
                directive.span,
                why="a mode is found without draws.",
                mend="write `infer SVI()`, or leave `wishart` out.",
            )
    return None


def has_wishart(structure: Structure) -> bool:
    """Whether some Gram matrix is drawn while it is learned."""
    return any("wishart" in d.settings for d in structure.asked.engines.values())


def has_grams(structure: Structure) -> bool:
    """Whether some layer hands on a Gram matrix."""
    return any(is_infinite(_codomain(structure, layer)) for layer in structure.layers)


def is_collapsed(structure: Structure, asked: str, flops: float | None) -> bool:
    """Whether the outcomes behind Gram matrices are integrated out over all rows at once."""
    every = set(structure.model.observations) == set(structure.locations)
    only_grams = all(is_infinite(_codomain(structure, layer)) for layer in structure.layers)
    small = flops is None or flops <= COLLAPSED
    is_still = not has_wishart(structure)
    return every and only_grams and is_still and asked in ("auto", "map") and small


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
    for name, directive in structure.asked.engines.items():
        if "wishart" in directive.settings:
            yield (
                f"{name}: while its Gram matrix is learned, a Wishart draw about it stands for it "
                "at each step (stochastic kernel regularisation, Milsom et al. 2024)."
            )
        if "order" in directive.settings:
            yield (
                f"{name}: its divergence is |G^-1 K - I|^2 / 4 where K is the identity, the second "
                "order of its Taylor series, and not the divergence itself."
            )


def _codomain(structure: Structure, layer: Layer) -> Space:
    return structure.model.functions[layer.owner].type.codomain
