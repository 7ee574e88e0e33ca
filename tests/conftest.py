"""Programs that many tests compiled are let go before a process has no room to map another one.

Every compiled program takes a few memory maps, of which Linux gives a process 65,530 unless told
otherwise; reading one more from JAX's cache then ends in a segmentation fault.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

MAPS = Path("/proc/self/maps")
MANY = 30_000


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY:
        jax.clear_caches()
        gc.collect()
