"""The rules of smoothness: how many mean-square derivatives a kernel allows."""

from __future__ import annotations

import math
from collections.abc import Callable

from mercer.compiler import typed as ir
from mercer.compiler.rules_defaults import DefaultRules
from mercer.dsl.span import Span
from mercer.stdlib import catalog


class SmoothnessRules(DefaultRules):
    def smoothness(
        self, kernel: ir.Kernel | None, wanted: int | None
    ) -> tuple[float, str, Span | None]:
        """How many mean-square derivatives the function has along a factor, and what limits it."""
        match kernel:
            case ir.KernelCall(span, name, arguments, factor, coordinates):
                if wanted is not None and factor is not None and factor != wanted:
                    return math.inf, name, span
                if (
                    wanted is not None
                    and factor is None
                    and wanted not in (coordinates or (wanted,))
                ):
                    return math.inf, name, span
                if kernel.inner:  # a mean over a group is as smooth as what it is of
                    return self.smoothness(kernel.inner[0], wanted)
                entry = catalog.kernels()[name]
                if entry.input == "field":  # of first derivatives
                    least = min((self.smoothness(k, None) for k in kernel.inner), key=_first)
                    return least[0] - 1, least[1], least[2]
                of: Callable[[dict[str, float]], float] | None = entry.smoothness_of
                if of is not None:
                    numbers = {
                        n: a.value for n, a in arguments.items() if isinstance(a, ir.Constant)
                    }
                    return of(numbers), name, span
                return entry.smoothness, name, span
            case ir.KernelSum(_, parts) | ir.KernelProduct(_, parts):
                return min((self.smoothness(p, wanted) for p in parts), key=_first)
            case ir.KernelScaled(_, _, inner) | ir.KernelPower(_, inner):
                return self.smoothness(inner, wanted)
            case _:
                return math.inf, "", None

    def check_derivatives(self) -> None:
        for found in self.derivatives:
            counts: dict[int | None, int] = {}
            inside: ir.FunctionExpr = found
            while isinstance(inside, ir.Derivative | ir.Laplacian):
                factor = inside.factor if isinstance(inside, ir.Derivative) else None
                counts[factor] = counts.get(factor, 0) + 1 + isinstance(inside, ir.Laplacian)
                inside = inside.of
            if not isinstance(inside, ir.FunctionRef) or inside.name not in self.functions:
                continue
            function = self.functions[inside.name]
            for factor, count in counts.items():
                needed = count if factor is None else count + counts.get(None, 0)
                have, name, span = self.smoothness(function.kernel, factor)
                if have < needed:
                    what = "the Laplacian" if isinstance(found, ir.Laplacian) else "the derivative"
                    times = {0: "no derivative", 1: "one derivative"}.get(
                        int(have), f"{have:g} derivatives"
                    )
                    smoother = "Matern52" if needed <= 2 else "RBF"
                    self.problems.report(
                        "M227",
                        f"`{inside.name}` is too rough for {what}",
                        found.span,
                        why=f"A function with the kernel `{name}` has {times} in mean square, "
                        f"and {needed} {'is' if needed == 1 else 'are'} needed.",
                        mend=f"use a smoother kernel, such as `{smoother}`",
                        notes=((span, f"the kernel of `{inside.name}`"),) if span else (),
                    )
                    break


def _first(found: tuple[float, str, Span | None]) -> float:
    return found[0]
