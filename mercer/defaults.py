"""The default priors of a model turned into text: as laws, with the numbers that its data give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mercer.compiler import typed as ir
from mercer.compiler.facts import summaries
from mercer.compiler.show import show_distribution
from mercer.compiler.walk import rewrite

if TYPE_CHECKING:
    from types import ModuleType

    from mercer.runtime.data.bind import Bound


def show_defaults(model: ir.TypedModel, program: ModuleType, bound: Bound) -> str:
    """A line for each prior that nobody wrote: `f.scale ~ HalfNormal(17.2)`; "" if there are none.

    What a law is relative to is what the program itself takes from the data.
    """
    from mercer.runtime.methods.density import arguments_of, identifiers

    defaults = [u for u in model.unknowns.values() if u.is_default]
    if not defaults:
        return ""
    taken, word = arguments_of(program, bound).all(), identifiers(program)
    names = summaries(model)

    def measured(node: Any) -> Any:
        if not isinstance(node, ir.Spread):
            return node
        value = float(np.asarray(taken[word[names[node]]]))
        return ir.Constant(node.type, node.span, float(f"{value:.4g}"))

    lines = [
        f"{unknown.name} ~ {show_distribution(rewrite(unknown.prior, measured))}"
        for unknown in defaults
        if isinstance(unknown.prior, ir.Distribution)
    ]
    return "\n".join(["Default priors, relative to these data:", *(f"  {x}" for x in lines)])
