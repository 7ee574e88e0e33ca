"""Emitted source turned into a module that runs, with its faults told at the model's lines."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import linecache
import re
import traceback
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.span import Source, Span

_LINE = re.compile(r"#\s*line (\d+)\s*$")


@lru_cache(maxsize=64)
def program_of(source: str, name: str) -> ModuleType:
    """The module of an emitted program, executed.

    Its source is known to `linecache`, so that a traceback or a debugger shows its lines.
    `name` is that of the model, for the name of the file shown there. The same source gives the
    same module, with all that has been compiled for it.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    file = f"<emitted {name} {digest}>"
    lines = source.splitlines(keepends=True)
    # No modification time: linecache then never drops the lines.
    linecache.cache[file] = (len(source), None, lines, file)
    module = ModuleType(f"mercer_program_{digest}")
    module.__file__ = file
    exec(compile(source, file, "exec"), module.__dict__)
    return module


def statements_of(program: ModuleType) -> str:
    """The source of an emitted program but for what it says of itself: the file of its model."""
    tree = ast.parse("".join(linecache.getlines(str(program.__file__))))
    return ast.unparse(ast.Module(tree.body[1:], []))


@contextlib.contextmanager
def told_at_model_lines(program: ModuleType, model: Source) -> Iterator[None]:
    """Turns a fault inside `program` into a Diagnostic M601 at the line of the model."""
    try:
        yield
    except (MercerError, KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:
        line = line_of(error, program)
        if line is None:
            raise
        text = model.line(line)
        start = len(text) - len(text.lstrip()) + 1
        span = Span(model.name, line, start, line, max(start + 1, len(text.rstrip()) + 1))
        said = str(error).strip().splitlines()
        raise MercerError(
            [
                Diagnostic(
                    code="M601",
                    problem="the program of this line failed while it ran",
                    span=span,
                    why=f"{type(error).__name__}: {said[0] if said else 'no message'}",
                    mend="`mercer compile MODEL -o model.py` writes the program out for a look",
                )
            ],
            {model.name: model},
        ) from error


def line_of(error: BaseException, program: ModuleType) -> int | None:
    """The line of the model at which `error` arose inside `program`, by its `# line N` comments.

    The innermost statement of the program that carries a comment counts.
    """
    lines: dict[int, int] = {}
    for stretch, number in _marked_statements("".join(linecache.getlines(str(program.__file__)))):
        lines.update(dict.fromkeys(stretch, number))
    frames = traceback.extract_tb(error.__traceback__)
    found = [lines.get(f.lineno or 0) for f in frames if f.filename == program.__file__]
    return next((line for line in reversed(found) if line is not None), None)


def _marked_statements(source: str) -> Iterator[tuple[range, int]]:
    """The lines of each simple statement that ends in a comment, and the number that this says."""
    text = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            end = node.end_lineno or node.lineno
            if mark := _LINE.search(text[end - 1]):
                yield range(node.lineno, end + 1), int(mark.group(1))
