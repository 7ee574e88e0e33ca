"""Squared distances into Matern functions of any smoothness, by modified Bessel functions.

With t = 2 nu r^2, the covariance 2^(1 - nu) / Gamma(nu) u^nu K_nu(u) at u = sqrt(t) is a mixture of
Gaussians in r (Basset's integral, DLMF 10.32.10),

    M_nu(t) = 1 / Gamma(nu) * integral over s > 0 of s^(nu - 1) exp(-s - t / (4 s)),

of which the trapezoid rule in log(s) has all digits with a few hundred nodes, since the integrand
is analytic and falls off on both sides. For nu = p + 1/2 it is a polynomial of u times exp(-u).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# By Poisson's sum the rule's error at t = 0 is 2 |Gamma(nu + 2 pi i / step)| / Gamma(nu): below
# 1e-14 for every nu up to 20.
_STEP = 0.15
_DIGITS = 38.0  # exp(-38) is below the rounding of 1


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def matern(t: Any, nu: float) -> Any:
    """M_nu(t) for t >= 0, elementwise; nu > 0 is a number of the program."""
    order = nu - 0.5
    if order == int(order):
        return _half_integer(t, int(order))
    return _mixture(t, nu) / math.gamma(nu)


@matern.defjvp
def _(nu: float, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    # M_nu' = -M_(nu - 1) / (4 (nu - 1)): the root of t is never differentiated. Below nu = 1 the
    # slope at 0 is infinite; the limits that exist have a factor that vanishes with t.
    (t,), (dt,) = primals, tangents
    value = matern(t, nu)
    if nu > 1.0:
        return value, -matern(t, nu - 1.0) / (4.0 * (nu - 1.0)) * dt
    inside = t > 0
    safe = jnp.where(inside, t, 1.0)
    if nu == 0.5:
        slope = -0.5 * value / jnp.sqrt(safe)
    else:
        slope = -0.25 * _mixture(safe, nu - 1.0) / math.gamma(nu)
    return value, jnp.where(inside, slope, 0.0) * dt


def _half_integer(t: Any, order: int) -> Any:
    """exp(-u) p! / (2p)! * sum over i of (p + i)! / (i! (p - i)!) (2 u)^(p - i)."""
    u = jnp.sqrt(jnp.maximum(t, 0.0))
    first = math.factorial(order) / math.factorial(2 * order)
    total = jnp.zeros_like(u)
    for i in range(order + 1):  # Horner's rule, from the highest power
        ways = math.factorial(order + i) / (math.factorial(i) * math.factorial(order - i))
        total = total * (2.0 * u) + first * ways
    return total * jnp.exp(-u)


def _mixture(t: Any, power: float) -> Any:
    """The integral of s^(power - 1) exp(-s - t / (4 s)); t > 0 where power <= 0."""
    # For power > 0 the left end is where s^power is nothing, else where exp(-t / 4s) is, for any t
    # that rounding tells from 0.
    low = -_DIGITS / power if power > 0 else -2.0 * _DIGITS
    nodes = np.arange(low, math.log(_DIGITS + 4.0 * abs(power)) + _STEP, _STEP)

    def add(total: Any, node: Any) -> tuple[Any, None]:
        return total + jnp.exp(power * node - jnp.exp(node) - 0.25 * t * jnp.exp(-node)), None

    return _STEP * jax.lax.scan(add, jnp.zeros_like(t), jnp.asarray(nodes))[0]
