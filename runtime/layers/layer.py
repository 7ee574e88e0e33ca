"""The settings of an equivariant layer into what its integrals are taken over.

A kernel lives within `radius` cells of the grid that it reads, in its own coordinates; an element
of the group stretches it, so that on the grid it may reach further.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mercer.stdlib.groups import Sampled, sampled
from mercer.stdlib.groups.samples import SPREAD


@dataclass(frozen=True)
class Layer:
    """`samples` elements of `group`, a function of `seed`, at each cell of the grid that it makes:
    one for `stride` cells of the grid that it reads, each way.

    `spread`: how far the strains of the samples reach; `angle`: how far their rotations. `radius`:
    how far the kernel does, in cells.
    """

    group: str
    samples: int
    seed: int
    radius: float = 2.0
    stride: int = 1
    spread: float = SPREAD
    angle: float = math.pi

    @property
    def sampled(self) -> Sampled:
        return sampled(self.group, self.samples, self.seed, self.spread, self.angle)

    def offsets(self) -> np.ndarray:
        """Where the kernel reads, from the middle of a cell that it makes: [k, k, 2] as (x, y).

        Whole cells for an odd stride, and half ones for an even stride: always as far to one side
        as to the other, so that the grid's own symmetries are kept.
        """
        elements = self.sampled.elements
        reach = self.radius * np.linalg.norm(elements, ord=2, axis=(1, 2)).max()
        is_even = self.stride % 2 == 0
        steps = int(np.floor(reach + 0.5)) if is_even else int(np.floor(reach))
        along = np.arange(-steps, steps) + 0.5 if is_even else np.arange(-steps, steps + 1.0)
        rows, columns = np.meshgrid(along, along, indexing="ij")
        return np.stack([columns, -rows], axis=-1)

    def window(self, points: np.ndarray) -> np.ndarray:
        """The factor that takes the kernel to 0 at its radius, at points in its own coordinates."""
        square = np.sum(points**2, axis=-1) / self.radius**2
        return np.maximum(1.0 - square, 0.0) ** 2

    @property
    def size(self) -> float:
        """The sum of the squares of the window over the cells: a kernel of independent numbers has
        so many of them."""
        return float(np.sum(self.window(self.offsets()) ** 2))
