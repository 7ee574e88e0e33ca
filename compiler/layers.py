"""Equivariant layers into text: the settings of each, and what is made of an image by them all.

From an image to what `pool` or `peak` makes of its last field is one expression of the program,
which goes through the images a few at a time: the fields between are a hundred times as large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mercer.compiler import typed as ir
from mercer.compiler.code import Body, Code
from mercer.compiler.walk import nodes
from mercer.dsl.spaces import Field, Image, coordinates_of

IMAGES = "images"
"""The name of the images inside the expression."""


def layers_of(model: ir.TypedModel) -> dict[str, ir.Convolved]:
    """The layers of a model that outcomes or definitions use, by name, in order."""
    found: dict[str, ir.Convolved] = {}
    for node in _everything(model):
        if isinstance(node, ir.Convolved):
            found.setdefault(node.function, node)
    return dict(sorted(found.items(), key=lambda item: _depth(model, item[1])))


def features_of(model: ir.TypedModel) -> dict[ir.Expr, str]:
    """Each `pool` or `peak` of a field in the model, and the name of its value in a program, which
    has blanks, as no name of a model has."""
    found: dict[ir.Expr, str] = {}
    for node in _everything(model):
        if isinstance(node, ir.OverField) and node.word != "normalize" and node not in found:
            found[node] = f"features of images{f' {len(found) + 1}' if found else ''}"
    return found


def kernel_name(layer: str) -> str:
    """The name of the coordinate network of a layer among those of a program."""
    return f"{layer} kernel"


def settings_text(layer: ir.LayerSettings) -> str:
    """`Layer(...)`."""
    words = f"{layer.group!r}, {layer.samples}, {layer.seed}, radius={layer.radius:g}"
    words += f", stride={layer.stride}, spread={layer.spread:g}"
    return f"Layer({words})" if layer.goes_around else f"Layer({words}, angle={layer.angle:g})"


def features_text(body: Body, expr: ir.OverField) -> Code:
    """The name of the features; the statement that makes them comes before its first use."""
    word = body.identifiers[features_of(body.model)[expr]]
    dims = body.order(expr.type.dims)
    if word not in body.locals:
        body.locals.add(word)
        image = image_of(body.model, expr)
        space = _space(body, image)
        own = coordinates_of(space)
        code = body.value(image)
        rows = tuple(d for d in code.dims if d not in own)
        images = body.arranged(code, (*rows, *own)).text
        inner = field_text(body, expr, "LAYERS")
        text = f"by_rows(\n        lambda {IMAGES}: {inner},\n        {images},\n"
        text += f"        depth={len(own)},\n    )"
        made = (*rows, *(d for d in dims if d not in rows))
        if made != dims:
            text = body.arranged(Code(text, made), dims).text
        body.lines.append(f"{word} = {text}  # line {expr.span.line}")
    return Code(word, dims)


def maps_lines(body: Body) -> tuple[list[str], str]:
    """The field that each layer makes, as entries of a dict, and the image that they are of."""
    found = layers_of(body.model)
    entries = [
        f"        {name!r}: {field_text(body, node, 'layers')}," for name, node in found.items()
    ]
    image = image_of(body.model, next(iter(found.values())))
    return entries, body.value(image).text


def field_text(body: Body, expr: ir.Expr, layers: str) -> str:
    """A field, or what is made of it, at the images called `images`."""
    model = body.model
    match expr:
        case ir.Convolved(_, _, name, base):
            kernel = _kernel_text(body, expr)
            own = f"{layers}[{name!r}]"
            if isinstance(base.type.space, Field):
                before = field_text(body, base, layers)
                of = f"{layers}[{maker(model, base).function!r}]"
                return f"convolve({before}, {kernel}, {own}, of={of})"
            space = _space(body, base)
            channels = isinstance(space, Image) and space.channels is not None
            image = f"jnp.moveaxis({IMAGES}, -1, 1)" if channels else IMAGES
            return f"lift({image}, {kernel}, {own})"
        case ir.OverField(_, _, "peak", base):
            return f"peak({field_text(body, base, layers)})"
        case ir.OverField(_, _, word, base):
            word = {"pool": "pooled", "normalize": "normalized"}[word]
            of = f"{layers}[{maker(model, base).function!r}]"
            return f"{word}({field_text(body, base, layers)}, {of})"
        case ir.Ref(_, _, name):
            return field_text(body, model.definitions[name].value, layers)
        case ir.Elementwise(_, _, word, arguments):
            parts = [_operand(body, a, layers) for a in arguments]
            return body.elementwise_text(word, parts).text
        case _:
            raise AssertionError(f"no field is a {type(expr).__name__}")


def maker(model: ir.TypedModel, field: ir.Expr) -> ir.Convolved:
    """The layer that made a field, whatever was done to its values since."""
    while not isinstance(field, ir.Convolved):
        field = _before(model, field)
    return field


def image_of(model: ir.TypedModel, expr: ir.Expr) -> ir.Expr:
    """The image that a field, or what is made of it, comes from."""
    while isinstance(expr, ir.OverField) or isinstance(expr.type.space, Field):
        expr = expr.base if isinstance(expr, ir.Convolved) else _before(model, expr)
    return expr


def _before(model: ir.TypedModel, field: ir.Expr) -> ir.Expr:
    match field:
        case ir.OverField(_, _, _, base):
            return base
        case ir.Ref(_, _, name):
            return model.definitions[name].value
        case ir.Elementwise(_, _, _, arguments):
            return next(a for a in arguments if isinstance(a.type.space, Field))
        case _:
            raise AssertionError(f"no field is a {type(field).__name__}")


def _operand(body: Body, expr: ir.Expr, layers: str) -> Code:
    if isinstance(expr.type.space, Field):
        return Code(field_text(body, expr, layers), (), 0)
    return body.value(expr)


def _kernel_text(body: Body, layer: ir.Convolved) -> str:
    """The name of the weights of a layer's coordinate network; a statement lists them first."""
    word = body.identifiers[kernel_name(layer.function)]
    if word not in body.locals:
        body.locals.add(word)
        listed = "".join(f"        {_weights_text(body, *part)},\n" for part in layer.weights)
        body.lines.append(f"{word} = [\n{listed}    ]  # line {layer.span.line}")
    return word


def _weights_text(
    body: Body, parts: tuple[ir.Expr, ...], inside: tuple[str, ...], after: tuple[str, ...]
) -> str:
    matrix, *bias = parts
    words = [body.arranged(body.value(matrix), (*inside, *after)).text]
    words += [body.arranged(body.value(level), after).text for level in bias]
    return f"({', '.join(words)}{',' * (not bias)})"


def _space(body: Body, image: ir.Expr) -> Image:
    """The space of an image: its coordinates say its sides, and a third of them its channels."""
    sizes = [int(d.rstrip("'")) for d in image.type.coordinates]
    return Image(*sizes)


def _depth(model: ir.TypedModel, layer: ir.Convolved) -> int:
    count, base = 0, layer.base
    while isinstance(base.type.space, Field):
        before = maker(model, base)
        count, base = count + 1, before.base
    return count


def _everything(model: ir.TypedModel) -> Iterator[object]:
    groups: Iterable[Mapping[str, object]] = (
        model.definitions, model.unknowns, model.functions, model.observations,
    )  # fmt: skip
    for group in groups:
        for declared in group.values():
            yield from nodes(declared)


def unknown_weights(model: ir.TypedModel) -> int:
    """How many numbers the coordinate networks of all layers have."""
    total = 0
    for layer in layers_of(model).values():
        for parts, *_ in layer.weights:
            for part in parts:
                count = 1
                for dim in part.type.dims:
                    count *= int(dim.rstrip("'"))
                total += count
    return total
