"""A program that has inducing points into arguments that hold them: chosen, then learned.

They are chosen where the conditional variance is largest, at the medians of the priors; then again
at the unknowns that this leads to (Burt et al. 2020, section 5); then moved together with the
unknowns to a mode of the bound, numbers of a point only: a label is chosen, not moved. From then on
they are data: a sampler or an approximation about the mode moves the unknowns alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.handlers import seed as seeded
from numpyro.handlers import substitute, trace
from numpyro.infer.initialization import init_to_median, init_to_sample
from numpyro.primitives import Messenger
from sklearn.neighbors import NearestNeighbors

from mercer.runtime.compiling import quick_jit
from mercer.runtime.engines.greedy import greedy_choice
from mercer.runtime.engines.variational import WHITENED
from mercer.runtime.inner import facts_of, has_laws
from mercer.runtime.methods.climbing import climbed
from mercer.runtime.methods.density import Arguments, Density
from mercer.runtime.methods.starting import clusters, spread_of, start_layers
from mercer.runtime.posterior.conditional import known_of
from mercer.runtime.progress import Report, silent
from mercer.runtime.reparametrised import SHARE, STANDARD
from mercer.runtime.through import Unplaced
from mercer.stdlib.operators import Integrate
from mercer.stdlib.points import Points

_CANDIDATES = 10_000
"""Points among which inducing points are chosen: a random part of more is as good."""

_FIRST, _THEN = 50, 200  # steps with the points held, and with them

Arrays = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Placed:
    """`arguments` with inducing points; `start`: the mode found with them, flat, or None;
    `counts`: the points of each function; `widths`: the spread of the data, for each argument that
    is moved; `traces`: what Gram matrices were learned by, over the iterations."""

    arguments: Arguments
    start: np.ndarray | None
    counts: Mapping[str, int]
    widths: Mapping[str, Any] = field(default_factory=dict)
    traces: Mapping[str, np.ndarray] = field(default_factory=dict)


def inducing_of(program: ModuleType) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Of each function whose points are chosen: how many at most, and the arguments for them."""
    return dict(getattr(program, "INDUCING", {}))


def learned_of(program: ModuleType, arguments: Arguments) -> dict[str, np.ndarray]:
    """The arguments that no data give: a fit keeps them."""
    names = [*placed_names(program), *getattr(program, "POSTERIOR", ())]
    names += [n for pair in getattr(program, "APART", {}).values() for n in pair]
    names += [n for words in getattr(program, "MESSAGES", {}).values() for n in words]
    return {n: np.asarray(arguments.arrays[n]) for n in names}


def placed_names(program: ModuleType) -> list[str]:
    """The arguments that `place` finds: inducing points, and what layers start with."""
    names = [n for _, names in inducing_of(program).values() for n in names]
    laws = [word for facts in facts_of(program).values() for word in facts.law]
    return list(dict.fromkeys([*names, *laws]))


def place(
    program: ModuleType,
    arguments: Arguments,
    *,
    seed: int,
    is_learned: bool = True,
    unknowns: Mapping[str, Any] | None = None,
    report: Report = silent,
) -> Placed:
    """Inducing points for a program; as they are in `arguments`, where they are.

    `is_learned` False: chosen at the medians of the priors only, where the start then is, or at
    given `unknowns`.
    """
    wanted, names = inducing_of(program), placed_names(program)
    if not names or all(n in arguments.arrays for n in names):
        return Placed(arguments, None, {})
    report("choosing inducing points")
    flat, layered, widths = None, {}, {}
    if has_laws(program):
        # A model without points is traced up to its layers.
        bare = _with(arguments, {}, dict.fromkeys(names))
        if unknowns is None:
            unknowns, flat = _medians(program, bare)
        counts = {name: count for name, (count, _) in wanted.items()}
        known = known_of(program, arguments.all(), unknowns)
        started, layered = start_layers(program, known, counts, seed)
        arguments, widths = _with(arguments, started.found), started.widths
        wanted = {n: own for n, own in wanted.items() if own[1][0] not in started.found}
    known = {**layered, **arguments.all()}
    if not layered and moving_of(program):
        # Where the points are is known only given these, and the rest of the model not yet.
        nowhere = _with(arguments, _nowhere(wanted))
        known = known_of(
            program, known, unknowns or _medians(program, nowhere, until_moving=True)[0]
        )
    candidates = _candidates(program, known, wanted, seed)
    # One point each is enough to ask for the priors.
    arguments = _with(arguments, _named(wanted, candidates, dict.fromkeys(candidates, slice(1))))
    if unknowns is None:
        unknowns, flat = _medians(program, arguments)
    choose = _clustered if layered else _chosen
    arguments = _with(arguments, choose(program, arguments, unknowns, candidates, seed))
    counts = {name: len(arguments.arrays[own[0]]) for name, (_, own) in wanted.items()}
    widths = {**widths, **_widths(wanted, candidates)}
    if not is_learned or flat is None:
        return Placed(arguments, flat, counts, widths)
    density = Density(program, arguments, seed=seed)
    if layered:
        # With all rows as inducing points and nothing else unknown there is one optimum.
        is_whole = not any(
            word in widths for own in facts_of(program).values() for word in own.points
        )
        is_exact = is_whole and not density.has_unknowns
        found = climbed(density, flat, widths, report=report, is_exact=is_exact)
        placed = _with(arguments, found.moved)
        return Placed(placed, found.flat, counts, widths, found.traces)
    if density.has_unknowns:
        start = climbed(density, flat, {}, steps=_FIRST, report=report).flat
        unknowns = density.constrain(jnp.asarray(start)[None])
        unknowns = {k: v[0] for k, v in unknowns.items()}
        again = _chosen(program, arguments, unknowns, candidates, seed)
        other = Density(program, _with(arguments, again), seed=seed)
        if other.value_and_grad(start)[0] < density.value_and_grad(start)[0]:
            density = other
    else:
        start = np.zeros(0)
    found = climbed(density, start, widths, steps=_THEN, report=report)
    return Placed(_with(density.arguments, found.moved), found.flat, counts, widths)


def _with(
    arguments: Arguments, points: Arrays, absent: Mapping[str, None] | None = None
) -> Arguments:
    arrays = {**arguments.arrays, **points}
    return Arguments(arrays, {**arguments.static, **(absent or {})})


def moving_of(program: ModuleType) -> tuple[str, ...]:
    """The unknowns that points of functions are made of."""
    return tuple(getattr(program, "MOVING", ()))


class _Until(Messenger):
    """Ends a model as soon as some of its unknowns are known."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._left = set(names)
        super().__init__()

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        if msg["type"] in ("sample", "deterministic"):
            self._left.discard(msg["name"])
        if not self._left:
            raise Unplaced


def _medians(
    program: ModuleType, arguments: Arguments, *, until_moving: bool = False
) -> tuple[dict[str, Any], np.ndarray]:
    """The unknowns at the medians of their priors, and flat and unconstrained; those that points
    are made of at a draw, as at their medians points may all be the same. `until_moving`: only
    those, and what they depend on."""
    moving = moving_of(program)
    median: Any = init_to_median(num_samples=15)
    drawn: Any = init_to_sample()

    def start(site: Any) -> Any:
        name = str(site["name"])
        own = name.removesuffix(f".{STANDARD}").removesuffix(f".{SHARE}")
        return drawn(site) if own in moving else median(site)

    @quick_jit
    def medians(arrays: Arrays) -> Any:
        # Compiled, what the outcomes would take is left out.
        with (
            suppress(Unplaced),
            trace() as sites,
            _Until(moving) if until_moving else nullcontext(),
            substitute(substitute_fn=start),
            seeded(rng_seed=0),
        ):
            program.model(**arrays, **arguments.static)
        found = {
            k: site
            for k, site in sites.items()
            if site["type"] == "sample" and not site["is_observed"] and k != WHITENED
        }
        free = {k: biject_to(site["fn"].support).inv(site["value"]) for k, site in found.items()}
        own = {k: sites[k]["value"] for k in moving if k in sites}
        return {**own, **{k: site["value"] for k, site in found.items()}}, ravel_pytree(free)[0]

    values, flat = medians(dict(arguments.arrays))
    return values, np.asarray(flat, float)


# --- choice ---------------------------------------------------------------------------------------


def _chosen(
    program: ModuleType,
    arguments: Arguments,
    unknowns: Arrays,
    candidates: Mapping[str, Points],
    seed: int,
) -> dict[str, Any]:
    """Inducing points by argument, chosen at values of the unknowns."""
    wanted = inducing_of(program)
    processes = program.processes(**known_of(program, arguments.all(), unknowns))
    places = {}
    for name, every in candidates.items():
        size = len(every.factors[0])
        count = min(wanted[name][0], size)
        chosen = greedy_choice(processes[name], every, count)
        # The rest is explained at these unknowns; at others it may not be.
        left = np.setdiff1d(np.arange(size), chosen)
        more = np.random.default_rng((seed, size)).permutation(left)[: count - len(chosen)]
        places[name] = np.concatenate([chosen, more]).astype(int)
    return _named(wanted, candidates, places)


def _clustered(
    program: ModuleType,
    arguments: Arguments,
    unknowns: Arrays,
    candidates: Mapping[str, Points],
    seed: int,
) -> dict[str, Any]:
    """The same behind layers, where the kernel says little before they are learned: the candidates
    nearest to the centres of clusters, the outputs of a function each in turn."""
    wanted = inducing_of(program)
    places = {}
    for name, every in candidates.items():
        parts = [np.asarray(f, float) for f in every.factors]
        points = np.concatenate([p[:, None] if p.ndim == 1 else p for p in parts], axis=1)
        apart = np.zeros(len(points), int) if every.output is None else np.asarray(every.output)
        if every.labels is not None:
            apart = apart * (1 + int(np.max(every.labels))) + np.asarray(every.labels)
        kinds, chosen = np.unique(apart), []
        for kind in kinds:
            own = np.flatnonzero(apart == kind)
            centres, _ = clusters(points[own], max(1, wanted[name][0] // len(kinds)), seed)
            scale = spread_of(points)
            near = NearestNeighbors(n_neighbors=1).fit(points[own] / scale)
            chosen += [own[np.unique(near.kneighbors(centres / scale)[1])]]
        places[name] = np.concatenate(chosen)
    return _named({n: wanted[n] for n in candidates}, candidates, places)


def _named(
    wanted: Mapping[str, Any], candidates: Mapping[str, Points], places: Mapping[str, Any]
) -> dict[str, Any]:
    """Some of the candidates, as the arguments of the program for them."""
    return {
        word: jnp.asarray(leaf[places[name]])
        for name, every in candidates.items()
        for word, leaf in zip(wanted[name][1], jax.tree.leaves(every), strict=True)
    }


def _widths(wanted: Mapping[str, Any], candidates: Mapping[str, Points]) -> dict[str, Any]:
    """The spread [d] of the candidates, of each argument that holds numbers."""
    found = {}
    for name, every in candidates.items():
        for word, leaf in zip(wanted[name][1], jax.tree.leaves(every), strict=True):
            if np.issubdtype(leaf.dtype, np.floating):
                found[word] = jnp.asarray(spread_of(leaf))
    return found


def _candidates(
    program: ModuleType, known: Mapping[str, Any], wanted: Mapping[str, Any], seed: int
) -> dict[str, Points]:
    """Of each function the points among which to choose. What moves a point, layers and unknowns,
    is known."""
    sites = program.sites(**{**_nowhere(wanted), **known}).values()
    return {
        name: _distinct([s.points for s in sites if s.process == name and not s.is_inducing], seed)
        for name in wanted
    }


def _nowhere(wanted: Mapping[str, Any]) -> dict[str, Array]:
    return {name: jnp.zeros((1, 1)) for _, names in wanted.values() for name in names}


def _distinct(sites: list[Points], seed: int) -> Points:
    """The distinct points of several sites, operators apart: a random part of very many."""
    parts = [_plain(points) for points in sites]
    every = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    size = len(every.factors[0])
    if size > _CANDIDATES:
        few = np.random.default_rng(seed).choice(size, _CANDIDATES, replace=False)
        every = jax.tree.map(lambda leaf: leaf[np.sort(few)], every)
    columns = [np.asarray(leaf, float) for leaf in jax.tree.leaves(every)]
    table = np.concatenate([c.reshape(len(c), -1) for c in columns], axis=1)
    first = np.sort(np.unique(table, axis=0, return_index=True)[1])
    return jax.tree.map(lambda leaf: leaf[first], every)


def _plain(points: Points) -> Points:
    """Points as NumPy arrays; those of an integral are the ends and the middle of its interval."""
    factors: list[Any] = [np.asarray(factor) for factor in points.factors]
    labels: Any = points.labels
    output: Any = points.output
    for operator in points.operators:
        if isinstance(operator, Integrate):
            low, high = np.asarray(operator.low), np.asarray(operator.high)
            factors = [np.concatenate([low, 0.5 * (low + high), high])[:, None]]
            labels = None if labels is None else np.tile(labels, 3)
            output = None if output is None else np.tile(output, 3)
    factors = [
        f[:, None] if f.ndim == 1 and np.issubdtype(f.dtype, np.floating) else f for f in factors
    ]
    factors = [f.astype(float) if f.ndim > 1 else f for f in factors]
    own: list[Any] = [v if v is None else np.asarray(v) for v in (labels, output)]
    return Points(tuple(factors), labels=own[0], output=own[1])
