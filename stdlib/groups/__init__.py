"""Names of matrix groups into their elements, products, coordinates, Haar measures and samples.

from mercer.stdlib.groups import GL2, Affine
"""

from mercer.stdlib.groups.affine import Affine, AffineElement
from mercer.stdlib.groups.elements import GL2, SL2, SO2, SO3, Group, Scalings, named
from mercer.stdlib.groups.samples import Sampled, sampled

__all__ = [
    "GL2",
    "SL2",
    "SO2",
    "SO3",
    "Affine",
    "AffineElement",
    "Group",
    "Sampled",
    "Scalings",
    "named",
    "sampled",
]
