"""One joint Gaussian over all observed rows by conjugate gradients: O(n^2) time, O(n) memory.

As `Dense`, with no covariance ever stored (`tiles`). With the preconditioner M (`preconditioner`)
and probes w_i ~ Normal(0, M), the same normal numbers behind them at all hyperparameters,

    log |C| = log |M| + mean_i z_i' log(M^-1/2 C M^-1/2) z_i,    z = M^-1/2 w,
    d log |C| = mean_i u_i' dC v_i + <M^-1 - mean_i v_i v_i', dP>,    u = C^-1 w,  v = M^-1 w,

without bias: what M knows of C is exact and only the rest is estimated (Gardner et al. 2018;
Wenger et al. 2022). Every solve is to a tolerance, and what it reached is told. The diagonal of
C^-1, for leaving one out, is that of M^-1 and the mean of u v - v v in the same way, within the
bounds that every such diagonal obeys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from mercer.runtime.engines import square_root
from mercer.runtime.engines.conjugate import Solve, log_forms, solve
from mercer.runtime.engines.dense import (
    LeaveOneOut,
    Observations,
    evaluate_at,
    identity,
    observed,
    split_rows,
    unique_sites,
)
from mercer.runtime.engines.frames import law_values
from mercer.runtime.engines.preconditioner import (
    Preconditioner,
    greedy_columns,
    low_root,
    preconditioner,
    ritz,
)
from mercer.runtime.engines.sites import (
    Part,
    Processes,
    Rows,
    Sites,
    rows,
    rows_covariance,
    rows_variance,
    site_values,
    weights_count,
    weights_root,
)
from mercer.runtime.engines.terms import Affine, Site, Weights
from mercer.runtime.engines.tiles import (
    Covariance,
    covariance_of,
    cross_product,
    diagonal,
    picked,
    product,
    slope_of_forms,
)
from mercer.runtime.shared import shared_property

KEPT = 40
"""Directions kept from one solve to the next."""

_LOOKED_AT = 128
"""Directions of descent among which they are found, of all right sides together."""

_MOST = 1000
"""Iterations of one solve at most."""

_TOGETHER = 64
"""Right sides of a variance that are solved for at a time."""


class Remembered(NamedTuple):
    """What one solve leaves to the next: `places` [m] of the columns of the preconditioner,
    `basis` [k, n] of directions, `alpha` [n]."""

    places: Array
    basis: Array
    alpha: Array


class Solved(NamedTuple):
    """`alpha` C^-1 y [n]; of the probes `inverse` C^-1 w and `turned` M^-1 w [s, n]; what M is
    made of; the log determinant; `residual` and `iterations` of outcome and probes [1 + s]."""

    alpha: Array
    inverse: Array
    turned: Array
    places: Array
    basis: Array
    image: Array
    log_determinant: Array
    residual: Array
    iterations: Array


@dataclass(frozen=True)
class Iterations:
    """The engine with its settings: `tolerance` of residuals, relative to the right sides; `rank`
    of the preconditioner's columns; `probes` of log determinants. `solution`: what was solved
    before for the block that it is asked for, by `Iterative.solved`."""

    tolerance: float = 1e-6
    rank: int = 300
    probes: int = 10
    solution: Solved | None = None

    def __call__(self, processes: Processes, sites: Sites, observations: Observations) -> Iterative:
        return Iterative(processes, sites, observations, settings=self)

    def at(self, solution: Solved | None) -> Iterations:
        """The same, with a solution."""
        return replace(self, solution=solution)


class Iterative:
    """The engine of one block. `settings.solution` None: it solves by itself, from the start."""

    def __init__(
        self,
        processes: Processes,
        sites: Sites,
        observations: Observations,
        *,
        settings: Iterations | None = None,
    ) -> None:
        self.processes, self.sites, self.observations = processes, sites, observations
        self.settings = settings or Iterations()
        self.data = observed(sites, observations)
        self._drawn: list[tuple[Array, Array]] = []

    @shared_property
    def covariance(self) -> Covariance:
        """C of all observed rows."""
        return covariance_of(self.processes, self.data.parts, self.data.noise)

    def log_density(self) -> Array:
        """log density of all the observations together: estimated, with the gradient's estimate."""
        if not len(self.data.deviation):
            return jnp.zeros(())
        return log_normal(self.covariance, self.data.deviation, self.solution)

    # --- solves ---

    def first(self) -> Remembered:
        """What there is to remember before the first solve: the columns, and directions at
        random."""
        size = len(self.data.deviation)
        matrix = _held(self.covariance)
        places = greedy_columns(matrix, min(self.settings.rank, size))
        basis = jax.random.normal(jax.random.key(1), (min(KEPT, max(1, size // 2)), size))
        return Remembered(places, basis, jnp.zeros(size))

    def solved(self, before: Remembered) -> tuple[Solved, Remembered]:
        """The outcome and the probes solved for together, and what that leaves to the next."""
        settings = self.settings
        matrix, deviation = _held(self.covariance), lax.stop_gradient(self.data.deviation)
        places = before.places
        images = product(matrix, jnp.concatenate([before.basis, before.alpha[None]]))
        image, begun = images[:-1], images[-1]
        low = low_root(matrix, places)
        by = preconditioner(low, matrix.noise**2, before.basis, image)
        probes = by.draw(jax.random.key(0), settings.probes)
        right = jnp.concatenate([deviation[None], probes])
        start = jnp.zeros_like(right).at[0].set(before.alpha)
        found = solve(
            partial(product, matrix),
            by.solve,
            right,
            tolerance=settings.tolerance,
            most=_MOST,
            start=(start, jnp.zeros_like(right).at[0].set(begun)),
            kept=max(1, _LOOKED_AT // len(right)),
        )
        own = jax.tree.map(lambda leaf: leaf[..., 1:], _coefficients(found))
        result = Solved(
            found.solution[0],
            found.solution[1:],
            by.solve(probes),
            places,
            before.basis,
            image,
            by.log_determinant + jnp.mean(log_forms(own)),
            found.residual,
            found.iterations,
        )
        size = right.shape[1]
        ways = jnp.concatenate([before.basis, found.directions.reshape(-1, size)])
        seen = jnp.concatenate([image, found.images.reshape(-1, size)])
        basis = ritz(by, ways, seen, len(before.basis))
        return result, Remembered(places, basis, result.alpha)

    @shared_property
    def solution(self) -> Solved:
        """Given, or found from the start."""
        return self.settings.solution or self.solved(self.first())[0]

    @shared_property
    def by(self) -> Preconditioner:
        """M, as the solution has it."""
        matrix, found = _held(self.covariance), self.solution
        low = low_root(matrix, found.places)
        return preconditioner(low, matrix.noise**2, found.basis, found.image)

    @property
    def reached(self) -> dict[str, Array]:
        """The largest residual that a solve for the outcome, a probe or a draw was left with, the
        most iterations, and by how much a prior draw still changed when it ended."""
        found = {
            "residual": jnp.max(self.solution.residual),
            "iterations": jnp.max(self.solution.iterations),
        }
        for residual, change in self._drawn:
            found["residual"] = jnp.maximum(found["residual"], residual)
            found["change"] = jnp.maximum(found.get("change", change), change)
        return found

    def _solve(self, right: Array, tolerance: float) -> Solve:
        matrix = self.covariance
        return solve(
            partial(product, matrix), self.by.solve, right, tolerance=tolerance, most=_MOST
        )

    # --- conditional laws ---

    def condition(self, sites: Sites, affine: Affine, *, full: bool = False) -> tuple[Array, Array]:
        """Mean and variance (`full`: covariance [N, N]) of an affine vector given the data.

        `sites` are further sites, beside those of the block. Each variance is a solve of its own.
        """
        target = rows(affine, {**self.sites, **sites})
        if full:
            spread = rows_covariance(self.processes, target, target)
        else:
            spread = rows_variance(self.processes, target)
        mean = target.constant
        if len(self.data.deviation):
            groups = self.data.parts
            mean += cross_product(self.processes, groups, target, self.solution.alpha[None])[0]
            # The error of b'C^-1 b is the square of that of the solve.
            tolerance = math.sqrt(self.settings.tolerance)
            if full:
                cross = _cross(self.processes, groups, target)
                spread -= cross @ self._solve(cross, self.settings.tolerance).solution.T
            else:
                spread -= self._explained(target, tolerance)
        if not full:
            spread = jnp.maximum(spread, 0.0).reshape(affine.shape)
        return mean.reshape(affine.shape), spread

    def _explained(self, target: Rows, tolerance: float) -> Array:
        """What the data explain of the variance [N] of each row."""
        size = len(target.constant)
        few = min(_TOGETHER, size)
        starts = jnp.arange(-(-size // few))

        def some(start: Array) -> Array:
            places = jnp.minimum(start * few + jnp.arange(few), size - 1)
            cross = _cross(self.processes, self.data.parts, picked(target, places))
            found = self._solve(cross, tolerance)
            return jnp.sum(cross * found.solution, axis=1)

        return lax.map(some, starts).reshape(-1)[:size]

    def leave_one_out(self) -> dict[str, LeaveOneOut]:
        """Predictive law of each observed row given all others; the diagonal of C^-1 by probes."""
        found, data = self.solution, self.data
        rest = jnp.mean(found.inverse * found.turned - found.turned**2, axis=0)
        least = 1.0 / (diagonal(self.covariance) + data.noise**2)
        precision = jnp.clip(self.by.inverse_diagonal + rest, least, 1.0 / data.noise**2)
        residual, sd = found.alpha / precision, precision**-0.5
        values = data.deviation + jnp.concatenate([p.constant for p in data.parts])
        log_density = -0.5 * (residual / sd) ** 2 - jnp.log(sd) - 0.5 * math.log(2 * math.pi)
        pieces = split_rows(self.observations, log_density, values - residual, sd)
        return {name: LeaveOneOut(*piece) for name, piece in pieces.items()}

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint posterior draw of affine vectors (noise-free), each of its shape: a prior draw
        (`square_root`), moved by a solve to what the data say (Wilson et al. 2020, eq. 9)."""
        everywhere = {**self.sites, **(sites or {})}
        targets = {name: rows(affine, everywhere) for name, affine in affines.items()}
        whole = {name: rows(law.mean, self.sites) for name, (law, *_) in self.observations.items()}
        unique = unique_sites([*whole.values(), *targets.values()])
        key, noise_key = jax.random.split(key)
        values, change = self._prior_draw(key, unique)
        result = {name: evaluate_at(target, values) for name, target in targets.items()}
        if len(self.data.deviation):
            fitted = []
            for name, (law, _, keep) in self.observations.items():
                value = evaluate_at(whole[name], values) - whole[name].constant
                fitted.append(law_values(law, value, keep)[0])
            noise = self.data.noise * jax.random.normal(noise_key, self.data.noise.shape)
            surprise = self.data.deviation - jnp.concatenate(fitted) - noise
            solved = self._solve(surprise[None], self.settings.tolerance)
            pull = solved.solution
            self._drawn.append((jnp.max(solved.residual), change))
            for name, target in targets.items():
                result[name] += cross_product(self.processes, self.data.parts, target, pull)[0]
        return {name: value.reshape(affines[name].shape) for name, value in result.items()}

    def _prior_draw(self, key: Array, sites: list[Site]) -> tuple[dict[Any, Array], Array]:
        """Joint prior values of sites, and by how much they still changed at the end."""
        values: dict[Any, Array] = {}
        most = jnp.zeros(())
        for number, (name, process) in enumerate(self.processes.items()):
            own = [site for site in sites if site.process == name]
            if not own:
                continue
            own_key = jax.random.fold_in(key, number)
            if isinstance(process, Weights):
                size = weights_count(process, own[0])
                normal = jax.random.normal(own_key, (size,))
                root = weights_root(process, size)
                weights = root * normal if root.ndim == 1 else root @ normal
                values |= {identity(site): site_values(site, weights) for site in own}
                continue
            groups = tuple(Rows(jnp.zeros(s.size), (Part(s, 1.0, None),)) for s in own)
            matrix = covariance_of(
                {name: process}, groups, jnp.zeros(sum(site.size for site in own))
            )
            found, change = square_root.draw(own_key, matrix, rank=self.settings.rank)
            most = jnp.maximum(most, change)
            start = 0
            for site in own:
                values[identity(site)] = found[start : start + site.size]
                start += site.size
        return values, most


# --- the density ----------------------------------------------------------------------------------


def log_normal(matrix: Covariance, deviation: Array, found: Solved) -> Array:
    """log N(deviation; 0, C) of a covariance that was solved for, differentiable once."""
    leaves, tree = jax.tree.flatten(matrix)
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    rest = tuple(None if _is_array(leaf) else leaf for leaf in leaves)
    return _density((tree, rest), arrays, deviation, jax.tree.map(lax.stop_gradient, found))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _density(build: Any, arrays: list[Array], deviation: Array, found: Solved) -> Array:
    size = len(deviation)
    square = deviation @ found.alpha
    return -0.5 * (square + found.log_determinant + size * math.log(2 * math.pi))


def _density_forward(build: Any, arrays: Any, deviation: Any, found: Any) -> tuple[Array, Any]:
    own, solved = [a.value for a in arrays], jax.tree.map(lambda leaf: leaf.value, found)
    moving = [a.value if a.perturbed else None for a in arrays]
    return _density(build, own, deviation.value, solved), (own, moving, solved)


def _density_backward(build: Any, kept: Any, pull: Array) -> Any:
    own, moving, found = kept
    free = [k for k, leaf in enumerate(moving) if leaf is not None]

    def rebuild(given: list[Array]) -> Covariance:
        changed = dict(zip(free, given, strict=True))
        return _built(build, [changed.get(k, leaf) for k, leaf in enumerate(own)])

    slopes: list[Any] = [None] * len(own)
    if free:
        count = len(found.turned)
        left = jnp.concatenate([found.alpha[None], -found.inverse / count])
        right = jnp.concatenate([found.alpha[None], found.turned])
        given = [own[k] for k in free]
        total = slope_of_forms(rebuild, given, left, right)
        rest = jax.grad(partial(_known_part, rebuild, found))(given)
        for k, a, b in zip(free, total, rest, strict=True):
            slopes[k] = _last(0.5 * pull * (a - b))
    return slopes, -pull * found.alpha, None


def _known_part(rebuild: Any, found: Solved, given: Any) -> Array:
    """<M^-1 - mean v v', P> as a function of P, what is known of C in closed form."""
    matrix = rebuild(given)
    low, variance = low_root(matrix, found.places), matrix.noise**2
    by = jax.tree.map(lax.stop_gradient, preconditioner(low, variance, found.basis, found.image))
    whole = jnp.sum(low * by.solve(low)) + by.inverse_diagonal @ variance
    seen = jnp.sum((found.turned @ low.T) ** 2, axis=1) + found.turned**2 @ variance
    return whole - jnp.mean(seen)


_density.defvjp(_density_forward, _density_backward, symbolic_zeros=True)


@jax.custom_jvp
def _last(slope: Array) -> Array:
    """A slope, of which there is no derivative: it was solved for at one point."""
    return slope


@_last.defjvp
def _(primals: Any, tangents: Any) -> Any:
    raise ValueError(
        "Iterative: its log density has a gradient and no second derivative; take differences"
    )


def _built(build: Any, arrays: list[Any]) -> Covariance:
    tree, rest = build
    given = iter(arrays)
    return jax.tree.unflatten(tree, [next(given) if leaf is None else leaf for leaf in rest])


def _is_array(leaf: Any) -> bool:
    return not isinstance(leaf, bool | int | float)


def _held(matrix: Covariance) -> Covariance:
    """The same, as a constant to derivatives."""
    return jax.tree.map(lambda leaf: lax.stop_gradient(leaf) if _is_array(leaf) else leaf, matrix)


def _coefficients(found: Solve) -> Solve:
    """What quadrature needs, with the right sides last."""
    empty = jnp.zeros((0, 0))
    return found._replace(solution=empty, directions=empty, images=empty)


def _cross(processes: Processes, groups: tuple[Rows, ...], target: Rows) -> Array:
    """Prior covariances [N, n] of a few rows with all that are observed."""
    return jnp.concatenate([rows_covariance(processes, target, g) for g in groups], axis=1)
