"""What the `infer` lines of a model ask for, or an error: never another method in silence.

`infer METHOD(...)` is for all that is left to inference, `infer NAME by METHOD(...)` for one
unknown. A sampler or optimiser by name keeps its unknown from being integrated out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mercer.compiler import typed as ir
from mercer.compiler.walk import nodes
from mercer.dsl.diagnostic import Diagnostic, MercerError

Method = Literal["nuts", "map", "svi", "messages"]

METHODS: tuple[Method, ...] = ("nuts", "map", "svi", "messages")
_ENGINES = ("Exact", "Kronecker", "Kalman", "Inducing", "Iterative", "Features")
"""The words `asked_by` of `mercer.compiler.engines`."""

_APPROXIMATE = ("Laplace", "CVI")


@dataclass(frozen=True)
class Overrides:
    """`method`: of what is left to inference, or "auto". `settings`: by method. `engines`:
    unknowns that must be integrated out, and by what. `apart`: unknowns that must not be.
    `approximated`: unknowns to be integrated out by a Normal law, about their mode or the nearest.
    """

    method: str = "auto"
    settings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    engines: Mapping[str, ir.Directive] = field(default_factory=dict)
    apart: Mapping[str, ir.Directive] = field(default_factory=dict)
    approximated: Mapping[str, ir.Directive] = field(default_factory=dict)


def overrides(model: ir.TypedModel) -> Overrides:
    """What the model asks for.

    Raises MercerError M321 for what cannot be had here.
    """
    problems = list(_twice(model.directives))
    method, by = "auto", None
    settings: dict[str, dict[str, float]] = {}
    engines: dict[str, ir.Directive] = {}
    apart: dict[str, ir.Directive] = {}
    approximated: dict[str, ir.Directive] = {}
    for directive in sorted(model.directives, key=lambda d: bool(d.name)):
        word, name = directive.method.lower(), directive.name
        if word in METHODS:
            if name and method not in ("auto", word) and not _is_head(model, directive, method):
                problems.append(_mixed(directive, method, by))
                continue
            method, by = word, directive
            settings[word] = {
                k: v.value for k, v in directive.settings.items() if isinstance(v, ir.Constant)
            }
            if name and word != "messages":  # which is for all factors of a product, or none
                apart[name] = directive
        elif not name:
            problems.append(_without_name(directive))
        elif directive.method in _ENGINES:
            engines[name] = directive
        elif directive.method in _APPROXIMATE:
            other = next((d for d in approximated.values() if d.method != directive.method), None)
            problems += [_one_law(directive, other)] if other else []
            approximated[name] = directive
        elif name in model.functions:
            apart[name] = directive
        else:
            problems.append(_not_whitened(directive))
    if problems:
        raise MercerError(problems, model.sources)
    return Overrides(method, settings, engines, apart, approximated)


def _is_head(model: ir.TypedModel, directive: ir.Directive, method: str) -> bool:
    """Whether layers are trained to a mode, and something that follows them is sampled there."""
    used = (*model.definitions.values(), *model.observations.values())
    layers = {n.function for part in used for n in nodes(part) if isinstance(n, ir.Convolved)}
    asked = (directive.method, method) == ("NUTS", "map")
    return asked and bool(layers) and directive.name not in layers


def _mixed(directive: ir.Directive, method: str, by: ir.Directive | None) -> Diagnostic:
    where = f" in line {by.span.line}" if by else ""
    return Diagnostic(
        "M321",
        f"`{directive.name}` by {directive.method}, and the rest by {method.upper()}{where}",
        directive.span,
        why="what is left to inference has one method: they are sampled or optimised jointly.",
        mend=f"write one method, here or there; `infer {directive.name} by {method.upper()}()` "
        f"keeps `{directive.name}` from being integrated out.",
    )


def _one_law(directive: ir.Directive, other: ir.Directive) -> Diagnostic:
    return Diagnostic(
        "M321",
        f"`{other.name}` by {other.method} and `{directive.name}` by {directive.method}",
        directive.span,
        why="what is integrated out has one joint law.",
        mend=f"write `{other.method}` for both, or leave one line out.",
    )


def _without_name(directive: ir.Directive) -> Diagnostic:
    return Diagnostic(
        "M321",
        f"`{directive.method}` is for one unknown, not for a whole model",
        directive.span,
        mend=f"write `infer NAME by {directive.method}()`.",
    )


def _not_whitened(directive: ir.Directive) -> Diagnostic:
    return Diagnostic(
        "M321",
        f"`{directive.name}` is no random function",
        directive.span,
        why="whitening is for the values of a random function under its kernel.",
        mend=f"write `infer {directive.name} by NUTS()` to have it sampled.",
    )


def _twice(directives: Iterable[ir.Directive]) -> Iterator[Diagnostic]:
    first: dict[str | None, ir.Directive] = {}
    for directive in directives:
        before = first.setdefault(directive.name, directive)
        if before is not directive:
            what = f"`{directive.name}`" if directive.name else "the whole model"
            yield Diagnostic(
                "M321",
                f"the inference of {what} is asked for twice",
                directive.span,
                why=f"line {before.span.line} asks for `{before.method}`, "
                f"this line for `{directive.method}`.",
                mend="keep one of the two lines.",
            )
