"""Circles, spheres and rotations in a domain: which kernel sees them, and what of it is left out.

Kernels there are functions of an angle (`mercer.stdlib.homogeneous`); around a circle most have a
closed form, elsewhere they are sums over waves up to a degree.
"""

from __future__ import annotations

from collections.abc import Iterator

from mercer.compiler import typed as ir
from mercer.compiler.walk import nodes
from mercer.dsl.spaces import Circle, Group, Product, Space, Sphere, is_homogeneous
from mercer.stdlib.spaces import DEGREES


def domain_factors(domain: Space) -> tuple[Space, ...]:
    """The factors of a domain: itself, where it is no product."""
    return domain.factors if isinstance(domain, Product) else (domain,)


def factor_seen(function: ir.Function, kernel: ir.KernelCall) -> Space:
    """The factor of the domain that a kernel sees; the whole of it, where it sees all."""
    domain = function.type.domain
    if kernel.factor is not None and isinstance(domain, Product):
        return domain.factors[kernel.factor]
    return domain


def curved_text(space: Space) -> str:
    """A circle, a sphere or rotations, as the library has them; "" for any other space."""
    match space:
        case Circle(period):
            return f"Circle({period!r})"
        case Sphere(dimension):
            return f"Sphere({dimension})"
        case Group(_, degree) if is_homogeneous(space):
            return f"Rotations({degree})"
        case _:
            return ""


def curved_sentences(model: ir.TypedModel) -> Iterator[str]:
    """What `explain` says of the kernels that are sums over waves."""
    for name, function in model.functions.items():
        for kernel in nodes(function):
            if not isinstance(kernel, ir.KernelCall):
                continue
            space = factor_seen(function, kernel)
            if is_homogeneous(space) and not _is_closed(space, kernel):
                yield (
                    f"{name} sums the waves of `{space}` up to degree {DEGREES}; what varies over "
                    f"less than {180 / DEGREES:.1f} degrees is left out, and these have all its "
                    "variance."
                )


def _is_closed(space: Space, kernel: ir.KernelCall) -> bool:
    """Whether no wave is left out."""
    if kernel.entry in ("White", "Constant"):
        return True
    if not isinstance(space, Circle):
        return False
    nu = kernel.arguments.get("nu")
    return not isinstance(nu, ir.Constant) or nu.value in (0.5, 1.5, 2.5)
