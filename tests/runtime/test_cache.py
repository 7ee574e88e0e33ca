"""A second fit of the same program and shapes, in a new process, compiles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_FIT = """
import jax
counts = {"hits": 0, "misses": 0}
def listen(event, **_):
    for kind in counts:
        counts[kind] += event == f"/jax/compilation_cache/cache_{kind}"
jax.monitoring.register_event_listener(listen)
from tests.runtime import fits
data = {**fits.SCHOOLS, "y": [v + SHIFT for v in fits.SCHOOLS["y"]]}
fits.fitted("eight_schools", data, warmup=20, draws=20)
print(counts["hits"], counts["misses"])
"""


def test_second_process_compiles_nothing_even_on_other_data(tmp_path: Path) -> None:
    environment = {**os.environ, "MERCER_CACHE_DIR": str(tmp_path)}
    counts = []
    for shift in ("0.0", "1.0"):
        command = [sys.executable, "-c", _FIT.replace("SHIFT", shift)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        counts.append([int(word) for word in done.stdout.split()[-2:]])
    assert counts[0][1] > 0
    assert counts[1][0] > 0
    assert counts[1][1] == 0
