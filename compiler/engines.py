"""Structure -> the engine that integrates the Gaussian block out: what each serves, at what cost.

`ENGINES` is the table. An engine is a class of `mercer.runtime.engines.gaussian`, and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.grids import GridUse, axis_words, grid_of, grid_site, operations
from mercer.compiler.inducing import inducing_of, unfit_for_inducing
from mercer.compiler.iterative import (
    detail_of_iterative,
    iterative_bytes,
    iterative_flops,
    text_of_iterative,
    unfit_for_iterative,
)
from mercer.compiler.line import is_joint, line_of, states_of, waves_of, why_no_line
from mercer.compiler.shapes import copies_of, functions_on_shapes, modes_of, shape_of
from mercer.compiler.sizes import Sizes, count_of, functions_of, rows_of
from mercer.compiler.structure import Structure
from mercer.compiler.waving import columns_of, waves_asked, waves_text, why_no_waves
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.stdlib.kernels.stationary import SHORTEST, harmonics, left_out

MEMORY = 8e9
"""Bytes that `auto` allows the matrices of an engine: what a laptop has to spare."""

PATIENCE = 1.25e10
"""Operations of one log density with its gradient up to which `auto` stays exact: a mode takes some
250 of them, five minutes on two cores of a laptop."""


@dataclass(frozen=True)
class Engine:
    """One engine. `name`: its class. `asked_by`: the word for it after `infer NAME by`.

    `refuses(structure, sizes)` says why it cannot serve a block, or None. `flops` and `bytes` are
    those of one log density with its gradient. `sentence` is what `explain` says, after the names
    of what is integrated out and "they are integrated out"; `detail` adds a sentence of its own.
    `text`: how a program writes it, where that is not its name.
    """

    name: str
    asked_by: str
    refuses: Callable[[Structure, Sizes | None], str | None]
    flops: Callable[[Structure, Sizes], float]
    bytes: Callable[[Structure, Sizes], float]
    sentence: str
    is_exact: bool = True
    detail: Callable[[Structure, Sizes | None], str] | None = None
    text: Callable[[Structure], str] | None = None


def choose_engine(structure: Structure, sizes: Sizes | None) -> Engine | None:
    """The engine that the model asks for, else the cheapest; None where there is no block.

    Exact engines come before approximate ones wherever their matrices fit into `MEMORY` and their
    operations into `PATIENCE`. Without sizes it is the first of the table that serves. Raises
    MercerError M321 where the engine that is asked for cannot serve.
    """
    asked = _asked(structure, sizes)
    if not structure.locations:
        return None
    if asked is not None:
        return asked
    fitting = [engine for engine in ENGINES if engine.refuses(structure, sizes) is None]
    if sizes is None:
        return fitting[0]
    roomy = [engine for engine in fitting if engine.bytes(structure, sizes) <= MEMORY] or fitting
    quick = [engine for engine in roomy if engine.flops(structure, sizes) <= PATIENCE] or roomy
    exact = [engine for engine in quick if engine.is_exact] or quick
    return min(exact, key=lambda engine: engine.flops(structure, sizes))


def _asked(structure: Structure, sizes: Sizes | None) -> Engine | None:
    """What `infer NAME by ENGINE()` says: one engine, for the whole block."""
    directives = structure.asked.engines
    problems = [_not_gaussian(d) for n, d in directives.items() if n not in structure.block]
    words = dict.fromkeys(d.method for d in directives.values())
    if not problems and len(words) > 1:
        problems = [_mixed(list(directives.values()))]
    if not words or problems:
        if problems:
            raise MercerError(problems, structure.model.sources)
        return None
    found = [e for e in ENGINES if e.asked_by == next(iter(words))]
    reasons = [engine.refuses(structure, sizes) for engine in found]
    if None not in reasons:
        directive = next(iter(directives.values()))
        raise MercerError([_unfit(directive, str(reasons[-1]))], structure.model.sources)
    return found[reasons.index(None)]


# --- the table ------------------------------------------------------------------------------------


def _only_weights(structure: Structure, sizes: Sizes | None) -> str | None:
    functions = functions_of(structure)
    return f"`{functions[0].name}` has no finite number of unknowns" if functions else None


def _width(structure: Structure, sizes: Sizes) -> int:
    """The finite unknowns of the block, weights of functions on shapes among them."""
    own = sum(count_of(s.dims, sizes) for s in structure.sites.values() if not s.apply)
    return own + sum(
        modes_of(structure.model, shape, sizes) * count_of(copies_of(function), sizes)
        for name, function in functions_on_shapes(structure).items()
        if name in structure.block and (shape := shape_of(function))
    )


def _weights_flops(structure: Structure, sizes: Sizes) -> float:
    rows, width = rows_of(structure, sizes), _width(structure, sizes)
    return 3.0 * rows * width**2 + width**3


def _weights_bytes(structure: Structure, sizes: Sizes) -> float:
    rows, width = rows_of(structure, sizes), _width(structure, sizes)
    return 8.0 * (3 * rows * width + 3 * width**2)


def _serves_all(structure: Structure, sizes: Sizes | None) -> str | None:
    return None


def _dense_flops(structure: Structure, sizes: Sizes) -> float:
    rows = rows_of(structure, sizes)
    return 1.0 * rows**3 + 20.0 * rows**2 * len(structure.sites)


def _dense_bytes(structure: Structure, sizes: Sizes) -> float:
    return 8.0 * 5 * rows_of(structure, sizes) ** 2


def _no_exact_line(structure: Structure, sizes: Sizes | None) -> str | None:
    why = why_no_line(structure, sizes)
    if why is None and waves_of(structure):
        why = "`Periodic` is on a line only a series of waves"
    return why


def _only_waves(structure: Structure, sizes: Sizes | None) -> str | None:
    why = why_no_line(structure, sizes)
    return "its states are exact" if why is None and not waves_of(structure) else why


def _line_numbers(structure: Structure, sizes: Sizes) -> tuple[int, int]:
    """The numbers of a state, and the columns that the filter carries: values and weights."""
    states = states_of(structure)
    moving, constant = (
        sum(size * count_of(dims, sizes) for size, dims in part)
        for part in (states.moving, states.constant)
    )
    local = line_of(structure).local  # a chain reads one entry of such an unknown
    sites = [site for site in structure.sites.values() if not site.apply]
    weights = sum(1 if s.owner in local else count_of(s.dims, sizes) for s in sites)
    return moving, 1 + constant + weights


def _line_flops(structure: Structure, sizes: Sizes) -> float:
    # Fitted to times of this engine on one core, in units of a factorisation's operations, but for
    # the first number: that is for its longer compilation, which few rows do not repay.
    numbers, columns = _line_numbers(structure, sizes)
    step = 1500.0 + 150.0 * numbers**3 + columns * (250.0 * numbers + 5.0 * columns)
    return 3e6 + rows_of(structure, sizes) * step


def _line_bytes(structure: Structure, sizes: Sizes) -> float:
    numbers, columns = _line_numbers(structure, sizes)
    return 8.0 * rows_of(structure, sizes) * (12 * numbers**2 + 6 * columns * (numbers + 1))


def _line_detail(structure: Structure, sizes: Sizes | None) -> str:
    numbers, columns = _line_numbers(structure, sizes or {})
    text = f"The state along the line has {numbers} number{'s' if numbers > 1 else ''}"
    if is_joint(structure):
        of = "" if sizes is None else f" of {numbers} numbers"
        text = f"Rows read functions of different labels at once: one state{of} holds all copies"
    if columns > 1 and sizes is not None:
        text += f", and {columns - 1} weights that do not change stand beside it"
    known = waves_of(structure)
    if not known:
        return f"{text}: time and memory grow as the number of rows."
    errors = []
    for kernel in known:
        value = kernel.arguments.get("lengthscale")
        length = value.value if isinstance(value, ir.Constant) else None
        order = harmonics(length)
        share = left_out(order, length or SHORTEST)
        where = "" if length else f" as long as its lengthscale is above {SHORTEST:g}"
        errors.append(
            f"`Periodic` is its first {order} waves, which leaves out {share:.0e} of its "
            f"variance{where}"
        )
    return f"{text}. {'; '.join(dict.fromkeys(errors))}."


_ALONG = "by filtering and smoothing along the line, in linear time"


def _columns(structure: Structure, sizes: Sizes) -> int:
    """The columns of the normal equations: inducing values and finite unknowns."""
    points = sum(inducing.size(sizes) for inducing in inducing_of(structure, sizes).values())
    return points + _width(structure, sizes)


def _unfit_for_inducing(structure: Structure, sizes: Sizes | None) -> str | None:
    return unfit_for_inducing(structure)


def _inducing_flops(structure: Structure, sizes: Sizes) -> float:
    rows, columns = rows_of(structure, sizes), _columns(structure, sizes)
    return 5.0 * rows * columns**2 + 4.0 * columns**3 + 20.0 * rows * columns


def _inducing_bytes(structure: Structure, sizes: Sizes) -> float:
    rows, columns = rows_of(structure, sizes), _columns(structure, sizes)
    return 8.0 * (6 * rows * columns + 8 * columns**2)


def _no_waves(structure: Structure, sizes: Sizes | None) -> str | None:
    return why_no_waves(structure)


def _waves_flops(structure: Structure, sizes: Sizes) -> float:
    rows, columns = rows_of(structure, sizes), columns_of(structure) + _width(structure, sizes)
    return 4.0 * rows * columns**2 + columns**3


def _waves_bytes(structure: Structure, sizes: Sizes) -> float:
    rows, columns = rows_of(structure, sizes), columns_of(structure) + _width(structure, sizes)
    return 8.0 * (6 * rows * columns + 3 * columns**2)


def _waves_text(structure: Structure) -> str:
    waves = waves_asked(structure)
    return "Features" if waves is None else f"waves_of({waves.count}, {waves.kind!r})"


def _waves_detail(structure: Structure, sizes: Sizes | None) -> str:
    return waves_text(structure)


MOST_APART = 600
"""Cells without a value, and finite unknowns, that a grid is solved without exactly: as
`mercer.runtime.engines.grid` has it."""


def _no_grid(structure: Structure, sizes: Sizes | None) -> str | None:
    if sizes is None:
        use = grid_site(structure)
        return use if isinstance(use, str) else None
    grid = grid_of(structure, sizes)
    if isinstance(grid, str):
        return grid
    if (apart := grid.missing + _width(structure, sizes)) > MOST_APART:
        return (
            f"{apart:,} cells of the grid have no value, or are weights beside it, and more than "
            f"{MOST_APART} are not eliminated"
        )
    return None


def _grid(structure: Structure, sizes: Sizes) -> GridUse:
    found = grid_of(structure, sizes)
    assert isinstance(found, GridUse)
    return found


def _grid_flops(structure: Structure, sizes: Sizes) -> float:
    # The first number is for a longer compilation, which few rows do not repay.
    return 1e7 + operations(_grid(structure, sizes), _width(structure, sizes))


def _grid_bytes(structure: Structure, sizes: Sizes) -> float:
    grid = _grid(structure, sizes)
    border = grid.missing + _width(structure, sizes)
    return 8.0 * (grid.cells * (12 + 5 * border) + 8 * sum(c**2 for c in grid.counts))


def _grid_detail(structure: Structure, sizes: Sizes | None) -> str:
    if sizes is None:
        return "Which inputs are its axes the data say."
    grid = _grid(structure, sizes)
    sides = " × ".join(
        f"{count:,} of {axis_words(structure, axis)}"
        for axis, count in zip(grid.axes, grid.counts, strict=True)
    )
    lost = ""
    if grid.missing:
        cells = "1 cell has" if grid.missing == 1 else f"{grid.missing:,} cells have"
        lost = f"; {cells} no value, and what that changes is computed exactly"
    return f"The inputs form a grid: {sides}{lost}."


ENGINES: tuple[Engine, ...] = (
    Engine(
        "WeightSpace",
        "",  # what `auto` takes; nobody needs to ask
        _only_weights,
        _weights_flops,
        _weights_bytes,
        "exactly, through the normal equations of the unknowns",
    ),
    Engine(
        "Dense",
        "Exact",
        _serves_all,
        _dense_flops,
        _dense_bytes,
        "exactly, as one joint Gaussian with one Cholesky factorisation",
    ),
    Engine(
        "Grid",
        "Kronecker",
        _no_grid,
        _grid_flops,
        _grid_bytes,
        "exactly, factor by factor of the grid that the inputs form",
        detail=_grid_detail,
    ),
    Engine(
        "Markov",
        "Kalman",
        _no_exact_line,
        _line_flops,
        _line_bytes,
        f"exactly, {_ALONG}",
        detail=_line_detail,
    ),
    Engine(
        "Markov",
        "Kalman",
        _only_waves,
        _line_flops,
        _line_bytes,
        f"{_ALONG}, all but exactly",
        is_exact=False,
        detail=_line_detail,
    ),
    Engine(
        "Inducing",
        "Inducing",
        _unfit_for_inducing,
        _inducing_flops,
        _inducing_bytes,
        "approximately, through the values of the functions at inducing points, by a lower bound "
        "of the density (Titsias 2009)",
        is_exact=False,
    ),
    Engine(
        "Iterative",
        "Iterative",
        unfit_for_iterative,
        iterative_flops,
        iterative_bytes,
        "to a tolerance, by conjugate gradients, without storing a covariance",
        is_exact=False,
        detail=detail_of_iterative,
        text=text_of_iterative,
    ),
    Engine(
        "Features",
        "Features",
        _no_waves,
        _waves_flops,
        _waves_bytes,
        "approximately, through random waves that functions are sums of (Rahimi & Recht 2007)",
        is_exact=False,
        detail=_waves_detail,
        text=_waves_text,
    ),
)


# --- messages -------------------------------------------------------------------------------------


def _not_gaussian(directive: ir.Directive) -> Diagnostic:
    return Diagnostic(
        "M321",
        f"`{directive.name}` cannot be integrated out exactly",
        directive.span,
        why="it is not Gaussian, not linear in an outcome, or that outcome is not Normal.",
        mend="leave the line out: what cannot be integrated out is left to inference.",
    )


def _mixed(directives: list[ir.Directive]) -> Diagnostic:
    first = directives[0]
    other = next(d for d in directives if d.method != first.method)
    return Diagnostic(
        "M321",
        f"`{first.name}` by {first.method} and `{other.name}` by {other.method}",
        other.span,
        why="what is integrated out is one joint Gaussian, by one engine.",
        mend=f"write `{first.method}` for both, or leave one line out.",
    )


def _unfit(directive: ir.Directive, why: str) -> Diagnostic:
    return Diagnostic(
        "M321",
        f"`{directive.name}` cannot be integrated out by {directive.method}",
        directive.span,
        why=f"{why}.",
        mend="leave the line out: the plan then takes an engine that serves.",
    )
