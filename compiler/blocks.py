"""Parts of the Gaussian algebra as text: processes, sites, and what is affine in them."""

from __future__ import annotations

from mercer.compiler import typed as ir
from mercer.compiler.affine import Affine, SiteUse, Term
from mercer.compiler.code import Body, Code, Dims, applied_function
from mercer.compiler.curved import curved_text, domain_factors, factor_seen
from mercer.compiler.inducing import InducingUse
from mercer.compiler.inner import is_infinite
from mercer.compiler.potentials import is_field
from mercer.compiler.shapes import (
    base_dims,
    copies_of,
    feature_name,
    is_tangent,
    shape_factors,
    shape_of,
    wave_names,
    weights_name,
)
from mercer.dsl.spaces import INFINITE, Dim, Image, Label, Shape, Space, Vector, coordinates_of
from mercer.stdlib import catalog


def process_text(body: Body, declared: ir.Unknown | ir.Function, *, is_joint: bool = False) -> str:
    """`RandomFunction(kernel)` or `Weights(sd)`. `is_joint`: all copies of it in one state."""
    if isinstance(declared, ir.Unknown):
        assert isinstance(declared.prior, ir.Distribution)
        scale = declared.prior.arguments.get("scale")
        if scale is None:
            return "Weights(sd=1.0)"
        dims = body.order(declared.type.dims)
        code = body.arranged(body.value(scale), dims)
        sd = flat_text(body, code, dims)
        return f"Weights(sd={sd})"
    assert declared.kernel is not None
    kernel = kernel_text(body, declared.kernel, declared)
    if shape_of(declared) is not None:
        return f"Weights(sd={_wave_text(body, declared, kernel)})"
    if is_infinite(declared.type.domain):
        # Of its points only inner products count, not how many coordinates stand for them.
        kernel = f"({kernel}).of_products()"
    words = [kernel]
    if declared.outputs is not None:
        words.append(f"outputs={_outputs(body, declared)}")
    elif is_joint and (outputs := coordinates_of(declared.type.codomain)):
        words.append(f"outputs=jnp.eye({_product(body, outputs)})")
    if is_joint and declared.type.dims:
        words.append(f"copies={_product(body, declared.type.dims)}")
    return f"RandomFunction({', '.join(words)})"


def kernel_text(body: Body, kernel: ir.Kernel, function: ir.Function) -> str:
    """A kernel as the constructors of the library write it."""
    match kernel:
        case ir.KernelSum(_, parts):
            return "(" + " + ".join(kernel_text(body, p, function) for p in parts) + ")"
        case ir.KernelProduct(_, parts):
            return " * ".join(kernel_text(body, p, function) for p in parts)
        case ir.KernelScaled(_, factor, inner):
            times = _argument(body, factor, function)
            return f"{times} * {kernel_text(body, inner, function)}"
        case ir.KernelPower(_, inner, exponent):
            return f"({kernel_text(body, inner, function)}) ** {exponent}"
        case ir.KernelComposed(_, outer, inner):
            within = kernel_text(body, inner, function)
            return f"({kernel_text(body, outer, function)}).after({within})"
        case ir.KernelCall(_, entry, arguments, factor, coordinates, inside):
            known = catalog.kernels()[entry]
            words = [kernel_text(body, k, function) for k in inside]
            for name, value in arguments.items():
                parameter = known.parameter(name)
                if isinstance(value, ir.Text):
                    words.append(f"{name}={value.value.replace(' ', '')!r}")
                elif parameter is not None and parameter.structural:
                    assert isinstance(value, ir.Constant)
                    words.append(f"{name}={value.value:g}")
                else:
                    words.append(f"{name}={_argument(body, value, function)}")
            if inside and isinstance(function.type.domain, Image):
                words.append(f"image={_sides(function.type.domain)}")
            text = f"{entry}({', '.join(words)})"
            if inside and known.input != "field":
                return text  # the kernels inside say what they see
            if factor is not None and factor in dict(shape_factors(function)):
                names = wave_names(function, factor)
                over = ", ".join(body.read(n) for n in (names.frequencies, names.roughness))
                return f"{text}.over({over}, factor={factor})"
            curved = curved_text(factor_seen(function, kernel))
            if factor is None and coordinates is None and not curved:
                return text
            given = {"factor": factor, "coordinates": coordinates, "space": curved or None}
            said = ", ".join(
                f"{word}={value}" for word, value in given.items() if value is not None
            )
            return f"{text}.on({said})"
        case _:
            raise AssertionError(f"no text for {type(kernel).__name__}")


def site_text(
    body: Body, use: SiteUse, place: str = "", outputs: tuple[Dim, ...] | None = None
) -> str:
    """`Site(process, points, size)`; `place`: what it says of the points beside, as text;
    `outputs`: the dims of the coordinates of a value, where not those of the codomain."""
    size = body.shape(use.dims)
    count = _product(body, use.dims)
    if use.apply is None:
        return f"Site({use.owner!r}, size={count})"
    function = applied_function(body.model, use.apply)
    if shape_of(function) is not None:
        return _sum_text(body, use, function)
    factors = [_factors(body, use, function)]
    copies = _copies(body, use, function)
    labels = [f"labels=flat_code({size}, {', '.join(copies)})"] if copies else []
    if outputs is None:
        outputs = coordinates_of(function.type.codomain)
    for output in outputs:
        code = body.arranged(Code(f"jnp.arange({body.size(output)})", (output,)), use.dims)
        which = f"flat({code.text}, {size})"
        if is_field(function):  # the kernel itself knows of the coordinates
            factors.append(which)
        elif not is_tangent(function):  # whose waves have a value for each coordinate
            labels.append(f"output={which}")
    words = [f"({', '.join(factors)},)", *labels]
    operators = _operators(body, use, use.apply.function, function)
    if operators:
        words.append(f"operators=({', '.join(operators)},)")
    beside = f", {place}" if place else ""
    return f"Site({use.owner!r}, Points({', '.join(words)}), size={count}{beside})"


def weights_text(body: Body, function: ir.Function) -> tuple[str, str]:
    """The site of the weights of a function on a shape, and what it holds as an affine form."""
    size = f"{body.read(wave_names(function).frequencies)}.shape[0]"
    size += "".join(f" * {body.size(d)}" for d in copies_of(function))
    key = weights_name(function)
    form = f"Affine(0.0, (Term({key!r}),), shape=({size},))"
    return f"Site({function.name!r}, size={size})", form


def _wave_text(body: Body, function: ir.Function, kernel: str) -> str:
    names = wave_names(function)
    words = [kernel, body.read(names.frequencies), body.read(names.roughness)]
    if function.type.dims:
        words.append(f"labels={_product(body, function.type.dims)}")
    outputs = copies_of(function)[len(function.type.dims) :]
    words += [f"outputs={_product(body, outputs)}"] if outputs else []
    return f"wave_sd({', '.join(words)})"


def _sum_text(body: Body, use: SiteUse, function: ir.Function) -> str:
    """A site of a function on a shape: the waves at each of its points, and whose weights."""
    assert use.apply is not None
    dims, features = use.dims, _features_text(body, use, function, 0)
    size = body.shape(dims)
    words = [repr(use.owner), f"features={features}", f"size={_product(body, dims)}"]
    copies = _copies(body, use, function)
    for output in copies_of(function)[len(function.type.dims) :]:
        code = body.arranged(Code(f"jnp.arange({body.size(output)})", (output,)), dims)
        copies.append(f"({code.text}, {body.size(output)})")
    if copies:
        words.append(f"labels=flat_code({size}, {', '.join(copies)})")
    return f"Site({', '.join(words)})"


def _features_text(body: Body, use: SiteUse, function: ir.Function, position: int) -> str:
    """The waves of a shape at the rows of a site."""
    base, features = (
        base_dims(body.model, use, function, position),
        body.read(feature_name(body.structure, use, position)),
    )
    if base == use.dims:
        return features
    place = Code(f"jnp.arange({_product(body, base)}).reshape({body.shape(base)})", base)
    return f"{features}[flat({body.arranged(place, use.dims).text}, {body.shape(use.dims)})]"


def inducing_names(use: InducingUse) -> list[str]:
    """The names of the arguments that hold the inducing points of a function; none where they are
    those of a column."""
    if use.at is not None or use.images is not None:
        return []
    name = f"{use.function.name} inducing"
    words = [name if k == 0 else f"{name} {k + 1}" for k in range(len(_domain(use.function)))]
    words += [f"{name} copies"] if use.function.type.dims else []
    return words + ([f"{name} outputs"] if _outputs_of(use) else [])


def inducing_text(body: Body, use: InducingUse) -> str:
    """`Site(process, points, size, is_inducing=True)` of the inducing points of a function."""
    function = use.function
    outputs = _outputs_of(use)
    if use.images is not None:
        words = [images_name(body, use.images)]
        words += [f"copies={_product(body, function.type.dims)}"] if function.type.dims else []
        words += [f"outputs={_product(body, outputs)}"] if outputs else []
        return f"held_points({function.name!r}, {', '.join(words)})"
    if use.at is None:
        names = inducing_names(use)
        count = len(_domain(function))
        words = [f"({', '.join(body.read(n) for n in names[:count])},)"]
        extra = iter(names[count:])
        words += [f"labels={body.read(next(extra))}"] if function.type.dims else []
        words += [f"output={body.read(next(extra))}"] if outputs else []
        size = f"{body.read(names[0])}.shape[0]"
        return f"Site({function.name!r}, Points({', '.join(words)}), {size}, is_inducing=True)"
    code = body.value(use.at)
    own = use.at.type.coordinates
    rows = tuple(d for d in code.dims if d not in own)
    text = body.arranged(code, (*rows, *own)).text
    if not own and not isinstance(function.type.domain, Label):
        text = f"{text}[:, None]"
    words = [text]
    words += [f"copies={_product(body, function.type.dims)}"] if function.type.dims else []
    words += [f"outputs={_product(body, outputs)}"] if outputs else []
    return f"held_points({function.name!r}, {', '.join(words)})"


def images_name(body: Body, key: str) -> str:
    """The identifier of what a layer to `Real^inf` makes of its inducing points."""
    name = f"{key} images"
    return body.identifiers[name] if key in body.locals else body.read(name)


def _outputs_of(use: InducingUse) -> tuple[Dim, ...]:
    return () if use.is_layer else coordinates_of(use.function.type.codomain)


def _domain(function: ir.Function) -> tuple[Space, ...]:
    return domain_factors(function.type.domain)


def affine_text(body: Body, form: Affine, dims: Dims) -> str:
    """`Affine(constant, terms, shape)` of rows over `dims`."""
    shape = body.shape(dims)
    constant = "0.0"
    if form.constant is not None:
        code = body.arranged(body.value(form.constant), dims)
        constant = flat_text(body, code, dims)
    terms = [_term_text(body, t, dims) for t in form.terms]
    inside = ", ".join(terms) + ("," if len(terms) == 1 else "")
    text = f"Affine({constant}, ({inside}), shape={shape})"
    if len(text) < 76:
        return text
    lines = "".join(f"                {t},\n" for t in terms)
    inner = " " * 12
    return (
        f"Affine(\n{inner}{constant},\n{inner}(\n{lines}{inner}),\n{inner}shape={shape},\n        )"
    )


def index_text(body: Body, term: Term, dims: Dims) -> str | None:
    """Which values of its site a term reads, row by row; None where row i reads value i."""
    sums = body.order(term.sums)
    grid = (*dims, *sums)
    rows, over = body.shape(dims), body.shape(sums)
    if not sums and term.access == dims and term.site.dims == dims:
        return None
    codes = []
    for own, access in zip(term.site.dims, term.access, strict=True):
        code = (
            Code(f"jnp.arange({body.size(own)})", (access,))
            if isinstance(access, str)
            else body.value(access)
        )
        codes.append(f"({body.arranged(code, grid).text}, {body.size(own)})")
    whole = f"({rows[1:-1].rstrip(',')}{', ' if dims and sums else ''}{over[1:-1].rstrip(',')}"
    whole += ",)" if dims or sums else ")"
    index = f"flat_code({whole}, {', '.join(codes)})" if codes else f"flat(0, {whole})"
    if sums:
        index += f".reshape(-1, {_product(body, sums)})"
    return index


def flat_text(body: Body, code: Code, dims: Dims, full: bool = False) -> str:
    """A value over `dims` as a vector of its rows; a number stays one, unless `full`."""
    if code.dims == dims and len(dims) == 1:
        return code.inside(9)
    if not code.dims and not full:
        return code.text
    return f"flat({code.text}, {body.shape(dims)})"


def _term_text(body: Body, term: Term, dims: Dims) -> str:
    sums = body.order(term.sums)
    grid = (*dims, *sums)
    rows, over = body.shape(dims), body.shape(sums)
    words = [repr(term.site.key)]
    if term.coefficient is not None:
        code = body.arranged(body.value(term.coefficient), grid)
        if not code.dims:
            words.append(f"coefficient={code.text}")
        else:
            text = f"table({code.text}, {rows}, {over})" if sums else flat_text(body, code, dims)
            words.append(f"coefficient={text}")
    index = index_text(body, term, dims)
    if index is not None:
        words.append(f"index={index}")
    return f"Term({', '.join(words)})"


def _sides(space: Image) -> tuple[int, ...]:
    """Height and width of an image, and its channels where it has any."""
    sides = (space.height, space.width)
    return sides if space.channels is None else (*sides, space.channels)


# --- points ---------------------------------------------------------------------------------------


def _factors(body: Body, use: SiteUse, function: ir.Function) -> str:
    assert use.apply is not None
    shape = body.shape(use.dims)
    if not use.apply.point:
        return f"jnp.zeros(({_product(body, use.dims)}, 1))"
    words = []
    factors = domain_factors(function.type.domain)
    for position, (space, expr) in enumerate(zip(factors, use.apply.point, strict=True)):
        if isinstance(space, Shape):
            words.append(_features_text(body, use, function, position))
            continue
        code = body.value(expr)
        if is_infinite(space):
            text = body.arranged(code, (*use.dims, INFINITE), full=True).text
            words.append(f"vectors({text}, {shape}, {code.text}.shape[-1])")
        elif isinstance(space, Vector):
            own = _coordinate(space, expr)
            aligned = body.arranged(code, (*[d for d in use.dims if d != own], own))
            if own in use.dims:  # the gradient: its own dim varies over the rows
                dims = tuple(d for d in use.dims if d != own)
                place = use.dims.index(own)
                text = body.arranged(code, (*dims, own), full=True).text
                text = f"jnp.expand_dims({text}, {place})"
                words.append(f"vectors({text}, {shape}, {body.size(own)})")
            else:
                words.append(f"vectors({aligned.text}, {shape}, {body.size(own)})")
        elif isinstance(space, Label):
            words.append(flat_text(body, body.arranged(code, use.dims), use.dims, full=True))
        elif inside := coordinates_of(space):
            text = body.arranged(code, (*use.dims, *inside), full=True).text
            width = " * ".join(body.size(d) for d in inside)
            last = "" if len(inside) == 1 else f", axes={len(inside)}"
            words.append(f"vectors({text}, {shape}, {width}{last})")
        else:
            text = flat_text(body, body.arranged(code, use.dims), use.dims, full=True)
            words.append(f"{text}[:, None]")
    return ", ".join(words)


def _coordinate(space: Vector, expr: ir.Expr) -> Dim:
    if space.size in expr.type.dims:
        return space.size
    return expr.type.coordinates[-1]


def _copies(body: Body, use: SiteUse, function: ir.Function) -> list[str]:
    assert use.apply is not None
    reference = _reference(use.apply.function)
    looked = dict(reference.at)
    words = []
    for dim in function.type.dims:
        code = (
            body.value(looked[dim])
            if dim in looked
            else Code(f"jnp.arange({body.size(dim)})", (dim,))
        )
        words.append(f"({body.arranged(code, use.dims).text}, {body.size(dim)})")
    return words


def _reference(function: ir.FunctionExpr) -> ir.FunctionRef:
    while isinstance(function, ir.Derivative | ir.Laplacian | ir.Integral):
        function = function.of
    assert isinstance(function, ir.FunctionRef)
    return function


def _operators(
    body: Body, use: SiteUse, operator: ir.FunctionExpr, function: ir.Function
) -> list[str]:
    """The operators of a site, innermost first."""
    if isinstance(operator, ir.FunctionRef):
        return []
    assert isinstance(operator, ir.Derivative | ir.Laplacian | ir.Integral)
    inner = _operators(body, use, operator.of, function)
    shape, count = body.shape(use.dims), _product(body, use.dims)
    if isinstance(operator, ir.Laplacian):
        return [*inner, "Laplace()"]
    if isinstance(operator, ir.Integral):
        low, high = (
            body.arranged(body.value(e), use.dims).text for e in (operator.low, operator.high)
        )
        return [*inner, f"Integrate(flat({low}, {shape}), flat({high}, {shape}))"]
    factors = domain_factors(function.type.domain)
    factor = operator.factor or 0
    space = factors[factor]
    if operator.factor is None and len(factors) == 1 and isinstance(space, Vector):
        dim = space.size if space.size in use.dims else use.dims[-1]
        code = body.arranged(Code(f"jnp.arange({body.size(dim)})", (dim,)), use.dims)
        return [
            *inner,
            f"Directional(directions({code.text}, {body.size(dim)}, {shape}), factor=0)",
        ]
    width = body.size(space.size) if isinstance(space, Vector) else "1"
    place = operator.coordinate or 0
    return [
        *inner,
        f"Directional(jnp.tile(jnp.eye({width})[{place}], ({count}, 1)), factor={factor})",
    ]


# --- parameters -----------------------------------------------------------------------------------


def _argument(body: Body, value: ir.Expr, function: ir.Function) -> str:
    """A parameter of a kernel: one number, one for each coordinate, for each label, or both."""
    code = body.value(value)
    labels = [d for d in code.dims if d in function.type.dims]
    if not labels:
        return code.text
    rest = tuple(d for d in code.dims if d not in function.type.dims)
    wanted = (*function.type.dims, *rest)
    aligned = body.arranged(code, wanted, full=True)
    sizes = ", ".join(body.size(d) for d in function.type.dims)
    tail = ", ".join(body.size(d) for d in rest)
    shape = f"({sizes}{', ' if tail else ''}{tail},)"
    flat = f"(-1, {tail})" if rest else "-1"
    return f"PerLabel(jnp.broadcast_to({aligned.text}, {shape}).reshape({flat}))"


def _outputs(body: Body, function: ir.Function) -> str:
    (output,) = coordinates_of(function.type.codomain)
    if isinstance(function.outputs, ir.Kernel):
        kernel = kernel_text(body, function.outputs, function)
        return f"label_matrix({kernel}, {body.size(output)})"
    assert isinstance(function.outputs, ir.Expr)
    return body.value(function.outputs).text


def _product(body: Body, dims: Dims) -> str:
    return " * ".join(body.size(d) for d in dims) or "1"
