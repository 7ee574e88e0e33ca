"""The command line: `mercer check`, `fmt`, `explain`, `compile`, `simulate`, `fit`, ..."""

from mercer.cli.app import app, main, run

__all__ = ["app", "main", "run"]
