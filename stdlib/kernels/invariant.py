"""The word for kernels averaged over a group; the mathematics is in `mercer.stdlib.averaged`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mercer.stdlib.entry import KernelEntry, Parameter


@dataclass(frozen=True)
class GroupMean:
    """`Invariant(RBF(), over="SO(2)")` makes a kernel out of a kernel."""

    entry: KernelEntry

    def __call__(self, kernel: Any, **arguments: Any) -> Any:
        """The kernel averaged over the group `over`; the arguments are those of the entry, and
        `image`, the sides of the images that are its points."""
        from mercer.stdlib.averaged import Averaged

        samples = int(arguments.pop("samples", 8))
        return Averaged(kernel, samples=samples, **arguments)


Invariant = GroupMean(
    KernelEntry(
        "Invariant",
        (
            Parameter("kernel", "Kernel", None, True, structural=True, doc="what is averaged"),
            Parameter("over", "Group", None, True, structural=True, doc="such as SO(2)"),
            Parameter("angle", "Positive", math.pi, False, doc="rotations by at most so much"),
            Parameter("strain", "Positive", 0.25, False, doc="stretches by at most exp(strain)"),
            Parameter("samples", "Count", 8.0, False, structural=True, doc="of the group"),
        ),
        "Functions that do not change under a group: a kernel averaged over it, of images about "
        "their middle, or of points about the origin. `angle` and `strain`, the range of the "
        "transformations, may be unknown.",
        None,
        "sum_ij w_i w_j k(g_i x, g_j z)",
        math.inf,
        "vector",
    )
)
