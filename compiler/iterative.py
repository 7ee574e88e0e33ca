"""What the plan knows of solves by conjugate gradients: settings, limits, costs, words."""

from __future__ import annotations

from collections.abc import Mapping

from mercer.compiler import typed as ir
from mercer.compiler.sizes import Sizes, functions_of, rows_of
from mercer.compiler.structure import Structure
from mercer.dsl.diagnostic import Diagnostic
from mercer.stdlib import catalog

NAME = "Iterative"

MOST_ROWS = 100_000
"""Rows at most: a solve is then half an hour of one core."""

LEAST_DRAWS = 5
"""Draws of each chain at least: each takes solves of its own."""

_PRODUCTS = 45.0  # of a density with its gradient: some forty iterations, and a pass for the slope
_PRODUCT = 17.0  # operations for each pair of rows that a product takes as long as: measured


def unfit_for_iterative(structure: Structure, sizes: Sizes | None) -> str | None:
    """Why the block cannot be solved for by conjugate gradients; None where it can."""
    if not functions_of(structure):
        return "there is no random function in it"
    if structure.links:
        return f"`{next(iter(structure.links))}` is not Gaussian"
    if structure.layers:
        return f"`{structure.layers[0].owner}` is inside another function"
    used = {site.owner for site in structure.sites.values()}
    if latent := [name for name in structure.latent if name in used]:
        return f"`{latent[0]}` is left to inference beside it"
    if sizes is not None and rows_of(structure, sizes) > MOST_ROWS:
        return f"it has more than {MOST_ROWS:,} rows"
    return None


def settings_of(structure: Structure) -> Mapping[str, float]:
    """`tolerance`, `rank` and `probes`, as the model says or by default."""
    asked = [d for d in structure.asked.engines.values() if d.method == NAME]
    found = {}
    for parameter in catalog.methods()[NAME].parameters:
        value = asked[0].settings.get(parameter.name) if asked else None
        assert isinstance(parameter.default, float)
        found[parameter.name] = value.value if isinstance(value, ir.Constant) else parameter.default
    return found


def text_of_iterative(structure: Structure) -> str:
    """The engine as the program writes it."""
    words = settings_of(structure)
    return (
        f"Iterations(tolerance={words['tolerance']!r}, rank={int(words['rank'])}, "
        f"probes={int(words['probes'])})"
    )


def iterative_flops(structure: Structure, sizes: Sizes) -> float:
    """Of one density with its gradient."""
    return _PRODUCTS * _PRODUCT * rows_of(structure, sizes) ** 2 * len(structure.sites)


def iterative_bytes(structure: Structure, sizes: Sizes) -> float:
    """Of the columns of the preconditioner, of directions and of vectors."""
    columns = 4.0 * settings_of(structure)["rank"] + 600.0
    return 8.0 * rows_of(structure, sizes) * columns


def detail_of_iterative(structure: Structure, sizes: Sizes | None) -> str:
    """How exact it is, and why it was chosen."""
    words = settings_of(structure)
    text = (
        f"Solves end at a relative residual of {words['tolerance']:g}; the log determinant and its "
        f"slope are estimated without bias from {words['probes']:.0f} probes, beyond what "
        f"{words['rank']:.0f} columns of the covariance say of them exactly"
    )
    if any(d.method == NAME for d in structure.asked.engines.values()):
        return f"{text}."
    return (
        f"{text}. One factorisation would not fit into memory, and the model takes no inducing "
        "points: where it does, they are taken unless this is asked for."
    )


def wrong_method(structure: Structure, asked: str) -> Diagnostic | None:
    """What stands against a method, where its density is solved for iteratively."""
    if asked in ("auto", "map"):
        return None
    directive = next((d for d in structure.asked.engines.values() if d.method == NAME), None)
    return Diagnostic(
        "M321",
        f"{asked.upper()} with a block that is integrated out iteratively",
        directive.span if directive else None,
        why="its density is estimated and takes minutes: a mode is found of it, no more.",
        mend="write `infer MAP()`, or leave out what asks for another method.",
    )
