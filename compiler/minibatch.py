"""A structure into the index whose rows can be taken a few at a time, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.sizes import Sizes, size_of
from mercer.compiler.structure import Structure
from mercer.compiler.walk import children, imputed, is_summary
from mercer.dsl.spaces import Dim


def rows_index(structure: Structure, sizes: Sizes) -> tuple[Dim | None, str]:
    """The largest index that all outcomes have and whose rows are independent given the unknowns;
    else None, and the reason in words."""
    model = structure.model
    observations = list(model.observations.values())
    shared = set.intersection(*(set(o.type.dims) - set(o.type.coordinates) for o in observations))
    shared = {d for d in shared if not d.rstrip("'").isdigit()}
    why = "no index is one of all the outcomes"
    for dim in sorted(shared, key=lambda d: -size_of(d, sizes)):
        reason = _bound_together(model, dim)
        if reason is None:
            return dim, ""
        why = reason
    return None, why


def _bound_together(model: ir.TypedModel, dim: Dim) -> str | None:
    """Why the rows of `dim` cannot be taken apart."""
    owned = {n: u.type.dims for n, u in model.unknowns.items()}
    owned |= {n: model.data[n].type.dims for n in imputed(model)}
    owned |= {n: f.type.dims for n, f in model.functions.items()}
    for name, dims in owned.items():
        if dim in dims or f"{dim}'" in dims:
            return f"`{name}` has an entry for each row of `{dim}`"
    for node in _expressions(model):
        if isinstance(node, ir.Gather | ir.Lag) and node.dim == dim:
            return f"a row of `{dim}` looks up another"
        if isinstance(node, ir.Rename) and dim in (node.old, node.new.rstrip("'")):
            return f"rows of `{dim}` meet one another"
        if isinstance(node, ir.Labels) and node.index == dim:
            return f"`{dim}` is used as a column of its labels"
        if isinstance(node, ir.Reduce) and dim in node.over:
            return f"there is a reduction over `{dim}` of what is unknown"
    return None


def _expressions(model: ir.TypedModel) -> Iterator[object]:
    """Every node of the model but what is inside a reduction over data, which is taken once."""
    waiting: list[object] = [d.value for d in model.definitions.values()]
    waiting += [o.law for o in model.observations.values()]
    waiting += [u.prior for u in model.unknowns.values()]
    waiting += list(model.functions.values())
    while waiting:
        node = waiting.pop()
        if is_summary(model, node):
            continue
        yield node
        waiting += children(node)
