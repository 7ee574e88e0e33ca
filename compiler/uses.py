"""Reads the abbreviations of another file, which must lie beside or below the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mercer.dsl import syntax
from mercer.dsl.diagnostic import Diagnostic
from mercer.dsl.parse import parse_partial
from mercer.dsl.span import Source

Used = tuple[tuple[syntax.Def, ...], Mapping[str, Source], list[Diagnostic]]


def used_defs(use: syntax.Use, folder: Path | None) -> Used:
    """The `def`s of the file, its source, and what is wrong with it.

    Nothing outside `folder` is opened, links followed: a model file is data.
    """
    inside = PurePosixPath(use.path.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or ":" in use.path or not use.path:
        return _outside(use)
    if folder is None:
        return _refused(
            use,
            "M239",
            f'"{use.path}" cannot be used: this model has no folder',
            why="A model that is given as a text lies beside no other file.",
            mend="load the model from a file, or write the `def` into it",
        )
    root = folder.resolve()
    path = (root / Path(*inside.parts)).resolve()
    if not path.is_relative_to(root):
        return _outside(use)
    try:
        if not path.is_file():
            mend = "a file is named as it lies beside the model, with its ending"
            return _refused(use, "M239", f'there is no file "{use.path}" here', mend=mend)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        return _refused(use, "M239", f'the file "{use.path}" cannot be read as text')
    model, problems = parse_partial(text, use.path)
    for declaration in model.declarations:
        if not isinstance(declaration, syntax.Def):
            problems.append(
                Diagnostic(
                    "M240",
                    "a file that is used may hold only `def` lines",
                    declaration.span,
                    why="Its data and unknowns would not be seen in the model that uses it.",
                    mend="move this line to the model",
                    notes=((use.span, "it is used here"),),
                )
            )
    defs = tuple(d for d in model.declarations if isinstance(d, syntax.Def))
    return defs, {use.path: model.source}, problems


def _outside(use: syntax.Use) -> Used:
    return _refused(
        use,
        "M238",
        f'"{use.path}" lies outside the folder of the model',
        why="A model may read only what lies beside it or below it.",
        mend="copy the file beside the model",
    )


def _refused(
    use: syntax.Use, code: str, problem: str, *, why: str | None = None, mend: str | None = None
) -> Used:
    return (), {}, [Diagnostic(code, problem, use.span, why, mend)]
