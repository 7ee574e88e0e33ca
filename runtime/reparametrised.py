"""Unknowns drawn by way of numbers that do not depend on other unknowns, inside a NumPyro model.

The site that is moved has a name of its own; the unknown is recorded under its name in the model,
with the same joint density as if it were drawn from its law.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpyro
from jax import Array
from numpyro import distributions as dist

from mercer.stdlib.laws import share_of

STANDARD, SHARE = "standard", "share"
"""What the sites that are moved are called, behind the name of the unknown."""


def sample_non_centred(name: str, law: Any) -> Array:
    """location + scale * draw, or location + L draw: `NAME.standard` is moved instead.

    `law`: of a family of shifted and stretched copies of one law, or a Normal or Student-t vector.
    """
    batch = law.batch_shape
    base: Any = law
    while isinstance(base, dist.ExpandedDistribution | dist.Independent):
        base = base.base_dist
    if base.event_shape:
        root, loc = base.scale_tril, base.loc
        standard = _standard_vector(base, root.shape[-1])
        white = numpyro.sample(f"{name}.{STANDARD}", standard.expand(batch))
        value = loc + jnp.einsum("...ij,...j->...i", root, white)
    else:
        rest = {k: v for k, v in base.get_args().items() if k not in ("loc", "scale")}
        standard = type(base)(loc=0.0, scale=1.0, **rest)
        white = numpyro.sample(f"{name}.{STANDARD}", standard.expand(batch))
        value = base.loc + base.scale * white
    return jnp.asarray(numpyro.deterministic(name, value))


def sample_between(name: str, law: Any, low: Any, high: Any, *, shape: tuple[int, ...]) -> Array:
    """A number between ends that are unknown themselves: `NAME.share` is moved, from 0 to 1.

    `law` is conditioned on the interval; None: density 1 there.
    """
    share = numpyro.sample(f"{name}.{SHARE}", share_of(law, low, high).expand(shape))
    return jnp.asarray(numpyro.deterministic(name, low + (high - low) * share))


def _standard_vector(law: Any, size: int) -> Any:
    eye = jnp.eye(size)
    if isinstance(law, dist.MultivariateStudentT):
        return dist.MultivariateStudentT(law.df, jnp.zeros(size), scale_tril=eye)
    return dist.MultivariateNormal(jnp.zeros(size), scale_tril=eye)
