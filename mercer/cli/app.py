"""Words of a command line turned into a call, and whatever goes wrong into an exit code."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Annotated

import typer

from mercer.cli.exits import FILES, INTERRUPTED, OK, TABLE, USAGE, Usage, report, say
from mercer.cli.interrupt import MESSAGE
from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.suggest import nearest

app = typer.Typer(
    name="mercer",
    help="Gaussian processes as a small language: check, explain, fit and predict.",
    epilog=TABLE.replace("\n", " "),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS = ("commands", "fits", "pages", "recovery")

# The base of typer.BadParameter is what every wrong command line raises.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def _version(asked: bool) -> None:
    if asked:
        from mercer import __version__

        print(f"mercer {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a fault inside Mercer.")
    ] = False,
) -> None:
    """Gaussian processes as a small language: check, explain, fit and predict."""


def run(arguments: list[str]) -> int:
    """Runs one command line and gives its exit code; nothing that a user does raises."""
    debug = "--debug" in arguments[: _place_of_command(arguments)]
    try:
        for module in _COMMANDS:  # each registers its own
            importlib.import_module(f"mercer.cli.{module}")
        code = app(arguments, standalone_mode=False, prog_name="mercer")
        sys.stdout.flush()
        if code == INTERRUPTED:  # the parser turns Ctrl-C into this code
            raise KeyboardInterrupt
        return code if isinstance(code, int) else OK
    except Usage as wrong:
        say(wrong.diagnostic.render({}))
        return USAGE
    except _UsageError as wrong:
        return _report_usage(wrong)
    except typer.Exit as ended:
        return ended.exit_code
    except MercerError as error:
        return report(error)
    except (KeyboardInterrupt, typer.Abort):
        say(MESSAGE)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough (`| head`); Python must not complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        if debug:
            raise
        place = f" {error.filename}" if error.filename else ""
        problem = f"cannot use the file{place}"
        say(Diagnostic("M503", problem, why=error.strerror or str(error)).render({}))
        return FILES
    except Exception as error:
        if debug:
            raise
        from mercer.cli.exits import report_internal

        return report_internal(error)


def _place_of_command(arguments: list[str]) -> int:
    return next((i for i, a in enumerate(arguments) if not a.startswith("-")), len(arguments))


def _report_usage(wrong: Exception) -> int:
    """A wrong command line, in our words."""
    context = getattr(wrong, "ctx", None)
    path = context.command_path if context is not None else "mercer"
    format_message = getattr(wrong, "format_message", lambda: str(wrong))
    problem = format_message().strip().rstrip(".")
    if type(wrong).__name__ == "NoArgsIsHelpError":
        print(problem)
        return USAGE
    # The parser may append its own list of suggestions: one of ours is enough.
    problem = re.split(r" \(Possible| Did you mean", problem)[0].rstrip(".")
    word = re.split(r"[' ]", problem.rstrip("'"))[-1]
    near = nearest(word, _known_words(context)) if word else None
    mend = f"did you mean {near}?" if near else f"see `{path} --help`"
    say(Diagnostic("M510", problem[:1].lower() + problem[1:], mend=mend).render({}))
    return USAGE


def _known_words(context: object) -> list[str]:
    command = getattr(context, "command", None)
    words = list(getattr(command, "commands", {}))
    for parameter in getattr(command, "params", []):
        words += [option for option in parameter.opts if option.startswith("--")]
    return words
