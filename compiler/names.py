"""Names of a model into identifiers of the emitted program: one each, and no two alike."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

_TAKEN = {"jnp", "np", "numpyro", "dist", "known", "at", "laws", *dir(builtins), *keyword.kwlist}


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """`trend.lengthscale` -> `trend_lengthscale`; Python's own words get a low line behind."""
    found: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        word = re.sub(r"\W", "_", name).strip("_") or "value"
        word = f"v_{word}" if word[0].isdigit() else word
        while word in used or word in _TAKEN or not word.isidentifier():
            word += "_"
        used.add(word)
        found[name] = word
    return found
