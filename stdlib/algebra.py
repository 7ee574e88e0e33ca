"""Kernels into larger kernels, and a kernel with two sides into covariances.

k1 + k2, k1 * k2, 2.5 * k and k ** 2 are kernels again (Rasmussen & Williams 2006, section 4.2.4).
All are frozen pytrees: their arguments are leaves, their structure is static.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import register_dataclass

from mercer.stdlib.distance import Products, inner
from mercer.stdlib.homogeneous import Circle, Homogeneous
from mercer.stdlib.kernels.word import Word


@partial(register_dataclass, data_fields=("values",), meta_fields=())
@dataclass(frozen=True)
class PerLabel:
    """An argument with one value for each copy of an indexed function: `values` [S, ...]."""

    values: Any

    def __mul__(self, other: Kernel) -> Kernel:
        return other * self


class Side(NamedTuple):
    """One side of a covariance: N points with the codes of their copies, or a single point.

    `factors`: [N, d] and codes [N], or [d] and a code, or `Products`; `labels`: [N] or a number.
    """

    factors: tuple[Any, ...]
    labels: Array | None
    is_point: bool


class Kernel:
    """A covariance function; made by the names in `mercer.stdlib.kernels` and by arithmetic."""

    __array_ufunc__ = None  # so that numpy leaves `np.float64(2) * kernel` to us

    def evaluate(self, a: Side, b: Side) -> Array:
        """[N, M] between two sets, a number between two points; one copy for both sides."""
        raise NotImplementedError

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Kernel:
        """The same kernel on one factor of a product domain, or on some coordinates of it."""
        raise NotImplementedError

    def after(self, inner: Kernel) -> Kernel:
        """This kernel on the inner products that another gives."""
        return Composed(self, inner)

    def of_products(self) -> Kernel:
        """This kernel, of points that are known by their inner products alone, however many
        coordinates stand for them."""
        return Composed(self, InnerProducts())

    def __add__(self, other: Any) -> Kernel:
        if not isinstance(other, Kernel):
            return self if _is_number(other, 0) else NotImplemented
        return Sum((*_parts(self, Sum), *_parts(other, Sum)))

    __radd__ = __add__  # only ever for `0 + kernel`, so that `sum(kernels)` works

    def __mul__(self, other: Any) -> Kernel:
        if not isinstance(other, Kernel):
            return Scaled(other, self)
        return Product((*_parts(self, Product), *_parts(other, Product)))

    def __rmul__(self, other: Any) -> Kernel:
        return Scaled(other, self)

    def __pow__(self, exponent: int) -> Kernel:
        if int(exponent) != exponent or exponent < 1:
            raise ValueError(f"a power of a kernel is a whole number from 1 on, not {exponent!r}")
        return Power(self, int(exponent))


@partial(
    register_dataclass,
    data_fields=("arguments",),
    meta_fields=("word", "structural", "factor", "coordinates", "space"),
)
@dataclass(frozen=True)
class Leaf(Kernel):
    """One kernel of the library with its arguments, on the part of the domain that it sees.

    `space`: what that part is, where it is no space of numbers or vectors.
    """

    word: Word
    arguments: dict[str, Any]
    structural: tuple[tuple[str, Any], ...] = ()
    factor: int | None = None
    coordinates: tuple[int, ...] | None = None
    space: Homogeneous | None = None

    def evaluate(self, a: Side, b: Side) -> Array:
        left, right = self._side(a), self._side(b)
        if self.space is not None and self.word.spectrum is not None:
            return left.scale**2 * self._on_space(self.space, left, right)
        if self.word.body is None:
            raise ValueError(f"{self.word.entry.name} is a kernel on surfaces and graphs only")
        value = self.word.body(left, right)
        return left.scale**2 * value if self.word.scaled else value

    def on(
        self,
        factor: int | None = None,
        coordinates: tuple[int, ...] | None = None,
        space: Homogeneous | None = None,
    ) -> Leaf:
        return replace(
            self,
            factor=self.factor if factor is None else factor,
            coordinates=self.coordinates if coordinates is None else tuple(coordinates),
            space=self.space if space is None else space,
        )

    def over(self, frequencies: Any, roughness: Any, *, factor: int | None = None) -> OverWaves:
        """The same kernel on a shape, by the waves at its points: one factor of the domain."""
        return OverWaves(self.on(factor), jnp.asarray(frequencies), jnp.asarray(roughness))

    def _on_space(self, space: Homogeneous, left: Any, right: Any) -> Array:
        """The correlation; arguments that differ from copy to copy are those of the left side."""
        word = self.word
        if isinstance(space, Circle) and word.wound is not None:
            closed = word.wound(left, space.gap(left.x, right.x), space.period)
            if closed is not None:
                return closed
        assert word.spectrum is not None
        arguments = {name: value for name, value in vars(left).items() if name != "x"}
        spectrum = partial(word.spectrum, arguments)
        return space.correlation(left.x, right.x, spectrum)

    def _side(self, side: Side) -> SimpleNamespace:
        arguments = {
            parameter.name: self.arguments[parameter.name]
            if parameter.per_label or parameter.count
            else _of_rows(self.arguments[parameter.name], side)
            for parameter in self.word.entry.parameters
            if not parameter.structural
        }
        return SimpleNamespace(x=self._inputs(side), **arguments, **dict(self.structural))

    def _inputs(self, side: Side) -> Any:
        chosen = side.factors if self.factor is None else (side.factors[self.factor],)
        if isinstance(chosen[0], Products):
            return chosen[0]
        if self.word.entry.input == "label":
            if len(chosen) != 1:
                raise ValueError(
                    f"{self.word.entry.name} sees one factor of a product: .on(factor=)"
                )
            return chosen[0]
        floats = [_as_vector(f, side.is_point) for f in chosen]
        x = floats[0] if len(floats) == 1 else jnp.concatenate(floats, axis=-1)
        if self.space is not None:
            return self.space.canonical(x)
        return x if self.coordinates is None else x[..., jnp.array(self.coordinates)]


@partial(register_dataclass, data_fields=("kernel", "frequencies", "roughness"), meta_fields=())
@dataclass(frozen=True)
class OverWaves(Kernel):
    """The covariance sum_k variance_k wave_k(x) wave_k(z) of a function on a shape, a point of
    which is the vector of its waves there (`mercer.stdlib.waves`)."""

    kernel: Leaf
    frequencies: Array
    roughness: Array

    def evaluate(self, a: Side, b: Side) -> Array:
        left, right = self.kernel._side(a), self.kernel._side(b)
        if self.kernel.word.spectrum is None:
            raise ValueError(f"{self.kernel.word.entry.name} is no kernel on surfaces and graphs")
        arguments = {name: value for name, value in vars(left).items() if name != "x"}
        logs = self.kernel.word.spectrum(arguments, self.frequencies, self.roughness)
        weighted = left.x * jax.nn.softmax(logs, axis=-1)
        value = weighted @ right.x.T if left.x.ndim == 2 else jnp.dot(weighted, right.x)
        return left.scale**2 * value

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Kernel:
        return replace(self, kernel=self.kernel.on(factor))


@partial(register_dataclass, data_fields=("parts",), meta_fields=())
@dataclass(frozen=True)
class Sum(Kernel):
    """The covariance of a sum of independent functions."""

    parts: tuple[Kernel, ...]

    def evaluate(self, a: Side, b: Side) -> Array:
        total = self.parts[0].evaluate(a, b)
        for part in self.parts[1:]:
            total = total + part.evaluate(a, b)
        return total

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Sum:
        return Sum(tuple(p.on(factor, coordinates) for p in self.parts))


@partial(register_dataclass, data_fields=("parts",), meta_fields=())
@dataclass(frozen=True)
class Product(Kernel):
    """The covariance of a product of independent functions (Schur: positive definite)."""

    parts: tuple[Kernel, ...]

    def evaluate(self, a: Side, b: Side) -> Array:
        total = self.parts[0].evaluate(a, b)
        for part in self.parts[1:]:
            total = total * part.evaluate(a, b)
        return total

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Product:
        return Product(tuple(p.on(factor, coordinates) for p in self.parts))


@partial(register_dataclass, data_fields=("factor", "kernel"), meta_fields=())
@dataclass(frozen=True)
class Scaled(Kernel):
    """`factor` times the covariance."""

    factor: Any
    kernel: Kernel

    def evaluate(self, a: Side, b: Side) -> Array:
        return _of_rows(self.factor, a) * self.kernel.evaluate(a, b)

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Scaled:
        return Scaled(self.factor, self.kernel.on(factor, coordinates))


@partial(register_dataclass, data_fields=("kernel",), meta_fields=("exponent",))
@dataclass(frozen=True)
class Power(Kernel):
    """A whole power of the covariance."""

    kernel: Kernel
    exponent: int

    def evaluate(self, a: Side, b: Side) -> Array:
        return self.kernel.evaluate(a, b) ** self.exponent

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Power:
        return Power(self.kernel.on(factor, coordinates), self.exponent)


@partial(register_dataclass, data_fields=(), meta_fields=())
@dataclass(frozen=True)
class InnerProducts(Kernel):
    """The inner products of vectors."""

    def evaluate(self, a: Side, b: Side) -> Array:
        return inner(a.factors[0], b.factors[0])

    def on(
        self, factor: int | None = None, coordinates: tuple[int, ...] | None = None
    ) -> InnerProducts:
        return self


@partial(register_dataclass, data_fields=("outer", "inner"), meta_fields=())
@dataclass(frozen=True)
class Composed(Kernel):
    """A kernel of the inner products that another kernel gives: that of functions behind a layer of
    infinite width without divergence from its prior, f(h(x)) (Lee et al. 2018)."""

    outer: Kernel
    inner: Kernel

    def evaluate(self, a: Side, b: Side) -> Array:
        cross = self.inner.evaluate(a, b)
        left, right = (self._own(side) for side in (a, b))
        return self.outer.evaluate(
            Side((Products(left, cross),), a.labels, a.is_point),
            Side((Products(right, cross),), b.labels, b.is_point),
        )

    def _own(self, side: Side) -> Array:
        """The inner products of points with themselves."""
        if side.is_point:
            return self.inner.evaluate(side, side)
        first = side.factors[0]
        if isinstance(first, Products):

            def with_itself(own: Array) -> Array:
                point = Side((Products(own, own, first.factor),), None, is_point=True)
                return self.inner.evaluate(point, point)

            return jax.vmap(with_itself)(first.own)

        def one(factors: tuple[Array, ...], label: Array | None) -> Array:
            point = Side(factors, label, is_point=True)
            return self.inner.evaluate(point, point)

        return jax.vmap(one, in_axes=(0, None if side.labels is None else 0))(
            side.factors, side.labels
        )

    def on(self, factor: int | None = None, coordinates: tuple[int, ...] | None = None) -> Composed:
        return Composed(self.outer, self.inner.on(factor, coordinates))


def _of_rows(argument: Any, side: Side) -> Any:
    """An argument as a body wants it: one for all, or that of each row's copy, [n, 1] or [n, d]."""
    if not isinstance(argument, PerLabel):
        return argument
    if side.labels is None:
        raise ValueError("an argument for each label needs points with labels")
    own = jnp.asarray(argument.values)[side.labels]
    return own[:, None] if own.ndim == 1 and not side.is_point else own


def _as_vector(factor: Array, is_point: bool) -> Array:
    factor = jnp.asarray(factor)
    if not jnp.issubdtype(factor.dtype, jnp.floating):
        factor = factor.astype(jnp.result_type(float))
    missing = factor.ndim == (0 if is_point else 1)
    return factor[..., None] if missing else factor


def _parts(kernel: Kernel, kind: type[Sum] | type[Product]) -> tuple[Kernel, ...]:
    return kernel.parts if isinstance(kernel, kind) else (kernel,)


def _is_number(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, jax.Array) and value == number
