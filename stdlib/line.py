"""A kernel on the line into a linear system with white noise whose output has that covariance.

    x(t1) = A(t0, t1) x(t0) + N(0, Q(t0, t1)),    f(t) = h(t)' x(t),    Var x(t) = P(t)

Sums of kernels are several systems beside one another; a product has the Kronecker product of the
states, which has the right second moments, and only these count (Sarkka & Solin 2019, chapter 12).
What a kernel itself says, in closed form, stands beside its entry in `mercer.stdlib.kernels`.

Matrices have their axes first and the shape of the times last, [d, d, *t]; an argument with one
value a label is read at the labels of the times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.stdlib.algebra import Kernel, Leaf, PerLabel, Power, Product, Scaled, Sum


@dataclass(frozen=True)
class System:
    """A state of `size` numbers. `step(t0, t1)` gives A and Q, `marginal(t)` P, and
    `loading(t, order)` h [d, *t] of the derivative of that order.

    `is_static`: A = 1 and Q = 0, so that the state is a vector of constants and h its features.
    `has_fixed_loading`: h is the same at all times, and a NumPy array [d].
    """

    size: int
    step: Callable[[Array, Array], tuple[Array, Array]]
    marginal: Callable[[Array], Array]
    loading: Callable[[Array, int], Any]
    is_static: bool = False
    has_fixed_loading: bool = False


def systems(kernel: Kernel, labels: Array | None = None) -> tuple[System, ...]:
    """The independent systems whose outputs add up to a function with this covariance.

    `labels`: the codes of the copies at the times, for arguments that differ between copies.
    ValueError: a kernel that is not that of a finite linear system.
    """
    match kernel:
        case Leaf():
            if kernel.word.line is None:
                raise ValueError(f"kernel: {kernel.word.entry.name} has no finite state")
            given = {k: _at(v, labels) for k, v in kernel.arguments.items()}
            system = kernel.word.line(SimpleNamespace(**given, **dict(kernel.structural)))
            return (scaled(system, given["scale"] ** 2) if kernel.word.scaled else system,)
        case Sum(parts):
            return tuple(s for part in parts for s in systems(part, labels))
        case Scaled(factor, inner):
            return tuple(scaled(s, _at(factor, labels)) for s in systems(inner, labels))
        case Power(inner, exponent):
            return systems(Product((inner,) * exponent), labels)
        case Product(parts):
            found = systems(parts[0], labels)
            for part in parts[1:]:
                own = systems(part, labels)
                found = tuple(product(a, b) for a in found for b in own)
            return found
        case _:
            raise ValueError(f"kernel: {type(kernel).__name__} is not one of the line")


def scaled(system: System, factor: Any) -> System:
    """`factor` times the covariance."""

    def step(t0: Array, t1: Array) -> tuple[Array, Array]:
        a, q = system.step(t0, t1)
        return a, factor * q

    return System(
        system.size,
        step,
        lambda t: factor * system.marginal(t),
        system.loading,
        system.is_static,
        system.has_fixed_loading,
    )


def product(a: System, b: System) -> System:
    """The system of the product of two independent outputs, by its second moments."""

    def step(t0: Array, t1: Array) -> tuple[Array, Array]:
        (move_a, noise_a), (move_b, noise_b) = a.step(t0, t1), b.step(t0, t1)
        kept = congruence(move_a, a.marginal(t0))  # P_a(t1) without its last noise
        noise = kronecker(noise_a, b.marginal(t1)) + kronecker(kept, noise_b)
        return kronecker(move_a, move_b), noise

    def loading(t: Array, order: int) -> Any:
        # Leibniz: the derivatives of a product.
        total: Any = 0.0
        for k in range(order + 1):
            if (a.has_fixed_loading and k >= a.size) or (
                b.has_fixed_loading and order - k >= b.size
            ):
                continue
            left, right = a.loading(t, k), b.loading(t, order - k)
            if a.has_fixed_loading != b.has_fixed_loading:
                left, right = _along(left, t), _along(right, t)
            both = left[:, None] * right
            total = total + math.comb(order, k) * both.reshape(-1, *both.shape[2:])
        return total

    return System(
        a.size * b.size,
        step,
        lambda t: kronecker(a.marginal(t), b.marginal(t)),
        loading,
        a.is_static and b.is_static,
        a.has_fixed_loading and b.has_fixed_loading,
    )


def kronecker(a: Array, b: Array) -> Array:
    """[i, k, *t] and [j, l, *t] as [i j, k l, *t]."""
    both = a[:, None, :, None] * b[None, :, None, :]
    rows, columns = a.shape[0] * b.shape[0], a.shape[1] * b.shape[1]
    return both.reshape(rows, columns, *both.shape[4:])


def congruence(a: Array, p: Array) -> Array:
    """A P A', [d, d, *t]."""
    half = jnp.einsum("ij...,jk...->ik...", a, p)
    return jnp.einsum("ij...,kj...->ik...", half, a)


# --- the systems of the library's kernels, without their factor scale^2 ---------------------------


def matern(lengthscale: Any, order: int) -> System:
    """Matern covariances of smoothness order + 1/2: the state is f and its `order` derivatives.

    A = exp(F d) in closed form; Q by integrals of t^k exp(-2 lambda t), which are incomplete gamma
    functions, so that it keeps all its digits at small steps, where P - A P A' would lose them.
    """
    rate = math.sqrt(2 * order + 1) / lengthscale

    def step(t0: Array, t1: Array) -> tuple[Array, Array]:
        d = t1 - t0
        u = rate * d
        move = matrix(_MATERN_MOVES[order](rate, u, d), d)
        return move * jnp.exp(-u), matrix(_MATERN_NOISES[order](rate, 2.0 * u), d)

    def marginal(t: Array) -> Array:
        one, two = rate**2, rate**4
        rows = {
            0: [[1.0]],
            1: [[1.0, 0.0], [0.0, one]],
            2: [[1.0, 0.0, -one / 3], [0.0, one / 3, 0.0], [-one / 3, 0.0, two]],
        }
        return matrix(rows[order], t)

    return System(order + 1, step, marginal, _fixed(order + 1), has_fixed_loading=True)


_MATERN_MOVES: dict[int, Callable[[Any, Any, Any], list[list[Any]]]] = {
    0: lambda k, u, d: [[1.0]],
    1: lambda k, u, d: [[1 + u, d], [-k * u, 1 - u]],
    2: lambda k, u, d: [
        [1 + u + u**2 / 2, d * (1 + u), d**2 / 2],
        [-k * u**2 / 2, 1 + u - u**2, d * (1 - u / 2)],
        [k**2 * (u**2 / 2 - u), k * u * (u - 3), 1 - 2 * u + u**2 / 2],
    ],
}


def _noise_one(rate: Any, x: Any) -> list[list[Any]]:
    return [[gamma_tail(1, x)]]


def _noise_two(rate: Any, x: Any) -> list[list[Any]]:
    e1, e2 = _powers(x, 2)
    cross = rate * e2
    return [[gamma_tail(3, x), cross], [cross, rate**2 * (gamma_tail(1, x) + e1 - e2)]]


def _noise_three(rate: Any, x: Any) -> list[list[Any]]:
    e1, e2, e3, e4 = _powers(x, 4)
    third = gamma_tail(3, x) / 3
    a = rate * e4
    b = rate**2 * (e3 - e4 - third)
    c = rate**3 * (4 / 3 * e2 - 2 * e3 + e4)
    middle = rate**2 * (third + e3 - e4)
    last = rate**4 * (gamma_tail(1, x) + 5 / 3 * e1 - 11 / 3 * e2 + 3 * e3 - e4)
    return [[gamma_tail(5, x), a, b], [a, middle, c], [b, c, last]]


_MATERN_NOISES = {0: _noise_one, 1: _noise_two, 2: _noise_three}


def brownian(start: Any) -> System:
    """Brownian motion in both directions from `start`, where it is 0."""

    def step(t0: Array, t1: Array) -> tuple[Array, Array]:
        a, b = t0 - start, t1 - start
        before = b < 0  # on its way back to 0: a bridge
        shrink = b / jnp.where(before & (a < 0), a, -1.0)
        move = jnp.where(a >= 0, 1.0, jnp.where(before, shrink, 0.0))
        bridge = jnp.where(before, shrink * (b - a), jnp.maximum(b, 0.0))
        return matrix([[move]], t1), matrix([[jnp.where(a >= 0, b - a, bridge)]], t1)

    return System(
        1, step, lambda t: matrix([[jnp.abs(t - start)]], t), _fixed(1), has_fixed_loading=True
    )


def features(size: int, variances: Any, loading: Callable[[Array, int], Array]) -> System:
    """A fixed number of features with independent weights: `variances` a list of `size`."""

    def step(t0: Array, t1: Array) -> tuple[Array, Array]:
        d = t1 - t0
        return diagonal([1.0] * size, d), diagonal([0.0] * size, d)

    return System(size, step, lambda t: diagonal(variances, t), loading, is_static=True)


def constant() -> System:
    def loading(t: Array, order: int) -> Array:
        return jnp.full((1, *t.shape), 0.0 if order else 1.0)

    return features(1, [1.0], loading)


def straight(scale: Any, centre: Any) -> System:
    """Lines through 0 at `centre`."""

    def loading(t: Array, order: int) -> Array:
        return jnp.broadcast_to((t - centre, 1.0, 0.0)[min(order, 2)], t.shape)[None]

    return features(1, [scale**2], loading)


def polynomial(lengthscale: Any, offset: Any, degree: int) -> System:
    """Powers of t / lengthscale, by the binomial theorem."""

    def loading(t: Array, order: int) -> Array:
        u = t / lengthscale
        falls = [math.perm(k, order) for k in range(degree + 1)]
        rows = [
            fall * u ** (k - order) / lengthscale**order if fall else jnp.zeros_like(u)
            for k, fall in enumerate(falls)
        ]
        return jnp.stack([jnp.broadcast_to(row, t.shape) for row in rows])

    variances = [math.comb(degree, k) * offset ** (degree - k) for k in range(degree + 1)]
    return features(degree + 1, variances, loading)


def waves(period: Any, variances: Any) -> System:
    """Cosines and sines of the multiples 0, 1, 2, ... of a frequency; `variances` one of each."""
    rate = 2.0 * math.pi / period

    def loading(t: Array, order: int) -> Array:
        rows = []
        for k in sorted(variances):
            angle = k * rate * t + order * math.pi / 2  # a derivative is a quarter turn
            factor = (k * rate) ** order if order else 1.0
            rows.append(factor * jnp.cos(angle))
            if k:
                rows.append(factor * jnp.sin(angle))
        return jnp.stack([jnp.broadcast_to(row, t.shape) for row in rows])

    repeated = [variances[k] for k in sorted(variances) for _ in range(2 if k else 1)]
    return features(len(repeated), repeated, loading)


def periodic(lengthscale: Any, period: Any, order: int) -> System:
    """exp((cos u - 1) / lengthscale^2) by its Fourier series up to `order`, of total variance 1.

    Its coefficients are Bessel functions: I_0(z) exp(-z) and 2 I_k(z) exp(-z), z = lengthscale^-2.
    Their ratios come from the continued fraction of their recurrence, which never overflows.
    """
    z = 1.0 / lengthscale**2
    last = order + 25
    ratio: Any = z / (last + jnp.sqrt(last**2 + z**2))  # within a few per cent (Amos 1974)
    ratios = []
    for k in range(last - 1, 0, -1):
        ratio = z / (2.0 * k + z * ratio)  # I_k / I_{k-1}
        if k <= order:
            ratios.append(ratio)
    sizes, term = [1.0], 1.0
    for ratio in reversed(ratios):
        term = term * ratio
        sizes.append(2.0 * term)
    total = sum(sizes[1:], sizes[0])
    return waves(period, {k: size / total for k, size in enumerate(sizes)})


# --- pieces ---------------------------------------------------------------------------------------


def matrix(rows: list[list[Any]], like: Array) -> Array:
    """Entries, each a number or of the shape of the times, as [d, d, *t]."""
    return jnp.stack([jnp.stack([jnp.broadcast_to(e, like.shape) for e in row]) for row in rows])


def diagonal(entries: Any, like: Array) -> Array:
    size = len(entries)
    return matrix([[entries[i] if i == j else 0.0 for j in range(size)] for i in range(size)], like)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def gamma_tail(k: int, x: Array) -> Array:
    """1 - exp(-x) (1 + x + ... + x^(k-1) / (k-1)!): the incomplete gamma function."""
    if k == 1:
        return -jnp.expm1(-x)
    small = jnp.minimum(x, 1.0)
    series = jnp.ones_like(small)
    for m in range(17, 0, -1):
        series = 1.0 + series * small / (k + m)
    series = series * small**k * jnp.exp(-small) / math.factorial(k)
    total = jnp.ones_like(x)
    for m in range(k - 1, 0, -1):
        total = 1.0 + total * x / m
    return jnp.where(x < 1.0, series, 1.0 - jnp.exp(-x) * total)


@gamma_tail.defjvp
def _(k: int, primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (x,), (dx,) = primals, tangents
    slope = x ** (k - 1) * jnp.exp(-x) / math.factorial(k - 1)
    return gamma_tail(k, x), slope * dx


def _powers(x: Any, count: int) -> list[Any]:
    """exp(-x) x^k / k! for k = 1 .. count."""
    term, found = jnp.exp(-x), []
    for k in range(1, count + 1):
        term = term * x / k
        found.append(term)
    return found


def _fixed(size: int) -> Callable[[Array, int], np.ndarray]:
    """The loading of a state of derivatives."""

    def loading(t: Array, order: int) -> np.ndarray:
        if order >= size:
            raise ValueError(f"order: the state has {size - 1} derivatives, not {order}")
        return np.eye(size)[order]

    return loading


def _along(loading: Any, t: Array) -> Array:
    """A loading that may be fixed, at each time."""
    loading = jnp.asarray(loading)
    return loading.reshape(len(loading), *(1,) * t.ndim) if loading.ndim == 1 else loading


def _at(argument: Any, labels: Array | None) -> Any:
    if not isinstance(argument, PerLabel):
        return argument
    if labels is None:
        raise ValueError("labels: an argument for each label needs them")
    return jnp.asarray(argument.values)[labels]
