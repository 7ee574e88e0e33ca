"""The command that turns a fit into a page to be read or sent on: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mercer.cli.app import app
from mercer.cli.exits import notices_said, say
from mercer.cli.options import FitPath, suffix_of
from mercer.cli.progress import waiting
from mercer.dsl.whole import check_writable


@app.command()
def report(
    fit: FitPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="REPORT.html", help="Where to.")
    ] = Path("report.html"),
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Show no progress.")] = False,
) -> None:
    """Write one page on a fit: diagnostics, pictures, tables, the model, its plan, the data."""
    import mercer

    suffix_of(output, (".html",), "a report")
    check_writable(output)
    with waiting("Writing the report", quiet=quiet), notices_said():
        from mercer.report import write_report

        write_report(mercer.open(fit), output)
    say(f"wrote {output}")
