"""The steps of a plan as statements: what the text of `model` draws before the outcomes."""

from __future__ import annotations

from mercer.compiler.blocks import affine_text, process_text, site_text, weights_text
from mercer.compiler.code import Body
from mercer.compiler.plan import Plan
from mercer.compiler.prior import drawn_text, law_text
from mercer.compiler.sampling import Step
from mercer.compiler.shapes import shape_of, weights_name


def write_steps(body: Body, plan: Plan) -> tuple[str, ...]:
    """Writes the statements; gives the random functions among them, whose values are in `at`."""
    early: list[str] = []
    for step in plan.steps:
        if step.how == "whitened":
            _write_function(body, step, "at |=" if early else "at =")
            early.append(step.name)
        elif step.how == "imputed":
            _write_column(body, step)
        else:
            unknown = plan.structure.model.unknowns[step.name]
            text = drawn_text(body, unknown, step.how)
            word = body.identifiers[step.name]
            body.lines.append(f"{word} = {text}  # line {unknown.span.line}")
    return tuple(early)


def _write_function(body: Body, step: Step, become: str) -> None:
    """A function whose values the steps after it need, by itself."""
    structure = body.structure
    function = structure.model.functions[step.name]
    keys = [k for k, use in structure.sites.items() if use.owner == step.name]
    process = process_text(body, function)
    sites = [f"{k!r}: {site_text(body, structure.sites[k])}" for k in keys]
    wanted = [
        f"{k!r}: {affine_text(body, structure.quantities[k], structure.sites[k].dims)}"
        for k in keys
    ]
    if shape_of(function) is not None:
        site, form = weights_text(body, function)
        sites.append(f"{weights_name(function)!r}: {site}")
        wanted.append(f"{weights_name(function)!r}: {form}")
    body.lines.append(
        f"{become} sample_whitened(\n"
        f"        {{{step.name!r}: {process}}},\n"
        f"        {{{', '.join(sites)}}},\n"
        f"        {{{', '.join(wanted)}}},\n"
        f"    )  # line {function.span.line}"
    )


def _write_column(body: Body, step: Step) -> None:
    """A column that may have missing entries: from here on it has none."""
    observation = body.model.observations[step.name]
    dims = body.order(observation.type.dims)
    word, keep = body.identifiers[step.name], body.identifiers[f"{step.name} keep"]
    law = law_text(body, observation.law, dims, observation.type, is_whole=True)
    text = f"{word} = sample_missing({step.name!r}, {law}, {word}, {keep})"
    body.lines.append(f"{text}  # line {observation.span.line}")
