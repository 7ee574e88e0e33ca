"""A program into its sampled unknowns as one flat vector, with the density of their priors."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.initialization import init_to_median, init_to_uniform

from mercer.runtime.engines.variational import WHITENED
from mercer.runtime.methods.density import Arguments
from mercer.runtime.posterior.conditional import known_of


class Unknowns:
    """The unknowns of `program.model` for arguments of given shapes, whitened values apart.

    `zero`: a flat vector of zeros, unconstrained; `unravel`: it by name.
    """

    def __init__(self, program: ModuleType, arguments: Arguments) -> None:
        self.program, self.static = program, arguments.static

        def free(arrays: Mapping[str, Array]) -> dict[str, Array]:
            model = substitute(seed(program.model, 0), substitute_fn=init_to_uniform)
            sites = trace(model).get_trace(**arrays, **self.static)
            return {
                name: biject_to(site["fn"].support).inv(site["value"])
                for name, site in sites.items()
                if _is_unknown(site)
            }

        shapes = jax.eval_shape(free, jax.tree.map(jax.typeof, dict(arguments.arrays)))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        self.zero, self.unravel = ravel_pytree(zeros)

    def values(self, flat: Array, arrays: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """The unknowns by name, and the log density of their priors in unconstrained space.

        The outcomes are traced too; compiled, what nothing asks for is not computed.
        """
        free, found, density = self.unravel(flat), {}, jnp.zeros(())

        def give(site: Any) -> Any:
            nonlocal density
            if site["type"] != "sample" or site["is_observed"]:
                return None
            if not _is_unknown(site):
                return jnp.zeros(site["fn"].shape())
            raw, law = free[site["name"]], site["fn"]
            transform = biject_to(law.support)
            value = transform(raw)
            density += jnp.sum(transform.log_abs_det_jacobian(raw, value))
            density += jnp.sum(law.log_prob(value))
            found[site["name"]] = value
            return value

        model = substitute(seed(self.program.model, 0), substitute_fn=give)
        sites = trace(model).get_trace(**arrays, **self.static)
        latent = getattr(self.program, "LATENT", ())
        for name, site in sites.items():  # what is made of unknowns, and has a name
            if site["type"] == "deterministic" and name not in latent:
                found[name] = site["value"]
        return found, density

    def medians(self, arrays: Mapping[str, Array]) -> Array:
        """The unknowns at the medians of their priors, flat."""

        def find(arrays: Mapping[str, Array]) -> Array:
            start = init_to_median(num_samples=15)
            model = substitute(seed(self.program.model, 0), substitute_fn=start)
            sites = trace(model).get_trace(**arrays, **self.static)
            free = {
                k: biject_to(s["fn"].support).inv(s["value"])
                for k, s in sites.items()
                if _is_unknown(s)
            }
            return ravel_pytree(free)[0]

        return jnp.asarray(jax.jit(find)(dict(arrays)), float)  # values of functions are not made

    def positions(self) -> dict[str, np.ndarray]:
        """Where each unknown stands in the flat vector."""
        places = self.unravel(jnp.arange(len(self.zero), dtype=self.zero.dtype))
        return {name: np.asarray(place, int).reshape(-1) for name, place in places.items()}

    def known(self, values: Mapping[str, Array], arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Data and unknowns together, as the functions of a program take them."""
        return known_of(self.program, {**arrays, **self.static}, values)


def _is_unknown(site: Mapping[str, Any]) -> bool:
    name = site["name"]  # `f.whitened`: what a random function is made of
    is_free = site["type"] == "sample" and not site["is_observed"]
    return is_free and name != WHITENED and not name.endswith(".whitened")
