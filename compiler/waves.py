"""The shapes of a model as statements of `prepare`: its waves, where the data ask for them."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.code import Body
from mercer.compiler.shapes import (
    feature_name,
    functions_on_shapes,
    is_tangent,
    point_dims,
    shape_of,
    wave_names,
)
from mercer.compiler.structure import Structure
from mercer.dsl.spaces import coordinates_of

_WORDS = {"Manifold": "manifold", "Graph": "graph"}


def waves_arguments(structure: Structure) -> list[str]:
    """The arguments of a program that hold waves, each once."""
    names: dict[str, None] = {}
    for function in functions_on_shapes(structure).values():
        own = wave_names(function)
        names |= dict.fromkeys((own.frequencies, own.roughness))
    features = (feature_name(structure, use) for use, _ in _sites(structure))
    return [*names, *dict.fromkeys(features)]


def write_waves(body: Body) -> None:
    """The statements that make each shape, its waves, and their values at the points of sites."""
    made: set[str] = set()
    for function in functions_on_shapes(body.structure).values():
        shape, names = shape_of(function), wave_names(function)
        assert shape is not None
        word = body.identifiers[f"{shape} shape"]
        if shape.name not in made:
            body.lines.append(f"{word} = {_shape_text(body, body.model.shapes[shape.name])}")
        if names.frequencies not in made:
            waves = f"{word}.{_kind(function)}"
            frequencies, roughness = (
                body.identifiers[n] for n in (names.frequencies, names.roughness)
            )
            body.lines.append(f"{frequencies} = np.asarray({waves}.frequencies)")
            body.lines.append(f"{roughness} = np.asarray({waves}.roughness)")
        made |= {shape.name, names.frequencies}
    for use, function in _sites(body.structure):
        name = feature_name(body.structure, use)
        if name in made:
            continue
        made.add(name)
        word = body.identifiers[f"{shape_of(function)} shape"]
        points = _points_text(body, use, function)
        line = use.apply.span.line if use.apply else 0
        text = f"{word}.{_kind(function)}_at({points})"
        body.lines.append(f"{body.identifiers[name]} = {text}  # line {line}")


def _sites(structure: Structure) -> list[tuple[SiteUse, ir.Function]]:
    functions = functions_on_shapes(structure)
    uses = structure.sites.values()
    return [(use, functions[use.owner]) for use in uses if use.owner in functions]


def _kind(function: ir.Function) -> str:
    return "tangents" if is_tangent(function) else "numbers"


def _shape_text(body: Body, shape: ir.ShapeDeclared) -> str:
    kind = getattr(shape.space, "kind", "")
    words = []
    for name, value in shape.settings.items():
        assert isinstance(value, ir.Expr)
        code = body.value(value)
        if value.type.coordinates:
            code = body.arranged(code, (*value.type.indices, *value.type.coordinates))
        given = "" if name in ("cloud", "vertices", "faces", "a", "b") else f"{name}="
        text = f"{value.value:g}" if isinstance(value, ir.Constant) else code.text
        words.append(f"{given}{text}")
    words.append(f"name={shape.name!r}")
    return f"{_WORDS[kind]}({', '.join(words)})  # line {shape.span.line}"


def _points_text(body: Body, use: SiteUse, function: ir.Function) -> str:
    """The points of a site, one a row."""
    assert use.apply is not None
    (point,) = use.apply.point
    inside = coordinates_of(function.type.domain)
    rows = point_dims(body.model, use, function)
    code = body.arranged(body.value(point), (*rows, *inside), full=True)
    if not inside:
        return f"np.ravel({code.text})"
    if len(rows) == 1:
        return code.text
    return f"np.reshape({code.text}, (-1, {body.size(inside[0])}))"
