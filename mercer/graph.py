"""A typed model turned into the listing of its graph: each name, and what it is made of."""

from __future__ import annotations

from mercer.compiler.graph import needed_names
from mercer.compiler.typed import Declared, TypedModel


def show_graph(model: TypedModel) -> str:
    """One name a line, after all that it needs: `y ~ mu, sigma`, `eta = a, b, x`."""
    rows: list[tuple[str, str, tuple[str, ...]]] = []
    for name in model.order:
        if name in model.data:
            rows.append((name, "data", ()))
        elif name in model.unknowns:
            rows.append((name, "~", _parents(model.unknowns[name], model)))
        elif name in model.functions:
            rows.append((name, "~", _parents(model.functions[name], model)))
        elif name in model.definitions:
            rows.append((name, "=", _parents(model.definitions[name], model)))
        elif name in model.shapes:
            rows.append((name, "=", _parents(model.shapes[name], model)))
    rows += [(o.name, "observed ~", _parents(o, model)) for o in model.observations.values()]
    wide = max((len(name) for name, _, _ in rows), default=0)
    return "\n".join(f"{n:<{wide}}  {how} {', '.join(of)}".rstrip() for n, how, of in rows)


def _parents(declared: Declared, model: TypedModel) -> tuple[str, ...]:
    known = {*model.order, *model.indices}
    return tuple(dict.fromkeys(n for n in needed_names(declared) if n in known))
