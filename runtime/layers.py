"""Random functions inside others: their values at the rows of a program, by one law or another.

An emitted `layers(through, ...)` asks `through` for one layer after another. A function f with m
inducing points has whitened values v there, and at rows with features phi = k(x, Z) L^-T

    f(x) = phi v + sqrt(k(x, x) - |phi|^2) e,    e ~ N(0, 1),

with v ~ N(0, I) under the prior and N(m, R R') under its law, one for each output (Salimbeni &
Deisenroth 2017). A layer to `Real^inf` is the limit of many outputs with one law N(0, V V'): what
it hands on is a point of which only inner products count, [phi V, sqrt(k - |phi|^2)], and L V for
its inducing points. So a Gram matrix G = L V V' L' is a set of points, and every kernel of inner
products and distances is one on it; v = I is the limit of a wide network, G = K.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro.distributions import Normal

from mercer.runtime.cholesky import LATENT, factor, solve_triangular
from mercer.runtime.dense import stacked_covariance
from mercer.runtime.evidence import SPARSE, Root, roots_of, whiten
from mercer.runtime.sites import site_covariance, site_variance
from mercer.runtime.terms import RandomFunction, Site
from mercer.stdlib.roots import root as safe_root

Known = Mapping[str, Any]
Inducing = Callable[[], Site]


class Facts(NamedTuple):
    """What a program says of a layer: the identifier of its values, its function, the arguments of
    its inducing points and of its law (mean and root; root, of a Gram matrix), and what its
    divergence is weighted by."""

    word: str
    owner: str
    points: tuple[str, ...]
    law: tuple[str, ...]
    nu: float


class Through(Protocol):
    """What says by what law layers are drawn."""

    def values(
        self,
        key: str,
        process: RandomFunction,
        site: Site,
        *,
        mean: Any,
        shape: tuple[int, ...],
        axis: int | None = None,
        inducing: Inducing | None = None,
    ) -> Array:
        """Values of `shape`, their coordinates along `axis`; `site` has the points of one of
        them."""
        ...

    def gram(
        self,
        key: str,
        process: RandomFunction,
        site: Site,
        *,
        shape: tuple[int, ...],
        inducing: Inducing,
    ) -> tuple[Array, Array]:
        """Points [*shape, m + 1] with the inner products of a Gram matrix, and those of the inducing
        points [m, m + 1]."""
        ...


def facts_of(program: ModuleType) -> dict[str, Facts]:
    """The layers of a program, by key, innermost first."""
    return {key: Facts(*facts) for key, facts in getattr(program, "LAYERS", {}).items()}


def has_laws(program: ModuleType) -> bool:
    """Whether the layers of a program have laws of their own."""
    return any(facts.law for facts in facts_of(program).values())


def is_drawn(program: ModuleType) -> bool:
    """Whether some layer has values that are drawn: all but those that hand on a Gram matrix."""
    return any(len(facts.law) == 2 for facts in facts_of(program).values())


def passed(program: ModuleType, known: Known, through: Through) -> dict[str, Any]:
    """All that a program knows, and the values of its layers."""
    if not hasattr(program, "LAYERS"):
        return dict(known)
    return {**known, **program.layers(through, **known)}


def at_means(program: ModuleType, known: Known) -> dict[str, Any]:
    """All that a program knows, and its layers at the means of laws of their own."""
    if not has_laws(program):
        return dict(known)
    return passed(program, known, Drawn(program, known))


def divergences(program: ModuleType, known: Known) -> dict[str, Array]:
    """What each layer adds to the divergence between posterior and prior, by function."""
    layers = facts_of(program).values()
    return {facts.owner: divergence(facts, known) for facts in layers if facts.law}


def divergence(facts: Facts, known: Known) -> Array:
    """nu / 2 (|m|^2 + |R|^2 - p - log|R R'|), summed over outputs."""
    *mean, root = (known[word] for word in facts.law)
    logs = 2.0 * jnp.sum(jnp.diagonal(root, axis1=-2, axis2=-1))
    total = jnp.sum(unpacked(root) ** 2) - root.size // root.shape[-1] - logs
    total += jnp.sum(mean[0] ** 2) if mean else 0.0
    return 0.5 * facts.nu * total


def unpacked(root: Array) -> Array:
    """Lower factors [..., p, p], which hold the logarithms of their diagonals."""
    diagonal = jnp.exp(jnp.diagonal(root, axis1=-2, axis2=-1))
    return jnp.tril(root, -1) + diagonal[..., None] * jnp.eye(root.shape[-1])


class Seen(NamedTuple):
    """One output of a function through its inducing points: features [n, m] at the rows, what they
    leave of the prior variance [n], and the root of the covariance of inducing values."""

    features: Array
    rest: Array
    root: Root


def seen(
    process: RandomFunction, site: Site, inducing: Site, levels: tuple[float, ...] = SPARSE
) -> Seen:
    """A function at the points of a site."""
    plain = {site.process: RandomFunction(process.kernel)}
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


def mixed(process: RandomFunction, values: Array) -> Array:
    """Independent outputs [n, k], or differences of them, with the covariance of a process."""
    if process.outputs is None:
        return values
    return values @ factor(process.outputs, LATENT).lower.T


def placed(value: Array, mean: Any, shape: tuple[int, ...], axis: int | None) -> Array:
    """Outputs [n, k] as an array of `shape`, with the mean."""
    if axis is None:
        return mean + value.reshape(shape)
    base = (*shape[:axis], *shape[axis + 1 :])
    return mean + jnp.moveaxis(value.reshape(*base, shape[axis]), -1, axis)


def flattened(value: Any, shape: tuple[int, ...], axis: int | None) -> Array:
    """An array of `shape` as outputs [n, k]."""
    value = jnp.broadcast_to(value, shape)
    if axis is None:
        return value.reshape(-1, 1)
    return jnp.moveaxis(value, axis, -1).reshape(-1, shape[axis])


def width(shape: tuple[int, ...], axis: int | None) -> int:
    """The number of outputs."""
    return 1 if axis is None else shape[axis]


# --- inside a model -------------------------------------------------------------------------------


class Unplaced(Exception):
    """A model was asked for its layers before there are inducing points."""


class FromWhitened:
    """Inside a NumPyro model: f = L z, with z a standard normal that a sampler moves, one vector
    `NAME.whitened` for each application. Several of one function are drawn one given those before.
    """

    def __init__(self) -> None:
        self.before: dict[str, tuple[list[Site], Array]] = {}

    def values(
        self, key: str, process: RandomFunction, site: Site, *, mean: Any, shape: tuple[int, ...],
        axis: int | None = None, inducing: Inducing | None = None,
    ) -> Array:  # fmt: skip
        name, outputs = site.process, width(shape, axis)
        sites, normals = self.before.get(name, ([], jnp.zeros((0, outputs))))
        law = Normal(jnp.zeros(()), 1.0).expand([site.size * outputs]).to_event(1)
        word = f"{name}.whitened" + (f" {len(sites) + 1}" if sites else "")
        fresh = jnp.asarray(numpyro.sample(word, law)).reshape(site.size, outputs)
        plain = {name: RandomFunction(process.kernel)}
        lower = factor(stacked_covariance(plain, [*sites, site]), LATENT).lower
        normals = jnp.concatenate([normals, fresh])
        self.before[name] = ([*sites, site], normals)
        value = mixed(process, lower[len(normals) - site.size :] @ normals)
        return jnp.asarray(numpyro.deterministic(key, placed(value, mean, shape, axis)))

    def gram(
        self, key: str, process: RandomFunction, site: Site, *, shape: tuple[int, ...], inducing: Inducing
    ) -> tuple[Array, Array]:  # fmt: skip
        raise AssertionError(f"{key}: a Gram matrix is not sampled")


class FromPrior:
    """Inside a NumPyro model whose layers have laws of their own, where it is simulated: a function
    has its prior law at each row, through inducing values that all rows share. Gram matrices are as
    learned, and enter the density of the model by their divergence."""

    def __init__(self, facts: Mapping[str, tuple[Any, ...]], known: Known) -> None:
        self.facts = {key: Facts(*own) for key, own in facts.items()}
        self.known = known
        if any(known.get(word) is None for own in self.facts.values() for word in own.points):
            raise Unplaced

    def values(
        self, key: str, process: RandomFunction, site: Site, *, mean: Any, shape: tuple[int, ...],
        axis: int | None = None, inducing: Inducing | None = None,
    ) -> Array:  # fmt: skip
        assert inducing is not None
        random = numpyro.prng_key()
        value = jnp.zeros((site.size, width(shape, axis)))
        if random is not None:
            found = seen(process, site, inducing())
            first, second = jax.random.split(random)
            white = jax.random.normal(first, (found.features.shape[1], value.shape[1]))
            own = safe_root(found.rest)[:, None] * jax.random.normal(second, value.shape)
            value = mixed(process, found.features @ white + own)
        return jnp.asarray(numpyro.deterministic(key, placed(value, mean, shape, axis)))

    def gram(
        self, key: str, process: RandomFunction, site: Site, *, shape: tuple[int, ...], inducing: Inducing
    ) -> tuple[Array, Array]:  # fmt: skip
        own = self.facts[key]
        rows, images = _gram(own, self.known, process, site, inducing)
        if (root := self.known.get(own.law[0])) is not None:
            numpyro.factor(f"{own.owner}.divergence", -divergence(own, {own.law[0]: root}))
        return rows.reshape(*shape, -1), images


def from_whitened() -> FromWhitened:
    """How a sampler sees the layers of its model."""
    return FromWhitened()


def from_prior(facts: Mapping[str, tuple[Any, ...]], known: Known) -> FromPrior:
    """How a model whose layers have laws of their own is simulated."""
    return FromPrior(facts, known)


# --- by their laws --------------------------------------------------------------------------------


class Drawn:
    """Layers by their laws. Without a key they are at their means; `is_joint`: drawn as functions,
    each row from the same inducing values, else each row from its own law.

    `moments` [n, k] of each layer, mean and variance given those inside it, are kept by key.
    """

    def __init__(
        self, program: ModuleType, known: Known, key: Array | None = None, *, is_joint: bool = False
    ) -> None:
        self.facts, self.known, self.key, self.is_joint = facts_of(program), known, key, is_joint
        self.moments: dict[str, tuple[Array, Array]] = {}

    def values(
        self, key: str, process: RandomFunction, site: Site, *, mean: Any, shape: tuple[int, ...],
        axis: int | None = None, inducing: Inducing | None = None,
    ) -> Array:  # fmt: skip
        assert inducing is not None
        found = seen(process, site, inducing())
        centre, root = (self.known[word] for word in self.facts[key].law)
        lower = unpacked(root)
        own = found.features @ centre
        variance = jnp.einsum("np,kpq->nkq", found.features, lower)
        variance = jnp.sum(variance**2, axis=-1) + found.rest[:, None]
        value = own
        if self.key is not None:
            random = jax.random.fold_in(self.key, list(self.facts).index(key))
            first, second = jax.random.split(random)
            normal = jax.random.normal(second, own.shape)
            if self.is_joint:
                white = jnp.einsum("kpq,qk->pk", lower, jax.random.normal(first, centre.shape))
                rough = safe_root(found.rest)[:, None] * normal
                value = own + found.features @ white + rough
            else:
                value = own + jnp.sqrt(variance) * normal
        self.keep(key, process, own, variance, mean, shape, axis)
        return placed(mixed(process, value), mean, shape, axis)

    def keep(
        self, key: str, process: RandomFunction, own: Array, variance: Array, mean: Any,
        shape: tuple[int, ...], axis: int | None,
    ) -> None:  # fmt: skip
        if process.outputs is not None:
            variance = variance @ (factor(process.outputs, LATENT).lower ** 2).T
        self.moments[key] = (
            placed(mixed(process, own), mean, shape, axis),
            placed(variance, 0.0, shape, axis),
        )

    def gram(
        self, key: str, process: RandomFunction, site: Site, *, shape: tuple[int, ...], inducing: Inducing
    ) -> tuple[Array, Array]:  # fmt: skip
        rows, images = _gram(self.facts[key], self.known, process, site, inducing)
        return rows.reshape(*shape, -1), images


def _gram(
    facts: Facts, known: Known, process: RandomFunction, site: Site, inducing: Inducing
) -> tuple[Array, Array]:
    root = known.get(facts.law[0]) if facts.law else None
    return gram_points(seen(process, site, inducing()), None if root is None else unpacked(root))


# --- by values at other rows ----------------------------------------------------------------------


class Recorded:
    """Layers that one draw of a sampler holds: `values` gives them back, and keeps the process,
    the sites and the values less their means, [n, k], of each function."""

    def __init__(self, program: ModuleType, known: Known) -> None:
        self.facts, self.known = facts_of(program), known
        self.found: dict[str, tuple[RandomFunction, list[Site], list[Array]]] = {}

    def values(
        self, key: str, process: RandomFunction, site: Site, *, mean: Any, shape: tuple[int, ...],
        axis: int | None = None, inducing: Inducing | None = None,
    ) -> Array:  # fmt: skip
        value = self.known[self.facts[key].word]
        own = flattened(value - mean, shape, axis)
        _, sites, values = self.found.setdefault(site.process, (process, [], []))
        sites.append(site)
        values.append(own)
        return value

    def gram(self, key: str, *_: Any, **__: Any) -> tuple[Array, Array]:
        raise AssertionError(f"{key}: a Gram matrix is not sampled")


class Continued:
    """Layers at new rows given their values at others: joint, or each row from its own law.

    Exact, one factorisation of the rows where values are known, shared by the outputs.
    """

    def __init__(self, recorded: Recorded, key: Array, *, is_joint: bool) -> None:
        self.facts, self.key, self.is_joint = recorded.facts, key, is_joint
        self.found = {k: (p, list(s), list(v)) for k, (p, s, v) in recorded.found.items()}
        self.moments: dict[str, tuple[Array, Array]] = {}

    def values(
        self, key: str, process: RandomFunction, site: Site, *, mean: Any, shape: tuple[int, ...],
        axis: int | None = None, inducing: Inducing | None = None,
    ) -> Array:  # fmt: skip
        _, sites, values = self.found[site.process]
        plain = {site.process: RandomFunction(process.kernel)}
        lower = factor(stacked_covariance(plain, sites), LATENT).lower
        crosses = [site_covariance(plain, site, other) for other in sites]
        cross = jnp.concatenate([c for c in crosses if c is not None], axis=1)
        half = solve_triangular(lower, cross.T)
        own = half.T @ solve_triangular(lower, jnp.concatenate(values))
        variance = jnp.maximum(site_variance(plain, site) - jnp.sum(half**2, axis=0), 0.0)
        random = jax.random.fold_in(self.key, list(self.facts).index(key))
        normal = jax.random.normal(random, own.shape)
        if self.is_joint:
            rest = stacked_covariance(plain, [site]) - half.T @ half
            # Of what is left near the known rows nothing but rounding remains.
            floor = LATENT[1] * jnp.mean(site_variance(plain, site))
            rough = factor(rest + floor * jnp.eye(site.size), LATENT).lower @ normal
        else:
            rough = safe_root(variance)[:, None] * normal
        value = own + mixed(process, rough)
        sites.append(site)
        values.append(value)
        spread = (
            jnp.ones(own.shape[1]) if process.outputs is None else jnp.diagonal(process.outputs)
        )
        self.moments[key] = (
            placed(own, mean, shape, axis),
            placed(variance[:, None] * spread, 0.0, shape, axis),
        )
        return placed(value, mean, shape, axis)

    def gram(self, key: str, *_: Any, **__: Any) -> tuple[Array, Array]:
        raise AssertionError(f"{key}: a Gram matrix is not sampled")
