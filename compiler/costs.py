"""What one log density of a plan takes, in floating point operations, and sampling with it."""

from __future__ import annotations

from collections.abc import Mapping

from mercer.compiler.engines import Engine
from mercer.compiler.line import latent_along, states_along
from mercer.compiler.shapes import modes_of, shape_of
from mercer.compiler.sizes import Sizes, count_of
from mercer.compiler.structure import Structure, owner_of

FLOPS_A_SECOND = 1e10
"""Of one factorisation in float64 on two cores of a laptop."""

_GRADIENTS = 4 * 1000 * 15  # four chains, 1,000 iterations, some 15 steps in each
_ABOUT_MODE = 4.0  # densities of an engine that one about the mode takes: Newton steps, gradients
_NEAREST = 10.0  # and one of the nearest law
_SMOOTHING = 4.0  # densities along the line that a step there takes, as it smooths: measured


def along_line_of(
    structure: Structure, latent: list[str], sizes: Mapping[str, int] | None
) -> dict[str, str]:
    """The sites of the functions that are whitened along a line: where that is cheaper."""
    found = {n: key for n in latent if (key := latent_along(structure, n))}
    if sizes is None:
        return {}
    return {
        n: key
        for n, key in found.items()
        if _flops_along(structure, n, key, sizes) < _flops_whitened(structure, n, sizes)
    }


def _flops_along(structure: Structure, name: str, key: str, sizes: Mapping[str, int]) -> float:
    # The first number stands for the longer compilation, which few rows do not repay.
    step = 1500.0 + 150.0 * states_along(structure, name) ** 3
    return 3e6 + count_of(structure.sites[key].dims, sizes) * step


def _flops_whitened(structure: Structure, name: str, sizes: Mapping[str, int]) -> float:
    uses = (s for s in structure.sites.values() if s.owner == name)
    return 4.3 * sum(count_of(s.dims, sizes) for s in uses) ** 3


def cost_of(
    structure: Structure,
    engine: Engine | None,
    latent: tuple[str, ...],
    along: Mapping[str, str],
    sizes: Mapping[str, int] | None,
) -> float | None:
    """Floating point operations of one log density with its gradient; None without sizes."""
    if sizes is None:
        return None
    flops = engine.flops(structure, sizes) if engine else 0.0
    if structure.links:
        flops *= _NEAREST if structure.is_nearest else _ABOUT_MODE
        flops *= _SMOOTHING if engine and engine.name == "Markov" else 1.0
    for name in latent:
        shape = shape_of(structure.model.functions[name])
        if shape is not None:  # sums of waves: no factorisation
            uses = (s for s in structure.sites.values() if s.owner == name)
            rows = sum(count_of(s.dims, sizes) for s in uses)
            flops += 4.0 * rows * modes_of(structure.model, shape, sizes)
        elif name in along:
            flops += _flops_along(structure, name, along[name], sizes)
        else:
            flops += _flops_whitened(structure, name, sizes)
    return flops + 1e5


def cost_of_links(structure: Structure, engine: Engine | None, sizes: Sizes | None) -> float | None:
    """The same where all functions of the model are integrated out, some by a Normal law."""
    rest = {owner_of(s.apply) for s in structure.sites.values() if s.apply} - structure.block
    return None if rest else cost_of(structure, engine, (), {}, sizes)


def seconds_of(cost: float) -> float:
    """How long NUTS takes, estimated."""
    return cost * _GRADIENTS / FLOPS_A_SECOND
