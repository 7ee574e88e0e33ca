"""A model's text into its emitted program, and the density of that program at named values."""

from __future__ import annotations

import inspect
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
from tests.reference.interpreter import Reference

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
        """The sites that NUTS would move, with their shapes."""

        def values() -> dict[str, Any]:
            # A law of density 1 has no draws: a start stands in for each unknown.
            seeded = numpyro.handlers.seed(self.module.model, random.PRNGKey(0))
            started = numpyro.handlers.substitute(seeded, substitute_fn=init_to_uniform)
            trace = numpyro.handlers.trace(started).get_trace(**self.prepared)
            return {
                name: site["value"]
                for name, site in trace.items()
                if site["type"] == "sample" and not site["is_observed"]
            }

        return {name: value.shape for name, value in jax.eval_shape(values).items()}

    def log_density(self, values: dict[str, Any]) -> Any:
        return log_density(self.module.model, (), self.prepared, values)[0]

    def value_and_gradient(self, values: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """By reverse mode, through one compilation that takes no time to optimise."""
        at = {k: jnp.asarray(v, float) for k, v in values.items()}
        lowered = jax.jit(jax.value_and_grad(self.log_density)).lower(at)
        value, gradient = lowered.compile({"xla_backend_optimization_level": 0})(at)
        return float(value), {k: np.asarray(v) for k, v in gradient.items()}


def reference_log_density(program: Program, values: dict[str, Any]) -> float:
    """The same density by the interpreter.

    A function that the program samples is given by standard normal numbers (`f.whitened`): their
    density counts, and the function's values follow through a Cholesky factor of our own.
    """
    given = {k: v for k, v in values.items() if not k.endswith(".whitened")}
    white = {k.removesuffix(".whitened"): v for k, v in values.items() if k not in given}
    total = 0.0
    sites: dict[str, Any] = {}
    for name, normal in white.items():
        reference = Reference(program.text, program.data, given)
        reference.prior_of((), {})
        own = [k for k in program.module.LATENT if reference.applications[k][0].name == name]
        mean, covariance = reference.prior_of(tuple(own), program.module.DIMS)
        shift = JITTER * np.mean(np.diag(covariance)) * np.eye(len(mean))
        flat = mean + np.linalg.cholesky(covariance + shift) @ normal
        total += float(np.sum(-0.5 * normal**2 - 0.5 * np.log(2 * np.pi)))
        start = 0
        for text in own:
            rows = reference.applications[text][2]
            dims = program.module.DIMS[text]
            sizes = dict(zip(rows.dims, rows.shape, strict=True))
            stop = start + len(rows.rows)
            array = flat[start:stop].reshape([sizes[d] for d in dims])
            sites[text] = np.transpose(array, [dims.index(d) for d in rows.dims])
            start = stop
    reference = Reference(program.text, program.data, {**given, **sites}, tuple(white))
    return total + reference.log_density()
