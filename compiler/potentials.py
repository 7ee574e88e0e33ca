"""Kernels of vector fields on flat domains: which functions have one, and what has no engine."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.walk import nodes
from mercer.dsl.span import Span
from mercer.stdlib import catalog


def is_field(function: ir.Function) -> bool:
    """Whether the kernel of a function ties the coordinates of its values together."""
    return any(True for _ in field_calls(function.kernel))


def field_calls(kernel: ir.Kernel | None) -> Iterator[ir.KernelCall]:
    """The kernels of fields in a kernel."""
    for node in nodes(kernel):
        if isinstance(node, ir.KernelCall) and catalog.kernels()[node.entry].input == "field":
            yield node


def why_unfit_field(function: ir.Function) -> Iterator[tuple[str, Span, str]]:
    """What about a function with such a kernel has no engine yet: code, place, and what it is."""
    first = next(field_calls(function.kernel), None)
    if first is None or function.kernel is None:
        return
    if function.outputs is not None:
        yield "M302", function.span, f"`outputs` beside `{first.entry}`"
    for term in _terms(function.kernel):
        calls = list(field_calls(term))
        if not calls:
            what = f"a kernel of numbers in a sum with `{first.entry}`"
            yield "M303", term.span, f"{what} (a second function can be added to the first)"
        elif len(calls) > 1:
            yield "M303", term.span, f"a product of `{calls[0].entry}` and `{calls[1].entry}`"
        else:
            own = set(map(id, nodes(calls[0])))
            others = [n for n in nodes(term) if isinstance(n, ir.KernelCall) and id(n) not in own]
            for other in others:
                if other.factor is None or other.factor == calls[0].factor:
                    what = f"`{other.entry}` times `{calls[0].entry}` of the same place"
                    yield "M303", other.span, what


def _terms(kernel: ir.Kernel) -> Iterator[ir.Kernel]:
    """The parts of a sum, multiples looked through."""
    match kernel:
        case ir.KernelSum(_, parts):
            for part in parts:
                yield from _terms(part)
        case ir.KernelScaled(_, _, inner):
            yield from _terms(inner)
        case _:
            yield kernel
