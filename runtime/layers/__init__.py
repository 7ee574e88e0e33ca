"""Equivariant layers of an emitted program: images into feature maps, and these into features."""

from mercer.runtime.layers.fields import (
    by_rows,
    convolve,
    lift,
    normalized,
    peak,
    pooled,
)
from mercer.runtime.layers.layer import Layer

__all__ = ["Layer", "by_rows", "convolve", "lift", "normalized", "peak", "pooled"]
