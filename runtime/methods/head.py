"""Layers trained to their most probable weights, and then draws by NUTS of all that is not a layer.

What the layers make of all images is computed once and held, so that a density costs as much as
that of what follows the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro.handlers import condition, substitute
from numpyro.handlers import seed as seeded

from mercer.runtime.layers.held import held, recording
from mercer.runtime.methods.checkpoint import Checkpoint
from mercer.runtime.methods.density import Arguments, Density
from mercer.runtime.methods.draws import Draws, draws_of
from mercer.runtime.methods.nuts import run_nuts
from mercer.runtime.methods.training import run_training
from mercer.runtime.progress import Report, silent

_FEATURES = "features {}"  # with a blank, as no argument of a program has
_WEIGHTS = "weights of {}"


def run_head(
    program: ModuleType,
    bound: Any,
    *,
    settings: Mapping[str, Any],
    seed: int,
    summaries: Mapping[str, Any] | None = None,
    report: Report = silent,
    checkpoint: Checkpoint | None = None,
) -> tuple[Draws, Arguments]:
    """Draws [chains, draws], and the arguments of all rows; `settings` are those of NUTS."""
    kept = checkpoint or Checkpoint()
    trained, everything = run_training(
        program,
        bound,
        method="map",
        seed=seed,
        chains=1,
        draws=1,
        summaries=summaries,
        report=report,
        checkpoint=kept,
        **program.TRAINING.before,
    )
    if (left := kept.load("head")) is not None:
        return draws_of(left), everything
    point = {name: jnp.asarray(value[0, 0]) for name, value in trained.values.items()}
    behind = _Behind(program, everything, point)
    density = Density(cast(ModuleType, behind), behind.arguments, seed=seed)
    found = run_nuts(density, seed=seed, report=report, checkpoint=kept, **settings)
    shape = (found.chains, found.draws)
    weights = {n: np.broadcast_to(v, (*shape, *v.shape)) for n, v in behind.weights.items()}
    every = {**weights, **found.values}
    values = {n: every[n] for n in trained.values if n in every}  # in the order of the program
    told = (
        "The weights of the layers are held at their most probable values (MAP), at which all else "
        "was sampled: their own uncertainty is not in the posterior.",
        *trained.notes[1:],
        *found.notes,
    )
    draws = Draws(values, *shape, found.stats, told, found.traces)
    kept.save("head", draws.state(), alone=True)
    return draws, everything


class _Behind:
    """The program of what stands behind the layers of another one, whose weights are known."""

    def __init__(self, program: ModuleType, everything: Arguments, point: dict[str, Array]) -> None:
        self.program, self.NAMES = program, program.NAMES
        layers = tuple(f"{name}." for name in program.LAYERS)
        self.weights = {n: np.asarray(v) for n, v in point.items() if n.startswith(layers)}
        with recording() as features:
            substitute(seeded(program.model, 0), point)(**everything.all())
        self.count = len(features)
        arrays = dict(everything.arrays)
        arrays |= {_FEATURES.format(k): v for k, v in enumerate(features)}
        arrays |= {_WEIGHTS.format(n): jnp.asarray(v) for n, v in self.weights.items()}
        self.arguments = Arguments(arrays, everything.static)

    def model(self, **given: Any) -> None:
        features = [given.pop(_FEATURES.format(k)) for k in range(self.count)]
        weights = {name: given.pop(_WEIGHTS.format(name)) for name in self.weights}
        with held(features):
            condition(self.program.model, data=weights)(**given)
