"""Structure -> the random waves that functions are sums of, where the model asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from mercer.compiler import typed as ir
from mercer.compiler.curved import domain_factors, factor_seen
from mercer.compiler.sizes import functions_of
from mercer.compiler.structure import Structure, moving_point
from mercer.compiler.walk import nodes
from mercer.dsl.spaces import Image, Label, Real, Shape, is_homogeneous

WAVED = (
    *("RBF", "Matern12", "Matern32", "Matern52", "Matern"),
    *("RationalQuadratic", "SpectralMixture", "Cosine"),
)
"""The kernels whose spectral densities `mercer.runtime.engines.fourier` draws from."""

USUAL, USUAL_KIND = 512, "orthogonal"


@dataclass(frozen=True)
class WavesUse:
    """`count`: features of each part of a sum; `kind`: how the directions of waves are drawn."""

    count: int
    kind: str


def waves_asked(structure: Structure) -> WavesUse | None:
    """What the model asks for; None where it does not."""
    for directive in structure.asked.engines.values():
        if directive.method == "Features":
            count, kind = (directive.settings.get(word) for word in ("count", "kind"))
            return WavesUse(
                int(count.value) if isinstance(count, ir.Constant) else USUAL,
                kind.value if isinstance(kind, ir.Text) else USUAL_KIND,
            )
    return None


def why_no_waves(structure: Structure) -> str | None:
    """Why the functions of a block are no sums of random waves; None where they are."""
    if waves_asked(structure) is None:
        return "it is only taken where it is asked for"
    functions = functions_of(structure)
    if not functions:
        return "it has no random function of numbers"
    for function in functions:
        spaces = (function.type.domain, *domain_factors(function.type.domain))
        if function.type.dims or not isinstance(function.type.codomain, Real):
            return f"`{function.name}` has several copies or outputs"
        if any(isinstance(s, Shape | Image | Label) or is_homogeneous(s) for s in spaces):
            return f"`{function.name}` is no function of numbers alone"
        for node in nodes(function.kernel):
            if isinstance(node, ir.KernelComposed):
                return f"the kernel of `{function.name}` is one of inner products"
            if isinstance(node, ir.KernelCall) and (
                node.entry not in WAVED or is_homogeneous(factor_seen(function, node))
            ):
                return f"the kernel `{node.entry}` of `{function.name}` has no spectral density"
    for use in structure.sites.values():
        if use.owner in structure.block and use.apply is not None:
            if not isinstance(use.apply.function, ir.FunctionRef):
                return f"`{use.key}` is no value of the function itself"
    if key := moving_point(structure):
        return f"the points of `{key}` are unknown"
    return None


def columns_of(structure: Structure) -> int:
    """Features of all functions of a block together."""
    asked = waves_asked(structure)
    assert asked is not None
    return asked.count * sum(_parts(f.kernel) for f in functions_of(structure) if f.kernel)


def waves_text(structure: Structure) -> str:
    """What the plan says of them."""
    asked = waves_asked(structure)
    assert asked is not None
    return (
        f"Each is a sum of {asked.count // 2} random waves for each part of its kernel "
        f"({asked.kind}), drawn once: an approximation, of which nothing says how good it is. More "
        f"of them help, `infer NAME by Features(count = {2 * asked.count})`."
    )


def _parts(kernel: ir.Kernel) -> int:
    """Parts of which each has waves of its own."""
    match kernel:
        case ir.KernelSum(_, parts):
            return sum(map(_parts, parts))
        case ir.KernelProduct(_, parts):
            total = 1
            for part in parts:
                total *= _parts(part)
            return total
        case ir.KernelScaled(_, _, inner):
            return _parts(inner)
        case ir.KernelPower(_, inner, exponent):
            return int(_parts(inner) ** exponent)
        case ir.KernelCall():
            count = kernel.arguments.get("q")
            return int(count.value) if isinstance(count, ir.Constant) else 1
        case _:
            return 1
