"""A prior turned into the values that stand in it, apart from the words of the library around them.

What is expected chooses the meaning of a word: in `Gamma ~ Gamma(2, 1)` the second is the
distribution, whatever the model calls its unknowns.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler.expand import Push
from mercer.dsl import syntax
from mercer.stdlib import catalog

_WRAPPERS = ("Truncated", "Censored", "Weighted")


def is_law(word: str) -> bool:
    """Whether `word` is a distribution of the library, or wraps one."""
    return word in catalog.distributions() or word in _WRAPPERS


def is_kernel(node: syntax.Expression) -> bool:
    """Whether `node` calls a kernel of the library, where a kernel is expected."""
    return (
        isinstance(node, syntax.Call)
        and isinstance(node.function, syntax.Name)
        and node.function.id in catalog.kernels()
    )


def values_in(prior: syntax.Expression) -> Iterator[syntax.Expression]:
    """The values in a law, in a function prior or in a kernel, from left to right."""
    match prior:
        case Push(base, _, image):
            yield from values_in(base)
            yield image
        case syntax.Call(syntax.Name(word), arguments) if word in catalog.distributions():
            yield from _arguments(arguments)
        case syntax.Call(syntax.Name(word), arguments) if word in catalog.priors() or is_law(word):
            for argument in arguments:  # laws and kernels among them
                yield from values_in(argument.value)
        case syntax.Call(_, arguments) if is_kernel(prior):
            yield from _arguments(arguments)
        case syntax.Binary(_, left, right):
            yield from values_in(left)
            yield from values_in(right)
        case syntax.Lookup(base, _) if is_kernel(base):
            yield from values_in(base)
        case _:
            yield prior


def _arguments(arguments: tuple[syntax.Argument, ...]) -> Iterator[syntax.Expression]:
    for argument in arguments:
        yield from values_in(argument.value) if argument.operator == "~" else (argument.value,)
