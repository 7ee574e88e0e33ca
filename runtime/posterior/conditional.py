"""One posterior draw turned into the conditional law of all that was integrated out or whitened.

The zero-mean processes are those of the fit. Sites at new rows stand beside the sites of the fit,
so that old and new values are drawn from one joint law.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.engines import whitened
from mercer.runtime.engines.cholesky import inverse_from_factor
from mercer.runtime.engines.inducing import Inducing
from mercer.runtime.engines.iterative import Iterative
from mercer.runtime.engines.laplace import AboutMode
from mercer.runtime.engines.linked import block_of
from mercer.runtime.engines.nearest import NearestNormal
from mercer.runtime.engines.passed import Passed, passed
from mercer.runtime.engines.sites import Processes, spread
from mercer.runtime.engines.terms import Affine, Gaussian, Linked, Site, Term, Weights
from mercer.runtime.engines.variational import Variational
from mercer.runtime.methods.density import identifiers, keeps
from mercer.runtime.methods.natural import Normal

Known = Mapping[str, Any]
"""Everything the functions of a program may ask for: data, summaries, unknowns, by identifier."""


def known_of(program: ModuleType, arguments: Known, draw: Mapping[str, Any]) -> dict[str, Any]:
    """Data and one draw together, by identifier."""
    word = identifiers(program)
    return {**arguments, **{word.get(name, name): value for name, value in draw.items()}}


def predictor_names(program: ModuleType) -> tuple[str, ...]:
    """The quantities through which outcomes see the Gaussian unknowns, where those have a law of
    their own."""
    return tuple(k for _, keys in getattr(program, "PREDICTORS", {}).values() for k in keys)


def latent_names(program: ModuleType) -> tuple[str, ...]:
    """The quantities that the model samples, whitened."""
    if program.INFERENCE.lane != "latent":
        return ()
    return tuple(getattr(program, "LATENT", None) or ())


@dataclass(frozen=True, eq=False)
class Conditional:
    """The law of the Gaussian unknowns given one draw: an exact block, and one of known values."""

    program: ModuleType
    latent: tuple[str, ...]
    exact_block: Any
    latent_block: Any
    quantities: Mapping[str, Affine]
    laws: Mapping[str, Any]

    def draw(
        self,
        key: Array,
        quantities: Mapping[str, Affine],
        *,
        sites: Mapping[str, Site] | None = None,
        latent: tuple[str, ...] | None = None,
    ) -> dict[str, Array]:
        """One joint draw of affine vectors."""
        latent = self.latent if latent is None else latent
        exact = {k: q for k, q in quantities.items() if k not in latent}
        known = {k: q for k, q in quantities.items() if k in latent}
        first, second = jax.random.split(key)
        values = self.exact_block.draw(first, exact, sites) if exact else {}
        return values | (self.latent_block.draw(second, known, sites) if known else {})

    def condition(
        self, name: str, affine: Affine, sites: Mapping[str, Site]
    ) -> tuple[Array, Array]:
        """Mean and variance of one affine vector."""
        block = self.latent_block if name in self.latent else self.exact_block
        return block.condition(sites, affine)

    def jitter(self) -> dict[str, Array]:
        """What each factorisation added to its diagonal, relative to the mean of that; the bound of
        inducing points, and the share of the prior variance that they leave unexplained."""
        found = {}
        if isinstance(self.exact_block, Variational):
            return {"inducing_jitter": self.exact_block.jitter}
        if isinstance(self.exact_block, Passed):
            return {"latent_jitter": self.exact_block.jitter}
        if any(isinstance(law, Gaussian | Linked) for law in self.laws.values()):
            block = self.exact_block
            if isinstance(block, NearestNormal):
                found |= {"nearest_steps": block.steps, "bound": block.bound}
            elif isinstance(block, AboutMode):
                found["mode_steps"] = block.steps
            if isinstance(block, Inducing):
                found |= {"bound": block.bound, "unexplained": block.unexplained}
                found["inducing_jitter"] = block.jitter
            elif isinstance(block, Iterative):
                found |= block.reached
            else:
                found["jitter"] = block.jitter
        if self.latent:
            found["latent_jitter"] = self.latent_block.jitter
        return found


def conditional(
    program: ModuleType,
    known: Known,
    draw: Mapping[str, Any],
    *,
    processes: Mapping[str, Any] | None = None,
    merged: Merged | None = None,
) -> Conditional:
    """The conditional law at the data of the fit. `processes` and `merged`: with new labels."""
    if program.INFERENCE.lane == "variational":
        return _variational(program, known, processes, merged)
    if program.INFERENCE.lane == "messages":
        return _by_messages(program, known, processes, merged)
    latent = latent_names(program)
    own: Processes = program.processes(**known) if processes is None else processes
    sites, quantities = program.sites(**known), program.quantities(**known)
    laws = program.outcomes({k: draw[k] for k in latent}, **known)
    gaussian = {name: law for name, law in laws.items() if isinstance(law, Gaussian | Linked)}
    values = {
        k: jnp.reshape(draw[k], -1) - spread(quantities[k].constant, quantities[k].shape)
        for k in latent
    }
    if merged is not None:
        gaussian = {n: replace(g, mean=merged.fit(g.mean, sites)) for n, g in gaussian.items()}
        sites = {k: merged.site(s) for k, s in sites.items()}
    observations = {
        name: (law, *observed_value(program, known, name)) for name, law in gaussian.items()
    }
    exact_sites = {k: s for k, s in sites.items() if k not in latent}
    exact = None
    if program.ENGINE is not None:
        exact = block_of(program.ENGINE, own, exact_sites, observations)
    known_block = None
    if latent:
        places = None if merged is None else merged.weight_places()
        known_block = whitened.given(own, {k: sites[k] for k in latent}, values, places)
    return Conditional(program, latent, exact, known_block, quantities, laws)


def _variational(
    program: ModuleType,
    known: Known,
    processes: Mapping[str, Any] | None,
    merged: Merged | None,
) -> Conditional:
    """The law q that a fit found, at the points of the processes given one draw."""
    own: Processes = program.processes(**known) if processes is None else processes
    sites, entries = program.sites(**known), {}
    if merged is not None:
        sites = {k: merged.site(s) for k, s in sites.items()}
        entries = {k: v for k, v in merged.fit_entries.items() if isinstance(own[k], Weights)}
    mean, root = (jnp.asarray(known[word]) for word in program.POSTERIOR)
    apart = {
        name: (jnp.asarray(known[centre]), jnp.asarray(known[variance]))
        for name, (centre, variance) in program.APART.items()
    }
    law = Normal(mean, root, inverse_from_factor(root), apart)
    block = Variational(own, sites, law, entries=entries)
    quantities = program.quantities(**known)
    names = predictor_names(program)
    means = {k: block.condition({}, quantities[k])[0] for k in names}
    laws = program.outcomes(means, **known)
    laws = {k: block.at_mean(v) if isinstance(v, Gaussian) else v for k, v in laws.items()}
    return Conditional(program, names, block, block, quantities, laws)


def _by_messages(
    program: ModuleType,
    known: Known,
    processes: Mapping[str, Any] | None,
    merged: Merged | None,
) -> Conditional:
    """The laws of the factors that messages led to, with the priors of one draw."""
    own: Processes = program.processes(**known) if processes is None else processes
    block = passed(program, known, own, merged=merged)
    quantities = program.quantities(**known)
    return Conditional(program, tuple(quantities), block, block, quantities, {})


def observed_value(program: ModuleType, known: Known, name: str) -> tuple[Any, Any]:
    """The values of an outcome and the rows that are not missing."""
    word = identifiers(program).get(name, name)
    if known.get(word) is None:
        problem = f"the values of {name} are not there"
        raise MercerError([Diagnostic("M605", problem, mend="fit the model to data that hold it")])
    return known[word], known.get(keeps(program).get(name, ""))


@dataclass(frozen=True)
class Merged:
    """Entries of finite unknowns, and copies of functions, over the labels of the fit, then the
    new ones.

    `fit_entries[name]`, `new_entries[name]`: flat places of the entries of the fit, and of those
    at the new rows, among all `sizes[name]` entries. `factors[name]`: for each factor of the domain
    of a function, the places in the fit of the labels at the new rows; None for numbers.
    `weights[name]`: how many weights each copy of a function has, which is a sum of them.
    """

    sizes: Mapping[str, int]
    fit_entries: Mapping[str, Any]
    new_entries: Mapping[str, Any]
    factors: Mapping[str, tuple[Any, ...]]
    weights: Mapping[str, int] = field(default_factory=dict)

    def site(self, site: Site) -> Site:
        """A site of the fit."""
        return self._placed(site, self.fit_entries)

    def new_site(self, site: Site) -> Site:
        """A site at the new rows."""
        site = self._placed(site, self.new_entries)
        if site.points is None or site.process not in self.factors:
            return site
        pairs = zip(site.points.factors, self.factors[site.process], strict=True)
        factors = tuple(f if places is None else jnp.asarray(places)[f] for f, places in pairs)
        return replace(site, points=site.points._replace(factors=factors))

    def weight_places(self) -> dict[str, Array]:
        """Of each function that is a sum of weights: where those of the fit are among all."""
        return {name: self._weights(self.fit_entries[name], name) for name in self.weights}

    def _weights(self, entries: Any, name: str) -> Array:
        """The flat places of all the weights of some copies, or of entries themselves."""
        each = self.weights.get(name, 1)
        return (jnp.asarray(entries)[:, None] * each + jnp.arange(each)).reshape(-1)

    def _placed(self, site: Site, entries: Mapping[str, Any]) -> Site:
        if site.process not in self.sizes:
            return site
        if site.features is not None:
            places = jnp.asarray(entries[site.process])
            return replace(site, labels=None if site.labels is None else places[site.labels])
        if site.points is None:
            each = self.weights.get(site.process, 1)
            return replace(site, size=self.sizes[site.process] * each)
        labels = jnp.asarray(entries[site.process])[site.points.labels]
        return replace(site, points=site.points._replace(labels=labels))

    def fit(self, affine: Affine, sites: Mapping[str, Site]) -> Affine:
        return self._mapped(affine, sites, self.fit_entries, "")

    def new(self, affine: Affine, sites: Mapping[str, Site], prefix: str) -> Affine:
        return self._mapped(affine, sites, self.new_entries, prefix)

    def _mapped(
        self, affine: Affine, sites: Mapping[str, Site], entries: Mapping[str, Any], prefix: str
    ) -> Affine:
        terms = []
        for term in affine.terms:
            site, index = sites[term.site], term.index
            is_sum = site.features is not None
            if site.points is None and not is_sum and site.process in entries:
                place = self._weights(entries[site.process], site.process)
                own = jnp.arange(math.prod(affine.shape)) if index is None else index
                index = place[own]
            terms.append(Term(prefix + term.site, term.coefficient, index))
        return replace(affine, terms=tuple(terms))
