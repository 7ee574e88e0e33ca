"""A program and its data turned into a density over unconstrained numbers, and back.

Arrays are arguments of every compiled function, never constants in it: a second fit of the same
model to other data of the same shape compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.initialization import init_to_uniform
from numpyro.infer.util import constrain_fn, potential_energy

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.blame import NoStart, culprit_of
from mercer.runtime.compiling import quick_jit
from mercer.runtime.data.labels import places_of
from mercer.runtime.engines.terms import Gaussian
from mercer.runtime.kept import Kept
from mercer.runtime.methods.recycled import Path, Told, is_iterative, sentences_of_solves

_NEAR_ZERO = 0.5
"""Where the sampler starts, unconstrained: closer than NumPyro's 2, where densities overflow."""

_ATTEMPTS = 100
_STEP = 1e-3  # of differences of the gradient, in unconstrained units


@dataclass(frozen=True, eq=False)
class Arguments:
    """The keywords of a program's functions: `arrays` may be traced, `static` may not."""

    arrays: Mapping[str, Array]
    static: Mapping[str, Any]

    @property
    def key(self) -> Hashable:
        """What a function that was made for these arguments is known by, but for their shapes."""
        return tuple(sorted(self.static.items()))

    def all(self) -> dict[str, Any]:
        return {**self.arrays, **self.static}


def identifiers(program: ModuleType) -> dict[str, str]:
    """Identifier of the program for each name of the model."""
    return {name: word for word, name in program.NAMES.items()}


def keeps(program: ModuleType) -> dict[str, str]:
    """The identifier of the rows that are not missing, for each outcome.

    Its name in the program has a blank, `y keep`, which no name of a model has.
    """
    words = program.NAMES.items()
    return {n.removesuffix(" keep"): word for word, n in words if n.endswith(" keep")}


def arguments_of(
    program: ModuleType, bound: Any, *, summaries: Mapping[str, Any] | None = None
) -> Arguments:
    """`prepare` and `summaries` applied to bound data; with `summaries`, those of the fit stay."""
    taken = summaries_of(program, bound) if summaries is None else summaries
    return split({**program.prepare(**_data_of(program, bound)), **taken})


def summaries_of(program: ModuleType, bound: Any) -> dict[str, Any]:
    """What is computed from bound data by reducing over rows; MercerError M605 where it cannot."""
    absent = [name for name in getattr(program, "TAKEN", ()) if name not in bound.arrays]
    if absent:
        problem = f"the values of {', '.join(absent)} are not there"
        why = "the model takes a mean, or another reduction, of what it observes"
        raise MercerError([Diagnostic("M605", problem, why=why, mend="give them too")])
    return dict(program.summaries(**_data_of(program, bound)))


def _data_of(program: ModuleType, bound: Any) -> dict[str, Any]:
    """Bound data by identifier, with the numbers of labels that a program asks for."""
    word = identifiers(program)
    arrays: Mapping[str, Any] = bound.arrays
    data = {word.get(name, name): value for name, value in arrays.items()}
    for index in getattr(program, "INDICES", ()):
        data[index] = np.arange(bound.sizes[program.NAMES[index]])
    data.update(places_of(getattr(program, "LABELS", {}), bound))
    return data


def split(everything: Mapping[str, Any]) -> Arguments:
    """Arrays apart from what is structure: sizes and what was not given."""
    # `asarray` of JAX would compile a copy for each shape.
    given = {k: v for k, v in everything.items() if isinstance(v, np.ndarray | Array)}
    arrays = {k: jax.device_put(v) for k, v in given.items()}
    return Arguments(arrays, {k: v for k, v in everything.items() if k not in arrays})


class Functions:
    """The compiled functions of a program for arguments of given shapes.

    A flat vector stands for the unconstrained unknowns; arrays are arguments of all.
    """

    def __init__(self, program: ModuleType, arguments: Arguments) -> None:
        self.program = program
        self.model: Callable[..., Any] = partial(program.model, **arguments.static)
        self.compiled: Kept[Any] = Kept(8)  # for those who build upon these functions
        unknowns = self._unconstrained(jax.tree.map(jax.typeof, dict(arguments.arrays)))
        self.has_unknowns = bool(unknowns)
        self.zero, self.unravel = ravel_pytree(unknowns)

    def _unconstrained(self, shapes: Any) -> dict[str, Array]:
        """Zeros of the shapes of the unconstrained unknowns; the model is traced, not run."""

        def free(arrays: Mapping[str, Array]) -> dict[str, Array]:
            # Flat priors cannot be sampled: a start stands in for each unknown.
            model = substitute(seed(self.model, 0), substitute_fn=init_to_uniform)
            sites = trace(model).get_trace(**arrays)
            return {
                name: biject_to(site["fn"].support).inv(site["value"])
                for name, site in sites.items()
                if site["type"] == "sample" and not site["is_observed"]
            }

        found = jax.eval_shape(free, shapes)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), found)

    @cached_property
    def potential(self) -> Callable[[Array, Mapping[str, Array]], Array]:
        """(flat, arrays) -> -log density."""
        return jax.jit(
            lambda flat, arrays: potential_energy(self.model, (), dict(arrays), self.unravel(flat))
        )

    @cached_property
    def value_and_grad(self) -> Callable[[Array, Mapping[str, Array]], tuple[Array, Array]]:
        """(flat, arrays) -> -log density and its gradient."""
        return quick_jit(jax.value_and_grad(self.potential))

    @cached_property
    def values(self) -> Callable[[Array, Mapping[str, Array]], dict[str, Array]]:
        """(flat points [s, p], arrays) -> unknowns and deterministic values by name, [s, ...]."""

        def one(flat: Array, arrays: Mapping[str, Array]) -> dict[str, Array]:
            return constrain_fn(
                self.model, (), dict(arrays), self.unravel(flat), return_deterministic=True
            )

        return quick_jit(lambda points, arrays: jax.lax.map(lambda p: one(p, arrays), points))


_FUNCTIONS: Kept[Functions] = Kept(32)


def functions_of(program: ModuleType, arguments: Arguments) -> Functions:
    """The functions of a program, made once for arguments of the same shapes."""
    shapes = tuple((k, v.shape, str(v.dtype)) for k, v in sorted(arguments.arrays.items()))
    return _FUNCTIONS.get((program, arguments.key, shapes), lambda: Functions(program, arguments))


class Density:
    """log p(unknowns, data) over a flat unconstrained vector, Jacobians included."""

    def __init__(self, program: ModuleType, arguments: Arguments, *, seed: int = 0) -> None:
        self.arguments, self.seed = arguments, seed
        self.functions = functions_of(program, arguments)
        self._told: list[Told] = []
        self._path: Path | None = None

    @property
    def has_unknowns(self) -> bool:
        """Whether anything is left to sample once the Gaussian block is integrated out."""
        return self.functions.has_unknowns

    def value_and_grad(self, flat: Any) -> tuple[Array, Array]:
        """-log density at a flat point [p], and its gradient."""
        if is_iterative(self.functions.program):
            self._path = self._path or self._new_path()
            return self._path.value_and_grad(flat)
        return self.functions.value_and_grad(np.asarray(flat), self.arguments.arrays)

    def path(self) -> Density | Path:
        """What an optimiser asks for the density: solves for a block go from one to the next."""
        return self._new_path() if is_iterative(self.functions.program) else self

    def stretches(self, steps: int) -> tuple[int, ...]:
        """The steps of an optimiser between which nothing is chosen anew."""
        return (steps,)

    def settle(self) -> None:
        """The next point at which the density is asked for is the middle of all that follow."""
        self._path = None

    def sentences(self) -> tuple[str, ...]:
        """What is told of how the density was computed."""
        program = self.functions.program
        if not is_iterative(program):
            return ()
        return sentences_of_solves(self._told, program.ENGINE.tolerance)

    def _new_path(self) -> Path:
        program, static = self.functions.program, self.arguments.static
        words, kept = identifiers(program), keeps(program)

        def block(known: Mapping[str, Any]) -> Any:
            every = {**static, **{words.get(name, name): v for name, v in known.items()}}
            laws = program.outcomes({}, **every)
            seen = {
                name: (law, every[words.get(name, name)], every.get(kept.get(name, "")))
                for name, law in laws.items()
                if isinstance(law, Gaussian)
            }
            return program.ENGINE(program.processes(**every), program.sites(**every), seen)

        return Path(self.functions, self.arguments.arrays, block, self._told)

    def hessian_row(self, flat: Any, number: int) -> np.ndarray:
        """Row `number` of the Hessian of -log density, [p]: differences of the gradient, of fourth
        order.

        To compile an exact one takes seconds, and for what it is used, a Normal about a mode, the
        sixth digit does not matter.
        """
        point, unit = np.asarray(flat, float), np.zeros(flat.size)
        unit[number] = _STEP
        near, far = (
            np.asarray(self.value_and_grad(point + k * unit)[1])
            - np.asarray(self.value_and_grad(point - k * unit)[1])
            for k in (1, 2)
        )
        return (8 * near - far) / (12 * _STEP)

    def constrain(self, points: Any) -> dict[str, Array]:
        """Unknowns and deterministic values by name, for flat points [s, p]."""
        return self.functions.values(points, self.arguments.arrays)

    def found_start(self, number: int = 0) -> np.ndarray:
        """Flat point `number` of finite density near zero; MercerError M603 where there is none."""
        # Of NumPy: to compile a generator of JAX takes as long as some hundred densities.
        random = np.random.default_rng((self.seed, number))
        for _ in range(_ATTEMPTS):
            flat = random.uniform(-_NEAR_ZERO, _NEAR_ZERO, self.functions.zero.shape)
            if is_finite(self.value_and_grad(flat)):
                return flat
        unknowns = self.functions.unravel(jnp.asarray(flat))
        raise NoStart(culprit_of(self.functions.model, self.arguments.arrays, unknowns))

    @cached_property
    def start(self) -> np.ndarray:
        """A flat point of finite density, [p]."""
        return self.found_start()

    def prior_start(self, number: int) -> np.ndarray:
        """Start `number`: 0 the found one, then points scattered widely about it."""
        if number == 0:
            return self.start
        return self.start + 1.5 * self.scattered(number)

    def scattered(self, number: int) -> np.ndarray:
        """Standard normal numbers [p], others for every number."""
        return np.random.default_rng((self.seed, 7, number)).normal(size=self.start.shape)


def is_finite(values: Any) -> bool:
    # By NumPy: a function of JAX is compiled for each shape.
    return all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(values))
