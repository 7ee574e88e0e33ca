"""Typed model -> what of it has no engine yet, by name, before any data are read.

`_REFUSALS` is the table, from top to bottom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mercer.compiler import typed as ir
from mercer.compiler.curved import domain_factors, factor_seen
from mercer.compiler.inner import is_infinite, unfit_layers
from mercer.compiler.potentials import why_unfit_field
from mercer.compiler.sampling import circular
from mercer.compiler.shapes import (
    shape_factors,
    shape_of,
    shapes_seen,
    why_unfit,
    wrong_points,
)
from mercer.compiler.structure import owner_of
from mercer.compiler.tangents import why_unfit_arrows
from mercer.compiler.walk import imputed, nodes
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.spaces import (
    Bool,
    Circle,
    Count,
    Image,
    Interval,
    Label,
    Product,
    Scalar,
    Shape,
    Space,
    Tangent,
    Vector,
    is_homogeneous,
)
from mercer.dsl.span import Span
from mercer.stdlib import catalog


def refusals(model: ir.TypedModel) -> list[Diagnostic]:
    """What this version cannot run, each once."""
    return list(dict.fromkeys(d for row in _REFUSALS for d in row(model)))


def _refused(code: str, what: str, span: Span, mend: str | None = None) -> Diagnostic:
    return Diagnostic(
        code,
        f"{what} has no engine yet",
        span,
        why="the model is well formed; this version cannot run that part of it.",
        mend=mend,
    )


def _function_priors(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for function in model.functions.values():
        if function.entry != "GP":
            yield _refused("M301", f"the function prior `{function.entry}`", function.span)
            continue
        if shapes_seen(function):
            for code, span, what in why_unfit(model, function):
                yield _refused(code, what, span)
        if shape_of(function) is not None:
            continue
        for code, span, what in why_unfit_field(function):
            yield _refused(code, what, span)
        domain, codomain = function.type.domain, function.type.codomain
        for space in (domain, codomain):
            if isinstance(space, Tangent) and shape_factors(function):
                continue
            if is_infinite(space):
                continue
            if not _is_plain(space) or (space is codomain and is_homogeneous(space)):
                yield _refused("M302", f"a GP over or to `{space}`", function.span)
                break


def _is_plain(space: Space) -> bool:
    return all(
        isinstance(f, Scalar | Image)
        or is_homogeneous(f)
        or (isinstance(f, Shape) and isinstance(space, Product))
        or (isinstance(f, Vector) and f.size != "inf" and not isinstance(f.base, Circle))
        for f in domain_factors(space)
    )


def _kernels(model: ir.TypedModel) -> Iterator[Diagnostic]:
    entries = catalog.kernels()
    for function in model.functions.values():
        if shape_of(function) is not None:
            continue
        for node in nodes(function):
            if not isinstance(node, ir.KernelCall) or entries[node.entry].runs:
                continue
            seen = factor_seen(function, node)
            on_curved = is_homogeneous(seen) and entries[node.entry].on_curved
            if not on_curved and not isinstance(seen, Shape):
                yield _refused("M303", f"the kernel `{node.entry}`", node.span)


def _compositions(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for span, what in unfit_layers(model):
        yield _refused("M304", what, span)


def _recurrences(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for node in _expressions(model):
        if isinstance(node, ir.Lag | ir.Else):
            yield _refused("M306", "a recurrence", node.span)
            return


def _finite(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for unknown in model.unknowns.values():
        if is_homogeneous(unknown.space) and not isinstance(unknown.space, Circle):
            what = f"an unknown in `{unknown.space}` (`{unknown.name}`)"
            yield _refused("M302", what, unknown.span)
        if isinstance(unknown.space, Label | Bool | Count):
            yield _refused("M307", f"a finite unknown (`{unknown.name}`)", unknown.span)


def _shapes(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for span, what, mend in why_unfit_arrows(model):
        yield _refused("M308", what, span, mend)
    for node in _expressions(model):
        if isinstance(node, ir.Apply) and (owner := owner_of(node)) in model.functions:
            if shapes_seen(model.functions[owner]) and (wrong := wrong_points(model, node)):
                yield _refused("M308", wrong, node.span)


def _conditions(model: ir.TypedModel) -> Iterator[Diagnostic]:
    """Laws whose normalisation is not known under a condition."""
    laws = [u.prior for u in model.unknowns.values()]
    laws += [o.law for o in model.observations.values()]
    for node in (n for law in laws for n in nodes(law)):
        if isinstance(node, ir.Truncated | ir.Censored) and (word := _without_cdf(node.base)):
            what = f"a bound of `{word}`, whose distribution function is not known,"
            yield _refused("M312", what, node.span)
    for unknown in model.unknowns.values():
        law, space = unknown.prior, unknown.space
        if not isinstance(law, ir.Distribution):
            continue
        kind = getattr(space, "kind", "")
        if isinstance(space, Interval) and (word := _without_cdf(law)):
            what = f"`{word}` on an interval, as its distribution function is not known,"
            yield _refused("M312", what, law.span)
        if kind == "ZeroSum" and law.entry not in ("Normal", "Flat"):
            what = f"`{law.entry}` given that its draws add to zero (only `Normal` and `Flat` are)"
            yield _refused("M312", what, law.span)
        varies = {d for value in law.arguments.values() for d in value.type.dims}
        if kind in ("Ordered", "ZeroSum") and varies & set(unknown.type.coordinates):
            what = f"`{space}` with a prior of its own for each coordinate"
            yield _refused("M312", what, law.span)


def _without_cdf(law: ir.Law) -> str:
    entry = catalog.distributions().get(getattr(law, "entry", ""))
    return "" if entry is None or entry.has_cdf else entry.name


def _imputed(model: ir.TypedModel) -> Iterator[Diagnostic]:
    for name in circular(model):
        what = f"imputing `{name}`, whose law needs it in a circle,"
        yield _refused("M310", what, model.observations[name].span)
    for name in imputed(model):
        law = model.observations[name].law
        entry = catalog.distributions().get(getattr(law, "entry", ""))
        if entry is not None and entry.event:
            what = f"imputing `{name}`, whose rows are drawn as a whole,"
            yield _refused("M310", what, model.observations[name].span)


def _expressions(model: ir.TypedModel) -> Iterator[object]:
    for definition in model.definitions.values():
        yield from nodes(definition.value)
    for unknown in model.unknowns.values():
        yield from nodes(unknown.prior)
    for observation in model.observations.values():
        yield from nodes(observation.law)


_REFUSALS: tuple[Callable[[ir.TypedModel], Iterator[Diagnostic]], ...] = (
    _function_priors,
    _kernels,
    _compositions,
    _recurrences,
    _finite,
    _shapes,
    _imputed,
    _conditions,
)
