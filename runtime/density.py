"""A program and its data turned into a density over unconstrained numbers, and back.

Arrays are arguments of every compiled function, never constants in it: a second fit of the same
model to other data of the same shape compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.initialization import init_to_uniform
from numpyro.infer.util import constrain_fn, initialize_model, potential_energy

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.labels import places_of

_NEAR_ZERO: dict[str, Any] = {"radius": 0.5}
"""Where the sampler starts, unconstrained: closer than NumPyro's 2, where densities overflow."""


@dataclass(frozen=True, eq=False)
class Arguments:
    """The keywords of a program's functions: `arrays` may be traced, `static` may not."""

    arrays: Mapping[str, Array]
    static: Mapping[str, Any]

    def all(self) -> dict[str, Any]:
        return {**self.arrays, **self.static}


def identifiers(program: ModuleType) -> dict[str, str]:
    """Identifier of the program for each name of the model."""
    return {name: word for word, name in program.NAMES.items()}


def arguments_of(
    program: ModuleType, bound: Any, *, summaries: Mapping[str, Any] | None = None
) -> Arguments:
    """`prepare` and `summaries` applied to bound data; with `summaries`, those of the fit stay."""
    word = identifiers(program)
    arrays: Mapping[str, Any] = bound.arrays
    data = {word.get(name, name): value for name, value in arrays.items()}
    for index in getattr(program, "INDICES", ()):
        data[index] = np.arange(bound.sizes[program.NAMES.get(index, index)])
    data.update(places_of(getattr(program, "LABELS", {}), bound))
    absent = [name for name in getattr(program, "TAKEN", ()) if name not in bound.arrays]
    if absent and summaries is None:
        problem = f"the values of {', '.join(absent)} are not there"
        why = "the model takes a mean, or another reduction, of what it observes"
        raise MercerError([Diagnostic("M605", problem, why=why, mend="give them too")])
    everything = {**program.prepare(**data)}
    everything.update(program.summaries(**data) if summaries is None else summaries)
    return split(everything)


def split(everything: Mapping[str, Any]) -> Arguments:
    """Arrays apart from what is structure: sizes and what was not given."""
    arrays = {k: jnp.asarray(v) for k, v in everything.items() if isinstance(v, np.ndarray | Array)}
    return Arguments(arrays, {k: v for k, v in everything.items() if k not in arrays})


class Density:
    """log p(unknowns, data) over a flat unconstrained vector, Jacobians included."""

    def __init__(self, program: ModuleType, arguments: Arguments, *, seed: int = 0) -> None:
        self.program, self.arguments, self.seed = program, arguments, seed
        self.model: Callable[..., Any] = partial(program.model, **arguments.static)

    def found_start(self, key: Array) -> Any:
        """A point of finite density near zero: the unconstrained value of each unknown."""
        found = self._search(key, self.arguments.arrays)
        if not is_finite((found.potential_energy, found.z_grad)):
            problem = "no starting point of finite density was found"
            why = "the data are impossible under every value of the unknowns that was tried"
            mend = "check the data and the priors: `simulate` shows what the model expects"
            raise MercerError([Diagnostic("M603", problem, why=why, mend=mend)])
        return found.z

    @cached_property
    def _search(self) -> Callable[[Array, Mapping[str, Array]], Any]:
        """One compiled program: run operation by operation, the search takes seconds."""

        @jax.jit
        def search(key: Array, arrays: Mapping[str, Array]) -> Any:
            return initialize_model(
                key,
                self.model,
                init_strategy=init_to_uniform(**_NEAR_ZERO),
                dynamic_args=True,
                model_kwargs=dict(arrays),
            ).param_info

        return search

    @cached_property
    def _first(self) -> Any:
        return self.found_start(jax.random.key(self.seed))

    @cached_property
    def has_unknowns(self) -> bool:
        """Whether anything is left to sample once the Gaussian block is integrated out."""
        found: list[bool] = []

        def look(arrays: Mapping[str, Array]) -> Array:
            # Flat priors cannot be sampled: a start stands in for each unknown.
            model = substitute(seed(self.model, 0), substitute_fn=init_to_uniform)
            sites = trace(model).get_trace(**arrays).values()
            found.append(any(s["type"] == "sample" and not s["is_observed"] for s in sites))
            return jnp.zeros(())

        jax.eval_shape(look, dict(self.arguments.arrays))
        return found[0]

    @cached_property
    def start(self) -> Array:
        """A flat point of finite density."""
        return ravel_pytree(self._first)[0]

    @cached_property
    def _unravel(self) -> Callable[[Array], Any]:
        return ravel_pytree(self._first)[1]

    def as_parameters(self, flat: Array) -> Any:
        """The unconstrained value of each unknown."""
        return self._unravel(flat)

    @cached_property
    def energy(self) -> Callable[[Any, Mapping[str, Array]], Array]:
        """(unconstrained value of each unknown, arrays) -> -log density, compiled once."""
        return jax.jit(lambda z, arrays: potential_energy(self.model, (), dict(arrays), z))

    @cached_property
    def values(self) -> Callable[[Any, Mapping[str, Array]], dict[str, Array]]:
        """(unconstrained value of each unknown, arrays) -> unknowns and deterministic values."""
        return jax.jit(
            lambda z, arrays: constrain_fn(
                self.model, (), dict(arrays), z, return_deterministic=True
            )
        )

    @cached_property
    def potential(self) -> Callable[[Array, Mapping[str, Array]], Array]:
        """(flat, arrays) -> -log density."""
        return lambda flat, arrays: self.energy(self._unravel(flat), arrays)

    @cached_property
    def value_and_grad(self) -> Callable[[Array], tuple[Array, Array]]:
        """flat -> -log density and its gradient, compiled once."""
        compiled = jax.jit(jax.value_and_grad(self.potential))
        return lambda flat: compiled(flat, self.arguments.arrays)

    @cached_property
    def hessian(self) -> Callable[[Array], Array]:
        """flat -> Hessian of -log density."""
        compiled = jax.jit(jax.hessian(self.potential))
        return lambda flat: compiled(flat, self.arguments.arrays)

    def constrain(self, flat: Array) -> dict[str, Array]:
        """Unknowns and deterministic values by name, for flat points [s, p]."""

        @jax.jit
        def constrain(points: Array, arrays: Mapping[str, Array]) -> dict[str, Array]:
            return jax.lax.map(lambda point: self.values(self._unravel(point), arrays), points)

        return constrain(flat, self.arguments.arrays)

    def prior_start(self, number: int) -> Array:
        """Start `number`: 0 the found one, then points scattered widely about it."""
        if number == 0:
            return self.start
        key = jax.random.fold_in(jax.random.key(self.seed), number)
        return self.start + 1.5 * jax.random.normal(key, self.start.shape)


def is_finite(values: Any) -> bool:
    return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(values))
