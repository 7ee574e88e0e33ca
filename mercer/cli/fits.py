"""The commands that run a program: simulate, fit, predict, summary, plot."""

from __future__ import annotations

import importlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mercer.cli.app import app
from mercer.cli.exits import notices_said, say, say_warnings
from mercer.cli.interrupt import resumable
from mercer.cli.joining import (
    Coordinator,
    Patience,
    Process,
    Processes,
    group_of,
    joined,
)
from mercer.cli.options import (
    Columns,
    DataPaths,
    FitPath,
    Method,
    ModelPath,
    Seed,
    SomeDataPaths,
    columns_of,
    method_of,
    suffix_of,
    whole,
)
from mercer.cli.progress import waiting
from mercer.dsl.whole import check_writable

if TYPE_CHECKING:
    from mercer.model import Model

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")]
Chains = Annotated[
    int | None,
    typer.Option(
        parser=whole("--chains", 1), metavar="N", help="Chains of NUTS; 4, or as the model says."
    ),
]
Warmup = Annotated[
    int | None,
    typer.Option(
        parser=whole("--warmup", 0),
        metavar="N",
        help="Adaptation steps of each chain; 500, or as the model says.",
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        parser=whole("--draws", 1),
        metavar="N",
        help="Draws kept from each chain; 500, or as the model says.",
    ),
]


@app.command()
def simulate(
    model: ModelPath,
    data: SomeDataPaths = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where to: *.nc, *.csv or *.npz.")
    ] = Path("simulated.nc"),
    seed: Seed = 0,
    columns: Columns = None,
) -> None:
    """Draw unknowns from the prior, and outcomes given them, at the inputs of the data."""
    from mercer.cli.tables import write_dataset
    from mercer.model import Model

    suffix = suffix_of(output, (".nc", ".csv", ".npz"), "a simulation")
    chosen_columns = columns_of(columns)
    loaded = Model.from_file(model)
    loaded.plan()
    with waiting("Simulating"):
        drawn = loaded.simulate(list(data or []), seed=seed, columns=chosen_columns)
        write_dataset(output, drawn, suffix)
    say(f"wrote {output}")


@app.command()
def fit(
    model: ModelPath,
    data: DataPaths,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FIT.nc", help="Where to.")],
    infer: Method = "auto",
    seed: Seed = 0,
    chains: Chains = None,
    warmup: Warmup = None,
    draws: Draws = None,
    columns: Columns = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the checkpoint that an unfinished fit left."),
    ] = False,
    quiet: Quiet = False,
    processes: Processes = None,
    process: Process = None,
    coordinator: Coordinator = None,
    patience: Patience = None,
) -> None:
    """Fit a model to data, and write the posterior with all that prediction needs.

    Every ten seconds the state of the fit is written beside the result, to FIT.nc.partial. With
    --processes several processes, on one machine or many, fit as one: each is given the same
    command, but for --process; process 0 writes.
    """
    from mercer.model import Model

    method = method_of(infer)
    suffix_of(output, (".nc",), "a fit")
    chosen_columns = columns_of(columns)
    group = group_of(processes, process, coordinator, patience)
    loaded = Model.from_file(model)
    plan = loaded.plan(infer=method)
    is_first = group is None or group["process"] == 0
    if is_first:
        check_writable(output)
    quiet = quiet or not is_first
    with joined(loaded, plan, group, chains=chains, quiet=quiet):
        _fit(
            loaded, data, output, chosen_columns, is_first=is_first, quiet=quiet, infer=method,
            seed=seed, chains=chains, warmup=warmup, draws=draws, resume=resume,
        )  # fmt: skip


def _fit(
    loaded: Model,
    data: list[Path],
    output: Path,
    columns: dict[str, list[str] | str] | None,
    *,
    is_first: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """The fit of one process, which writes where it is the first."""
    with waiting("Reading the data", quiet=quiet):
        bound = loaded.bind(list(data), columns=columns)
    if is_first:
        say_warnings(bound)
    with waiting("Starting JAX", quiet=quiet):
        importlib.import_module("mercer.inference")

    _import_meanwhile("arviz")
    checkpoint = output.with_name(f"{output.name}.partial")
    # A terminal is shown the progress of the fit itself; a log is told that it goes on.
    told = waiting("Fitting", quiet=quiet or sys.stderr.isatty())
    with told, notices_said(), resumable(checkpoint):
        fitted = loaded.fit(
            bound, progress=False if quiet else None, checkpoint=checkpoint, **options
        )
    if not is_first:
        return
    with waiting("Writing the fit", quiet=quiet):
        fitted.save(output)
    for sentence in fitted.diagnostics:
        say(sentence)
    say(f"wrote {output}")


@app.command()
def predict(
    fit: FitPath,
    data: DataPaths,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="*.csv: a summary a row; *.nc: the draws.")
    ],
    columns: Columns = None,
    quiet: Quiet = False,
) -> None:
    """Predict the outcomes at new rows: mean, sd and 95 % interval of each, or all the draws."""
    import mercer
    from mercer.cli.tables import write_dataset
    from mercer.runtime.data.tables import read
    from mercer.runtime.files import write_csv_parts

    suffix = suffix_of(output, (".csv", ".nc"), "a prediction")
    chosen_columns = columns_of(columns)
    with waiting("Predicting", quiet=quiet):
        fitted = mercer.open(fit)
        bound = fitted.bound_to(read(list(data), columns=chosen_columns))
        if suffix == ".csv":
            write_csv_parts(output, ({n: t[n] for n in t} for t in fitted.tables(bound)))
        else:
            write_dataset(output, fitted.predict(bound).draws, suffix)
    say_warnings(bound)
    say(f"wrote {output}")


@app.command()
def summary(
    fit: FitPath,
    digits: Annotated[
        int, typer.Option(parser=whole("--digits", 0), metavar="N", help="Digits behind the dot.")
    ] = 3,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Only this; may be given several times."),
    ] = None,
) -> None:
    """Print mean, sd, interval, effective sample size and R-hat of every unknown number."""
    import mercer

    with waiting("Summarising"):
        fitted = mercer.open(fit)
        table = fitted.summary(names)
    for sentence in fitted.diagnostics:
        print(sentence)
    print(table.round(digits).to_string(max_rows=None, max_cols=None))
    if names is None and (many := fitted.many()):
        listed = ", ".join(f"{name} ({size:,} values)" for name, size in many.items())
        print(f"Along the rows of the data, shown with --name: {listed}.")


@app.command()
def plot(
    fit: FitPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder for the PNG files.")
    ],
    quiet: Quiet = False,
) -> None:
    """Draw the fit: functions and outcomes with their bands, traces of the unknown numbers."""
    import mercer

    with waiting("Drawing", quiet=quiet), notices_said():
        from mercer.runtime.pictures import pictures, save

        paths = save(pictures(mercer.open(fit)), output)
    for path in paths:
        say(f"wrote {path}")


def _import_meanwhile(module: str) -> None:
    """Imports what is needed only at the end while compiled code runs, which leaves Python idle."""
    threading.Thread(target=importlib.import_module, args=(module,), daemon=True).start()
