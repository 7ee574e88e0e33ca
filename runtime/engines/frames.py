"""Outcomes that are tangent vectors into rows of their own frames, and back into the space around.

A vector y of the surrounding space [D] is taken by its d coordinates F'y in the frame F [D, d] of
its point: its normal part is left out, and is no row that says how small the noise is. What is
drawn there, F z, is tangential.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from numpyro.distributions import constraints

from mercer.runtime.engines.sites import Part, Rows, Sites, rows, spread
from mercer.runtime.engines.terms import Gaussian


def law_rows(law: Gaussian, sites: Sites, keep: Any = None) -> Rows:
    """The rows of the mean of an outcome, or those `keep`, in frames where it has them."""
    if law.frames is None:
        return rows(law.mean, sites, keep)
    whole = rows(law.mean, sites)
    frames = jnp.asarray(law.frames)
    n, space, _ = frames.shape
    seen = jnp.arange(n) if keep is None else _points(keep, space)
    own = frames[seen]
    constant = jnp.einsum("nDi,nD->ni", own, whole.constant.reshape(n, space)[seen])
    parts = tuple(_in_frames(part, own, seen, n) for part in whole.parts)
    return Rows(constant.reshape(-1), parts)


def law_values(law: Gaussian, value: Any, keep: Any = None) -> tuple[Array, Array]:
    """The values of an outcome and its standard deviations of noise, as `law_rows` has them."""
    shape = law.mean.shape
    value, noise = spread(value, shape), spread(law.noise, shape)
    if law.frames is None:
        return (value, noise) if keep is None else (value[keep], noise[keep])
    frames = jnp.asarray(law.frames)
    n, space, dim = frames.shape
    seen = jnp.arange(n) if keep is None else _points(keep, space)
    inside = jnp.einsum("nDi,nD->ni", frames[seen], value.reshape(n, space)[seen])
    return inside.reshape(-1), jnp.repeat(noise.reshape(n, space)[seen, 0], dim)


def placed(law: Gaussian, piece: Array, keep: Any) -> Array:
    """Numbers of the rows of an outcome in its shape; NaN where it is missing and, beside the
    coordinates in frames, where the normal ones would be."""
    shape = law.mean.shape
    if law.frames is None:
        if keep is None:
            return piece.reshape(shape)
        whole = jnp.full(spread(0.0, shape).shape, jnp.nan)
        return whole.at[jnp.asarray(keep)].set(piece).reshape(shape)
    n, space, dim = jnp.shape(law.frames)
    seen = jnp.arange(n) if keep is None else _points(keep, space)
    whole = jnp.full((n, space), jnp.nan).at[seen, :dim].set(piece.reshape(-1, dim))
    return whole.reshape(shape)


def _points(keep: Any, space: int) -> Array:
    """The points of flat places of vectors, each of which is there as a whole."""
    return jnp.asarray(keep)[::space] // space


def _in_frames(part: Part, frames: Array, seen: Array, count: int) -> Part:
    """A part of rows over vectors, over their coordinates in the frames of the points `seen`."""
    m, space, dim = frames.shape
    site, index, coefficient = part.site, part.index, part.coefficient
    if index is None and jnp.ndim(coefficient) == 0 and site.features is not None:
        if site.labels is None:
            features = jnp.asarray(site.features).reshape(count, space, -1)[seen]
            inside = jnp.einsum("nDi,nDk->nik", frames, features)
            inside = inside.reshape(m * dim, -1)
            return Part(replace(site, features=inside, size=m * dim), coefficient, None)
    index = jnp.arange(count * space) if index is None else index
    reads = index.reshape(count, space, -1)[seen]  # [m, D, r]
    width = reads.shape[2]
    given = jnp.asarray(coefficient, float)
    given = given[:, None] if given.ndim == 1 else given
    given = jnp.broadcast_to(given, (count * space, width)).reshape(count, space, width)[seen]
    shares = jnp.einsum("nDi,nDr->niDr", frames, given).reshape(m * dim, -1)
    reads = jnp.broadcast_to(reads[:, None], (m, dim, space, width)).reshape(m * dim, -1)
    return Part(site, shares, reads)


def tangential(law: Any, frames: Any) -> Tangential:
    """A law of location and scale, of vectors [n, D], in `frames` [n, D, d]."""
    frames = jnp.asarray(frames)
    n, space, dim = frames.shape
    shape = law.batch_shape
    own = {}
    for name in law.arg_constraints:
        value = jnp.broadcast_to(getattr(law, name), shape).reshape(n, space)
        inside = jnp.einsum("nDi,nD->ni", frames, value)
        own[name] = inside if name == "loc" else jnp.broadcast_to(value[:, :1], (n, dim))
    return Tangential(type(law)(**own), frames, shape[:-1])


class Tangential(dist.Distribution):
    """Vectors F z of the surrounding space, z [n, d] of the law `inside`; of a value only its
    coordinates F'y in the frames [n, D, d] are looked at."""

    support: Any = constraints.real_vector
    pytree_data_fields = ("inside", "frames")
    pytree_aux_fields = ("rows",)

    def __init__(self, inside: Any, frames: Any, rows: tuple[int, ...]) -> None:
        self.inside, self.frames, self.rows = inside, frames, rows
        super().__init__(rows, (jnp.shape(frames)[1],))

    def log_prob(self, value: Any) -> Array:
        n, space, _ = self.frames.shape
        inside = jnp.einsum("nDi,nD->ni", self.frames, jnp.reshape(value, (n, space)))
        return jnp.sum(self.inside.log_prob(inside), axis=-1).reshape(self.rows)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        drawn = self.inside.sample(key, sample_shape)
        return self._around(drawn, sample_shape)

    @property
    def mean(self) -> Array:
        return self._around(self.inside.mean, ())

    @property
    def variance(self) -> Array:
        inside = jnp.einsum("nDi,ni->nD", self.frames**2, self.inside.variance)
        return inside.reshape(*self.rows, -1)

    def _around(self, inside: Array, before: tuple[int, ...]) -> Array:
        whole = jnp.einsum("nDi,...ni->...nD", self.frames, inside)
        return whole.reshape(*before, *self.rows, -1)
