"""An engine and its observations turned into the block that it integrates out.

Outcomes that are not Gaussian are `Linked`: the block has then a Normal law in place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mercer.runtime.engines.laplace import AboutMode
from mercer.runtime.engines.nearest import NearestNormal
from mercer.runtime.engines.sites import Processes, Sites
from mercer.runtime.engines.terms import Linked


def block_of(
    engine: Callable[..., Any],
    processes: Processes,
    sites: Sites,
    observations: Mapping[str, Any],
) -> Any:
    """The block of an engine; under a Normal law where an outcome is `Linked`."""
    linked = [law for law, *_ in observations.values() if isinstance(law, Linked)]
    if not linked:
        return engine(processes, sites, observations)
    kind = NearestNormal if any(law.is_nearest for law in linked) else AboutMode
    return kind(lambda seen: engine(processes, sites, seen), observations)
