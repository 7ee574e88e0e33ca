"""A model's text into its emitted program, and the density of that program at named values."""

from __future__ import annotations

import inspect
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax import random
from numpyro.infer.initialization import init_to_uniform
from numpyro.infer.util import log_density

from mercer.compiler.check import compile_front
from mercer.compiler.emit import emit
from mercer.compiler.plan import plan
from mercer.compiler.structure import analyse
from mercer.program import program_of
from tests.reference.arrays import Named
from tests.reference.interpreter import Reference
from tests.reference.laws import SUPPORT

JITTER = 1e-9
"""What a program adds to the covariance of a function that it samples, over its mean diagonal."""


class Program:
    """The program of a model with its data; the dims of all arrays are known by name."""

    def __init__(self, text: str, data: dict[str, Any]) -> None:
        self.text, self.data = text, data
        self.source = emit(plan(analyse(compile_front(text))))
        self.module: ModuleType = program_of(self.source, "model")
        reference = Reference(text, data, {})
        words = {model: word for word, model in self.module.NAMES.items()}
        wanted = set(inspect.signature(self.module.prepare).parameters)
        arrays = {}
        for name in data:
            named = reference.name(name)
            dims = self.module.DIMS[name]
            axes = [named.dims.index(d) for d in dims]
            array = np.transpose(named.array, axes)
            if named.labels is not None:
                array = np.where(np.isnan(array), -1, array).astype(int)
            arrays[words[name]] = array
        for word, (_, label, _) in self.module.LABELS.items():
            arrays[word] = np.asarray(int(label))  # labels that nobody declared are their codes
        for word in wanted - set(arrays):
            arrays[word] = np.arange(reference.size(self.module.NAMES.get(word, word)))
        prepared = self.module.prepare(**arrays)
        known = {**prepared, **self.module.summaries(**arrays)}
        self.prepared = jax.tree.map(jnp.asarray, known)

    def sampled(self) -> dict[str, tuple[int, ...]]:
        """The sites that NUTS would move, in the program's order, with their shapes."""
        order: list[str] = []

        def values() -> dict[str, Any]:
            # A law of density 1 has no draws: a start stands in for each unknown.
            seeded = numpyro.handlers.seed(self.module.model, random.PRNGKey(0))
            started = numpyro.handlers.substitute(seeded, substitute_fn=init_to_uniform)
            trace = numpyro.handlers.trace(started).get_trace(**self.prepared)
            moved = {
                name: site["value"]
                for name, site in trace.items()
                if site["type"] == "sample" and not site["is_observed"]
            }
            order.extend(moved)
            return moved

        found = jax.eval_shape(values)
        return {name: found[name].shape for name in order}

    def start(self, seed: int) -> dict[str, np.ndarray]:
        """A random value of each site that NUTS would move, near 0 where it is unconstrained."""
        seeded = numpyro.handlers.seed(self.module.model, random.PRNGKey(seed))
        near = partial(init_to_uniform, radius=1.0)
        started = numpyro.handlers.substitute(seeded, substitute_fn=near)
        trace = numpyro.handlers.trace(started).get_trace(**self.prepared)
        return {name: np.asarray(trace[name]["value"]) for name in self.sampled()}

    def log_density(self, values: dict[str, Any]) -> Any:
        return log_density(self.module.model, (), self.prepared, values)[0]

    def value_and_gradient(self, values: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """By reverse mode, through one compilation that takes no time to optimise."""
        at = {k: jnp.asarray(v, float) for k, v in values.items()}
        lowered = jax.jit(jax.value_and_grad(self.log_density)).lower(at)
        value, gradient = lowered.compile({"xla_backend_optimization_level": 0})(at)
        return float(value), {k: np.asarray(v) for k, v in gradient.items()}


def reference_log_density(program: Program, values: dict[str, Any]) -> float:
    """The same density by the interpreter, at the values of the sites that are moved.

    What is moved by way of other numbers gets its value from them, one after the other in the
    program's order: `f.whitened` through a Cholesky factor of our own, `b.standard` as location
    plus scale times it, `b.share` as that part of the way between its ends, `x.missing` as entries
    of the data. What is written here of each density is what such a change of numbers adds.
    """
    point = _Point(program)
    for name, value in values.items():
        stem, _, way = name.rpartition(".")
        if stem and way in _WAYS:
            _WAYS[way](point, stem, value)
        else:
            point.given[name] = Named(program.module.DIMS[name], np.asarray(value, float))
    reference = point.reference(tuple(point.whitened))
    return point.total + reference.log_density()


class _Point:
    """Values and data so far. `total`: what was added to the density beside the interpreter's."""

    def __init__(self, program: Program) -> None:
        self.program, self.data = program, dict(program.data)
        self.given: dict[str, Any] = {}
        self.whitened: list[str] = []
        self.total = 0.0

    def reference(self, without_prior: tuple[str, ...] = ()) -> Reference:
        return Reference(self.program.text, self.data, self.given, without_prior)


def _whitened(point: _Point, name: str, normal: np.ndarray) -> None:
    reference = point.reference(tuple(point.whitened))
    reference.prior_of((), {})
    module = point.program.module
    if name in module.LATENT:  # a finite unknown, by its entries
        words = [d.rstrip("'") for d in module.DIMS[name]]
        sizes_of = [int(w) if w.isdigit() else reference.size(w) for w in words]
        entries = normal.reshape(sizes_of)
        if name in reference.tildes:
            _standard(point, name, entries)
        else:  # weights that nobody gave a prior are standard normal themselves
            point.given[name] = Named(module.DIMS[name], entries)
        return
    made = reference.applications
    own = [k for k in module.LATENT if k in made and made[k][0].name == name]
    mean, covariance = reference.prior_of(tuple(own), module.DIMS)
    shift = JITTER * np.mean(np.diag(covariance)) * np.eye(len(mean))
    flat = mean + np.linalg.cholesky(covariance + shift) @ normal
    point.total += float(np.sum(-0.5 * normal**2 - 0.5 * np.log(2 * np.pi)))
    start = 0
    for text in own:
        rows = reference.applications[text][2]
        dims = module.DIMS[text]
        sizes = dict(zip(rows.dims, rows.shape, strict=True))
        stop = start + len(rows.rows)
        array = flat[start:stop].reshape([sizes[d] for d in dims])
        point.given[text] = np.transpose(array, [dims.index(d) for d in rows.dims])
        start = stop
    point.whitened.append(name)


def _standard(point: _Point, name: str, normal: np.ndarray) -> None:
    dims = point.program.module.DIMS[name]
    word, arguments = point.reference(tuple(point.whitened)).law_of(name)
    sizes = dict(zip(dims, normal.shape, strict=True))
    if word == "MultivariateNormal":
        rows, own = dims[:-1], dims[-1:]
        matrix = arguments["covariance_matrix"]
        full = {**sizes, own[0] + "'": sizes[own[0]]}
        root = np.linalg.cholesky(matrix.ordered((*rows, *own, own[0] + "'"), full))
        loc = arguments["loc"].ordered(dims, sizes)
        point.given[name] = Named(dims, loc + np.einsum("...ij,...j->...i", root, normal))
        diagonals = np.diagonal(root, axis1=-2, axis2=-1)
        point.total += float(np.sum(np.log(diagonals)))
        return
    loc, scale = (arguments[k].ordered(dims, sizes) for k in ("loc", "scale"))
    point.given[name] = Named(dims, loc + scale * normal)
    point.total += float(np.sum(np.log(scale)))


def _share(point: _Point, name: str, share: np.ndarray) -> None:
    dims = point.program.module.DIMS[name]
    sizes = dict(zip(dims, np.shape(share), strict=True))
    ends = point.reference(tuple(point.whitened)).ends_of(name)
    low, high = (end.ordered(dims, sizes) for end in ends)
    point.given[name] = Named(dims, low + (high - low) * share)
    point.total += float(np.sum(np.log(high - low)))


def _missing(point: _Point, name: str, free: np.ndarray) -> None:
    array = np.array(point.data[name], float)
    word, _ = point.reference(tuple(point.whitened)).law_of(name)
    is_positive = SUPPORT.get(word) == "Positive"
    array[np.isnan(array)] = np.exp(free) if is_positive else free
    point.total += float(np.sum(free)) if is_positive else 0.0
    point.data[name] = array


_WAYS = {"whitened": _whitened, "standard": _standard, "share": _share, "missing": _missing}


def is_free(name: str) -> bool:
    """Whether a site that is moved may have any real values."""
    return name.endswith((".whitened", ".standard", ".missing"))
