"""Inner products of inputs into those of an infinitely wide layer: E[phi(u) phi(v)] and its slopes.

(u, v) are Normal with mean 0, variances `k11`, `k22` and covariance `k12`. Cho & Saul (2009); Lee
et al. (2018); Jacot, Gabriel & Hongler (2018); Han et al. (2022). Angles are by atan2, which is
exact where two inputs are nearly parallel; roots have the slope 0 where they vanish.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.stdlib.roots import root

_DEGREE = 25  # of the Gauss-Hermite quadrature: smooth activations to six digits and better

Expectation = Callable[[Any, Any, Any], Array]


class Activation(NamedTuple):
    """`values`: E[phi(u) phi(v)] of (k12, k11, k22); `slopes`: E[phi'(u) phi'(v)]."""

    values: Expectation
    slopes: Expectation


def network(k12: Any, k11: Any, k22: Any, *, depth: int, activation: str, weight_variance: Any,
            bias_variance: Any) -> tuple[Array, Array]:  # fmt: skip
    """Covariances of a network's outputs at the start (NNGP), and its tangent kernel (NTK).

    `k12`, `k11`, `k22`: inner products of inputs, over their dimension. `depth` hidden layers.
    """
    phi = activation_of(activation)

    def layer(v: Any) -> Any:
        return bias_variance + weight_variance * v

    k12, k11, k22 = layer(k12), layer(k11), layer(k22)
    tangent = k12
    for _ in range(depth):
        slope = phi.slopes(k12, k11, k22)
        inner = phi.values(k12, k11, k22)
        k11, k22 = layer(phi.values(k11, k11, k11)), layer(phi.values(k22, k22, k22))
        k12 = layer(inner)
        tangent = k12 + weight_variance * slope * tangent
    return k12, tangent


def activation_of(name: str) -> Activation:
    """The expectations of an activation: closed forms where there are, else by quadrature."""
    if name in CLOSED:
        return CLOSED[name]
    return _by_quadrature(SMOOTH[name])


# --- closed forms ---------------------------------------------------------------------------------


def _angle(k12: Any, k11: Any, k22: Any) -> tuple[Array, Array]:
    """sqrt(k11 k22 - k12^2), and the angle between two inputs."""
    sine = root(jnp.maximum(k11 * k22 - k12**2, 0.0))
    return sine, jnp.arctan2(sine, k12)


@jax.custom_jvp
def relu(k12: Any, k11: Any, k22: Any) -> Array:
    """E[max(u, 0) max(v, 0)]."""
    sine, angle = _angle(k12, k11, k22)
    return (sine + (math.pi - angle) * k12) / (2.0 * math.pi)


@relu.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The slopes of root and angle at parallel inputs, infinite one by one, cancel.
    (k12, k11, k22), (d12, d11, d22) = primals, tangents
    sine, angle = _angle(k12, k11, k22)
    left, right = (
        jnp.where(k > 0, sine / (2.0 * jnp.where(k > 0, k, 1.0)), 0.0) for k in (k11, k22)
    )
    change = (math.pi - angle) * d12 + left * d11 + right * d22
    return relu(k12, k11, k22), change / (2.0 * math.pi)


def step(k12: Any, k11: Any, k22: Any) -> Array:
    """P(u > 0, v > 0)."""
    return (math.pi - _angle(k12, k11, k22)[1]) / (2.0 * math.pi)


def _erf(k12: Any, k11: Any, k22: Any) -> Array:
    size = jnp.sqrt((1.0 + 2.0 * k11) * (1.0 + 2.0 * k22))
    # asin by atan2, for the same reason as angles.
    inside = 2.0 * k12
    return (2.0 / math.pi) * jnp.arctan2(inside, jnp.sqrt(jnp.maximum(size**2 - inside**2, 0.0)))


def _erf_slopes(k12: Any, k11: Any, k22: Any) -> Array:
    return (4.0 / math.pi) / jnp.sqrt((1.0 + 2.0 * k11) * (1.0 + 2.0 * k22) - 4.0 * k12**2)


def _sin(k12: Any, k11: Any, k22: Any) -> Array:
    middle = 0.5 * (k11 + k22)
    return 0.5 * (jnp.exp(k12 - middle) - jnp.exp(-k12 - middle))


def _sin_slopes(k12: Any, k11: Any, k22: Any) -> Array:
    middle = 0.5 * (k11 + k22)
    return 0.5 * (jnp.exp(k12 - middle) + jnp.exp(-k12 - middle))


def _gelu(k12: Any, k11: Any, k22: Any) -> Array:
    size, sine, angle = _gelu_parts(k12, k11, k22)
    first = (k12**2 + k11 * k22 * sine**2) / (size * sine) + k12 * angle
    return first / (2.0 * math.pi) + 0.25 * k12


def _gelu_slopes(k12: Any, k11: Any, k22: Any) -> Array:
    size, sine, angle = _gelu_parts(k12, k11, k22)
    first = (1.0 / sine**2 + (1.0 - k11 * k22) / size + 1.0) * k12 / (2.0 * math.pi * sine)
    return first + 0.25 + angle / (2.0 * math.pi)


def _gelu_parts(k12: Any, k11: Any, k22: Any) -> tuple[Array, Array, Array]:
    size = (1.0 + k11) * (1.0 + k22)
    sine = jnp.sqrt(size - k12**2)  # at least 1
    return size, sine, jnp.arctan2(k12, sine)


CLOSED = {
    "relu": Activation(relu, step),
    "erf": Activation(_erf, _erf_slopes),
    "sin": Activation(_sin, _sin_slopes),
    "gelu": Activation(_gelu, _gelu_slopes),
}

SMOOTH: dict[str, Callable[[Any], Array]] = {
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "cos": jnp.cos,
    "exp": jnp.exp,
    "silu": jax.nn.silu,
}
"""Activations whose expectations are taken by quadrature; one with a kink is none of them."""


# --- quadrature -----------------------------------------------------------------------------------


def _by_quadrature(phi: Callable[[Any], Array]) -> Activation:
    slope = jax.vmap(jax.grad(phi))

    def expectation(function: Callable[[Any], Array]) -> Expectation:
        def of(k12: Any, k11: Any, k22: Any) -> Array:
            nodes, weights = _hermite()
            first, second = root(k11), root(k22)
            cosine = k12 / jnp.where(first * second > 0, first * second, 1.0)
            # Alike for both inputs, u, v = sd (plus z +- minus w): the value is symmetric.
            plus, minus = (root(jnp.clip(0.5 + s * 0.5 * cosine, 0.0, 1.0)) for s in (1.0, -1.0))

            @jax.checkpoint  # what a node needs again is cheaper to compute than to keep
            def add(total: Array, node: Array) -> tuple[Array, None]:
                z, weight = node
                left, right = (
                    plus[..., None] * z + sign * minus[..., None] * nodes for sign in (1.0, -1.0)
                )
                values = function(first[..., None] * left) * function(second[..., None] * right)
                return total + weight * (values @ weights), None

            zero = jnp.zeros(jnp.shape(cosine))
            total, _ = jax.lax.scan(add, zero, (jnp.asarray(nodes), jnp.asarray(weights)))
            return total

        return of

    def slopes(x: Any) -> Array:
        x = jnp.asarray(x)
        return slope(x.reshape(-1)).reshape(x.shape)

    return Activation(expectation(phi), expectation(slopes))


@cache
def _hermite() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_DEGREE)
    return nodes, weights / math.sqrt(2.0 * math.pi)
