"""Predictions of block after block of rows turned into one of all, with no draws for each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from mercer.dsl.diagnostic import Diagnostic, MercerError
from mercer.dsl.spaces import Dim, Label
from mercer.runtime.engines.dense import Dense
from mercer.runtime.engines.markov import Markov
from mercer.runtime.posterior.blocks import Block
from mercer.runtime.posterior.predict import Prediction

LEVELS = (0.025, 0.975)
"""The quantiles that a table shows: found on the way, while others cost a pass of their own."""

SHARE = 0.25
"""Of what draws may take: what those of one block do. Several copies of them live at a time."""
_MATRICES = 4
"""Matrices between the rows of a block and those of the fit that live at a time."""
_LEAST = 500
"""Rows of a block at least, as the matrices of a fit are factorised anew for each."""
_LEAST_DRAWS = 20
"""Draws of a block at least, along a line: rows so many leave little unknown but noise."""

Pass = Callable[[], Iterator[tuple[Block, Prediction]]]


def taken_apart(
    bound: Any, dims: Mapping[str, tuple[Dim, ...]], rowwise: Iterable[Dim]
) -> list[Dim]:
    """Which of the `rowwise` indices to go along in blocks: the longest first, of which no value
    has two."""
    chosen: list[Dim] = []
    held = {**dims, **bound.dims}.values()
    for dim in sorted(set(rowwise) & set(bound.codes), key=lambda d: (-bound.sizes[d], d)):
        if not any(dim in own and set(own) & set(chosen) for own in held):
            chosen.append(dim)
    return chosen


def rows_at_once(
    program: ModuleType,
    bound: Any,
    keys: Iterable[str],
    apart: list[Dim],
    *,
    draws: int,
    fitted: int,
    room: float,
) -> int | None:
    """How many rows a block may have; None where all draws of all rows have their place in `room`.

    `keys`: what is predicted; `fitted`: the rows of the fit, of one by minibatches those of a
    batch, to which the columns of its features are as many at most.
    """
    labels = {n.name: n.space.index for n in bound.needs.data if isinstance(n.space, Label)}

    def entries(key: str, *, of_row: bool) -> float:
        dims = [d.rstrip("'") for d in program.DIMS.get(key, ()) if not (of_row and d in apart)]
        sizes = [int(d) if d.isdigit() else bound.sizes.get(d, 1) for d in dims]
        each = 3 + (bound.sizes[labels[key]] if key in labels else 0)
        return float(np.prod(sizes)) * each

    keys = list(keys)
    longest = max((bound.sizes[d] for d in apart), default=0)
    is_dense = program.ENGINE is Dense or program.INFERENCE.lane in ("latent", "variational")
    matrices = 8.0 * _MATRICES * fitted if is_dense else 0.0
    needed = max(8.0 * draws * sum(entries(k, of_row=False) for k in keys), matrices * longest)
    if needed <= room or not apart:
        return None
    a_row = max(8.0 * draws * sum(entries(k, of_row=True) for k in keys), matrices)
    size = max(int(SHARE * room / a_row), _LEAST)
    return size if size < longest else None


def draws_at_once(program: ModuleType, bound: Any, apart: list[Dim], size: int, draws: int) -> int:
    """Of how many draws blocks of `size` rows are made. Along a line each draw goes through all
    rows of the fit again, for every block: over all blocks no more often than for one."""
    if program.ENGINE is not Markov:
        return draws
    blocks = math.ceil(max(bound.sizes[d] for d in apart) / size)
    return min(draws, max(_LEAST_DRAWS, draws // blocks))


def joined(passes: Pass, bound: Any, dims: Mapping[str, tuple[Dim, ...]]) -> Prediction:
    """The prediction of all rows of `bound`. `passes()` goes through its blocks once more."""
    found = _Whole(bound, dims)
    quantiles = Quantiles(found, passes)
    for block, part in passes():
        for group in ("means", "sds", "probabilities"):
            for name, values in getattr(part, group).items():
                found.put(group, name, block, values)
        for level in LEVELS:
            quantiles.put(level, block, part)
    return Prediction(
        bound=bound,
        dims=dims,
        means=found.groups.get("means", {}),
        sds=found.groups.get("sds", {}),
        probabilities=found.groups.get("probabilities", {}),
        samples=TooMany("samples"),
        expected=TooMany("expected"),
        normals=TooMany("normals"),
        joint=lambda: refuse("draws"),
        quantiles=quantiles,
    )


def refuse(what: str) -> NoReturn:
    """What is said where draws of all rows are asked for."""
    problem = f"{what}: all draws at so many rows would take more memory than they may"
    why = "means, sds, probabilities and quantiles of all rows are there, and `table()` of them"
    mend = "predict at fewer rows at a time, or with fewer draws: fit.thinned(200).predict(...)"
    raise MercerError([Diagnostic("M515", problem, why=why, mend=mend)])


class TooMany(Mapping[str, Any]):
    """Stands where draws would be: it holds no name, and says why where one is asked for."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getitem__(self, name: str) -> Any:
        refuse(self._what)

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(eq=False)
class _Whole:
    """Arrays of all rows, filled block by block."""

    bound: Any
    dims: Mapping[str, tuple[Dim, ...]]
    groups: dict[Any, dict[str, np.ndarray]] = field(default_factory=dict)

    def put(self, group: Any, name: str, block: Block, values: np.ndarray) -> None:
        own = self.dims.get(name, ())
        places = [block.rows.get(dim, slice(None)) for dim in own]
        known = self.groups.setdefault(group, {})
        if name not in known:
            shape = list(values.shape)
            for axis, dim in enumerate(own):
                if dim in block.rows:
                    shape[axis] = self.bound.sizes[dim]
            known[name] = np.empty(shape, values.dtype)
        known[name][tuple(places)] = values


@dataclass(eq=False)
class Quantiles:
    """Quantiles of all rows by name and level; a level that was not asked before costs a pass."""

    whole: _Whole
    passes: Pass

    def put(self, level: float, block: Block, part: Prediction) -> None:
        """Takes in the quantiles of one block; labels have none."""
        for name in part.means:
            if name not in part.probabilities:
                self.whole.put(level, name, block, part.quantile(name, level))

    def __call__(self, name: str, level: float) -> np.ndarray:
        if level not in self.whole.groups:
            for block, part in self.passes():
                self.put(level, block, part)
        return self.whole.groups[level][name]
