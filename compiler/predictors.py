"""The law of an outcome into the affine parts that it is made of: its predictors.

`Poisson(exp(level + f(x)))` has one, `level + f(x)`; `Normal(f(x), exp(g(x)))` has two. Given the
values of its predictors at a row, the outcome there needs nothing more of the Gaussian unknowns.
"""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine, NotAffine, affine_in
from mercer.compiler.walk import children, names_below


def predictors_of(
    model: ir.TypedModel, law: ir.Law, block: frozenset[str]
) -> tuple[dict[ir.Expr, Affine], set[str]]:
    """The largest affine expressions in the block that `law` is made of, and the members of the
    block that enter in another way."""
    found: dict[ir.Expr, Affine] = {}
    others: set[str] = set()

    def look(node: object) -> None:
        below = names_below(model, node) & block
        if not below:
            return
        if isinstance(node, ir.Expr):
            try:
                found[node] = affine_in(model, node, block)
                return
            except NotAffine as error:
                if isinstance(node, ir.Apply):
                    others.update(error.names)
                    return
            if isinstance(node, ir.Ref) and node.name in model.definitions:
                look(model.definitions[node.name].value)
                return
        for child in children(node):
            look(child)

    look(law)
    return found, others


def predictor_key(outcome: str, number: int) -> str:
    """The name of a predictor among the quantities of a program."""
    return f"predictor {number + 1} of {outcome}"
