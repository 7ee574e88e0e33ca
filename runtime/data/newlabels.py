"""Labels at new rows turned into entries of the unknowns: those of the fit, or prior draws."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpyro.handlers import seed, substitute, trace
from numpyro.primitives import Messenger

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.span import Source, Span
from mercer.runtime.engines.terms import Site, Weights
from mercer.runtime.methods.density import identifiers, keeps
from mercer.runtime.posterior.conditional import Merged


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the labels of new rows stand in the fit.

    `codes[dim]`: for each label at the new rows its place in the fit; places behind the
    `fitted[dim]` labels of the fit are new labels, `new_labels[dim]`. `spans`: where the unknowns
    are declared, in `sources`.
    """

    codes: Mapping[str, np.ndarray]
    fitted: Mapping[str, int]
    new_labels: Mapping[str, Sequence[object] | np.ndarray] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def key(self) -> Hashable:
        """What a function that was made for these rows is known by."""
        codes = sorted((dim, np.asarray(code).tobytes()) for dim, code in self.codes.items())
        return (*codes, *sorted(self.fitted.items()))

    def size(self, dim: str) -> int:
        """Labels of the fit and new ones together."""
        codes = self.codes_of(dim)
        return max(self.fitted.get(_base(dim), 0), int(codes.max(initial=-1)) + 1)

    def codes_of(self, dim: str) -> np.ndarray:
        base = _base(dim)
        if base in self.codes:
            return np.asarray(self.codes[base])
        return np.arange(int(base) if base.isdigit() else self.fitted.get(base, 0))

    def is_as_fitted(self, dims: tuple[str, ...]) -> bool:
        return all(
            np.array_equal(
                self.codes_of(d), np.arange(self.fitted.get(_base(d), int(d) if d.isdigit() else 0))
            )
            for d in dims
        )

    def extended(
        self,
        program: ModuleType,
        key: Array,
        draw: Mapping[str, Array],
        new: Mapping[str, Any],
        values: Mapping[str, Array] | None,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """One draw at the labels of the new rows, and over all labels of fit and new rows.

        `values`: of the functions at the new rows that priors need; None: nothing is drawn yet, and
        0 stands where a draw will.
        """
        at_new, merged = dict(draw), dict(draw)
        changed = {}
        for name in draw:
            dims = program.DIMS.get(name, ())
            if name in program.NAMES.values() and dims and not self.is_as_fitted(dims):
                changed[name] = dims
        if not changed:
            return at_new, merged
        has_new = {
            n
            for n, dims in changed.items()
            if any(self.size(d) > self.fitted.get(_base(d), 0) for d in dims)
        }
        fresh: dict[str, Array] = {}
        if has_new and values is not None:
            fresh = self._prior(program, key, {**draw, **values}, new, changed)
        columns, words = getattr(program, "IMPUTED", ()), identifiers(program)
        for name, dims in changed.items():
            places = np.ix_(*(self.codes_of(d) for d in dims))
            shape = tuple(self.size(d) for d in dims)
            tail = draw[name].shape[len(dims) :]
            everything = jnp.zeros((*shape, *tail), draw[name].dtype)
            if name in fresh:
                everything = everything.at[places].set(fresh[name])
            everything = everything.at[tuple(slice(n) for n in draw[name].shape)].set(draw[name])
            if name in columns and (given := new.get(words[name])) is not None:
                # An imputed column: what the new rows say of it counts.
                drawn = everything[places]
                known = jnp.where(jnp.isnan(given), drawn, given)
                everything = everything.at[places].set(known)
            at_new[name], merged[name] = everything[places], everything
        return at_new, merged

    def _prior(
        self,
        program: ModuleType,
        key: Array,
        draw: Mapping[str, Array],
        new: Mapping[str, Any],
        changed: Mapping[str, Any],
    ) -> dict[str, Array]:
        """Draws of the changed unknowns from their priors, given the parents that are known."""
        # Values of other functions belong to the rows of the fit: they are no parents.
        named = {*program.NAMES.values(), *early_of(program)}
        parents = {k: v for k, v in draw.items() if k in named and k not in changed}
        model = seed(substitute(program.model, data=parents), key)
        with _Flat() as flat:
            found = trace(model).get_trace(**without_outcomes(program, new))
        if wrong := [name for name in changed if name in flat.names]:
            problems = [self._no_value(name, changed[name]) for name in wrong]
            raise MercerError(problems, self.sources)
        return {name: found[name]["value"] for name in changed if name in found}

    def _no_value(self, name: str, dims: tuple[str, ...]) -> Diagnostic:
        """New labels of an unknown whose prior cannot be drawn from."""
        fresh = [(d, label) for d in dims for label in self.new_labels.get(_base(d), ())[:3]]
        where = ", ".join(f"{dim} {label}" for dim, label in fresh)
        problem = f"{name} has no value for the new {where}"
        why = "a value at a new label is drawn from the prior, and nothing is drawn from Flat()"
        mend = "give it a proper prior, or predict only at labels that were in the fit"
        return Diagnostic("M413", problem, self.spans.get(name), why=why, mend=mend)

    def merged(self, program: ModuleType, processes: Mapping[str, Any]) -> Merged:
        """Entries of the finite unknowns that are integrated out, and copies of functions."""
        sizes, fit_entries, new_entries, factors, weights = {}, {}, {}, {}, {}
        for name, process in processes.items():
            own, taken = getattr(program, "COPIES", {}).get(name, ((), ()))
            is_finite = isinstance(process, Weights)
            is_function = name in getattr(program, "COPIES", {})
            dims = program.DIMS.get(name, ()) if is_finite and not is_function else own
            if not self.is_as_fitted(tuple(d for d in taken if d)):
                factors[name] = tuple(None if d is None else self.codes_of(d) for d in taken)
            if self.is_as_fitted(dims):
                continue
            shape = tuple(self.size(d) for d in dims)
            old = [np.arange(self.fitted.get(_base(d), self.size(d))) for d in dims]
            sizes[name] = int(np.prod(shape))
            fit_entries[name] = _flat(old, shape)
            new_entries[name] = _flat([self.codes_of(d) for d in dims], shape)
            if is_finite and is_function:
                weights[name] = np.size(process.sd) // sizes[name]
        return Merged(sizes, fit_entries, new_entries, factors, weights)

    def inputs(
        self, program: ModuleType, fit: Mapping[str, Any], new: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a program over all labels of fit and new rows."""
        found = dict(fit)
        for word, old in fit.items():
            name = program.NAMES.get(word, word)
            dims = program.DIMS.get(name, ())
            if word in getattr(program, "INDICES", ()):
                found[word] = jnp.arange(self.size(name))
            elif dims and old is not None and not self.is_as_fitted(dims):
                old = jnp.asarray(old)
                everything = jnp.zeros(tuple(self.size(d) for d in dims), old.dtype)
                if new.get(word) is not None:
                    places = np.ix_(*(self.codes_of(d) for d in dims))
                    everything = everything.at[places].set(new[word])
                found[word] = everything.at[tuple(slice(n) for n in old.shape)].set(old)
        return found


def early_of(program: ModuleType) -> tuple[str, ...]:
    """The values of functions that the priors of other unknowns need."""
    return tuple(getattr(program, "EARLY", ()))


def component_keys(
    name: str, sites: Mapping[str, Site], quantities: Mapping[str, Any]
) -> list[str]:
    """The quantities that show one function or finite unknown."""
    return [k for k in quantities if k == name or (k in sites and shows(sites[k], name))]


def shows(site: Site, name: str) -> bool:
    """Whether a site has values of a function; the weights that these are sums of are none."""
    return site.process == name and (site.points is not None or site.features is not None)


class _Flat(Messenger):
    """Takes note of the unknowns whose prior nothing is drawn from, and lets 0 stand for them."""

    names: tuple[str, ...] = ()

    def __enter__(self) -> _Flat:
        super().__enter__()
        return self

    def process_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] != "sample" or msg["value"] is not None:
            return
        law = msg["fn"]
        try:
            jax.eval_shape(law.sample, jax.random.key(0))
        except NotImplementedError:
            self.names = (*self.names, msg["name"])
            msg["value"] = jnp.zeros(law.batch_shape + law.event_shape)


def rows_between(fitted: Any, new: Any, spans: Mapping[str, Span]) -> Rows:
    """How two `Bound`s number their labels."""
    sizes = {_base(dim): size for dim, size in fitted.sizes.items()}
    if new is fitted:
        return Rows({}, sizes)
    codes = dict(new.codes)
    for dim, size in new.sizes.items():
        if _base(dim) not in codes:
            codes[_base(dim)] = np.arange(size)
    return Rows(codes, sizes, new.new_labels, spans, fitted.needs.sources)


def _base(dim: str) -> str:
    return dim.rstrip("'")


def _flat(places: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.ravel_multi_index(np.ix_(*places), shape).reshape(-1) if shape else np.zeros(1, int)


def without_outcomes(program: ModuleType, new: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `model` with every outcome left out."""
    word, kept = identifiers(program), keeps(program)
    outcomes = {*kept.values(), *(word[name] for name in kept)}
    return {k: None if k in outcomes else v for k, v in new.items()}
