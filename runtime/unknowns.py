"""A program into its sampled unknowns as one flat vector, with the density of their priors."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.handlers import seed, substitute, trace
from numpyro.infer.initialization import init_to_uniform

from mercer.runtime.conditional import known_of
from mercer.runtime.density import Arguments
from mercer.runtime.variational import WHITENED


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
        trace(model).get_trace(**arrays, **self.static)
        return found, density

    def known(self, values: Mapping[str, Array], arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Data and unknowns together, as the functions of a program take them."""
        return known_of(self.program, {**arrays, **self.static}, values)


def _is_unknown(site: Mapping[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"] and site["name"] != WHITENED
