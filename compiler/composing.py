"""The layers of a plan as text: `inner_functions` of a program, and what a module says of them.

`inner_functions(through, ...)` goes through the random functions inside others, innermost first,
and gives their values at the rows by identifier. `through` says by what law they are drawn
(`mercer.runtime.through`).
"""

from __future__ import annotations

from collections.abc import Mapping

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.blocks import (
    images_name,
    inducing_names,
    inducing_text,
    process_text,
    site_text,
)
from mercer.compiler.code import Body, Code
from mercer.compiler.inducing import InducingUse
from mercer.compiler.inner import Layer, is_infinite
from mercer.compiler.plan import Plan
from mercer.compiler.structure import Structure


def layer_names(structure: Structure) -> list[str]:
    """The names of what `layers` gives."""
    found = []
    for layer in structure.layers:
        found.append(layer.key)
        found += [f"{layer.key} images"] if is_gram(structure, layer) else []
    return found


def law_names(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Of each layer that has a law of its own, the names of the arguments that hold it."""
    found = {}
    for layer in plan.structure.layers:
        if layer.owner in plan.inducing:
            parts = ("root",) if is_gram(plan.structure, layer) else ("mean", "root")
            found[layer.key] = tuple(f"{layer.owner} layer {part}" for part in parts)
    return found


def is_gram(structure: Structure, layer: Layer) -> bool:
    """Whether a layer hands on a Gram matrix."""
    return is_infinite(structure.model.functions[layer.owner].type.codomain)


def nu_of(structure: Structure, layer: Layer) -> float:
    """The weight of a layer's divergence: 1, unless its width is infinite."""
    nu = structure.model.functions[layer.owner].settings.get("nu")
    return nu.value if isinstance(nu, ir.Constant) and is_gram(structure, layer) else 1.0


def options_of(structure: Structure, owner: str) -> tuple[float, ...]:
    """`wishart` and `order` of a layer to `Real^inf`, 0 where it is not asked for; nothing, where
    none is."""
    directive = structure.asked.engines.get(owner)
    asked = {} if directive is None else directive.settings
    found = tuple(
        value.value if isinstance(value := asked.get(word), ir.Constant) else 0.0
        for word in ("wishart", "order")
    )
    return found if any(found) else ()


def layer_facts(plan: Plan, identifiers: Mapping[str, str]) -> dict[str, tuple[object, ...]]:
    """Of each layer: the identifier of its values, its function, the arguments of its inducing
    points and of its law, and the weight of its divergence; where the model asks for them, how
    much its Gram matrix is drawn about itself, and the order of the divergence."""
    laws = law_names(plan)
    found: dict[str, tuple[object, ...]] = {}
    for layer in plan.structure.layers:
        use = plan.inducing.get(layer.owner)
        points = [] if use is None else inducing_names(use)
        found[layer.key] = (
            identifiers[layer.key],
            layer.owner,
            tuple(identifiers[n] for n in points),
            tuple(identifiers[n] for n in laws.get(layer.key, ())),
            nu_of(plan.structure, layer),
            *options_of(plan.structure, layer.owner),
        )
    return found


def write_layers(body: Body, plan: Plan) -> list[str]:
    """The statements of `layers`; gives the entries of what it returns."""
    entries = []
    for layer in plan.structure.layers:
        use = plan.inducing.get(layer.owner)
        line = body.model.functions[layer.owner].span.line
        given = [body.identifiers[layer.key]]
        if is_gram(plan.structure, layer):
            words = _gram_words(body, layer, use)
            body.locals.add(layer.key)
            given.append(images_name(body, layer.key))
            call = "gram"
        else:
            words = _value_words(body, layer, use)
            body.locals.add(layer.key)
            call = "values"
        inside = "".join(f"            {word},\n" for word in words)
        text = f"{', '.join(given)} = through.{call}(\n        Inner(\n{inside}        )\n    )"
        text += f"  # line {line}"
        body.lines.append(text)
        entries += given
    return [f'"{word}": {word}' for word in entries]


def _common(body: Body, layer: Layer, use: InducingUse | None) -> list[str]:
    """The key of a layer, its process, its points at the rows and its inducing points."""
    function = body.model.functions[layer.owner]
    site = SiteUse(layer.key, layer.owner, layer.base, layer.apply)
    words = [repr(layer.key), process_text(body, function), site_text(body, site, outputs=())]
    return words + ([f"inducing=lambda: {inducing_text(body, use)}"] if use is not None else [])


def _gram_words(body: Body, layer: Layer, use: InducingUse | None) -> list[str]:
    return [*_common(body, layer, use), f"shape={body.shape(layer.base)}"]


def _value_words(body: Body, layer: Layer, use: InducingUse | None) -> list[str]:
    words = _common(body, layer, use)
    dims = body.order(layer.apply.type.dims)
    constant = body.structure.quantities[layer.key].constant
    mean = Code("0.0", ()) if constant is None else body.value(constant)
    words.append(f"mean={body.arranged(mean, dims).text}")
    words.append(f"shape={body.shape(dims)}")
    if layer.outputs is not None:
        words.append(f"axis={dims.index(layer.outputs)}")
    return words
