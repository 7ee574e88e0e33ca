"""What `%load_ext mercer` adds to a notebook: the cell magic `%%mercer`, and messages as they are.

    %%mercer model
    data x[n], y[n] : Real
    f ~ GP(RBF())
    noise ~ HalfNormal(1)
    y ~ Normal(f(x), noise)

binds the Python name `model` to the model of the cell. IPython is imported only here.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class

from mercer.cli.colours import coloured
from mercer.dsl.diagnostic import MercerError
from mercer.dsl.html import sentences
from mercer.model import Model


def load(shell: Any) -> None:
    """Registers the magic, the display of plans, and messages without a traceback."""
    shell.register_magics(MercerMagics)
    shell.set_custom_exc((MercerError,), show_mistakes)
    html = shell.display_formatter.formatters["text/html"]
    html.for_type_by_name("mercer.compiler.plan", "Plan", lambda plan: sentences(plan.sentences))
    images = shell.display_formatter.formatters["image/png"]
    images.for_type_by_name("matplotlib.figure", "Figure", _png)
    # NumPyro asks for a progress bar of widgets, which Mercer never shows.
    warnings.filterwarnings("ignore", message="IProgress not found")


def show_mistakes(
    shell: Any, kind: Any, error: MercerError, trace: Any, tb_offset: Any = None
) -> Any:
    """The mistakes of a model or of data as the command line shows them, in colours."""
    lines = coloured(str(error)).split("\n")
    shell._showtraceback(kind, error, lines)
    return lines


def _png(figure: Any) -> bytes:
    from mercer.runtime.pictures import png_of

    return png_of(figure)


@magics_class
class MercerMagics(Magics):
    """The cell magic."""

    @cell_magic
    def mercer(self, line: str, cell: str) -> Model:
        """`%%mercer name`: the rest of the cell is a model, bound to `name` and shown."""
        name = line.strip()
        if not name.isidentifier():
            wrong = f"{name!r} is no name: " if name else ""
            raise UsageError(f"{wrong}write %%mercer NAME, the Python name for the model")
        # Files that the model uses lie beside the notebook.
        model = Model(cell, name, Path.cwd())
        if self.shell is not None:
            self.shell.user_ns[name] = model
        return model
