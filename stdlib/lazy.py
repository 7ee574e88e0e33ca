"""A module's name into the module, imported when one of its attributes is first read.

The bodies of library entries are written with `jnp`, but reading the entries must not import JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


class LazyModule:
    """Stands for the module `name` until something is asked of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        self.__dict__[attribute] = value
        return value

    def __repr__(self) -> str:
        return f"LazyModule({self._name!r})"


if TYPE_CHECKING:
    import jax
    import jax.numpy as jnp
    import numpyro.distributions as dist
else:
    jax = LazyModule("jax")
    jnp = LazyModule("jax.numpy")
    dist = LazyModule("numpyro.distributions")

__all__ = ["LazyModule", "dist", "jax", "jnp"]
