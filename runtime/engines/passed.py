"""The messages of a fit turned into the law of all factors, anywhere: their priors, and what the
rows said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mercer.runtime.engines.dense import Dense
from mercer.runtime.engines.factors import Groups, Message, Shape
from mercer.runtime.engines.markov import Markov
from mercer.runtime.engines.mode import POINTS, Finite, engine, placed, solved
from mercer.runtime.engines.sites import Processes, Sites, weights_root
from mercer.runtime.engines.terms import Affine, Term, Weights


@dataclass(frozen=True, eq=False)
class Passed:
    """The laws of the factors by process, independent of one another. `sites`: those of the fit;
    `places`: where their values stand among those at the distinct points of a function."""

    blocks: Mapping[str, Dense | Markov | Finite]
    sites: Sites
    places: Mapping[str, Array]

    def condition(self, sites: Sites, affine: Affine) -> tuple[Array, Array]:
        """Mean and variance of an affine vector of one factor."""
        block = self.blocks[self._owner(affine, sites)]
        return block.condition(self._own(block, sites), self._at_points(affine))

    def draw(
        self, key: Array, affines: Mapping[str, Affine], sites: Sites | None = None
    ) -> dict[str, Array]:
        """One joint draw of affine vectors, each of one factor."""
        everywhere, result = sites or {}, {}
        for number, (name, block) in enumerate(self.blocks.items()):
            own = {
                k: self._at_points(a)
                for k, a in affines.items()
                if self._owner(a, everywhere) == name
            }
            if own:
                there = self._own(block, everywhere)
                result |= block.draw(jax.random.fold_in(key, number), own, there)
        return result

    @property
    def jitter(self) -> Array:
        """The largest that a factorisation added to its diagonal, relative to its mean."""
        found = [b.jitter for b in self.blocks.values() if not isinstance(b, Finite)]
        return jnp.max(jnp.stack([*found, jnp.zeros(())]))

    def _owner(self, affine: Affine, sites: Sites) -> str:
        return {**self.sites, **sites}[affine.terms[0].site].process

    def _own(self, block: Dense | Markov | Finite, sites: Sites) -> dict[str, Any]:
        if isinstance(block, Finite):
            return {**self.sites, **sites}
        own = next(iter(block.processes))
        return {k: s for k, s in sites.items() if s.process == own}

    def _at_points(self, affine: Affine) -> Affine:
        """An affine vector of values at rows of the fit, by those at the distinct points."""
        terms = []
        for term in affine.terms:
            if term.site in self.places:
                place = self.places[term.site]
                term = Term(
                    POINTS, term.coefficient, place if term.index is None else place[term.index]
                )
            terms.append(term)
        return replace(affine, terms=tuple(terms))


def passed(
    program: ModuleType,
    known: Mapping[str, Any],
    processes: Processes,
    *,
    merged: Any = None,
) -> Passed:
    """The laws at one draw of the other unknowns. `merged`: with labels new to the fit."""
    sites, quantities = program.sites(**known), program.quantities(**known)
    factors = program.factors(**known)
    blocks: dict[str, Dense | Markov | Finite] = {}
    places: dict[str, Array] = {}
    for key, words in program.MESSAGES.items():
        precision, shift, reader, chain, code = (jnp.asarray(known[w]) for w in words)
        factor, site = factors[key], sites[key]
        count, rank = shift.shape
        kind: Any = "finite"
        if site.points is not None:
            kind = "line" if factor.is_along else "dense"
        shape = Shape(key, site.process, kind, factor.letters, factor.sizes, count, True)
        groups = Groups(jnp.zeros(0, int), reader, chain)
        if merged is not None:
            site = merged.site(site)
        at = placed(groups, site, factor.index, quantities[key])
        process = processes[site.process]
        message = Message(precision, shift - jnp.einsum("gij,gj->gi", precision, at.mean))
        if isinstance(process, Weights):
            index = at.index
            if merged is not None and site.process in merged.fit_entries:
                index = jnp.asarray(merged.fit_entries[site.process])[index]
            at = at._replace(index=index, mean=jnp.zeros_like(at.mean))
            law = solved(shape, groups, at, process, message)[1]
            blocks[site.process] = Finite(key, index, law, weights_root(process, site.size))
        else:
            blocks[site.process] = engine(shape, groups, at, process, message)[0]
            index = jnp.asarray(factor.index).reshape(-1, rank)
            own = code[:, None] * rank + jnp.arange(rank)
            places[key] = jnp.zeros(site.size, int).at[index].set(own)
    if merged is not None:
        sites = {k: merged.site(s) for k, s in sites.items()}
    return Passed(blocks, sites, places)
