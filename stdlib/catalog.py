"""All the words of the library, by kind and name; reading them imports no JAX.

The same word may be of several kinds: `Linear` is a kernel, a mean and a function prior. What is
expected where it stands says which is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TypeVar

from mercer.stdlib.defaults import DefaultEntry
from mercer.stdlib.entry import (
    DistributionEntry,
    ElementwiseEntry,
    Entry,
    KernelEntry,
    PriorEntry,
)

E = TypeVar("E", bound=Entry)


@cache
def kernels() -> Mapping[str, KernelEntry]:
    """Kernels, those that run and those known by signature only (`runs` is False)."""
    from mercer.stdlib.kernels import FIELD_WORDS, SHAPE_WORDS, WORDS

    running = (*WORDS, *SHAPE_WORDS, *FIELD_WORDS)
    return _by_name(word.entry for word in running)


@cache
def distributions() -> Mapping[str, DistributionEntry]:
    """Distributions, by NumPyro's names, and `Flat`."""
    from mercer.stdlib.distributions import DISTRIBUTIONS

    return _by_name(DISTRIBUTIONS)


@cache
def elementwise() -> Mapping[str, ElementwiseEntry]:
    """Functions of numbers, and the operators under their names (`add`, `less_equal`, ...)."""
    from mercer.stdlib.elementwise import ELEMENTWISE

    return _by_name(ELEMENTWISE)


@cache
def reductions() -> Mapping[str, ElementwiseEntry]:
    """`mean`, `sum`, `sd`, `max`, `min`, `size`."""
    from mercer.stdlib.reductions import REDUCTIONS

    return _by_name(REDUCTIONS)


@cache
def priors() -> Mapping[str, PriorEntry]:
    """Function priors: GP, TP, Linear, Multilinear, Equivariant, Network, Flow."""
    from mercer.stdlib.priors import PRIORS

    return _by_name(PRIORS)


@cache
def means() -> Mapping[str, Entry]:
    """Mean functions of a GP, beside numbers and functions of the model."""
    from mercer.stdlib.means import MEANS

    return _by_name(MEANS)


@cache
def spaces() -> Mapping[str, Entry]:
    """Spaces by the word that names them."""
    from mercer.stdlib.spaces import SPACES

    return _by_name(SPACES)


@cache
def methods() -> Mapping[str, Entry]:
    """Inference methods."""
    from mercer.stdlib.methods import METHODS

    return _by_name(METHODS)


@cache
def defaults() -> Mapping[str, DefaultEntry]:
    """Default priors, by the names that `Parameter.default` uses."""
    from mercer.stdlib.defaults import DEFAULTS

    return _by_name(DEFAULTS)


def _by_name(entries: Iterable[E]) -> Mapping[str, E]:
    return MappingProxyType({entry.name: entry for entry in entries})
