"""The command line: `mercer check`, `fmt`, `explain`, `compile`, `simulate`, `fit`, ...

Nothing is imported here but the guard against Ctrl-C, which must stand before all the rest.
"""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from mercer.cli.interrupt import guarded

__all__ = ["main", "run"]


_OBJECTS = 100_000
"""Objects between two searches for garbage: a command makes a million that all stay, its imports
and traces, and with Python's 700 the searches are a tenth of its time."""


def main() -> NoReturn:
    """The console script."""
    gc.set_threshold(_OBJECTS, 20, 50)
    guarded(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and gives its exit code; nothing that a user does raises."""
    from mercer.cli import app

    return app.run(arguments)
