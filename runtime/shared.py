"""A property computed once for each trace: `cached_property` that is safe under `jit` and `vmap`.

A value made inside a transformation must not outlive it; an engine made outside and used inside
one computes it anew there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax.extend import core


class shared_property:
    """As `functools.cached_property`, remembered only within the trace that computed it."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.slot = f"_shared_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        now = core.get_opaque_trace_state()
        known = instance.__dict__.get(self.slot)
        if known is None or known[0] != now:
            known = (now, self.compute(instance))
            instance.__dict__[self.slot] = known
        return known[1]
