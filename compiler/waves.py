"""The shapes of a model as statements of `prepare`: its waves, where the data ask for them."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.affine import SiteUse
from mercer.compiler.code import Body
from mercer.compiler.shapes import (
    feature_name,
    functions_seeing_shapes,
    point_dims,
    shape_of,
    shapes_seen,
    wave_names,
    waves_kind,
)
from mercer.compiler.structure import Structure
from mercer.compiler.tangents import frames_name, place_of, rows_of_arrows, tangential
from mercer.dsl.spaces import coordinates_of

_WORDS = {"Manifold": "manifold", "Graph": "graph", "Mesh": "mesh"}


def waves_arguments(structure: Structure) -> list[str]:
    """The arguments of a program that hold waves, each once."""
    names: dict[str, None] = {}
    for function in functions_seeing_shapes(structure).values():
        for position, _ in shapes_seen(function):
            own = wave_names(function, position)
            names |= dict.fromkeys((own.frequencies, own.roughness))
    features = (feature_name(structure, use, place) for use, _, place in _sites(structure))
    frames = (frames_name(outcome) for outcome in tangential(structure.model))
    return [*names, *dict.fromkeys(features), *frames]


def write_waves(body: Body) -> None:
    """The statements that make each shape, its waves, and their values at the points of sites."""
    made: set[str] = set()
    for function in functions_seeing_shapes(body.structure).values():
        for position, shape in shapes_seen(function):
            names = wave_names(function, position)
            word = body.identifiers[f"{shape} shape"]
            if shape.name not in made:
                text = _shape_text(body, body.model.shapes[shape.name])
                body.lines.append(f"{word} = {text}")
            if names.frequencies not in made:
                waves = f"{word}.{waves_kind(function, position)}"
                frequencies, roughness = (
                    body.identifiers[n] for n in (names.frequencies, names.roughness)
                )
                body.lines.append(f"{frequencies} = np.asarray({waves}.frequencies)")
                body.lines.append(f"{roughness} = np.asarray({waves}.roughness)")
            made |= {shape.name, names.frequencies}
    for use, function, position in _sites(body.structure):
        name = feature_name(body.structure, use, position)
        if name in made:
            continue
        made.add(name)
        word = body.identifiers[f"{dict(shapes_seen(function))[position]} shape"]
        points = _points_text(body, use, function, position)
        line = use.apply.span.line if use.apply else 0
        text = f"{word}.{waves_kind(function, position)}_at({points})"
        body.lines.append(f"{body.identifiers[name]} = {text}  # line {line}")
    for outcome, shape in tangential(body.model).items():
        place = place_of(body.model, outcome)
        assert place is not None and shape.ambient is not None
        rows, inside = rows_of_arrows(body.model, outcome), coordinates_of(shape)
        points = body.arranged(body.value(place), (*body.order(rows), *inside), full=True).text
        if len(rows) != 1:
            points = f"np.reshape({points}, (-1, {body.size(inside[0])}))"
        word, line = body.identifiers[f"{shape} shape"], body.model.observations[outcome].span.line
        text = f"{word}.frames_at({points})  # line {line}"
        body.lines.append(f"{body.identifiers[frames_name(outcome)]} = {text}")


def shapes_made(body: Body) -> dict[str, str]:
    """Each shape that a function sees, by its name."""
    entries = {}
    for function in functions_seeing_shapes(body.structure).values():
        for _, shape in shapes_seen(function):
            entries[shape.name] = _shape_text(body, body.model.shapes[shape.name])
    body.lines += [f"{body.identifiers[f'{n} shape']} = {text}" for n, text in entries.items()]
    return {name: body.identifiers[f"{name} shape"] for name in entries}


def shapes_shown(structure: Structure) -> dict[str, tuple[str, str]]:
    """Of each value of a function on a surface at a column of points: the shape and the column."""
    entries = {}
    for use, function, _ in _sites(structure):
        shape = shape_of(function)
        assert use.apply is not None
        if shape is None or shape.ambient is None or not isinstance(use.apply.point[0], ir.Ref):
            continue
        column = use.apply.point[0].name
        if column in structure.model.data and not function.type.dims:
            entries[use.key] = (shape.name, column)
    return entries


def _sites(structure: Structure) -> list[tuple[SiteUse, ir.Function, int]]:
    functions = functions_seeing_shapes(structure)
    return [
        (use, functions[use.owner], position)
        for use in structure.sites.values()
        if use.owner in functions
        for position, _ in shapes_seen(functions[use.owner])
    ]


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


def _points_text(body: Body, use: SiteUse, function: ir.Function, position: int) -> str:
    """The points of a site, one a row."""
    assert use.apply is not None
    point = use.apply.point[position]
    inside = coordinates_of(dict(shapes_seen(function))[position])
    rows = point_dims(body.model, use, function, position)
    code = body.arranged(body.value(point), (*rows, *inside), full=True)
    if not inside:
        return f"np.ravel({code.text})"
    if len(rows) == 1:
        return code.text
    return f"np.reshape({code.text}, (-1, {body.size(inside[0])}))"
