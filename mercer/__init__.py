"""Mercer: a model of Gaussian processes as text, compiled to a NumPyro program and fitted.

    import mercer

    model = mercer.load("co2.mercer")
    fit = model.fit("co2.csv")
    fit.summary()

Nothing is imported before it is used; JAX, when a model is first simulated or fitted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mercer.dsl.diagnostic import Diagnostic, MercerError
    from mercer.model import Model
    from mercer.runtime.hosts import Hosts
    from mercer.runtime.posterior.fit import Fit

__version__ = "0.1.0"
__all__ = [
    "Diagnostic",
    "MercerError",
    "Model",
    "__version__",
    "align",
    "compile",
    "distributed",
    "load",
    "open",
]


def compile(text: str, name: str = "<model>") -> Model:
    """The model that `text` declares; `name` stands for the file in messages.

    Raises MercerError with all the mistakes of the text.
    """
    from mercer.model import Model

    return Model.from_text(text, name)


def load(path: str | Path) -> Model:
    """The model in the file `path`; `use` finds files beside or below it."""
    from mercer.model import Model

    return Model.from_file(path)


def open(path: str | Path) -> Fit:
    """The fit that `fit.save(path)` wrote: it predicts as it did, to the last digit."""
    from mercer.model import open_fit

    return open_fit(path)


def align(fit: Fit) -> Any:
    """The posterior of `fit`, the components of its products in one order: see
    `mercer.alignment`."""
    from mercer.alignment import align as align_fit

    return align_fit(fit)


def distributed(
    *, processes: int, process: int, coordinator: str, patience: float = 120.0
) -> Hosts:
    """Makes this process one of several, on one machine or many, that fit as one: see
    `mercer.runtime.hosts`."""
    from mercer.runtime.hosts import distributed as join

    return join(processes=processes, process=process, coordinator=coordinator, patience=patience)


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext mercer` calls in a notebook: see `mercer.notebook`."""
    from mercer.notebook import load as load_magic

    load_magic(shell)


def __getattr__(name: str) -> object:
    if name == "Model":
        from mercer.model import Model

        return Model
    if name in ("Diagnostic", "MercerError"):
        from mercer.dsl import diagnostic

        return getattr(diagnostic, name)
    raise AttributeError(f"module 'mercer' has no attribute {name!r}")
