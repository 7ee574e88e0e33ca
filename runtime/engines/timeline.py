"""Rows of outcomes into an order along the line: nodes, sorted by chain and time, each once.

A *chain* is what is independent of all the rest: one copy of the indexed functions, or one output
of a function whose outputs are independent. Where rows read several at once all are one chain:
`is_joint`. Sorting is done once, on the host, by `prepare`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mercer.runtime.engines.terms import Site, Timeline

_OUTPUTS = 1 << 20
"""More coordinates than any function has: the code of a chain is label * _OUTPUTS + output."""


@dataclass(frozen=True)
class Reading:
    """How the rows of one outcome read functions: row i the value `index[i]` of `site`, or value i.

    `is_own`: each row has a coefficient of its own, so that rows at the same time differ.
    """

    site: str
    index: Any = None
    is_own: bool = False


def timeline(
    sites: Mapping[str, Site],
    readings: Sequence[tuple[Any, Reading]],
    *,
    apart: bool = False,
    is_joint: bool = False,
) -> Timeline:
    """The nodes of the rows of outcomes, and of all values of sites; on the host.

    `readings`: of each outcome its values, None where it is not there, and how it reads functions.
    `apart`: the outputs of functions are independent, hence chains of their own; `is_joint`: there
    is but one chain. Rows of one
    outcome that see the same value are one node, but for `is_own`. What no row reads is a node
    without information.
    """
    own = {k: _on_host(site) for k, site in function_sites(sites).items()}
    starts = dict(zip(own, np.cumsum([0, *(s.size for s in own.values())]), strict=False))
    times = _stacked(times_of(site) for site in own.values())
    codes = _stacked(codes_of(site, apart, is_joint) for site in own.values()).astype(np.int64)
    outputs = _stacked(_outputs_of(site) for site in own.values()).astype(np.int64)
    places, kinds = [np.zeros(0, int)], [np.zeros(0, np.int64)]
    for number, (value, reading) in enumerate(readings):
        if value is None:
            continue
        size = own[reading.site].size
        index = np.arange(size) if reading.index is None else np.ravel(np.asarray(reading.index))
        place = starts[reading.site] + index
        kind = np.arange(len(place)) if reading.is_own else outputs[place]
        places.append(place)
        kinds.append((number + 1) * (1 << 40) + kind)
    row_place, row_kind = np.concatenate(places), np.concatenate(kinds)
    unread = np.ones(len(times), bool)
    unread[row_place] = False
    extra = np.flatnonzero(unread)
    n = len(row_place)
    place = np.concatenate([row_place, extra])
    kind = np.concatenate([row_kind, np.zeros(len(extra), np.int64)])
    time, code = times[place], codes[place]
    order = np.lexsort((kind, time, code))
    place, kind, time, code = place[order], kind[order], time[order], code[order]
    is_moved = _differs(code) | _differs(time)
    is_new = is_moved | _differs(kind)
    # A value that no row reads needs no node where some row's node is at its time.
    group = np.cumsum(is_moved) - 1
    has_rows = np.zeros(group[-1] + 1 if len(group) else 0, bool)
    has_rows[group[kind > 0]] = True
    is_new &= (kind > 0) | ~has_rows[group]
    node = np.cumsum(is_new) - 1
    firsts = order[is_new]
    row = np.where(firsts < n, firsts, 0)
    of_row = np.zeros(len(place), int)
    of_row[order] = node
    chain_starts = np.flatnonzero(_differs(code[is_new]))
    if len(row) == n == len(np.unique(of_row[:n])):
        of_row = of_row[:0]  # one row a node: `row` says all
    return Timeline(
        node=of_row[:n].astype(np.int32),
        row=row.astype(np.int32),
        place=place[is_new].astype(np.int32),
        first=chain_starts.astype(np.int32),
    )


def function_sites(sites: Mapping[str, Site]) -> dict[str, Site]:
    """Those of random functions, in their order."""
    return {key: site for key, site in sites.items() if site.points is not None}


def times_of(site: Site) -> Any:
    return site.points.factors[0].reshape(-1)


def codes_of(site: Site, apart: bool, is_joint: bool = False) -> Any:
    """The chain of each value of a site."""
    points = site.points
    zero = 0 * times_of(site).astype(int)
    if is_joint:
        return zero
    label = zero if points.labels is None else points.labels + zero
    return label * _OUTPUTS + (points.output if apart and points.output is not None else 0)


def code_of_label(label: Any, *, is_output: bool) -> Any:
    """The chain of a label, or of an output, by its number."""
    return label if is_output else label * _OUTPUTS


def label_of_code(code: Any) -> Any:
    return code // _OUTPUTS


def located(codes: Array, times: Array, code: Array, time: Array) -> Array:
    """How many nodes, sorted by code and time, lie at or before each (code, time)."""
    count = len(codes)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = jnp.minimum((low + high) // 2, count - 1)
        own = codes[middle]
        is_before = (own < code) | ((own == code) & (times[middle] <= time))
        is_open = low < high
        return (
            jnp.where(is_open & is_before, middle + 1, low),
            jnp.where(is_open & ~is_before, middle, high),
        )

    low = jnp.zeros(code.shape, jnp.int32)
    if not count:
        return low
    return lax.fori_loop(0, count.bit_length() + 1, halve, (low, low + count))[0]


def _on_host(site: Site) -> Site:
    return replace(site, points=jax.tree.map(np.asarray, site.points))


def _outputs_of(site: Site) -> Any:
    output = site.points.output
    return np.zeros(site.size, int) if output is None else output


def _stacked(parts: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def _differs(values: np.ndarray) -> np.ndarray:
    """Whether each value differs from the one before it; the first does."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])
