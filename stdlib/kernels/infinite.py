"""Two sets of inputs, or their inner products, into covariances of infinitely wide networks."""

from __future__ import annotations

from typing import Any

from mercer.stdlib.entry import Parameter
from mercer.stdlib.kernels.word import kernel, lengthscale
from mercer.stdlib.lazy import LazyModule, jnp

distance: Any = LazyModule("mercer.stdlib.distance")
infinite: Any = LazyModule("mercer.stdlib.infinite")

ACTIVATIONS = (
    *("relu", "erf", "sin", "gelu"),
    *("tanh", "logistic", "softplus", "cos", "exp", "silu"),
)
"""What a wide network may have: the first four in closed form, the others by quadrature."""

_NETWORK = (
    Parameter("depth", "Count", 2.0, False, structural=True, least=1.0, doc="hidden layers"),
    Parameter(
        "activation",
        "Text",
        "relu",
        False,
        structural=True,
        choices=ACTIVATIONS,
        doc=", ".join(ACTIVATIONS),
    ),
    Parameter("weight_variance", "Positive", 2.0, False, doc="of a weight, times its inputs"),
    Parameter("bias_variance", "Real", 0.0, False, least=0.0, doc="of a bias"),
)


@kernel(
    Parameter(
        "order", "Count", 1.0, False, structural=True, choices=("0", "1"), doc="0 steps, 1 ReLU"
    ),
    lengthscale("the unit in which inputs are measured"),
    formula="scale^2 |x| |z| (1 - angle / pi), order 1: "
    "scale^2 |x| |z| (sin(angle) + (pi - angle) cos(angle)) / pi",
    smoothness=0,
    gram=True,
)
def ArcCosine(a: Any, b: Any) -> Any:
    """A wide layer of steps (order 0) or ReLUs (1), of the variance |x|^2 (Cho & Saul 2009)."""
    k12, k11, k22 = distance.products(a.x / a.lengthscale, b.x / b.lengthscale)
    if int(a.order) == 0:
        return infinite.root(k11 * k22) * 2.0 * infinite.step(k12, k11, k22)
    return 2.0 * infinite.relu(k12, k11, k22)


@kernel(
    formula="scale^2 |x| |z| exp(cos(angle) - 1)",
    smoothness=0,
    gram=True,
)
def NormalisedGaussian(a: Any, b: Any) -> Any:
    """Smooth functions of the direction of an input, of the variance |x|^2."""
    k12, k11, k22 = distance.products(a.x, b.x)
    size = infinite.root(k11 * k22)
    return size * jnp.exp(k12 / jnp.where(size > 0, size, 1.0) - 1.0)


@kernel(
    *_NETWORK,
    formula="scale^2 * K_depth, K_0 = bias_variance + weight_variance x.z / d, "
    "K_l = bias_variance + weight_variance E[phi(u) phi(v)], (u, v) ~ N(0, K_(l-1))",
    smoothness=0,
    gram=True,
)
def NNGP(a: Any, b: Any) -> Any:
    """An infinitely wide Bayesian network (Neal 1996; Lee et al. 2018)."""
    return _network(a, b)[0]


@kernel(
    *_NETWORK,
    formula="scale^2 * T_depth, T_0 = K_0, "
    "T_l = K_l + weight_variance E[phi'(u) phi'(v)] T_(l-1), K as of NNGP",
    smoothness=0,
    gram=True,
)
def NTK(a: Any, b: Any) -> Any:
    """An infinitely wide network trained by gradient descent (Jacot et al. 2018)."""
    return _network(a, b)[1]


def _network(a: Any, b: Any) -> Any:
    size = a.x.shape[-1]
    k12, k11, k22 = (k / size for k in distance.products(a.x, b.x))
    return infinite.network(
        k12,
        k11,
        k22,
        depth=int(a.depth),
        activation=a.activation,
        weight_variance=a.weight_variance,
        bias_variance=a.bias_variance,
    )
