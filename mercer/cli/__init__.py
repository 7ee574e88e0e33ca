"""The command line: `mercer check`, `fmt`, `explain`, `compile`, `simulate`, `fit`, ...

Nothing is imported here but the guard against Ctrl-C, which must stand before all the rest.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from mercer.cli.interrupt import guarded

__all__ = ["main", "run"]


def main() -> NoReturn:
    """The console script."""
    guarded(lambda: run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and gives its exit code; nothing that a user does raises."""
    from mercer.cli import app

    return app.run(arguments)
