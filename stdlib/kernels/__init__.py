"""Names of kernels into their constructors: `from mercer.stdlib.kernels import RBF`.

Importing this package does not import JAX; making a kernel does.
"""

from mercer.stdlib.kernels.dot import Brownian, Constant, Linear, Polynomial
from mercer.stdlib.kernels.flows import CurlFree, DivergenceFree, FieldWord, Helmholtz
from mercer.stdlib.kernels.infinite import NNGP, NTK, ArcCosine, NormalisedGaussian
from mercer.stdlib.kernels.invariant import GroupMean, Invariant
from mercer.stdlib.kernels.labels import Coregion
from mercer.stdlib.kernels.shapes import (
    NO_COVARIANCES,
    Communicability,
    CommuteTime,
    Heat,
    Intrinsic,
    RegularisedLaplacian,
)
from mercer.stdlib.kernels.stationary import (
    RBF,
    Cosine,
    Matern,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    RationalQuadratic,
    SpectralMixture,
    White,
)
from mercer.stdlib.kernels.word import Word

WORDS: tuple[Word | GroupMean, ...] = (
    RBF,
    Matern12,
    Matern32,
    Matern52,
    Matern,
    RationalQuadratic,
    Periodic,
    Cosine,
    SpectralMixture,
    Linear,
    Polynomial,
    White,
    Constant,
    Brownian,
    ArcCosine,
    NormalisedGaussian,
    NNGP,
    NTK,
    Coregion,
    Invariant,
)
"""The kernels that run, in the order in which a manual should show them."""

SHAPE_WORDS: tuple[Word, ...] = (
    Heat,
    Intrinsic,
    CommuteTime,
    RegularisedLaplacian,
    Communicability,
)
"""Those that run on surfaces and graphs only."""

FIELD_WORDS: tuple[FieldWord, ...] = (DivergenceFree, CurlFree, Helmholtz)
"""Those of vector fields on a flat domain, made of kernels of potentials."""

__all__ = [
    "FIELD_WORDS",
    "NNGP",
    "NO_COVARIANCES",
    "NTK",
    "RBF",
    "SHAPE_WORDS",
    "WORDS",
    "ArcCosine",
    "Brownian",
    "Communicability",
    "CommuteTime",
    "Constant",
    "Coregion",
    "Cosine",
    "CurlFree",
    "DivergenceFree",
    "FieldWord",
    "Heat",
    "Helmholtz",
    "Intrinsic",
    "Invariant",
    "Linear",
    "Matern",
    "Matern12",
    "Matern32",
    "Matern52",
    "NormalisedGaussian",
    "Periodic",
    "Polynomial",
    "RationalQuadratic",
    "RegularisedLaplacian",
    "SpectralMixture",
    "White",
    "Word",
]
