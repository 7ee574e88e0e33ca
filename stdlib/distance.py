"""Two sets of inputs into squared distances and inner products, and Matern functions of these.

Every function takes two sets, x [n, d] and z [m, d], to a matrix [n, m], or two single points [d]
to a number; the latter is what derivatives go through, exact and finite where x = z.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

# Up to so many coordinates, differences are formed one coordinate at a time: as fast as a matrix
# product, and without its cancellation. Beyond, reverse mode would pass over [n, m] too often.
_FEW_COORDINATES = 2


class Products:
    """Inputs of which only inner products are known, as one of the two sides that meet: `own` |x|^2
    of its points, [n] or a number, and `cross`, those with the points of the other side, [n, m]."""

    def __init__(self, own: Any, cross: Any, factor: Any = 1.0) -> None:
        self.own, self.cross, self.factor = own, cross, factor

    shape = (1,)  # of an input, as far as averages over coordinates go

    def __mul__(self, factor: Any) -> Products:
        return Products(self.own, self.cross, self.factor * factor)

    def __truediv__(self, factor: Any) -> Products:
        return Products(self.own, self.cross, self.factor / factor)

    def __sub__(self, centre: Any) -> Products:
        if isinstance(centre, int | float) and centre == 0:
            return self
        raise ValueError("centre: inputs after `Real^inf` have no coordinates, only 0 is one")


def products(x: Any, z: Any) -> tuple[Array, Array, Array]:
    """x.z [n, m], |x|^2 [n, 1] and |z|^2 [m]; numbers, of two points."""
    if isinstance(x, Products):
        own, other = x.factor**2 * x.own, z.factor**2 * z.own
        cross = x.factor * z.factor * x.cross
    else:
        own, other, cross = jnp.sum(x**2, axis=-1), jnp.sum(z**2, axis=-1), inner(x, z)
    return cross, own[:, None] if jnp.ndim(own) else own, other


def squared(x: Float[Array, "*n d"], z: Float[Array, "*m d"]) -> Float[Array, ...]:
    """|x_i - z_j|^2, never through an array [n, m, d].

    Sets of more than two coordinates go through a matrix product, after moving their centre to 0.
    What rounding cannot tell from 0 is 0: the root of 1e-16 would be 1e-8, which a kernel of the
    distance itself (Matern12) would show.
    """
    if isinstance(x, Products):
        cross, own, other = products(x, z)
        return _snapped(own + other - 2.0 * cross, 8.0 * jnp.finfo(float).eps * (own + other))
    if x.ndim == 1:
        return jnp.sum((x - z) ** 2)
    if x.shape[-1] <= _FEW_COORDINATES:
        terms = [(x[:, j, None] - z[:, j]) ** 2 for j in range(x.shape[-1])]
        return sum(terms[1:], terms[0])
    centre = jax.lax.stop_gradient(jnp.mean(z, axis=0))
    x, z = x - centre, z - centre
    norms = jnp.sum(x**2, axis=-1)[:, None] + jnp.sum(z**2, axis=-1)
    return _snapped(norms - 2.0 * (x @ z.T), 8.0 * jnp.finfo(norms.dtype).eps * norms)


def inner(x: Float[Array, "*n d"], z: Float[Array, "*m d"]) -> Float[Array, ...]:
    """The inner products of points."""
    if isinstance(x, Products):
        return products(x, z)[0]
    return x @ z.T if x.ndim == 2 else jnp.dot(x, z)


def columns(x: Float[Array, "*n 1"], z: Float[Array, "*m 1"]) -> tuple[Array, Array]:
    """Numbers that meet in an [n, m] matrix: those of x down its rows, those of z along."""
    return (x[:, 0, None], z[:, 0]) if x.ndim == 2 else (x[0], z[0])


def same(x: Float[Array, "*n d"], z: Float[Array, "*m d"]) -> Float[Array, ...]:
    """1 where two points agree in every coordinate, exactly; else 0."""
    if x.ndim == 1:
        return jnp.all(x == z).astype(x.dtype)
    equal: Bool[Array, "n m"] = x[:, 0, None] == z[:, 0]
    for j in range(1, x.shape[-1]):
        equal = equal & (x[:, j, None] == z[:, j])
    return equal.astype(x.dtype)


def ones(x: Float[Array, "*n d"], z: Float[Array, "*m d"]) -> Float[Array, ...]:
    if isinstance(x, Products):
        return jnp.ones_like(x.cross)
    return jnp.ones(x.shape[:-1] + z.shape[:-1], x.dtype)


# --- Matern functions of t = 2 nu r^2 ---------------------------------------------------------
# As functions of the distance they have derivatives at 0 that automatic differentiation does not
# find (the root). As functions of its square they form a chain: each is the derivative of the next,
#     M32' = -M12 / 2,   M52' = -M32 / 6,
# so that what is differentiated is never the root, until M12, which has no derivative at 0.
# There the limits that exist all have a factor that vanishes with t, and 0 is the right value.


@jax.custom_jvp
def matern12(t: Float[Array, ...]) -> Float[Array, ...]:
    """exp(-sqrt(t))."""
    return jnp.exp(-_root(t))


@jax.custom_jvp
def matern32(t: Float[Array, ...]) -> Float[Array, ...]:
    """(1 + sqrt(t)) exp(-sqrt(t))."""
    u = _root(t)
    return (1.0 + u) * jnp.exp(-u)


@jax.custom_jvp
def matern52(t: Float[Array, ...]) -> Float[Array, ...]:
    """(1 + sqrt(t) + t / 3) exp(-sqrt(t))."""
    u = _root(t)
    return (1.0 + u + t / 3.0) * jnp.exp(-u)


@matern12.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (t,), (dt,) = primals, tangents
    value = matern12(t)
    inside = t > 0
    slope = jnp.where(inside, -0.5 * value / jnp.sqrt(jnp.where(inside, t, 1.0)), 0.0)
    return value, slope * dt


@matern32.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (t,), (dt,) = primals, tangents
    return matern32(t), -0.5 * matern12(t) * dt


@matern52.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (t,), (dt,) = primals, tangents
    return matern52(t), -matern32(t) / 6.0 * dt


def _root(t: Any) -> Any:
    return jnp.sqrt(jnp.maximum(t, 0.0))


@jax.custom_jvp
def _snapped(r2: Any, rounding: Any) -> Any:
    """r2, or 0 where it is within rounding of 0; its derivative is that of r2 in any case."""
    return jnp.where(r2 > rounding, r2, 0.0)


@_snapped.defjvp
def _(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
    return _snapped(*primals), tangents[0]
