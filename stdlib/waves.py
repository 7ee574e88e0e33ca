"""A kernel and the frequencies of a shape into the standard deviations of its waves' weights.

A field on a shape is sum_k weight_k wave_k(x), where wave k has the frequency (eigenvalue of the
Laplacian) lambda_k and the weights are independent. A kernel says how their variances fall with
frequency; each part of it is scaled so that the mean variance of the field over the shape, in each
coordinate, is scale^2 (Borovitskiy et al. 2020, 2021), for any number of waves or points.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from mercer.stdlib.algebra import Kernel, Leaf, PerLabel, Scaled, Sum

_NULL = 1e-9
"""Frequencies below this share of the largest are 0 but for rounding."""


def wave_sd(
    kernel: Kernel,
    frequencies: Float[Array, " k"],
    roughness: Any = 0.0,
    *,
    labels: int = 1,
    outputs: int = 1,
) -> Float[Array, " p"]:
    """Standard deviations of the weights of `labels` copies of a function with `outputs`
    coordinates each, p = labels * outputs * k, the waves running fastest.

    ValueError: a kernel that is not diagonal in the waves (a product or a power of kernels).
    """
    variances = _variances(kernel, jnp.asarray(frequencies), roughness)
    # The root has no derivative at 0, where a wave takes no part whatever the arguments are.
    own = jnp.where(variances > 0, jnp.sqrt(jnp.where(variances > 0, variances, 1.0)), 0.0)
    shape = (labels, outputs, len(frequencies))
    return jnp.broadcast_to(own[:, None, :], shape).reshape(-1)


def log_matern(frequencies: Any, roughness: Any, lengthscale: Any, smoothness: float) -> Any:
    """log (lambda + 2 nu / lengthscale^2)^-(nu + roughness), but for a constant."""
    rate = 2.0 * smoothness / jnp.square(lengthscale)
    return -(smoothness + roughness) * jnp.log(frequencies + rate)


def log_heat(frequencies: Any, time: Any) -> Any:
    """log exp(-time lambda)."""
    return -time * frequencies


def log_intrinsic(frequencies: Any) -> Any:
    """log 1 / lambda where lambda is not 0: the Moore-Penrose inverse of the Laplacian."""
    is_null = frequencies <= _NULL * frequencies[-1]
    return jnp.where(is_null, -jnp.inf, -jnp.log(jnp.where(is_null, 1.0, frequencies)))


def _variances(kernel: Kernel, frequencies: Array, roughness: Any) -> Array:
    """[labels or 1, k]."""
    match kernel:
        case Sum(parts):
            found = [_variances(part, frequencies, roughness) for part in parts]
            return sum(found[1:], found[0])
        case Scaled(factor, inner):
            return _column(factor) * _variances(inner, frequencies, roughness)
        case Leaf(word, arguments) if word.spectrum is not None:
            columns = {name: _column(value) for name, value in arguments.items()}
            settings = {**columns, **dict(kernel.structural)}
            logs = word.spectrum(settings, frequencies, roughness)
            shares = jax.nn.softmax(jnp.atleast_2d(logs), axis=1)
            return jnp.square(columns["scale"]) * shares
        case _:
            raise ValueError(f"kernel: {kernel!r} is not diagonal in the waves of a shape")


def _column(argument: Any) -> Any:
    """An argument as a column: of each label, or one for all."""
    values = argument.values if isinstance(argument, PerLabel) else argument
    return jnp.reshape(jnp.asarray(values, float), (-1, 1))
