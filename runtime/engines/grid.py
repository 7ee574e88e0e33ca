"""The engine of one random function on a grid: products of small covariances, O(M sum m_k).

    y = a f(cells) + D w + e,   Cov f = K_1 ⊗ ... ⊗ K_D,   e ~ N(0, noise^2),   M = prod m_k cells.

With one noise the eigenvectors of the K_k solve all (`engines.kronecker`). What disturbs the
product is a border of it: the whitened finite unknowns w by their columns D, and cells without a
value by the columns E that pick them, since P = C^-1 of all cells gives that of the observed as
P - P E (E' P E)^-1 E' P. With V = [D, E] and J = diag(I, 0),

    C_obs^-1 = P - P V S^-1 V' P,   S = V' P V + J,   log|C_obs| = log|C| + log|S|.

Where there are many such cells, or values differ in their noise or share a cell, it is no case for
this engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines import kronecker
from mercer.runtime.engines.cholesky import EXACT, LATENT, diagonal_of, factor, solve_triangular
from mercer.runtime.engines.dense import (
    Dense,
    LeaveOneOut,
    Observations,
    evaluate_at,
    identity,
    split_rows,
    stacked_covariance,
    unique_sites,
)
from mercer.runtime.engines.kronecker import Basis
from mercer.runtime.engines.lattice import (
    Lattice,
    axis_covariance,
    axis_kernels,
    lattice,
    on_axis,
)
from mercer.runtime.engines.sites import (
    Part,
    Processes,
    Rows,
    Sites,
    apply,
    rows,
    rows_covariance,
    rows_variance,
    site_values,
    spread,
    weighted_design,
    weights_count,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, RandomFunction, Site, Weights
from mercer.runtime.shared import shared_property

MOST = 600
"""Cells without a value, and finite unknowns, that are eliminated exactly: each is a column over
all cells."""

_LOG_TWO_PI = math.log(2 * math.pi)
_LEAST = 1e-13  # noise variance, relative to that of the function, below which it is rounding


class Solved(NamedTuple):
    """All columns Z = [y, V] in the basis: `gram` Z' P Z [c, c], `duals` P Z, `root` that of
    S, `log_determinant` of C_obs, and `weights` S^-1 V' P y."""

    gram: Array
    duals: Array
    root: Array
    log_determinant: Array
    weights: Array


class Grid:
    """The engine of a block with one random function on a grid, seen by one outcome.

    ValueError: a site without a grid, several functions or outcomes, or a coefficient of the
    function that differs from row to row.
    """

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        levels: tuple[float, ...] = EXACT,
    ) -> None:
        self.processes, self.sites, self.observations = processes, sites, observations
        self.levels = levels
        functions = [site for site in sites.values() if site.points is not None]
        if len(functions) != 1 or functions[0].grid is None:
            raise ValueError("sites: one site of a random function is wanted, with its grid")
        if len(observations) > 1:
            raise ValueError(f"observations: one outcome is wanted, got {len(observations)}")
        (self.site,) = functions
        grid: Lattice = functions[0].grid
        # A program that is only drawn from has prepared none.
        self.grid = lattice(self.site, grid.axes) if grid.cell is None else grid
        self._sizes = {
            site.process: weights_count(process, site)
            for site in sites.values()
            if isinstance(process := processes[site.process], Weights)
        }
        if observations:
            self._read()

    def _read(self) -> None:
        """The observed rows, cell by cell."""
        ((law, value, keep),) = self.observations.values()
        target = rows(law.mean, self.sites)
        own = [p for p in target.parts if p.site.process == self.site.process]
        if len(own) != 1 or own[0].index is not None or jnp.ndim(own[0].coefficient):
            raise ValueError("observations: each row must read the value of its own cell")
        count = len(target.constant)
        self.factor_of_function = own[0].coefficient
        self.deviation = spread(value, law.mean.shape) - target.constant
        self.constant = target.constant
        self.noise = spread(law.noise, law.mean.shape)
        self.design = self._design(target)
        keep = None if keep is None else jnp.asarray(keep)
        self.kept = count if keep is None else len(keep)
        self.seen = jnp.ones(count, bool)
        if keep is not None:
            self.seen = jnp.zeros(count, bool).at[keep].set(True)
        self.keep = jnp.arange(count) if keep is None else keep
        self.missing = count - self.kept + len(self.grid.absent)
        is_one = jnp.ndim(law.noise) == 0
        if not (is_one and self.grid.is_once and self.missing <= MOST):
            wanted = f"one noise, a cell for each row, and up to {MOST} cells without a value"
            raise ValueError(f"observations: {wanted} are wanted, {self.missing} have none")
        gaps = jnp.nonzero(~self.seen, size=count - self.kept)[0]
        self.gaps = jnp.concatenate(
            [jnp.asarray(self.grid.absent), jnp.asarray(self.grid.cell)[gaps]]
        )

    # --- the verbs ---

    def log_density(self) -> Array:
        """log density of all the observations together."""
        if not self.observations:
            return jnp.zeros(())
        found = self.solved
        square = found.gram[0, 0] - found.gram[0, 1:] @ found.weights
        return -0.5 * (square + found.log_determinant + self.kept * _LOG_TWO_PI)

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data.

        `full`, and rows that read several values of the function, take N M numbers.
        """
        target = rows(affine, {**self.sites, **sites})
        if not self.observations:
            return Dense(self.processes, self.sites, {}).condition(sites, affine, full=full)
        found, own = self.solved, self._parts(target)
        design = self._design(target)
        count = design.shape[1]
        n = len(target.constant)
        mean = target.constant + self._seen(own, self._pull[None], n)[:, 0]
        mean = mean + design @ self._weights_pull
        heights = self._seen(own, found.duals[1:], n)  # k' P V
        cross = heights + design @ found.gram[1 : 1 + count, 1:]
        half = solve_triangular(found.root, cross.T)
        gram = found.gram[1 : 1 + count, 1 : 1 + count]
        inner = heights[:, :count]
        is_simple = len(own) == 1 and (own[0].index is None or own[0].index.ndim == 1)
        if not full and (is_simple or not own):
            known = self._squares(own[0]) if own else 0.0
            known = known + jnp.sum((2.0 * inner + design @ gram) * design, axis=1)
            prior = rows_variance(self.processes, target)
            variance = jnp.maximum(prior - known + jnp.sum(half**2, axis=0), 0.0)
            return mean.reshape(affine.shape), variance.reshape(affine.shape)
        dense = self._dense(own, n)
        scaled = dense / jnp.sqrt(self._total.reshape(-1))
        known = scaled @ scaled.T + inner @ design.T + design @ inner.T + design @ gram @ design.T
        prior = rows_covariance(self.processes, target, target)
        covariance = prior - known + half.T @ half
        if full:
            return mean.reshape(affine.shape), covariance
        variance = jnp.maximum(diagonal_of(covariance), 0.0)
        return mean.reshape(affine.shape), variance.reshape(affine.shape)

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others: from the diagonal of C_obs^-1."""
        cells = jnp.asarray(self.grid.cell)[self.keep]
        squares = [vectors**2 for vectors in self.basis.vectors]
        precision = kronecker.along(squares, (1.0 / self._total)[None]).reshape(-1)[cells]
        if len(self.solved.root):
            back = self.basis.back(self.solved.duals[1:])
            columns = back.reshape(len(back), -1)[:, cells]
            half = solve_triangular(self.solved.root, columns)
            precision = precision - jnp.sum(half**2, axis=0)
        pull = self.basis.back(self._pull[None]).reshape(-1)[cells]
        residual, sd = pull / precision, precision**-0.5
        values = (self.deviation + self.constant)[self.keep]
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * _LOG_TWO_PI
        pieces = split_rows(self.observations, log_density, values - residual, sd)
        return {name: LeaveOneOut(*piece) for name, piece in pieces.items()}

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape.

        Matheron's rule in the cells: a prior draw, which the eigenvectors give, plus what the data
        say otherwise. Given its values in all cells the function elsewhere follows its prior.
        """
        everywhere = {**self.sites, **(sites or {})}
        targets = {name: rows(affine, everywhere) for name, affine in affines.items()}
        cell_key, noise_key, rest_key, *weight_keys = jax.random.split(key, 3 + len(self._sizes))
        normal = jax.random.normal(cell_key, self.grid.shape)
        in_basis = jnp.sqrt(self.basis.spectrum) * normal
        weights = {
            name: jax.random.normal(own, (size,))
            for own, (name, size) in zip(weight_keys, self._sizes.items(), strict=True)
        }
        if self.observations:
            flat = jnp.concatenate([jnp.zeros(0), *weights.values()])
            at_rows = self.basis.back(in_basis[None]).reshape(-1)[jnp.asarray(self.grid.cell)]
            noise = jnp.sqrt(self._shift) * jax.random.normal(noise_key, at_rows.shape)
            surprise = self.deviation - at_rows - self.design @ flat - noise
            dual, by_weights = self._pulled(surprise)
            in_basis = in_basis + self.basis.spectrum * dual
            flat = flat + by_weights
            starts = jnp.cumsum(jnp.array([0, *self._sizes.values()]))[:-1]
            weights = {
                name: jax.lax.dynamic_slice(flat, (start,), (size,))
                for start, (name, size) in zip(starts, self._sizes.items(), strict=True)
            }
        values: dict[Any, Array] = {}
        new: list[Site] = []
        for site in unique_sites([*targets.values()]):
            process = self.processes[site.process]
            if isinstance(process, Weights):
                size = self._sizes[site.process]
                own, root = weights[site.process], weights_root(process, size)
                own = root * own if root.ndim == 1 else root @ own
                values[identity(site)] = site_values(site, own)
            elif identity(site) == identity(self.site):
                found = self.basis.back(in_basis[None]).reshape(-1)
                values[identity(site)] = found[jnp.asarray(self.grid.cell)] / self._factor
            else:
                new.append(site)
        values |= self._continued(rest_key, in_basis, new)
        return {
            name: evaluate_at(target, values).reshape(affines[name].shape)
            for name, target in targets.items()
        }

    @property
    def jitter(self) -> Array:
        """What was added to the noise, relative to the variance of the function."""
        return (self._shift - self._noise**2) / self._scale

    # --- what the verbs share ---

    @shared_property
    def basis(self) -> Basis:
        """The covariances of all axes, that of a f, by their eigenvectors."""
        return kronecker.basis([self._covariance(k, None) for k in range(len(self.grid.axes))])

    @shared_property
    def solved(self) -> Solved:
        """All columns solved, and the border eliminated."""
        in_cells = self._in_cells(jnp.concatenate([self.deviation[None], self.design.T]))
        columns = self.basis.into(in_cells)
        if len(self.gaps):
            columns = jnp.concatenate([columns, self.basis.picked(self.gaps)])
        gram, duals = kronecker.grams(self.basis, self._shift, columns)
        is_weight = jnp.arange(len(gram) - 1) < len(in_cells) - 1
        border = gram[1:, 1:] + jnp.diag(is_weight.astype(float))
        total = kronecker.log_determinant(self.basis, self._shift)
        if not len(border):
            return Solved(gram, duals, border, total, jnp.zeros(0))
        root = factor(border, self.levels).lower
        half = solve_triangular(root, gram[1:, 0])
        weights = solve_triangular(root, half, transposed=True)
        total = total + 2.0 * jnp.sum(jnp.log(diagonal_of(root)))
        return Solved(gram, duals, root, total, weights)

    @shared_property
    def _pull(self) -> Array:
        """C_obs^-1 (y - m) in the basis, finite unknowns included in C_obs."""
        return self.solved.duals[0] - jnp.tensordot(self.solved.weights, self.solved.duals[1:], 1)

    @shared_property
    def _weights_pull(self) -> Array:
        """D' C_obs^-1 (y - m): the posterior means of the whitened finite unknowns."""
        count, found = self.design.shape[1], self.solved
        return found.gram[1 : 1 + count, 0] - found.gram[1 : 1 + count, 1:] @ found.weights

    def _pulled(self, values: Array) -> tuple[Array, Array]:
        """Both of these for other values of the rows [N]."""
        found, count = self.solved, self.design.shape[1]
        column = self.basis.into(self._in_cells(values[None]))
        inner = found.duals[1:].reshape(len(found.duals) - 1, -1) @ column.reshape(-1)
        if len(inner):
            half = solve_triangular(found.root, inner)
            weights = solve_triangular(found.root, half, transposed=True)
        else:
            weights = inner
        dual = column[0] / self._total - jnp.tensordot(weights, found.duals[1:], 1)
        return dual, inner[:count] - found.gram[1 : 1 + count, 1:] @ weights

    @property
    def _factor(self) -> Any:
        return self.factor_of_function if self.observations else 1.0

    @property
    def _noise(self) -> Array:
        return self.noise[0]

    @shared_property
    def _scale(self) -> Array:
        means = [jnp.mean(diagonal_of(self._covariance(k, None))) for k in range(self._depth)]
        return jnp.prod(jnp.stack(means))

    @property
    def _depth(self) -> int:
        return len(self.grid.axes)

    @shared_property
    def _shift(self) -> Array:
        """The variance of the noise, or so much that C is none of rounding."""
        scale = jax.lax.stop_gradient(self._scale)
        level = jnp.where(self._noise**2 < _LEAST * scale, 10.0 * _LEAST * scale, 0.0)
        return self._noise**2 + level

    @property
    def _total(self) -> Array:
        return self.basis.spectrum + self._shift

    def _in_cells(self, values: Array) -> Array:
        """Rows [c, N] in the cells [c, m_1, ..., m_D]; 0 where there is no value."""
        values = jnp.where(self.seen, values, 0.0)
        padded = jnp.concatenate([values, jnp.zeros((len(values), 1))], axis=1)
        return padded[:, jnp.asarray(self.grid.row)].reshape(len(values), *self.grid.shape)

    def _design(self, quantity: Rows) -> Array:
        """Coefficients [n, p] of all whitened finite unknowns."""
        named = {part.site.process for part in quantity.parts}
        n = len(quantity.constant)
        blocks = [
            weighted_design(self.processes, name, quantity)
            if name in named
            else jnp.zeros((n, size))
            for name, size in self._sizes.items()
        ]
        return jnp.concatenate([jnp.zeros((n, 0)), *blocks], axis=1)

    def _covariance(self, number: int, site: Site | None) -> Array:
        """The factor of axis `number` [n, m]: of a site, or of the grid itself; that of a f."""
        process = self.processes[self.site.process]
        assert isinstance(process, RandomFunction)
        like = self.site.points
        own = on_axis(self.grid, number, like)
        points = own if site is None else site.points
        kernel = axis_kernels(process.kernel, self.grid.axes, like)[number]
        matrix = axis_covariance(kernel, process.outputs, self.grid.axes[number], points, own)
        return matrix * jnp.square(self._factor) if number == 0 else matrix

    # --- rows elsewhere ---

    def _parts(self, target: Rows) -> list[Part]:
        """The parts of rows that read the function, in units of a f."""
        return [
            part._replace(coefficient=part.coefficient / self._factor)
            for part in target.parts
            if part.site.process == self.site.process
        ]

    def _features(self, site: Site) -> list[Array]:
        """The covariances of a site with the grid, axis by axis, in the basis."""
        vectors = self.basis.vectors
        return [self._covariance(k, site) @ q for k, q in enumerate(vectors)]

    def _seen(self, parts: list[Part], tensors: Array, count: int) -> Array:
        """k' x of rows, for tensors [c, m_1, ..., m_D] in the basis: [count, c]."""
        total = jnp.zeros((count, len(tensors)))
        for part in parts if len(tensors) else ():
            if identity(part.site) == identity(self.site):
                cells = self.basis.back(self.basis.spectrum * tensors)
                values = cells.reshape(len(tensors), -1)[:, jnp.asarray(self.grid.cell)].T
            else:
                values = kronecker.contracted(self._features(part.site), tensors)
            total = total + apply(part, values)
        return total

    def _squares(self, part: Part) -> Array:
        """k' C^-1 k of rows that read one value each, C that of all cells: [n]."""
        inverse = 1.0 / self._total
        if identity(part.site) == identity(self.site):
            squares = [q**2 for q in self.basis.vectors]
            cells = kronecker.along(squares, (self.basis.spectrum**2 * inverse)[None])
            values = cells.reshape(-1)[jnp.asarray(self.grid.cell)]
        else:
            squares = [feature**2 for feature in self._features(part.site)]
            values = kronecker.contracted(squares, inverse[None])[:, 0]
        return apply(part._replace(coefficient=part.coefficient**2), values)

    def _dense(self, parts: list[Part], count: int) -> Array:
        """Covariances [n, M] of rows with all cells, in the basis."""
        total = jnp.zeros((count, math.prod(self.grid.shape)))
        for part in parts:
            total = total + apply(part, kronecker.side_by_side(self._features(part.site)))
        return total

    def _continued(self, key: Array, in_basis: Array, sites: list[Site]) -> dict[Any, Array]:
        """Values of the function at other sites given those in all cells: f there, not a f."""
        if not sites:
            return {}
        features = [jnp.concatenate(each) for each in zip(*(self._features(s) for s in sites))]
        means, explained = in_basis, jnp.ones(())
        for k, (feature, value) in enumerate(zip(features, self.basis.values, strict=True)):
            # Directions that are rounding say nothing of the function elsewhere.
            inverse = jnp.where(value > 1e-12 * value[-1], 1.0 / value, 0.0)
            shape = [1] * self._depth
            shape[k] = -1
            means = means * inverse.reshape(shape)
            explained = explained * ((feature * inverse) @ feature.T)
        mean = kronecker.contracted(features, means[None])[:, 0]
        own = stacked_covariance(self.processes, sites) * jnp.square(self._factor)
        rest = own - explained + 1e-9 * jnp.diag(diagonal_of(own))
        root = factor(rest, LATENT).lower
        drawn = (mean + root @ jax.random.normal(key, mean.shape)) / self._factor
        found, start = {}, 0
        for site in sites:
            found[identity(site)] = drawn[start : start + site.size]
            start += site.size
        return found
