"""One axis of an array spread over all devices: of this machine, or of all machines of a fit.

Everything else lies on each of them. What is computed so is what one device computes, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.runtime.compiling import quick_jit
from mercer.runtime.hosts import hosts

LEAST = 64
"""Rows of a device, at least, where one process has several: fewer do not pay for the sum over
devices that each step takes."""

LEAST_TRAINED = 8
"""The same where layers are trained, whose rows take far longer each."""

_AXIS = "spread"


@dataclass(frozen=True)
class Spread:
    """The devices that share an axis. With one of them arrays stay where they are."""

    devices: tuple[Any, ...]

    @property
    def count(self) -> int:
        return len(self.devices)

    @property
    def is_one(self) -> bool:
        return self.count == 1 and hosts().count == 1

    def padded(self, length: int) -> int:
        """The least length not below this one that the devices divide."""
        return self.count * math.ceil(length / self.count)

    def along(self, value: Any, axis: int) -> Any:
        """A value with one of its axes over the devices, which divide its length."""
        if self.is_one:
            return value
        return _placed(value, self._sharding(*[None] * axis, _AXIS))

    def everywhere(self, tree: Any) -> Any:
        """Arrays, each whole on every device."""
        if self.is_one:
            return tree
        return jax.tree.map(lambda leaf: _placed(leaf, self._sharding()), tree)

    def here(self, tree: Any) -> Any:
        """Arrays that are whole on every device, as arrays of this process alone."""
        if self.is_one:
            return tree
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of arrays over the devices, whose results are whole on each."""
        if self.is_one:
            return quick_jit(function)
        return quick_jit(function, out_shardings=self._sharding())

    def one_by_one(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of what has the axis first, and of other arguments, as that of many of the
        first: each device goes through its own, and waits for no other."""

        def at_device(many: Any, *others: Any) -> Any:
            # One after the other on a CPU: there a batch would be slower, see `cholesky`.
            if jax.default_backend() == "cpu":
                return jax.lax.map(lambda one: function(one, *others), many)
            return jax.vmap(function, (0, *[None] * len(others)))(many, *others)

        def over(many: Any, *others: Any) -> Any:
            axis, whole = PartitionSpec(_AXIS), PartitionSpec()
            specs = (axis, *[whole] * len(others))
            mapped = jax.shard_map(
                at_device, mesh=self._mesh, in_specs=specs, out_specs=axis, check_vma=False
            )
            return mapped(many, *others)

        return self.compiled(over)

    @cached_property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (_AXIS,))

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec(*axes))


def over_rows(count: int) -> Spread:
    """The devices for `count` rows."""
    every = jax.devices()
    if hosts().count > 1:
        return Spread(tuple(every))
    return Spread(tuple(every[: max(1, min(len(every), count // LEAST))]))


def dividing(count: int) -> Spread:
    """The devices for `count` rows that layers are trained on, which must not be padded: as many as
    divide them. MercerError M315 where those of several processes do not."""
    every = jax.devices()
    if hosts().count > 1:
        if count % len(every):
            problem = f"the {len(every)} devices of all processes do not divide {count} rows"
            mend = f"take steps of {len(every) * max(1, count // len(every))} rows, by `batch`"
            raise MercerError([Diagnostic("M315", problem, mend=mend)])
        return Spread(tuple(every))
    fitting = (
        k for k in range(len(every), 1, -1) if count % k == 0 and count // k >= LEAST_TRAINED
    )
    return Spread(tuple(every[: next(fitting, 1)]))


def over_chains(chains: int) -> Spread:
    """The devices for chains: as few as finish as early as all of them would, the same number in
    each process."""
    processes = hosts().count
    own = len(jax.local_devices())
    rounds = math.ceil(chains / (processes * own))
    fewest = next(k for k in range(1, own + 1) if math.ceil(chains / (processes * k)) == rounds)
    of = {process: [d for d in jax.devices() if d.process_index == process][:fewest]
          for process in range(processes)}  # fmt: skip
    return Spread(tuple(device for own in of.values() for device in own))


def _placed(leaf: Any, sharding: NamedSharding) -> Array:
    """An array that every process has, where each device takes its part."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        kind = jax.random.key_impl(leaf)
        return jax.random.wrap_key_data(_placed(jax.random.key_data(leaf), sharding), impl=kind)
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    shape = np.shape(leaf)
    if sharding.spec == PartitionSpec():
        parts = [jax.device_put(leaf, d) for d in sharding.addressable_devices]
        return jax.make_array_from_single_device_arrays(shape, sharding, parts)
    return jax.make_array_from_callback(shape, sharding, lambda index: np.asarray(leaf[index]))
