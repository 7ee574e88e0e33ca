"""Laws into the values of layers: a sampler's, the prior's, their own, that given values elsewhere.

Each class is a `Through`, which an emitted `inner_functions(through, ...)` goes through.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro.distributions import Normal

from mercer.runtime.engines.cholesky import LATENT, factor, solve_triangular
from mercer.runtime.engines.dense import stacked_covariance
from mercer.runtime.engines.sites import site_covariance, site_variance
from mercer.runtime.engines.terms import Site
from mercer.runtime.inner import (
    Facts,
    Inner,
    Known,
    divergence,
    facts_of,
    gram_of,
    has_laws,
    passed,
    unpacked,
)
from mercer.stdlib.roots import root as safe_root

# --- inside a model -------------------------------------------------------------------------------


class Unplaced(Exception):
    """A model was asked for its layers before there are inducing points."""


class FromWhitened:
    """Inside a NumPyro model: f = L z, with z a standard normal that a sampler moves, one vector
    `NAME.whitened` for each application. Several of one function are drawn one given those before.
    """

    def __init__(self) -> None:
        self.before: dict[str, tuple[list[Site], Array]] = {}

    def values(self, layer: Inner) -> Array:
        site, outputs = layer.site, layer.outputs
        sites, normals = self.before.get(site.process, ([], jnp.zeros((0, outputs))))
        law = Normal(jnp.zeros(()), 1.0).expand([site.size * outputs]).to_event(1)
        word = f"{site.process}.whitened" + (f" {len(sites) + 1}" if sites else "")
        fresh = jnp.asarray(numpyro.sample(word, law)).reshape(site.size, outputs)
        # The root of the covariance of all begins with that of those before.
        lower = factor(stacked_covariance(layer.plain, [*sites, site]), LATENT).lower
        normals = jnp.concatenate([normals, fresh])
        self.before[site.process] = ([*sites, site], normals)
        value = layer.placed(layer.mixed(lower[len(normals) - site.size :] @ normals))
        return jnp.asarray(numpyro.deterministic(layer.key, layer.mean + value))

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        raise _not_sampled(layer)


class FromPrior:
    """Inside a NumPyro model whose layers have laws of their own, where it is simulated: a function
    has its prior law at each row, through inducing values that all rows share. Gram matrices are as
    learned, and enter the density of the model by their divergence."""

    def __init__(self, facts: Mapping[str, tuple[Any, ...]], known: Known) -> None:
        self.facts = {key: Facts(*own) for key, own in facts.items()}
        self.known = known
        if any(known.get(word) is None for own in self.facts.values() for word in own.points):
            raise Unplaced

    def values(self, layer: Inner) -> Array:
        random = numpyro.prng_key()
        value = jnp.zeros((layer.site.size, layer.outputs))
        if random is not None:
            found = layer.seen()
            first, second = jax.random.split(random)
            white = jax.random.normal(first, (found.features.shape[1], layer.outputs))
            rough = safe_root(found.rest)[:, None] * jax.random.normal(second, value.shape)
            value = layer.mixed(found.features @ white + rough)
        value = layer.mean + layer.placed(value)
        return jnp.asarray(numpyro.deterministic(layer.key, value))

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        own = self.facts[layer.key]
        if (root := self.known.get(own.law[0])) is not None:
            numpyro.factor(f"{own.owner}.divergence", -divergence(own, {own.law[0]: root}))
        return gram_of(own, self.known, layer)


def from_whitened() -> FromWhitened:
    """How a sampler sees the layers of its model."""
    return FromWhitened()


def from_prior(facts: Mapping[str, tuple[Any, ...]], known: Known) -> FromPrior:
    """How a model whose layers have laws of their own is simulated."""
    return FromPrior(facts, known)


# --- by their laws --------------------------------------------------------------------------------


class Drawn:
    """Layers by their laws. Without a key they are at their means; `is_joint`: drawn as functions,
    each row from the same inducing values, else each row from its own law. `is_learning`: Gram
    matrices are drawn about themselves, where the model asks for that.

    `moments` of each layer, mean and variance given those inside it, are kept by key; `grams`: the
    Gram matrices of inducing points, learned and of the kernel.
    """

    def __init__(
        self,
        program: ModuleType,
        known: Known,
        key: Array | None = None,
        *,
        is_joint: bool = False,
        is_learning: bool = False,
    ) -> None:
        self.facts, self.known, self.key, self.is_joint = facts_of(program), known, key, is_joint
        self.is_learning = is_learning
        self.moments: dict[str, tuple[Array, Array]] = {}
        self.grams: dict[str, Array] = {}

    def values(self, layer: Inner) -> Array:
        found = layer.seen()
        centre, root = (self.known[word] for word in self.facts[layer.key].law)
        lower = unpacked(root)
        own = found.features @ centre
        variance = jnp.einsum("np,kpq->nkq", found.features, lower)
        variance = jnp.sum(variance**2, axis=-1) + found.rest[:, None]
        value = own
        if self.key is not None:
            first, second = jax.random.split(self._key_of(layer, self.key))
            normal = jax.random.normal(second, own.shape)
            if self.is_joint:
                white = jnp.einsum("kpq,qk->pk", lower, jax.random.normal(first, centre.shape))
                rough = safe_root(found.rest)[:, None] * normal
                value = own + found.features @ white + rough
            else:
                value = own + jnp.sqrt(variance) * normal
        self.moments[layer.key] = (
            layer.mean + layer.placed(layer.mixed(own)),
            layer.placed(layer.spread(variance)),
        )
        return layer.mean + layer.placed(layer.mixed(value))

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        facts = self.facts[layer.key]
        key = None
        if self.is_learning and facts.wishart and self.key is not None:
            key = self._key_of(layer, self.key)
        rows, images = gram_of(facts, self.known, layer, key)
        self.grams[f"gram({facts.owner})"] = images @ images.T
        lower = layer.seen().root.lower
        self.grams[f"prior gram({facts.owner})"] = lower @ lower.T
        return rows, images

    def _key_of(self, layer: Inner, key: Array) -> Array:
        return jax.random.fold_in(key, list(self.facts).index(layer.key))


def at_means(program: ModuleType, known: Known) -> dict[str, Any]:
    """All that a program knows, and its layers at the means of laws of their own."""
    if not has_laws(program):
        return dict(known)
    return passed(program, known, Drawn(program, known))


# --- by values at other rows ----------------------------------------------------------------------


class Recorded:
    """Layers that one draw of a sampler holds: `values` gives them back, and keeps the sites and
    the values less their means, [n, k], of each function."""

    def __init__(self, program: ModuleType, known: Known) -> None:
        self.facts, self.known = facts_of(program), known
        self.found: dict[str, tuple[list[Site], list[Array]]] = {}

    def values(self, layer: Inner) -> Array:
        value: Array = self.known[self.facts[layer.key].word]
        sites, values = self.found.setdefault(layer.site.process, ([], []))
        sites.append(layer.site)
        values.append(layer.flattened(value - layer.mean))
        return value

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        raise _not_sampled(layer)


class Continued:
    """Layers at new rows given their values at others: joint, or each row from its own law.

    Exact, one factorisation of the rows where values are known, shared by the outputs.
    """

    def __init__(self, recorded: Recorded, key: Array, *, is_joint: bool) -> None:
        self.facts, self.key, self.is_joint = recorded.facts, key, is_joint
        self.found = {k: (list(s), list(v)) for k, (s, v) in recorded.found.items()}
        self.moments: dict[str, tuple[Array, Array]] = {}

    def values(self, layer: Inner) -> Array:
        site, plain = layer.site, layer.plain
        sites, values = self.found[site.process]
        lower = factor(stacked_covariance(plain, sites), LATENT).lower
        crosses = [site_covariance(plain, site, other) for other in sites]
        cross = jnp.concatenate([c for c in crosses if c is not None], axis=1)
        half = solve_triangular(lower, cross.T)
        own = half.T @ solve_triangular(lower, jnp.concatenate(values))
        prior = site_variance(plain, site)
        variance = jnp.maximum(prior - jnp.sum(half**2, axis=0), 0.0)
        random = jax.random.fold_in(self.key, list(self.facts).index(layer.key))
        normal = jax.random.normal(random, own.shape)
        if self.is_joint:
            rest = stacked_covariance(plain, [site]) - half.T @ half
            # Of what is left near the known rows nothing but rounding remains.
            floor = LATENT[1] * jnp.mean(prior)
            rough = factor(rest + floor * jnp.eye(site.size), LATENT).lower @ normal
        else:
            rough = safe_root(variance)[:, None] * normal
        value = own + layer.mixed(rough)
        sites.append(site)
        values.append(value)
        each = jnp.broadcast_to(variance[:, None], own.shape)
        self.moments[layer.key] = (
            layer.mean + layer.placed(own),
            layer.placed(layer.spread(each)),
        )
        return layer.mean + layer.placed(value)

    def gram(self, layer: Inner) -> tuple[Array, Array]:
        raise _not_sampled(layer)


def _not_sampled(layer: Inner) -> AssertionError:
    return AssertionError(f"{layer.key}: a Gram matrix is not sampled")
