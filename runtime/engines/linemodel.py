"""Random functions of one number, and rows that read them, into states, loadings and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mercer.runtime.engines import kalman, lanes
from mercer.runtime.engines.chain import Blocks, advanced, layout_of
from mercer.runtime.engines.cholesky import factor
from mercer.runtime.engines.sites import Part, Processes, Rows, Sites, weighted_design, weights_root
from mercer.runtime.engines.terms import RandomFunction, Timeline, Weights
from mercer.runtime.engines.timeline import (
    code_of_label,
    codes_of,
    function_sites,
    label_of_code,
    located,
    times_of,
)
from mercer.stdlib.line import System, systems
from mercer.stdlib.operators import Directional, Laplace


class Places(NamedTuple):
    """Where values of functions stand: times and codes of chains, [m]."""

    time: Array
    code: Array


class Readout(NamedTuple):
    """How m rows read states and weights.

    `loading` [d, m], or [d, 1] where `is_fixed`, a NumPy array the same for all rows; None where
    no row reads a state. `features` [f, m]: of systems that never change; `own` [w, m]: of the
    weights of which each chain has an entry, number `entry` [w, m]; `everywhere` [p, m]: of the
    other weights, whitened as all of them are.
    """

    constant: Array
    time: Array
    code: Array
    loading: Any
    is_fixed: bool
    features: Array
    own: Array
    entry: Array
    everywhere: Array

    @property
    def local(self) -> Array:
        return jnp.concatenate([self.features, self.own])


class Nodes(NamedTuple):
    """Times and codes, sorted by code and time."""

    time: Array
    code: Array
    is_start: Array


class LineModel:
    """The functions and weights of a block along a line. `local`: the weights of which each chain
    has an entry of its own. `apart`: whether outputs of functions are chains of their own.
    `is_joint`: there is one chain, whose state holds all copies of the functions with labels.
    """

    def __init__(self, processes: Processes, sites: Sites, local: tuple[str, ...]) -> None:
        self.processes, self.sites = processes, sites
        named = {site.process for site in sites.values()}
        self.functions = {
            k: p for k, p in processes.items() if isinstance(p, RandomFunction) and k in named
        }
        self.local = tuple(name for name in local if name in named)
        own = function_sites(sites)
        self.is_joint = any(f.copies is not None for f in self.functions.values())
        self.apart = all(f.outputs is None for f in self.functions.values())
        self.has_labels = any(site.points.labels is not None for site in own.values())
        has_outputs = any(site.points.output is not None for site in own.values())
        has_chains = self.has_labels or (self.apart and has_outputs)
        self.is_single = self.is_joint or not has_chains
        self._roots = {
            name: None if f.outputs is None else factor(f.outputs).lower
            for name, f in self.functions.items()
        }

    # --- states ---

    def transitions(
        self, before: Array, after: Array, labels: Array, is_start: Array
    ) -> tuple[Blocks, Blocks]:
        """A and Q [k, k, *] of each block of the state between two times of chains with `labels`;
        where `is_start`, 0 and the covariance of the prior."""
        moves, noises = [], []
        # From the end of one chain to the start of the next is a step back in time, which a
        # derivative must not see: exp(rate d) would be infinite over many lengthscales.
        before = jnp.where(is_start, after, before)
        for system, copies in self._moving(labels):
            a, q = system.step(before, after)
            a = jnp.where(is_start, 0.0, a)
            q = jnp.where(is_start, system.marginal(after), q)
            moves += [a] * copies
            noises += [q] * copies
        if not moves:  # only weights: a state that is always 0
            moves = noises = [jnp.zeros((1, 1, *after.shape))]
        return tuple(moves), tuple(noises)

    def places(self) -> Places:
        """Of all values of the function sites."""
        own = function_sites(self.sites).values()
        time = jnp.concatenate([jnp.asarray(times_of(site), float) for site in own])
        code = jnp.concatenate([jnp.asarray(self._codes(site)) for site in own])
        return Places(time, code)

    # --- rows ---

    def readout(self, target: Rows) -> Readout:
        """How the rows read the states, at one time and in one chain each."""
        n = len(target.constant)
        parts = [_Read(p, n) for p in target.parts if p.site.process in self.functions]
        own, entries = self._own_weights(target)
        if parts:
            time, code = parts[0].time, parts[0].row(jnp.asarray(self._codes(parts[0].site)))
        else:
            time = jnp.full(n, -jnp.inf)  # so that it is found before all nodes of its chain
            code = jnp.full(n, -1)
            used = [p for p in target.parts if p.site.process in self.local]
            if used:
                index = jnp.arange(n) if used[0].index is None else used[0].index.reshape(n)
                code = code_of_label(index, is_output=not self.has_labels)
        loading, is_fixed = self._loading(parts, n)
        rest = [k for k, p in self._weights() if k not in self.local]
        used = {p.site.process for p in target.parts}
        designs = [
            weighted_design(self.processes, k, target).T
            if k in used
            else jnp.zeros((self._size(k), n))
            for k in rest
        ]
        everywhere = jnp.concatenate([jnp.zeros((0, n)), *designs])
        features = self._features(parts, n)
        return Readout(
            target.constant, time, code, loading, is_fixed, features, own, entries, everywhere
        )

    def stacked(self, readouts: Sequence[Readout]) -> Readout:
        """The rows of several, one after another."""
        if len(readouts) == 1:
            return readouts[0]
        first = readouts[0]
        is_fixed = all(r.is_fixed and np.array_equal(r.loading, first.loading) for r in readouts)
        if is_fixed:
            loading = first.loading
        else:
            wide = [jnp.broadcast_to(r.loading, (len(r.loading), len(r.time))) for r in readouts]
            loading = jnp.concatenate(wide, axis=1)
        return Readout(
            constant=jnp.concatenate([r.constant for r in readouts]),
            time=jnp.concatenate([r.time for r in readouts]),
            code=jnp.concatenate([r.code for r in readouts]),
            loading=loading,
            is_fixed=is_fixed,
            features=jnp.concatenate([r.features for r in readouts], axis=1),
            own=jnp.concatenate([r.own for r in readouts], axis=1),
            entry=jnp.concatenate([r.entry for r in readouts], axis=1),
            everywhere=jnp.concatenate([r.everywhere for r in readouts], axis=1),
        )

    # --- the prior ---

    def prior_variance(self, readout: Readout) -> Array:
        """Variances [m] of rows."""
        total = jnp.sum(readout.local**2, axis=0) + jnp.sum(readout.everywhere**2, axis=0)
        if readout.loading is None:
            return total
        h = jnp.broadcast_to(readout.loading, (len(readout.loading), len(readout.time)))
        labels = label_of_code(readout.code)
        start = jnp.ones(len(readout.time), bool)
        _, p = self.transitions(readout.time, readout.time, labels, start)
        return total + jnp.sum(h * advanced(p, h[:, None])[:, 0], axis=0)

    def prior_draw(
        self, key: Array, readouts: Sequence[Readout], nodes: Nodes | None = None
    ) -> list[Array]:
        """One joint draw of rows, their constants left out. `nodes`: times that hold all of theirs;
        where left out, they are sorted here."""
        state_key, feature_key, own_key, rest_key = jax.random.split(key, 4)
        moving = [r for r in readouts if r.loading is not None]
        if nodes is None:
            nodes = _sorted_nodes(moving)
        count = len(nodes.time)
        kinds = moving[0].features.shape[0] if moving else 0
        features = jax.random.normal(feature_key, (kinds, count))
        chain = jnp.cumsum(nodes.is_start) - 1
        size = 0 if not moving else moving[0].loading.shape[0]
        normals = jax.random.normal(state_key, (size, count))
        states = self._simulated(nodes, normals) if count else None
        own = {
            k: jax.random.normal(jax.random.fold_in(own_key, number), (self._size(k),))
            for number, k in enumerate(self.local)
        }
        weights = readouts[0].everywhere.shape[0] if readouts else 0
        rest = jax.random.normal(rest_key, (weights,))
        result = []
        for readout in readouts:
            total = rest @ readout.everywhere
            for number, name in enumerate(self.local):
                total = total + readout.own[number] * own[name][readout.entry[number]]
            if readout.loading is not None and states is not None:
                at = located(nodes.code, nodes.time, readout.code, readout.time) - 1
                total = total + jnp.sum(readout.loading * gathered(states, at), axis=0)
                total = total + jnp.sum(readout.features * features[:, chain[at]], axis=0)
            result.append(total)
        return result

    def prior_values(
        self, readout: Readout, order: Timeline, normals: Callable[[int], Array]
    ) -> Array:
        """Values [n] of rows, linear in the standard `normals`: those of the states, node by node,
        then those of the weights that features have in each chain."""
        places = self.places()
        nodes, chains = len(order.place), len(order.first)
        is_start = jnp.zeros(nodes, bool).at[jnp.asarray(order.first)].set(True)
        at = Nodes(places.time[order.place], places.code[order.place], is_start)
        size = sum(s.size * copies for s, copies in self._moving(jnp.zeros((), int)))
        features = readout.features.shape[0]
        drawn = normals(size * nodes + features * chains)
        node = node_of_rows(order, len(readout.time))
        total = jnp.zeros(len(readout.time))
        if size:
            states = self._simulated(at, drawn[: size * nodes].reshape(nodes, size).T)
            total = jnp.sum(readout.loading * gathered(states, node), axis=0)
        chain = (jnp.cumsum(is_start) - 1)[node]
        weights = drawn[size * nodes :].reshape(features, chains)
        return total + jnp.sum(readout.features * weights[:, chain], axis=0)

    def _simulated(self, nodes: Nodes, normals: Array) -> Array:
        """States [d, m] of the prior at the nodes, from as many standard normals."""
        layout = layout_of(len(nodes.time))
        before = jnp.concatenate([nodes.time[:1], nodes.time[:-1]])
        labels = label_of_code(nodes.code)
        before, after, own = (layout.lay(x, x[-1]) for x in (before, nodes.time, labels))
        moves, noises = self.transitions(before, after, own, layout.lay(nodes.is_start))
        shocks, start = [], 0
        for block in noises:
            stop = start + block.shape[0]
            normal = layout.lay(normals[start:stop])
            shocks.append(advanced((lanes.root(block),), normal[:, None])[:, 0])
            start = stop
        return layout.flat(kalman.simulate(moves, jnp.concatenate(shocks)))

    # --- inside ---

    def _codes(self, site: Any) -> Any:
        return codes_of(site, self.apart, self.is_joint)

    def _systems(self, labels: Array) -> Iterator[_Placed]:
        """Those of all functions; of one whose copies one state holds, those of each copy."""
        for name, function in self.functions.items():
            copies = [None] if function.copies is None else range(function.copies)
            for copy in copies:
                own = labels if copy is None else jnp.asarray(copy)
                for number, system in enumerate(systems(function.kernel, own)):
                    yield _Placed(name, number, system, copy)

    def _moving(self, labels: Array) -> Iterator[tuple[System, int]]:
        """Systems that make up the state, and for how many outputs each is there."""
        for at in self._systems(labels):
            if not at.system.is_static:
                yield at.system, self._outputs(at.name)

    def _outputs(self, name: str) -> int:
        root = self._roots[name]
        return 1 if root is None else root.shape[0]

    def _loading(self, parts: list[_Read], n: int) -> tuple[Any, bool]:
        if not parts:
            return None, False
        placed = [at for at in self._systems(jnp.zeros((), int)) if not at.system.is_static]
        is_fixed = all(part.is_plain for part in parts) and all(
            at.system.has_fixed_loading and self._roots[at.name] is None and at.copy is None
            for at in placed
        )
        rows: list[Any] = []
        for at in placed:
            size = at.system.size * self._outputs(at.name)
            total: Any = np.zeros((size, 1)) if is_fixed else jnp.zeros((size, n))
            for part in parts:
                if part.process == at.name:
                    root, weight = self._roots[at.name], part.weight(at)
                    total = total + part.loading(self._system_at(at, part), root, is_fixed, weight)
            rows.append(total)
        if not rows:  # the state that is always 0
            return np.zeros((1, 1)), True
        return (np.concatenate(rows) if is_fixed else jnp.concatenate(rows)), is_fixed

    def _features(self, parts: list[_Read], n: int) -> Array:
        rows = [jnp.zeros((0, n))]
        for at in self._systems(jnp.zeros((), int)):
            if not at.system.is_static:
                continue
            total = jnp.zeros((at.system.size * self._outputs(at.name), n))
            for part in parts:
                if part.process != at.name:
                    continue
                own = self._system_at(at, part)
                p = own.marginal(part.time)
                deviation = jnp.sqrt(jnp.stack([p[i, i] for i in range(own.size)]))
                deviation = jnp.broadcast_to(deviation, (own.size, n)) * part.weight(at)
                total = total + part.loading(own, self._roots[at.name], False, deviation)
            rows.append(total)
        return jnp.concatenate(rows)

    def _system_at(self, at: _Placed, part: _Read) -> System:
        """A system with its arguments at the labels of the rows."""
        if at.copy is not None:
            return at.system
        return systems(self.functions[at.name].kernel, part.labels)[at.number]

    def _weights(self) -> list[tuple[str, Weights]]:
        named = {site.process for site in self.sites.values()}
        return [(k, p) for k, p in self.processes.items() if isinstance(p, Weights) and k in named]

    def _size(self, name: str) -> int:
        return next(site.size for site in self.sites.values() if site.process == name)

    def _own_weights(self, target: Rows) -> tuple[Array, Array]:
        n = len(target.constant)
        rows, entries = [jnp.zeros((0, n))], [jnp.zeros((0, n), int)]
        for name in self.local:
            process = self.processes[name]
            assert isinstance(process, Weights)
            root = weights_root(process, self._size(name))
            total, entry = jnp.zeros(n), jnp.zeros(n, int)
            for part in target.parts:
                if part.site.process == name:
                    entry = jnp.arange(n) if part.index is None else part.index.reshape(n)
                    total = total + _by_row(part.coefficient, n) * root[entry]
            rows.append(total[None])
            entries.append(entry[None])
        return jnp.concatenate(rows), jnp.concatenate(entries)


class _Placed(NamedTuple):
    """System `number` of a function, as it stands in the state: that of one `copy`, or of each."""

    name: str
    number: int
    system: System
    copy: int | None


class _Read:
    """One function part of rows: its times, labels, outputs and operators, row by row."""

    def __init__(self, part: Part, n: int) -> None:
        site, self.n = part.site, n
        index = part.index
        if index is not None and index.size != n:
            raise ValueError(f"a row reads several values of {site.process!r}: use `Dense`")
        self.index = None if index is None else index.reshape(n)
        self.site, self.process, self.coefficient = site, site.process, part.coefficient
        points = site.points
        self.time = self.row(jnp.asarray(times_of(site), float))
        self.labels = self.row(points.labels)
        self.output = self.row(points.output)
        self.order, self.factor = 0, 1.0
        for operator in points.operators:
            if isinstance(operator, Directional):
                self.order += 1
                self.factor = self.factor * self.row(jnp.reshape(operator.direction, -1))
            elif isinstance(operator, Laplace):
                self.order += 2
            else:
                raise ValueError(f"an integral of {site.process!r} has no state: use `Dense`")

    @property
    def is_plain(self) -> bool:
        plain = isinstance(self.coefficient, int | float)
        return plain and isinstance(self.factor, float) and self.order == 0

    def loading(self, system: System, root: Array | None, is_fixed: bool, weight: Any = 1.0) -> Any:
        """The loading of one system times `weight`, [size * copies, n]; [size, 1] where fixed."""
        h = system.loading(self.time, self.order)
        if is_fixed:
            return self.coefficient * np.asarray(h)[:, None]
        h = jnp.asarray(h)
        h = h[:, None] if h.ndim == 1 else h
        scale = _by_row(self.coefficient, self.n) * self.factor
        h = jnp.broadcast_to(h * scale * weight, (len(h), self.n))
        if root is None:
            return h
        weights = root[self.output].T  # [copies, n]
        return (weights[:, None] * h).reshape(-1, self.n)

    def weight(self, at: _Placed) -> Any:
        """1 where a row reads the copy that a system is of, else 0."""
        return 1.0 if at.copy is None else jnp.where(self.labels == at.copy, 1.0, 0.0)

    def row(self, values: Any) -> Any:
        """Values of the site, at each of the rows."""
        if values is None:
            return None
        values = jnp.asarray(values)
        return values if self.index is None else values[self.index]


def node_of_rows(order: Timeline, count: int) -> Array:
    """The node of each of `count` rows."""
    if len(order.node):
        return jnp.asarray(order.node)
    row = jnp.asarray(order.row)
    return jnp.zeros(count, int).at[row].set(jnp.arange(len(row)))


def gathered(values: Array, index: Array) -> Array:
    """[*, m] of [*, n] at `index` [m]."""
    return jnp.take(values, index, axis=-1, mode="clip")


def _sorted_nodes(readouts: Sequence[Readout]) -> Nodes:
    empty = jnp.zeros(0)
    time = jnp.concatenate([empty, *(r.time for r in readouts)])
    code = jnp.concatenate([empty.astype(int), *(r.code for r in readouts)])
    order = jnp.lexsort((time, code))
    time, code = time[order], code[order]
    is_start = jnp.concatenate([jnp.ones(min(len(code), 1), bool), code[1:] != code[:-1]])
    return Nodes(time, code, is_start)


def _by_row(coefficient: Any, n: int) -> Any:
    if isinstance(coefficient, int | float) or jnp.ndim(coefficient) == 0:
        return coefficient
    return jnp.asarray(coefficient).reshape(n)


__all__ = ["LineModel", "Nodes", "Places", "Readout", "gathered", "node_of_rows"]
