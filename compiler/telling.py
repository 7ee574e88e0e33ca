"""A plan told in sentences, as `mercer explain` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mercer.compiler import typed as ir
from mercer.compiler.curved import curved_sentences
from mercer.compiler.engines import Engine
from mercer.compiler.inducing import InducingUse
from mercer.compiler.line import why_not_along
from mercer.compiler.sampling import Step, sentences_of
from mercer.compiler.shapes import shape_of, waves_sentences
from mercer.compiler.sizes import rows_of
from mercer.compiler.structure import Structure
from mercer.compiler.walk import names_below

_LAWS = {
    False: "about {their} mode given all else (Laplace); each step of Newton's method to it",
    True: "nearest to {their} own given all else (conjugate-computation variational inference, "
    "Khan & Lin 2017), with a lower bound of the density; each step to it",
}


def sentences_of_plan(
    structure: Structure,
    engine: Engine | None,
    latent: tuple[str, ...],
    along: Mapping[str, str],
    sampled: tuple[str, ...],
    sizes: Mapping[str, int] | None,
    cost: float | None,
    steps: tuple[Step, ...],
) -> Iterator[str]:
    """What is integrated out and how, what is left, and at what cost."""
    model = structure.model
    block = [n for n in model.order if n in structure.block]
    are, they, them, their = (
        ("is", "it", "it", "its") if len(block) == 1 else ("are", "they", "them", "their")
    )
    if engine is not None and structure.links:
        how = engine.sentence.removeprefix("exactly, ")
        yield (
            f"{listed(block)} {are} Gaussian, and {listed(structure.links)} log-concave in what "
            f"is linear in {them}: {they} {are} integrated out approximately, by the Normal law "
            f"{_LAWS[structure.is_nearest].format(their=their)} goes {how}."
        )
    elif engine is not None:
        yield of_linear(structure, engine)
        if engine.detail is not None:
            yield engine.detail(structure, sizes)
    if engine is not None and (why := why_not_along(structure, sizes)):
        yield f"Not along the line, in linear time, though its functions are: {why}."
    yield from waves_sentences(structure, sizes)
    yield from dict.fromkeys(curved_sentences(model))
    asked = structure.asked.apart
    for name in latent:
        laws = {n: o.law for n, o in model.observations.items()}
        laws |= {n: u.prior for n, u in model.unknowns.items()}
        over = listed(n for n, law in laws.items() if name in names_below(model, law))
        as_asked = ", as asked" if name in asked else ""
        how = " along the line, in linear time," if name in along else ""
        values = "values" if shape_of(model.functions[name]) is None else "weights"
        inner = " inside another" if any(layer.owner == name for layer in structure.layers) else ""
        yield (
            f"{name} is a random function under {over}{inner}: its {values} are whitened{how} and "
            f"left to inference{as_asked}."
        )
    if kept := [n for n in asked if n not in latent]:
        yield f"Not integrated out, as asked: {listed(kept)}."
    if sizes is not None and structure.locations:
        yield f"The joint Gaussian has {rows_of(structure, sizes):,} rows."
    if cost is not None:
        yield f"One log density with its gradient takes about {cost:.1e} operations."
    if sampled:
        yield f"Left to inference: {listed(sampled)}."
    yield from sentences_of(steps)
    yield from of_defaults(model)


def of_linear(structure: Structure, engine: Engine) -> str:
    """Of the Gaussian unknowns that are integrated out: why they can be, and by what."""
    block = [n for n in structure.model.order if n in structure.block]
    enter, are, they = ("enters", "is", "it") if len(block) == 1 else ("enter", "are", "they")
    return (
        f"{listed(block)} {enter} {listed(structure.locations)} linearly and {are} Gaussian: "
        f"{they} {are} integrated out {engine.sentence}."
    )


def of_defaults(model: ir.TypedModel) -> Iterator[str]:
    defaults = [u for u in model.unknowns.values() if u.is_default]
    if defaults:
        yield f"Default priors (nobody wrote one): {listed(u.name for u in defaults)}."


def of_inducing(
    inducing: Mapping[str, InducingUse],
    sizes: Mapping[str, int] | None,
    *,
    is_deep: bool = False,
) -> str:
    points = listed(use.words(sizes) for use in inducing.values())
    chosen = [use for use in inducing.values() if use.at is None and use.images is None]
    how = (
        " They start at the centres of clusters of the rows, and are learned with all else; where "
        "there are as many as rows, they are the rows, held."
        if is_deep
        else " They start where the prior variance given those before is largest (Burt et al. "
        "2020), and are learned with the other unknowns."
    )
    return f"Inducing points: {points}.{how if chosen else ''}"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    words = list(names) or ["nothing"]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def duration(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
