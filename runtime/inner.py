"""Random functions inside others: what a program says of them, and their values through points.

An emitted `inner_functions(through, ...)` asks `through` for one layer after another
(`mercer.runtime.through`). A function f with m inducing points has whitened values v there, and at
rows with features phi = k(x, Z) L^-T

    f(x) = phi v + sqrt(k(x, x) - |phi|^2) e,    e ~ N(0, 1),

with v ~ N(0, I) under the prior and N(m, R R') under its law, one for each output (Salimbeni &
Deisenroth 2017). A layer to `Real^inf` is the limit of many outputs with one law N(0, V V'): what
it hands on is a point of which only inner products count, [phi V, sqrt(k - |phi|^2)], and L V for
its inducing points. So a Gram matrix G = L V V' L' is a set of points, and every kernel of inner
products and distances is one on it; V = I is the limit of a wide network, G = K.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.cholesky import LATENT, factor, solve_triangular
from mercer.runtime.engines.evidence import SPARSE, Root, roots_of, whiten
from mercer.runtime.engines.sites import Processes, site_covariance, site_variance
from mercer.runtime.engines.terms import RandomFunction, Site
from mercer.stdlib.roots import root as safe_root

Known = Mapping[str, Any]


class Facts(NamedTuple):
    """What a program says of a layer: the identifier of its values, its function, the arguments of
    its inducing points and of its law (mean and root; root, of a Gram matrix), and what its
    divergence is weighted by. `wishart`: what the inducing points are divided by for the degrees of
    freedom of draws of a Gram matrix, 0: none; `order`: that of the divergence, 0: in full."""

    word: str
    owner: str
    points: tuple[str, ...]
    law: tuple[str, ...]
    nu: float
    wishart: float = 0.0
    order: float = 0.0


@dataclass(frozen=True, eq=False)
class Inner:
    """One application of a random function: `site` has the points of one output, `inducing` gives
    its inducing points. Values have the shape `shape`, with the outputs along `axis`."""

    key: str
    process: RandomFunction
    site: Site
    shape: tuple[int, ...]
    inducing: Callable[[], Site] | None = None
    mean: Any = 0.0
    axis: int | None = None

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return 1 if self.axis is None else self.shape[self.axis]

    @property
    def plain(self) -> Processes:
        """The process of one output."""
        return {self.site.process: RandomFunction(self.process.kernel)}

    def placed(self, value: Array) -> Array:
        """Outputs [n, k] as an array of `shape`."""
        if self.axis is None:
            return value.reshape(self.shape)
        base = (*self.shape[: self.axis], *self.shape[self.axis + 1 :])
        return jnp.moveaxis(value.reshape(*base, self.outputs), -1, self.axis)

    def flattened(self, value: Any) -> Array:
        """An array of `shape` as outputs [n, k]."""
        value = jnp.broadcast_to(value, self.shape)
        if self.axis is not None:
            value = jnp.moveaxis(value, self.axis, -1)
        return value.reshape(-1, self.outputs)

    def mixed(self, values: Array) -> Array:
        """Independent outputs [n, k], with the covariance that they have."""
        if self.process.outputs is None:
            return values
        return values @ factor(self.process.outputs, LATENT).lower.T

    def spread(self, variances: Array) -> Array:
        """The variances [n, k] of `mixed`, from those of independent outputs."""
        if self.process.outputs is None:
            return variances
        return variances @ (factor(self.process.outputs, LATENT).lower ** 2).T

    def seen(self, levels: tuple[float, ...] = SPARSE) -> Seen:
        """One output through its inducing points."""
        assert self.inducing is not None
        return seen(self.plain, self.site, self.inducing(), levels)


class Through(Protocol):
    """What says by what law layers are drawn."""

    def values(self, layer: Inner) -> Array:
        """The values of a layer, of its shape."""
        ...

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        """Points [*shape, m + 1] with the inner products of a Gram matrix, and those of the
        inducing points [m, m + 1]."""
        ...


# --- what a program says --------------------------------------------------------------------------


def facts_of(program: ModuleType) -> dict[str, Facts]:
    """The layers of a program, by key, innermost first."""
    return {key: Facts(*facts) for key, facts in getattr(program, "INNER", {}).items()}


def has_laws(program: ModuleType) -> bool:
    """Whether the layers of a program have laws of their own."""
    return any(facts.law for facts in facts_of(program).values())


def is_drawn(program: ModuleType) -> bool:
    """Whether some layer has values that are drawn: all but those that hand on a Gram matrix, if
    that is not drawn about itself."""
    return any(len(facts.law) == 2 or facts.wishart for facts in facts_of(program).values())


def has_drawn_grams(program: ModuleType) -> bool:
    """Whether some Gram matrix is drawn about itself while it is learned."""
    return any(facts.wishart > 0 for facts in facts_of(program).values())


def passed(program: ModuleType, known: Known, through: Through) -> dict[str, Any]:
    """All that a program knows, and the values of its layers."""
    if not hasattr(program, "INNER"):
        return dict(known)
    return {**known, **program.inner_functions(through, **known)}


# --- laws -----------------------------------------------------------------------------------------


def divergences(program: ModuleType, known: Known) -> dict[str, Array]:
    """What each layer adds to the divergence between posterior and prior, by function."""
    layers = facts_of(program).values()
    return {facts.owner: divergence(facts, known) for facts in layers if facts.law}


def divergence(facts: Facts, known: Known) -> Array:
    """nu / 2 (|m|^2 + |R|^2 - p - log|R R'|), summed over outputs; to second order about R R' = I,
    nu / 4 |(R R')^-1 - I|^2, which is |G^-1 K - I|^2 in the coordinates in which K is I."""
    *mean, root = (known[word] for word in facts.law)
    if facts.order == 2:
        eye = jnp.eye(root.shape[-1])
        inverse = solve_triangular(unpacked(root), eye)
        return 0.25 * facts.nu * jnp.sum((inverse.T @ inverse - eye) ** 2)
    logs = 2.0 * jnp.sum(jnp.diagonal(root, axis1=-2, axis2=-1))
    total = jnp.sum(unpacked(root) ** 2) - root.size // root.shape[-1] - logs
    total += jnp.sum(mean[0] ** 2) if mean else 0.0
    return 0.5 * facts.nu * total


def unpacked(root: Array) -> Array:
    """Lower factors [..., p, p], of which the logarithms of the diagonals are given."""
    diagonal = jnp.exp(jnp.diagonal(root, axis1=-2, axis2=-1))
    return jnp.tril(root, -1) + diagonal[..., None] * jnp.eye(root.shape[-1])


def trace_names(program: ModuleType) -> list[str]:
    """The names of what is kept of a bound over the iterations: their numbers, it and its parts."""
    owners = [facts.owner for facts in facts_of(program).values()]
    parts = ["bound", "log likelihood", *(f"divergence of {owner}" for owner in owners)]
    return ["iteration", *(f"{part} over iterations" for part in parts)]


class Seen(NamedTuple):
    """One output of a function through its inducing points: features [n, m] at the rows, what they
    leave of the prior variance [n], and the root of the covariance of inducing values."""

    features: Array
    rest: Array
    root: Root


def seen(plain: Processes, site: Site, inducing: Site, levels: tuple[float, ...] = SPARSE) -> Seen:
    """A function at the points of a site."""
    inner, cross = (site_covariance(plain, s, inducing) for s in (inducing, site))
    assert inner is not None and cross is not None
    (root,) = roots_of((inner,), levels)
    features = whiten(root, cross)
    rest = site_variance(plain, site) - jnp.sum(features**2, axis=1)
    return Seen(features, jnp.maximum(rest, 0.0), root)


def gram_points(found: Seen, lower: Array | None) -> tuple[Array, Array]:
    """Points with the inner products of a Gram matrix, at the rows and for inducing values;
    `lower`: V, None for I."""
    features, images = found.features, found.root.lower
    if lower is not None:
        features, images = features @ lower, images @ lower
    rows = jnp.concatenate([features, safe_root(found.rest)[:, None]], axis=1)
    return rows, jnp.pad(images, ((0, 0), (0, 1)))


def gram_of(
    facts: Facts, known: Known, layer: Inner, key: Array | None = None
) -> tuple[Array, Array]:
    """What a layer to `Real^inf` hands on, by the root that is known; that of its kernel, where
    none is. With a key, a Wishart draw about it."""
    root = known.get(facts.law[0]) if facts.law else None
    lower = None if root is None else unpacked(root)
    if key is not None and lower is not None:
        # Of fewer than p degrees of freedom it is singular, and a set of points all the same.
        freedom = max(1, round(len(lower) / facts.wishart))
        lower = lower @ jax.random.normal(key, (len(lower), freedom)) / math.sqrt(freedom)
    rows, images = gram_points(layer.seen(), lower)
    return rows.reshape(*layer.shape, -1), images
