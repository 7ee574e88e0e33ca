"""What a plan settled on, as it stands at the top of an emitted program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Lane = Literal["exact", "latent", "direct", "variational", "messages"]
Method = Literal["nuts", "map", "svi", "messages"]


@dataclass(frozen=True)
class Training:
    """A program whose unknowns are optimised by stochastic gradients.

    `rows`: the index whose rows are taken a few at a time; None: every step takes all of them.
    `outcomes`: the outcomes of which a few rows stand for all. `image`: the argument of the program
    that holds the images; None where they are made of others. `before`: the settings with which the
    layers are trained before all that follows them is sampled; None where that is not asked for.
    """

    rows: str | None
    outcomes: tuple[str, ...]
    image: str | None = None
    before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Inference:
    """How a program is run.

    `lane`: "exact", the Gaussian block is integrated out; "latent", random functions are whitened
    at the data and sampled; "variational", they have one Normal law, fitted to a few rows at a
    time; "messages", each factor of a product has one; "direct", there is none. `method`: what is
    done with the unknowns that are left.
    `settings`: what the model says of that method.
    """

    lane: Lane
    method: Method
    settings: Mapping[str, Any] = field(default_factory=dict)
