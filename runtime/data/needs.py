"""What a model needs of its data, in plain words: the data names, their dims and their spaces.

`mercer.needs.needs_of` makes it from a typed model; binding reads nothing else of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mercer.dsl.spaces import Dim, Space
from mercer.dsl.span import Source, Span


@dataclass(frozen=True)
class DataNeed:
    """`data name[indices] : space`.

    `coordinates` are the dims that the space brings. `order` is the order of all the dims wanted
    for the axes of the array. `span` is where the name is declared. An outcome may have missing
    values, and may be absent where nothing is fitted.
    """

    name: str
    indices: tuple[Dim, ...]
    coordinates: tuple[Dim, ...]
    order: tuple[Dim, ...]
    space: Space
    span: Span | None = None
    is_outcome: bool = False

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The dims as declared: indices, then coordinates."""
        return (*self.indices, *self.coordinates)

    def __str__(self) -> str:
        """The declaration without the word `data`, as a message shows it."""
        return f"{self.name}[{', '.join(self.indices)}]" if self.indices else self.name


@dataclass(frozen=True)
class IndexNeed:
    """An index. `labels` is None where the data fix them; `fed_by` are its `Label(name)` columns.

    `is_looked_up` is false for a dim that only spaces bring (the `d` of `Real^d`): its
    coordinates meet by position, those of an index by label.
    """

    name: Dim
    labels: tuple[str, ...] | tuple[float, ...] | None = None
    fed_by: tuple[str, ...] = ()
    span: Span | None = None
    is_looked_up: bool = True


@dataclass(frozen=True)
class Needs:
    """All that a model needs. `sources` renders the spans of messages."""

    data: tuple[DataNeed, ...]
    indices: Mapping[Dim, IndexNeed]
    sources: Mapping[str, Source] = field(default_factory=dict)

    def of(self, name: str) -> DataNeed | None:
        """The data name `name`, if there is one."""
        return next((need for need in self.data if need.name == name), None)

    def index(self, dim: Dim) -> IndexNeed:
        """The index of `dim`; `k'` is over the labels of `k`."""
        base = base_of(dim)
        return self.indices.get(base, IndexNeed(base, is_looked_up=False))


def base_of(dim: Dim) -> Dim:
    """The index whose labels `dim` has: `k` for `k'`."""
    return dim.rstrip("'")


def size_of(dim: Dim) -> int | None:
    """The size of a dim that is a number (`3`, `28'`); None where the data fix it."""
    base = base_of(dim)
    return int(base) if base.isdigit() else None
