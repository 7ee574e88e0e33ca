"""Entries of the library turned into pages: a word is documented where it is defined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from mercer.stdlib import catalog
from mercer.stdlib.entry import DistributionEntry, ElementwiseEntry, Entry, KernelEntry, Parameter


def kernels_page(pictured: Iterable[str]) -> str:
    """Every kernel: signature, formula, arguments, how smooth its functions are, a picture."""
    has_picture = set(pictured)
    parts = [
        "# Kernels",
        "`r` is the distance between `x` and `z` after each coordinate is divided by its "
        "lengthscale. `scale` is a standard deviation: it multiplies the covariance by its square. "
        "Kernels form an algebra: `k1 + k2`, `k1 * k2`, `2.5 * k`, `k^2`. An argument that is left "
        "out has the prior shown in the signature, where `input` stands for the spread of the "
        "inputs and `outcome` for that of the outcome ([default priors](default_priors.md)). "
        "Pictures show three draws with arguments of about 1, and the covariance with one input.",
    ]
    for entry in catalog.kernels().values():
        parts += [f"## {entry.name}", _signature(entry), entry.doc]
        if entry.formula:
            parts.append(_code(f"k(x, z) = {entry.formula}"))
        if entry.name in has_picture:
            parts.append(f"![Draws of {entry.name}](kernels/{entry.name}.png){{ width=640 }}")
        parts += [_arguments(entry), _of_kernel(entry)]
    return _page(parts)


def distributions_page() -> str:
    """Every distribution: signature, support, arguments."""
    parts = [
        "# Distributions",
        "Names, argument names and their order are NumPyro's; sizes are never given. `Truncated`, "
        "`Censored`, `Weighted` and `|>` change a distribution ([language](language.md#outcomes)).",
    ]
    for entry in catalog.distributions().values():
        parts += [f"## {entry.name}", _signature(entry), entry.doc, _of_distribution(entry)]
        parts.append(_arguments(entry))
    return _page(parts)


def functions_page() -> str:
    """Function priors, mean functions, elementwise functions, reductions, methods."""
    parts = ["# Functions", "## Function priors", "What may stand after `~` for a function."]
    for entry in catalog.priors().values():
        parts += [f"### {entry.name}", _signature(entry), entry.doc]
        parts += [_code(entry.formula)] if entry.formula else []
        parts.append(_arguments(entry))
    parts += ["## Mean functions", _table(("mean", "is"), _named(catalog.means()))]
    words = {n: e for n, e in catalog.elementwise().items() if _is_word(e)}
    parts += ["## Elementwise functions", _table(("function", "is"), _named(words))]
    parts += ["## Reductions", _table(("function", "is"), _named(catalog.reductions()))]
    return _page(parts)


def spaces_page() -> str:
    """Every space by its word."""
    parts = ["# Spaces", _table(("space", "holds"), _named(catalog.spaces()))]
    return _page(parts)


def methods_page() -> str:
    """Every inference method with its settings."""
    parts = [
        "# Inference methods",
        "What may stand after `infer` in a model, or be given as `--infer`. What a structure does "
        "not allow, or has no engine yet, is an error.",
    ]
    for entry in catalog.methods().values():
        parts += [f"## {entry.name}", _signature(entry), entry.doc, _arguments(entry)]
    return _page(parts)


def defaults_page() -> str:
    """Every default prior."""
    rows = [(f"`{e.name}`", f"`{e.law}`", e.doc) for e in catalog.defaults().values()]
    parts = [
        "# Default priors",
        "An argument that a model leaves out is unknown, with a prior relative to the data that it "
        "meets. `input` is the root mean square over coordinates of the inputs' standard "
        "deviations, `outcome` the standard deviation of the outcome on the scale of its link. "
        "Both are taken once, at the fit, and kept. `mercer explain` prints the numbers.",
        _table(("for", "prior", "says"), rows),
    ]
    return _page(parts)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _code(text: str) -> str:
    return f"```text\n{text}\n```"


def _signature(entry: Entry) -> str:
    return f"```mercer\n{entry.name}({', '.join(_argument(p) for p in entry.parameters)})\n```"


def _argument(parameter: Parameter) -> str:
    default = parameter.default
    if isinstance(default, str):
        named = catalog.defaults().get(default)
        return (
            f"{parameter.name} = {default}" if named is None else f"{parameter.name} ~ {named.law}"
        )
    if default is None:
        return parameter.name
    if parameter.space == "Bool":
        return f"{parameter.name} = {'true' if default else 'false'}"
    return f"{parameter.name} = {default:g}"


def _arguments(entry: Entry) -> str:
    rows = []
    for parameter in entry.parameters:
        said = [parameter.doc] if parameter.doc else []
        said += ["one for each coordinate, if wanted"] if parameter.per_coordinate else []
        said += ["one value for each label"] if parameter.per_label else []
        said += [f"`{parameter.count}` values"] if parameter.count else []
        said += ["a constant"] if parameter.structural else []
        rows.append((f"`{parameter.name}`", f"`{parameter.space}`", "; ".join(said)))
    return _table(("argument", "space", "is"), rows) if rows else ""


def _of_kernel(entry: KernelEntry) -> str:
    times = "derivatives of every order" if math.isinf(entry.smoothness) else (
        f"{entry.smoothness:g} mean-square derivative{'s' if entry.smoothness != 1 else ''}"
    )  # fmt: skip
    on = {
        "vector": "numbers and vectors",
        "number": "numbers",
        "label": "labels",
        "shape": "surfaces and graphs",
        "field": "vectors, of functions to vectors of as many coordinates",
    }[entry.input]
    if entry.on_curved and entry.on_shapes:
        on += ", circles, spheres and rotations"
    said = [f"On {on}", times if entry.smoothness_of is None else "as smooth as `nu` says"]
    if entry.gram:
        said.append("also after `Real^inf`")
    if not entry.runs and entry.on_shapes and entry.input == "vector":
        said.append("it runs on surfaces, graphs, circles, spheres and rotations only, so far")
    if not entry.runs and not entry.on_shapes:
        said.append("**checks, and has no engine yet**")
    return "; ".join(said) + "."


def _of_distribution(entry: DistributionEntry) -> str:
    said = [f"Support `{entry.support}`"]
    for group in entry.alternatives:
        said.append(f"give one of {', '.join(f'`{name}`' for name in group)}")
    return "; ".join(said) + "."


def _named(entries: Mapping[str, Entry]) -> list[tuple[str, str]]:
    return [(f"`{entry.name}`", entry.doc) for entry in entries.values()]


def _is_word(entry: ElementwiseEntry) -> bool:
    """Whether it is written as a call: an operator's documentation is the way it is written."""
    return not (entry.doc.startswith(("x ", "-x")) and len(entry.doc) < 7)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    escaped = [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    lines = [head, ("---",) * len(head), *escaped]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
