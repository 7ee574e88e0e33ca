"""Points into the values of a kernel there: a small network of sines (Sitzmann et al. 2020).

    z_1 = sin(omega W_1 x / sqrt(3 d) + b_1),  z_l = sin(sqrt(2) W_l z_(l-1) / sqrt(fan in) + b_l)
    k(x) = sqrt(2) W z / sqrt(fan in)

With weights of unit size, as their prior `Normal(0, 1)` has them, every layer gets values of unit
size, and the first one waves of all frequencies up to about omega over the unit ball.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

FREQUENCY = 10.0

Weights = Sequence[tuple[Array, ...]]
"""Of each layer the weights [inside, outside] and the bias [outside]; last ([inside, *values],)."""


def coordinate_network(points: Float[Array, "... d"], weights: Weights) -> Array:
    """The values at each point, [..., *values]."""
    *hidden, (last,) = weights
    value = points
    for number, (matrix, bias) in enumerate(hidden):
        size = matrix.shape[0]
        factor = FREQUENCY / (3.0 * size) ** 0.5 if number == 0 else (2.0 / size) ** 0.5
        value = jnp.sin(factor * (value @ matrix) + bias)
    return (2.0 / last.shape[0]) ** 0.5 * jnp.tensordot(value, last, axes=1)
