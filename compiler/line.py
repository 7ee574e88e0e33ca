"""Structure -> how its Gaussian block runs along one line, or the reason why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine, Term
from mercer.compiler.sizes import Sizes, count_of
from mercer.compiler.structure import Structure, moving_point
from mercer.compiler.walk import imputed, in_order, names_below, nodes
from mercer.dsl.spaces import (
    Count,
    Dim,
    Interval,
    Positive,
    Real,
    Unit,
    coordinates_of,
)
from mercer.stdlib import catalog

LARGEST = 64
"""Numbers in a state, at most: a step costs their cube."""

Access = Dim | ir.Expr


@dataclass(frozen=True)
class Line:
    """A block along a line. `readings`: of each outcome the term that says its times, and whether
    each of its rows is a node of its own. `local`: unknowns of which each chain has its own entry.
    `apart`: whether the outputs of its functions are chains of their own. `is_joint`: there is one
    chain, whose state holds all copies of all functions.
    """

    readings: dict[str, tuple[Term, bool]]
    local: tuple[str, ...]
    apart: bool
    is_joint: bool = False


@dataclass(frozen=True)
class States:
    """Numbers of a state by dims that multiply them: (`size`, dims) of what moves, and of what
    never changes, which are weights."""

    moving: tuple[tuple[int, tuple[Dim, ...]], ...]
    constant: tuple[tuple[int, tuple[Dim, ...]], ...]


def why_no_line(structure: Structure, sizes: Sizes | None = None) -> str | None:
    """Why a block does not run along a line; None where it does. `sizes`: where they are known."""
    functions = _functions(structure)
    if not functions:
        return "it has no function of one number"
    for function in functions:
        if why := why_no_state(function):
            return why
    if key := moving_point(structure):
        return f"the points of `{key}` are unknown, and rows are put in order beforehand"
    for site in structure.sites.values():
        if site.owner in structure.block and site.apply is not None:
            if any(isinstance(node, ir.Integral) for node in _operators(site.apply.function)):
                return f"the integral `{site.key}` is no part of a state"
    for name, form in structure.locations.items():
        if not _function_terms(structure, form):
            return f"`{name}` reads no function"
    for name, form in {**structure.quantities, **structure.locations}.items():
        if name in structure.latent or _is_latent(structure, name):
            continue
        terms = _function_terms(structure, form)
        if any(term.sums for term in terms):
            return f"`{name}` sums over values of a function"
        if len({_time(structure, term) for term in terms}) > 1:
            return f"a row of `{name}` reads functions at different points"
    moving = _states(structure).moving
    largest = sum(size for size, _ in moving)
    if largest > LARGEST:
        return f"its state has {largest} numbers, and a step costs their cube"
    if sizes is None or not is_joint(structure):
        return None
    largest = sum(size * count_of(dims, sizes) for size, dims in moving)
    if largest > LARGEST:
        return (
            "rows read functions of different labels at once, and a state that holds all copies "
            f"has {largest} numbers, of which a step costs the cube"
        )
    return None


def why_not_along(structure: Structure, sizes: Sizes | None = None) -> str | None:
    """Why a block whose functions all have states does not run along a line; None where it does, or
    where some function has none."""
    functions = _functions(structure)
    if not functions or any(map(why_no_state, functions)):
        return None
    return why_no_line(structure, sizes)


def is_joint(structure: Structure) -> bool:
    """Whether some row reads copies of functions that are no chain of their own: of different
    labels, or of one label and of all. One state holds all copies then."""
    wide = [f for f in _functions(structure) if coordinates_of(f.type.codomain)]
    if len({f.outputs is None for f in wide}) > 1:
        return True
    forms = {**structure.quantities, **structure.locations}
    own = (form for n, form in forms.items() if n not in structure.latent)
    return any(
        len({_chain(structure, t) for t in _function_terms(structure, form)}) > 1 for form in own
    )


def latent_along(structure: Structure, name: str) -> str | None:
    """The only site of a function that is left to inference, where it runs along a line."""
    function = structure.model.functions[name]
    sites = [s for s in structure.sites.values() if s.owner == name]
    if len(sites) != 1 or function.entry != "GP" or function.kernel is None:
        return None
    (site,) = sites
    model = structure.model
    unknown = set(model.unknowns) | set(imputed(model)) | set(model.functions) - {name}
    serves = (
        why_no_state(function) is None
        and isinstance(site.apply and site.apply.function, ir.FunctionRef)
        and function.outputs is None
        and not names_below(model, site.apply) & unknown
        and states_along(structure, name) <= LARGEST
    )
    return site.key if serves else None


def states_along(structure: Structure, name: str) -> int:
    """Numbers in the state of one function."""
    return states_of_kernel(structure.model.functions[name])


def states_of_kernel(function: ir.Function) -> int:
    """Numbers in the state of one function, one output."""
    return 0 if function.kernel is None else sum(s for s, _ in _systems(function.kernel))


def has_constants(function: ir.Function) -> bool:
    """Whether some system of a function never changes."""
    return function.kernel is not None and any(c for _, c in _systems(function.kernel))


def waves_of(structure: Structure) -> list[ir.KernelCall]:
    """The kernels that are only a truncated series on a line."""
    found = [n for f in _functions(structure) for n in nodes(f.kernel)]
    return [n for n in found if isinstance(n, ir.KernelCall) and n.entry == "Periodic"]


def states_of(structure: Structure) -> States:
    """The size of a state of the block, and of what is constant in time."""
    return _states(structure)


def line_of(structure: Structure) -> Line:
    """How a block runs along the line that it has."""
    functions = _functions(structure)
    joint = is_joint(structure)
    apart = all(f.outputs is None for f in functions) and not joint
    readings = {}
    for name, form in structure.locations.items():
        terms = _function_terms(structure, form)
        wide = [t for t in terms if coordinates_of(_function(structure, t).type.codomain)]
        is_own = any(t.coefficient is not None and t.coefficient.type.dims for t in terms)
        readings[name] = ((wide or terms)[0], joint or is_own or len(wide) > 1)
    return Line(readings, () if joint else tuple(_local(structure)), apart, joint)


def why_no_state(function: ir.Function) -> str | None:
    """Why a function has no state on a line."""
    if not isinstance(function.type.domain, Real | Positive | Unit | Interval | Count):
        return f"`{function.name}` is a function on `{function.type.domain}`, not on a line"
    for node in nodes(function.kernel):
        if isinstance(node, ir.KernelCall) and _system(node) is None:
            return (
                f"the kernel `{node.entry}` of `{function.name}` has no state of finite size; "
                "Matern12, Matern32 and Matern52 have"
            )
    return None


# --- terms ----------------------------------------------------------------------------------------


def _functions(structure: Structure) -> list[ir.Function]:
    return [f for n, f in structure.model.functions.items() if n in structure.block]


def _function(structure: Structure, term: Term) -> ir.Function:
    return structure.model.functions[term.site.owner]


def _function_terms(structure: Structure, form: Affine) -> list[Term]:
    return [t for t in form.terms if t.site.apply is not None]


def _operators(function: ir.FunctionExpr) -> Iterator[ir.FunctionExpr]:
    """Operators on a function, outermost first, and the function."""
    yield function
    if isinstance(function, ir.Derivative | ir.Laplacian | ir.Integral):
        yield from _operators(function.of)


def _is_latent(structure: Structure, name: str) -> bool:
    site = structure.sites.get(name)
    return site is not None and site.owner in structure.latent


def _time(structure: Structure, term: Term) -> object:
    """What tells apart the points at which terms read their functions, row by row."""
    assert term.site.apply is not None
    (point,) = term.site.apply.point
    return (point, _mapped(term, point.type.dims))


def _chain(structure: Structure, term: Term) -> tuple[Access | tuple[Access, object], ...]:
    """The chain that a term reads, row by row: labels of its function, and its output."""
    assert term.site.apply is not None
    function = _function(structure, term)
    *_, reference = _operators(term.site.apply.function)
    assert isinstance(reference, ir.FunctionRef)
    looked, access = dict(reference.at), dict(zip(term.site.dims, term.access, strict=True))
    found: list[Access | tuple[Access, object]] = []
    for dim in function.type.dims:
        at = looked.get(dim)
        if at is None:
            found.append(access[dim])
        else:
            mapped = _mapped(term, at.type.dims)
            found.append(at if all(d == a for d, a in mapped) else (at, mapped))
    if function.outputs is None:
        found += [access[dim] for dim in coordinates_of(function.type.codomain)]
    return tuple(found)


def _mapped(term: Term, dims: tuple[Dim, ...]) -> tuple[tuple[Dim, Access], ...]:
    return tuple((d, a) for d, a in zip(term.site.dims, term.access, strict=True) if d in dims)


def _local(structure: Structure) -> Iterator[str]:
    """Unknowns that every row reads at the labels of its chain."""
    chains = {
        name: _chain(structure, _function_terms(structure, form)[0])
        for name, form in structure.locations.items()
    }
    labelled = any(f.type.dims for f in _functions(structure))
    wide = any(coordinates_of(f.type.codomain) for f in _functions(structure))
    if labelled and wide and all(f.outputs is None for f in _functions(structure)):
        return  # a chain is then no label
    dims = {
        name: _chain_dims(structure, _function_terms(structure, form)[0])
        for name, form in structure.locations.items()
    }
    forms = {**structure.quantities, **structure.locations}
    for name in structure.model.unknowns:
        if name not in structure.block:
            continue
        uses = [(key, t) for key, form in forms.items() for t in form.terms if t.site.key == name]
        own = [t.site.dims for _, t in uses]
        if (
            uses
            and own[0]
            and all(
                t.site.dims in dims.values()
                and not t.sums
                and t.access == chains.get(key, _chain_of(structure, forms[key], t))
                for key, t in uses
            )
        ):
            yield name


def _chain_of(structure: Structure, form: Affine, term: Term) -> object:
    """The chain of the rows of a quantity: of its function, or of its only unknowns of labels."""
    terms = _function_terms(structure, form)
    if terms:
        return _chain(structure, terms[0])
    labelled = {t.access for t in form.terms if t.site.dims == term.site.dims}
    return next(iter(labelled)) if len(labelled) == 1 else None


def _chain_dims(structure: Structure, term: Term) -> tuple[Dim, ...]:
    function = _function(structure, term)
    dims = in_order(structure.model, function.type.dims)
    if function.type.dims:
        return dims if dims == function.type.dims else ()
    return coordinates_of(function.type.codomain) if function.outputs is None else ()


# --- sizes ----------------------------------------------------------------------------------------


def _states(structure: Structure) -> States:
    moving: list[tuple[int, tuple[Dim, ...]]] = []
    constant: list[tuple[int, tuple[Dim, ...]]] = []
    joint = is_joint(structure)
    for function in _functions(structure):
        assert function.kernel is not None
        is_seen_together = joint or function.outputs is not None
        copies = coordinates_of(function.type.codomain) if is_seen_together else ()
        copies = (*function.type.dims, *copies) if joint else copies
        for size, is_constant in _systems(function.kernel):
            (constant if is_constant else moving).append((size, copies))
    if not moving:
        moving.append((1, ()))  # a state that is always 0
    return States(tuple(moving), tuple(constant))


def _system(kernel: ir.KernelCall) -> tuple[int, bool] | None:
    """The size of a kernel's state, and whether it never changes; None where it has none."""
    states = catalog.kernels()[kernel.entry].states
    constants = {k: v.value for k, v in kernel.arguments.items() if isinstance(v, ir.Constant)}
    return None if states is None else states(constants)


def _systems(kernel: ir.Kernel) -> list[tuple[int, bool]]:
    """Sizes of the systems whose outputs add up to a kernel, and whether they never change."""
    match kernel:
        case ir.KernelSum(_, parts):
            return [s for part in parts for s in _systems(part)]
        case ir.KernelScaled(_, _, inner):
            return _systems(inner)
        case ir.KernelPower(_, inner, exponent):
            return _product([_systems(inner)] * exponent)
        case ir.KernelProduct(_, parts):
            return _product([_systems(part) for part in parts])
        case ir.KernelCall():
            system = _system(kernel)
            assert system is not None
            return [system]
        case _:
            raise AssertionError(f"no states for {type(kernel).__name__}")


def _product(factors: list[list[tuple[int, bool]]]) -> list[tuple[int, bool]]:
    found = factors[0]
    for own in factors[1:]:
        found = [(a * b, x and y) for a, x in found for b, y in own]
    return found
