"""Structure -> how a model with equivariant layers is trained: a few rows at a time, by Adam.

Layers have too many weights for a Hessian, and their images too many numbers to be gone through at
every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from mercer.compiler import typed as ir
from mercer.compiler.layers import layers_of, unknown_weights
from mercer.compiler.minibatch import rows_index
from mercer.compiler.sizes import Sizes, size_of
from mercer.compiler.structure import Structure
from mercer.dsl.spaces import Dim

BATCH = 64
"""Rows of a step."""

EPOCHS = 40
"""Passes over the rows, at most; training ends before, where what is held out gets no better."""

HEAD_DRAWS = 50
"""Draws of each chain, where what follows the layers is sampled: each goes through the layers once
more wherever there are new rows."""

_NOMINAL_ROWS = 10_000


@dataclass(frozen=True)
class Training:
    """`rows`: the index whose rows are taken a few at a time; None: all rows are one law, and every
    step takes them all. `settings`: of the method, where the model is silent. `is_before`: what is
    no layer is sampled afterwards, by NUTS."""

    rows: Dim | None
    settings: Mapping[str, float]
    is_before: bool = False


def training_of(structure: Structure, method: str, is_joint: bool, sizes: Sizes | None) -> Training:
    """How a model with layers is trained.

    `is_joint`: a Gaussian block is integrated out, or random functions are whitened: the outcomes
    are no product over rows.
    """
    rows = None if is_joint else rows_index(structure, sizes or {})[0]
    # Draws of a point are all the same, but for what is integrated out given it.
    draws = 1.0 if method == "map" and not is_joint else 25.0
    settings: dict[str, float] = {"chains": 1.0, "draws": draws}
    settings |= {"epochs": float(EPOCHS if rows else 10 * EPOCHS), "rate": 0.01}
    if rows is not None:
        settings |= {"batch": float(BATCH), "held": 0.1}
    return Training(rows, settings, is_before=method == "nuts")


def samples_head(structure: Structure, asked: str) -> bool:
    """Whether NUTS is asked for by the names of unknowns of which none is a layer."""
    apart = structure.asked.apart
    return (
        asked == "nuts" == structure.asked.method
        and bool(apart)
        and not (set(apart) & set(layers_of(structure.model)))
    )


def settings_before(training: Training, structure: Structure) -> dict[str, float]:
    """Those of the training that comes before NUTS: of one member, and one point."""
    found = dict(training.settings) | dict(structure.asked.settings.get("map", {}))
    return {k: v for k, v in found.items() if k in ("epochs", "rate", "batch", "held")}


def training_sentences(
    structure: Structure, training: Training, method: str, sizes: Sizes | None
) -> Iterator[str]:
    """What a plan says of its layers and of how they are trained."""
    model = structure.model
    word = "map" if training.is_before else method
    asked = dict(training.settings) | dict(structure.asked.settings.get(word, {}))
    yield from (layer_sentence(name, node) for name, node in layers_of(model).items())
    yield f"Their kernels have {unknown_weights(model):,} weights."
    if training.is_before:
        yield (
            "The most probable values (MAP) of all unknowns are found by Adam. The layers are held "
            "there, what they make of the rows is kept, and all else is sampled by NUTS."
        )
    elif method == "map":
        members = int(asked["chains"])
        many = f", {members} times from different starts (a deep ensemble)" if members > 1 else ""
        yield (
            f"The most probable values (MAP) of all unknowns are found by Adam{many}: their own "
            "uncertainty is not in the posterior."
        )
    else:
        rank = int(asked.get("rank", 0))
        law = f"with correlations of rank {rank}" if rank else "without correlations (mean field)"
        yield f"The nearest Normal law {law}, in unconstrained space, is found by Adam."
    if training.rows is None:
        yield f"Every step takes all rows, as they are one law: {int(asked['epochs'])} steps."
        return
    count = size_of(training.rows, {training.rows: _NOMINAL_ROWS, **(sizes or {})})
    batch = min(int(asked["batch"]), count)
    held = asked["held"]
    stop = (
        f" {100 * held:.0f} % of the rows are held out, to see when to stop, and at which values."
        if held
        else ""
    )
    yield (
        f"Each step takes {batch} rows of `{training.rows}`; at most {int(asked['epochs'])} passes "
        f"over them.{stop}"
    )
    if sizes is not None:
        yield f"A pass takes about {3 * count * flops_of_row(model):.1e} operations."


def layer_sentence(name: str, node: ir.Convolved) -> str:
    """What is sampled in a layer."""
    layer, (down, across) = node.layer, node.grid
    which = "which are whole orbits of the quarter turns"
    if not layer.goes_around:
        which = (
            f"which turn by at most {layer.angle:g}, so that it commutes with small elements alone "
            "and but for what they take beyond that"
        )
    return (
        f"{name} is sampled at {sample_count(layer)} elements of {layer.group}, {which}, weighted "
        f"by the Haar measure and fixed by a seed, on a grid of {down} × {across}; its kernel has "
        f"a radius of {layer.radius:g} cells. Layers are computed in single precision."
    )


def sample_count(layer: ir.LayerSettings) -> int:
    """The samples of a layer: as many as asked for, or up to three more (`stdlib.groups`)."""
    return 4 * -(-layer.samples // 4) if layer.goes_around else layer.samples


def flops_of_row(model: ir.TypedModel) -> float:
    """Operations of all layers for one image."""
    total, before = 0.0, 1.0
    found = layers_of(model)
    for node in found.values():
        (weights, *_), inside, _ = node.weights[-1]
        own = prod(int(d.rstrip("'")) for d in weights.type.dims if d not in inside)
        orbit = sample_count(node.layer)
        taps = (2.0 * node.layer.radius * (1.0 + node.layer.spread)) ** 2
        read = before if node.base.type.coordinates == () else 1.0
        total += 2.0 * prod(node.grid) * orbit * read * own * taps
        before = float(orbit)
    return total
