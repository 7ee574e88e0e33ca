"""The command `recover`: whether the fits of a model find what its simulations put in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mercer.cli.app import app
from mercer.cli.exits import NUMERICS, Usage, report, say
from mercer.cli.fits import Quiet
from mercer.cli.options import (
    Columns,
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
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.whole import check_writable, replace_whole

_DPI = 130


def _count(option: str, least: int, text: str) -> object:
    return typer.Option(option, parser=whole(option, least), metavar="N", help=text)


@app.command()
def recover(
    model: ModelPath,
    data: SomeDataPaths = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="*.nc, which is gone on with, or *.csv.")
    ] = Path("recovery.nc"),
    picture: Annotated[
        Path | None, typer.Option(help="Where the picture goes; beside the output, as *.png.")
    ] = None,
    simulations: Annotated[int, _count("--simulations", 10, "Data sets to draw and fit.")] = 200,
    infer: Method = "auto",
    draws: Annotated[int, _count("--draws", 1, "Draws of each fit by NUTS.")] = 380,
    kept: Annotated[int, _count("--kept", 1, "Draws that each truth is ranked among.")] = 19,
    warmup: Annotated[int, _count("--warmup", 0, "Adaptation steps of each fit.")] = 300,
    entries: Annotated[int, _count("--entries", 1, "Entries ranked of each array.")] = 3,
    false_alarm: Annotated[
        float, typer.Option(metavar="P", help="Probability of failing a right model.")
    ] = 0.01,
    processes: Annotated[
        int | None,
        _count("--processes", 1, "Fits at a time, a thread each; as many as there are cores."),
    ] = None,
    seed: Seed = 0,
    columns: Columns = None,
    quiet: Quiet = False,
) -> None:
    """Simulate data from the prior, fit them, and see whether the truth has uniform ranks.

    Exit code 4 if it has not: then the simulator, the program and the inference do not mean the
    same joint law, or the inference is not exact.
    """
    from mercer.model import Model

    suffix_of(output, (".nc", ".csv"), "a calibration")
    picture = picture or output.with_suffix(".png")
    suffix_of(picture, (".png", ".pdf", ".svg"), "a picture")
    method, chosen_columns = method_of(infer), columns_of(columns)
    if not 0.0 < false_alarm < 1.0:
        raise Usage(f"--false-alarm {false_alarm} is no probability between 0 and 1")
    if draws < kept:
        mend = f"ask for more --draws, or for --kept {draws}"
        raise Usage(f"of {draws} draws {kept} cannot be ranked", mend=mend)
    loaded = Model.from_file(model)
    for path in (output, picture):
        check_writable(path)
    with waiting("Calibrating", quiet=quiet or sys.stderr.isatty()):
        found = loaded.recover(
            list(data or []),
            simulations=simulations,
            seed=seed,
            infer=method,
            draws=draws,
            kept=kept,
            warmup=warmup,
            entries=entries,
            false_alarm=false_alarm,
            processes=processes or _cores(),
            columns=chosen_columns,
            progress=None if not quiet else False,
            path=output,
        )
    print(found.table().round(4).to_string(max_rows=None, max_cols=None))
    for sentence in found.sentences:
        print(sentence)
    say(f"wrote {output}")
    if found.quantities:
        with replace_whole(picture) as temporary:
            found.plot().savefig(temporary, dpi=_DPI)
        say(f"wrote {picture}")
    if not found.is_right:
        mend = "the table says of which unknowns, the picture how"
        problem = "the calibration failed: what was put in is not found again"
        report(MercerError([Diagnostic("M606", problem, mend=mend)]))
        raise typer.Exit(NUMERICS)


def _cores() -> int:
    from mercer.runtime.threads import workers

    return workers()
