"""A program with a sum of products into the compiled steps of a sweep of message passing.

What a sweep does with arrays, for data of one shape: the priors of all factors; what the rows say
of one; its law; the rows and what is learned of their own unknowns; the slopes of the rest.
Factors of one kind and size share what is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.compiling import quick_jit
from mercer.runtime.engines.factors import Groups, Message, Moments, Product, Shape
from mercer.runtime.engines.mode import Placed, placed, solved
from mercer.runtime.engines.sites import spread
from mercer.runtime.engines.terms import Process
from mercer.runtime.methods.unknowns import Unknowns
from mercer.runtime.threads import side_by_side

_GROW, _FALL, _STEPS = 1.3, 0.5, (1e-6, 0.7)  # of steps by signs of slopes
_MODE = "mode"
"""The name of every factor's process, so that factors of one kind share what is compiled."""

_ALIKE = 4096
"""Points of a mode, at most, that others are filled up to."""

_LOG_TWO_PI = math.log(2 * math.pi)


class Data(NamedTuple):
    """The arguments of every compiled function. `share` [N]: 1 for rows that are taken, else 0."""

    arrays: dict[str, Array]
    groups: dict[str, Groups]
    codes: dict[str, Array]
    value: Array
    keep: Array
    share: Array
    places: dict[str, Placed]


class Rows(NamedTuple):
    """What rows say: `precision` [N] of the noise, `rest` [N]: values less offsets, `weights` c of
    the products [products, N], `means` [products, N] of the products, with their weights."""

    precision: Array
    rest: Array
    weights: Array
    means: Array


class Prior(NamedTuple):
    """A factor before any row is seen: its process, and its mean [count, rank] at its groups."""

    process: Process
    mean: Array


class Functions:
    """The compiled functions of a program for data of one shape."""

    def __init__(
        self, program: ModuleType, unknowns: Unknowns, shapes: Mapping[str, Shape], rows: int
    ) -> None:
        self.program, self.unknowns, self.shapes = program, unknowns, shapes
        self.products = _products(shapes, rows)
        self._means = [quick_jit(partial(self._mean, n)) for n in range(len(self.products))]
        self.located = quick_jit(self._located)
        positions = self.unknowns.positions()
        self.own = {key: _places(positions, names) for key, names in program.PRIORS.items()}
        every = np.arange(len(self.unknowns.zero))
        taken = np.concatenate([np.zeros(0, int), *self.own.values()])
        self.rest = np.setdiff1d(every, taken)
        self.is_of_factors = jnp.asarray(np.isin(every, taken))
        short = {name: _places(positions, (name,)) for name in program.SHORT}
        self.short = {
            key: np.concatenate([np.zeros(0, int), *(short[n] for n in names if n in short)])
            for key, names in program.PRIORS.items()
        }
        self._message: dict[str, Any] = {}
        self._solve: dict[str, Any] = {}
        self.rows = quick_jit(self._rows)
        self.told = quick_jit(self._told)
        self.places = quick_jit(self._places)
        self.priors = quick_jit(self._priors)
        self.pulled = quick_jit(self._pulled)
        self.climbed = quick_jit(climbed)
        self.constrained = quick_jit(
            jax.vmap(lambda flat, data: self.unknowns.values(flat, data.arrays)[0], (0, None))
        )

    def compile(
        self, flat: Array, laws: Any, messages: Mapping[str, Message], rows: Rows, data: Data
    ) -> None:
        """What each factor needs, traced one after the other, and compiled side by side; once for
        all factors of the same kind and size."""
        if self._solve:
            return
        lowered: dict[Any, Any] = {}
        priors, _ = self.priors(flat, data)
        kinds = {}
        for key, shape in self.shapes.items():
            others = _without(laws, key)
            message = quick_jit(partial(self._message_of, key))
            lowered["message", key] = message.lower(others, rows, data.codes)
            given = (data.groups[key].chain, data.places[key], priors[key], messages[key])
            kind = _kind(shape)
            kinds[key] = (kind, jax.tree.structure(given), str(jax.tree.map(jnp.shape, given)))
            if kinds[key] not in lowered:
                lowered[kinds[key]] = quick_jit(partial(_solved, kind)).lower(*given)
        made = side_by_side(lambda each: each.compile(), list(lowered.values()))
        compiled = dict(zip(lowered, made, strict=True))
        self._message = {key: compiled["message", key] for key in self.shapes}
        self._solve = {key: compiled[kind] for key, kind in kinds.items()}

    def start(self, data: Data) -> Array:
        """The unknowns at the medians of their priors."""
        if not len(self.unknowns.zero):
            return jnp.zeros(0, data.value.dtype)
        return self.unknowns.medians(data.arrays)

    def left(self, key: str, laws: Any, rows: Rows, data: Data) -> Rows:
        """The rows before the turn of a factor: where it is the first of its product, that of the
        product before has ended."""
        number, keys = self.shapes[key].product, list(self.shapes)
        before = keys[keys.index(key) - 1]
        if key == keys[0] or self.shapes[before].product == number:
            return rows
        number = self.shapes[before].product
        mean = self._means[number](laws, rows, data.codes)
        return rows._replace(means=rows.means.at[number].set(mean))

    def _mean(self, number: int, laws: Any, rows: Rows, codes: Any) -> Array:
        return rows.weights[number] * self.products[number].values(laws, codes)[0]

    def message(self, key: str, laws: Any, rows: Rows, data: Data) -> Message:
        found: Message = self._message[key](_without(laws, key), rows, data.codes)
        return found

    def _message_of(self, key: str, laws: Any, rows: Rows, codes: Any) -> Message:
        number = self.shapes[key].product
        weight = rows.weights[number] * rows.precision
        target = rows.rest
        if len(self.products) > 1:
            target = target - jnp.sum(jnp.delete(rows.means, number, axis=0), axis=0)
        product = self.products[number]
        return product.message(key, laws, codes, weight * rows.weights[number], weight * target)

    def solve(
        self, key: str, prior: Prior, message: Message, data: Data
    ) -> tuple[Array, Prior, Moments]:
        """log Z of a factor less the expected log of its messages, the slope of log Z by its prior,
        and the law of its groups."""
        found: tuple[Array, Prior, Moments] = self._solve[key](
            data.groups[key].chain, data.places[key], prior, message
        )
        return found

    # --- priors ---

    def _known(self, flat: Array, data: Data) -> tuple[dict[str, Any], Array]:
        values, density = self.unknowns.values(flat, data.arrays)
        return self.unknowns.known(values, data.arrays), density

    def _places(self, data: Data) -> dict[str, Placed]:
        """Where the groups of each factor are, which no unknown moves."""
        known, _ = self._known(self.unknowns.zero, data)
        return {key: self._placed(key, known, data) for key in self.shapes}

    def _placed(self, key: str, known: Mapping[str, Any], data: Data) -> Placed:
        factor, site = self.program.factors(**known)[key], self.program.sites(**known)[key]
        quantity = self.program.quantities(**known)[key]
        at = placed(data.groups[key], site, factor.index, quantity)
        return at._replace(site=replace(at.site, process=_MODE))

    def _priors(self, flat: Array, data: Data) -> tuple[dict[str, Prior], Array]:
        """The law of each factor before any row, and the log density of the unknowns."""
        known, density = self._known(flat, data)
        processes = self.program.processes(**known)
        found = {
            key: Prior(
                jax.tree.map(_as_number, processes[shape.process]),
                self._placed(key, known, data).mean,
            )
            for key, shape in self.shapes.items()
        }
        return found, density

    def _pulled(self, flat: Array, slopes: dict[str, Prior], data: Data) -> Array:
        """Slopes by the priors of factors, and that of the density, by the unknowns of factors."""
        (_, density), pull = jax.vjp(partial(self._priors, data=data), flat)
        return jnp.where(self.is_of_factors, pull((slopes, jnp.ones_like(density)))[0], 0.0)

    # --- rows ---

    def _law(self, flat: Array, data: Data) -> tuple[Array, Array, Array]:
        """Offset and scale of each row that was seen, and the weights c [products, N]."""
        offset, scale, weights = self._law_of_all(flat, data)
        return offset[data.keep], scale[data.keep], weights[:, data.keep]

    def _law_of_all(self, flat: Array, data: Data) -> tuple[Array, Array, Array]:
        known, _ = self._known(flat, data)
        quantities = self.program.quantities(**known)
        nothing = {k: jnp.zeros(q.shape) for k, q in quantities.items()}
        (law,) = self.program.outcomes(nothing, **known).values()
        shape = jnp.broadcast_shapes(jnp.shape(law.loc), jnp.shape(law.scale))
        factors = self.program.factors(**known)
        offset, scale = (spread(x, shape) for x in (law.loc, law.scale))
        numbers = range(len(self.products))
        weights = (factors.get(f"weight of product {n}", 1.0) for n in numbers)
        found = [jnp.broadcast_to(jnp.asarray(w, float), offset.shape) for w in weights]
        return offset, scale, jnp.stack(found)

    def _rows(self, flat: Array, laws: Any, rate: Array, data: Data) -> Any:
        """E log p(y | u, theta); the unknowns after a step; what the rows say at these; and the
        curvature of minus the first, with the prior, by the unknowns of rows."""
        means, variances = self._moments(self.products, laws, data.codes)

        def expected_density(flat: Array) -> Array:
            offset, scale, weights = self._law(flat, data)
            square = (data.value - offset - jnp.sum(weights * means, axis=0)) ** 2
            square = square + jnp.sum(weights**2 * variances, axis=0)
            density = jnp.log(scale) + 0.5 * square / scale**2 + 0.5 * _LOG_TWO_PI
            return -jnp.sum(data.share * density)

        def climb(part: Array) -> Array:
            whole = flat.at[self.rest].set(part)
            return expected_density(whole) + self.unknowns.values(whole, data.arrays)[1]

        seen = expected_density(flat)
        hessian = jnp.zeros((0, 0))
        if self.rest.size:
            part = flat[self.rest]
            slope, hessian = jax.grad(climb)(part), -jax.hessian(climb)(part)
            flat = flat.at[self.rest].set(part + rate * _newton(slope, hessian))
        offset, scale, weights = self._law(flat, data)
        rows = Rows(data.share * scale**-2.0, data.value - offset, weights, weights * means)
        return seen, flat, rows, hessian

    def _moments(self, products: Any, laws: Any, codes: Any) -> tuple[Array, Array]:
        """Means and variances [products, N] of the products, without weights."""
        found = [product.values(laws, codes) for product in products]
        mean, variance = (jnp.stack(each) for each in zip(*found, strict=True))
        return mean, variance

    def _told(self, flat: Array, laws: Any, data: Data) -> tuple[Array, Array]:
        """The residual of each row, and the log of its predictive density."""
        means, variances = self._moments(self.products, laws, data.codes)
        offset, scale, weights = self._law(flat, data)
        residual = data.value - offset - jnp.sum(weights * means, axis=0)
        variance = scale**2 + jnp.sum(weights**2 * variances, axis=0)
        return residual, -0.5 * (residual**2 / variance + jnp.log(variance) + _LOG_TWO_PI)

    def _located(self, flat: Array, laws: Any, data: Data) -> tuple[Array, Array, Array]:
        """Mean, variance and scale of noise of every row, the missing ones too."""
        offset, scale, weights = self._law_of_all(flat, data)
        codes = {k: data.groups[k].code for k in self.shapes}
        products = _products(self.shapes, len(offset))
        means, variances = self._moments(products, laws, codes)
        mean = offset + jnp.sum(weights * means, axis=0)
        return mean, jnp.sum(weights**2 * variances, axis=0), scale


def _kind(shape: Shape) -> Shape:
    """A shape without its names."""
    return replace(shape, key="", process=_MODE, letters="", product=0)


def _solved(
    shape: Shape, chain: Array, at: Placed, prior: Prior, message: Message
) -> tuple[Array, Prior, Moments]:
    groups = Groups(jnp.zeros(0, int), jnp.zeros(0, int), chain)

    def climb(prior: Prior) -> Any:
        return solved(shape, groups, at._replace(mean=prior.mean), prior.process, message)

    (log_z, law), slope = jax.value_and_grad(climb, has_aux=True)(prior)
    return log_z - expected(message, law), slope, law


def _as_number(leaf: Any) -> Any:
    return jnp.asarray(leaf, float) if isinstance(leaf, int | float) else leaf


def _products(shapes: Mapping[str, Shape], rows: int) -> list[Product]:
    """Product by product, in the order of their numbers."""
    numbers = sorted({shape.product for shape in shapes.values()})
    return [Product({k: s for k, s in shapes.items() if s.product == n}, rows) for n in numbers]


def _without(laws: Mapping[str, Moments], key: str) -> dict[str, Moments]:
    return {k: law for k, law in laws.items() if k != key}


def expected(message: Message, law: Moments) -> Array:
    """The expected log of a message under a law."""
    square = law.covariance + law.mean[:, :, None] * law.mean[:, None, :]
    return jnp.sum(message.shift * law.mean) - 0.5 * jnp.sum(message.precision * square)


def climbed(flat: Array, slopes: Array, before: Array, steps: Array) -> tuple[Array, Array, Array]:
    """A step of each unknown by the sign of its slope: longer while it stays, shorter where it
    turns, and none at a turn."""
    turn = slopes * before
    grown = jnp.where(turn > 0, _GROW, jnp.where(turn < 0, _FALL, 1.0))
    steps = jnp.clip(steps * grown, *_STEPS)
    slopes = jnp.where(turn < 0, 0.0, slopes)
    return flat + jnp.sign(slopes) * steps, slopes, steps


def filled_up(shapes: Mapping[str, Shape], structures: Mapping[str, Any]) -> dict[str, Shape]:
    """Shapes with as many groups as the longest of those that differ in nothing else, so that they
    share what is compiled: a point that no row reads costs microseconds, a compilation seconds."""

    def kind(shape: Shape) -> Any:
        return replace(_kind(shape), count=0), structures[shape.process]

    longest: dict[Any, int] = {}
    for shape in shapes.values():
        longest[kind(shape)] = max(shape.count, longest.get(kind(shape), 0))
    found = {}
    for key, shape in shapes.items():
        count = longest[kind(shape)]
        is_filled = shape.kind == "line" and count <= _ALIKE
        found[key] = replace(shape, count=count) if is_filled else shape
    return found


def _newton(slope: Array, hessian: Array) -> Array:
    """A step up, by a curvature that is made positive, no further than one unit."""
    values, vectors = jnp.linalg.eigh(0.5 * (hessian + hessian.T))
    values = jnp.maximum(jnp.abs(values), 1e-6)
    step = vectors @ ((vectors.T @ slope) / values)
    return step / jnp.maximum(1.0, jnp.max(jnp.abs(step)))


def _places(positions: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """Where unknowns stand, which may be drawn by way of others: `b.standard`."""
    found = [
        place
        for site, place in positions.items()
        if any(site == name or site.startswith(f"{name}.") for name in names)
    ]
    return np.sort(np.concatenate([np.zeros(0, int), *found]))
