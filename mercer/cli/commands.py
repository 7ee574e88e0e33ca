"""The commands that read a model and no more: check, fmt, explain, compile, info."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mercer.cli.app import app
from mercer.cli.exits import WRONG, Usage, report, say
from mercer.cli.options import (
    Columns,
    Method,
    ModelPath,
    SomeDataPaths,
    chosen,
    columns_of,
    method_of,
)
from mercer.cli.progress import waiting
from mercer.dsl.diagnostic import MercerError

STAGES = ("syntax", "types", "graph", "plan", "numpyro", "jaxpr")


@app.command()
def check(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model files.")],
) -> None:
    """Check models: every mistake of a file is shown, with its place and a mend."""
    from mercer.model import Model

    code = 0
    for path in models:
        try:
            Model.from_file(path)
        except MercerError as error:
            code = max(code, report(error))
        else:
            print(f"{path}: ok")
    raise typer.Exit(code)


@app.command()
def fmt(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Model files, or `-`."),
    ],
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where a file would change.")
    ] = False,
) -> None:
    """Format models in place, comments kept. With `-`, from standard input to standard output."""
    from mercer.dsl.format import format_model
    from mercer.dsl.parse import parse
    from mercer.model import read_model_text

    code = 0
    for name in models:
        try:
            text = sys.stdin.read() if name == "-" else read_model_text(Path(name))
            formatted = format_model(parse(text, "<stdin>" if name == "-" else name))
        except MercerError as error:
            code = max(code, report(error))
            continue
        if only_check:
            if formatted != text:
                print(f"{name}: would be formatted")
                code = max(code, WRONG)
        elif name == "-":
            sys.stdout.write(formatted)
        elif formatted != text:
            write_text(Path(name), formatted)
            print(f"{name}: formatted")
    raise typer.Exit(code)


@app.command()
def explain(
    model: ModelPath,
    data: SomeDataPaths = None,
    infer: Method = "auto",
    columns: Columns = None,
) -> None:
    """Say what is integrated out, sampled or optimised, and why; given data, at what cost."""
    from mercer.model import Model

    method = method_of(infer)
    chosen_columns = columns_of(columns)
    loaded = Model.from_file(model)
    if not data:
        if chosen_columns:
            raise Usage("--columns needs data", mend="name the data files behind the model")
        print(loaded.explain(infer=method))
        return
    loaded.plan(infer=method)
    with waiting("Reading the data"):
        text = loaded.explain(list(data), infer=method, columns=chosen_columns)
    print(text)


@app.command("compile")
def compile_model(
    model: ModelPath,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this file, not to the screen.")
    ] = None,
    show: Annotated[
        str, typer.Option(help="A stage: syntax, types, graph, plan, numpyro or jaxpr.")
    ] = "numpyro",
    data: Annotated[
        list[Path] | None, typer.Option(help="Data, for the sizes in the plan and the jaxpr.")
    ] = None,
) -> None:
    """Write the NumPyro program of a model, or another stage of its compilation."""
    from mercer.model import Model

    stage = chosen("--show", show, STAGES)
    loaded = Model.from_file(model)
    if stage == "jaxpr":
        loaded.plan()
        with waiting("Tracing the log density"):
            text = loaded.show(stage, list(data) if data else None)
    else:
        with waiting("Reading the data", quiet=not data):
            text = loaded.show(stage, list(data) if data else None)
    text = text if text.endswith("\n") else text + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
        say(f"wrote {output}")


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Print versions, devices and folders: what a report of a fault should hold."""
    from mercer.cli.info import information

    with waiting("Asking JAX for its devices"):
        found = information()
    if as_json:
        import json

        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for inner, text in value.items():
                print(f"  {inner} {text}")
        else:
            print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def write_text(path: Path, text: str) -> None:
    """Writes a whole file or, if it cannot, leaves the old one."""
    from mercer.dsl.whole import replace_whole

    with replace_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
