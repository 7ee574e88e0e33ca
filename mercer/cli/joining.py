"""The options of a fit by several processes turned into a process that has joined the others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mercer.cli.exits import Usage
from mercer.cli.options import whole
from mercer.cli.progress import waiting

if TYPE_CHECKING:
    from mercer.compiler.plan import Plan
    from mercer.model import Model

Processes = Annotated[
    int | None,
    typer.Option(
        parser=whole("--processes", 1), metavar="N", help="How many processes fit as one."
    ),
]
Process = Annotated[
    int | None,
    typer.Option(
        parser=whole("--process", 0), metavar="K", help="Which of them this is, from 0 on."
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator", metavar="HOST:PORT", help="Where they meet: a free port of process 0."
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        parser=whole("--patience", 1),
        metavar="SECONDS",
        help="How long to wait for the others at the start; 120.",
    ),
]


def group_of(
    processes: int | None, process: int | None, coordinator: str | None, patience: int | None
) -> dict[str, Any] | None:
    """What `mercer.distributed` takes; None where this process fits alone."""
    given = {"--process": process, "--coordinator": coordinator, "--patience": patience}
    if processes is None:
        for option, value in given.items():
            if value is not None:
                mend = "add --processes N, how many there are"
                raise Usage(f"{option} needs --processes", mend=mend)
        return None
    if process is None:
        mend = f"write --process K, with a K of its own, 0 to {processes - 1}, in each"
        raise Usage("--processes needs --process", mend=mend)
    if process >= processes:
        raise Usage(
            f"--process {process} does not exist",
            why=f"{processes} processes are numbered from 0 to {processes - 1}.",
            mend=f"the last one is --process {processes - 1}",
        )
    if coordinator is None:
        mend = "write --coordinator HOST:PORT, the machine of process 0 and a free port of it"
        raise Usage("--processes needs --coordinator", mend=mend)
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) < 2**16):
        raise Usage(
            f"--coordinator {coordinator} cannot be read",
            mend="write a host and a port, --coordinator 10.0.0.1:1234",
        )
    if processes == 1:
        return None
    group: dict[str, Any] = {"processes": processes, "process": process}
    group["coordinator"] = coordinator
    return group if patience is None else {**group, "patience": float(patience)}


@contextlib.contextmanager
def joined(
    model: Model,
    plan: Plan,
    group: dict[str, Any] | None,
    *,
    chains: int | None,
    quiet: bool,
) -> Iterator[None]:
    """The body runs together with the other processes, and ends with them."""
    if group is None:
        yield
        return
    from mercer.runtime.hosts import distributed

    model.check_together(plan, group["processes"], chains)
    with waiting("Waiting for the other processes", quiet=quiet):
        hosts = distributed(**group)
    # A library of JAX tells standard output whom it is connected to; a fit tells it nothing.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with hosts:
        yield
