"""Names that do not meet turned into messages: data without a column, columns without a use."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from mercer.dsl.diagnostic import Diagnostic
from mercer.runtime.data.locate import Located, listed
from mercer.runtime.data.needs import DataNeed, Needs
from mercer.runtime.data.tables import Tables


def missing_column(need: DataNeed, needs: Needs, tables: Tables) -> Diagnostic:
    """The message for a data name that no table holds."""
    names = [name for table in tables.tables for name in table.columns]
    taken = {other.name for other in needs.data} | set(needs.indices)
    free = [name for name in names if name not in taken and name]
    wanted = tables.columns.get(need.name)
    missing = need.name
    if wanted is not None and wanted != "*":
        missing = next((name for name in wanted if name not in names), need.name)
    close = _close(missing, free if wanted is None else names)
    if close and wanted is None:
        mend = f"did you mean {close}? Rename it, or say --columns {need.name}={close}"
    elif close:
        mend = f"did you mean {close}?"
    elif need.coordinates:
        mend = f"name its columns {need.name}.1, {need.name}.2, ..., or say --columns {need.name}=*"
    elif len(names) == 1 and (marks := re.findall(r"[|:/]|\s+", names[0])):
        mark = "spaces" if not marks[0].strip() else marks[0]
        mend = f"separate columns by commas, semicolons or tabs, not by {mark}"
    else:
        mend = None
    if not tables.tables:
        return Diagnostic("M401", f"no data were given, and the model needs {need}", need.span)
    return Diagnostic(
        "M401", f"the data have no column {missing}", need.span, why=_listed(names), mend=mend
    )


def nothing_used(needs: Needs, tables: Tables) -> list[Diagnostic]:
    """The message where data are given, and the model uses none of their columns."""
    columns = list(dict.fromkeys(name for table in tables.tables for name in table.columns))
    if not columns:
        return []
    wanted = [need.name for need in needs.data if not need.is_outcome]
    close = next(((name, c) for name in wanted if (c := _close(name, columns))), None)
    noun = f"the column{'s' * (len(columns) > 1)} {listed(columns[:12])}"
    problem = f"the model does not use {noun}, and nothing else was given"
    why = f"its data are {listed(wanted)}" if wanted else None
    return [Diagnostic("M401", problem, why=why, mend=_meant(close))]


def unused_columns(needs: Needs, tables: Tables, found: Located) -> list[Diagnostic]:
    """A note for each table on the columns that nothing takes; it may be a name written wrongly."""
    names = [need.name for need in found.absent]
    labelled = {
        dim
        for p in found.pieces.values()
        for dim, key in zip((*p.row_dims, *p.rest), (*p.keys, *p.rest_keys), strict=True)
        if key is not None
    }
    names += [d for d, i in needs.indices.items() if d not in labelled and i.labels is None]
    problems = []
    for table in tables.tables:
        taken = {c for p in found.pieces.values() if p.table is table for c in p.columns}
        for dim in needs.indices:
            wanted = tables.columns.get(dim)
            taken.add(wanted[0] if isinstance(wanted, tuple) else dim)
        left = [name for name in table.columns if name not in taken]
        if not left:
            continue
        more = f" and {len(left) - 8} more" if len(left) > 8 else ""
        noun = "column" if len(left) == 1 else "columns"
        meant = next(((name, c) for name in names if (c := _close(name, left))), None)
        problems.append(
            Diagnostic(
                "M427",
                f"the model does not use the {noun} {', '.join(left[:8])}{more} of {table.name}",
                mend=_meant(meant),
                severity="note",
            )
        )
    return problems


def unknown_options(needs: Needs, tables: Tables) -> list[Diagnostic]:
    """Messages for `--columns` of what is no data of the model."""
    names = [*(need.name for need in needs.data), *needs.indices]
    problems = []
    for name in tables.columns:
        if name not in names:
            close = _close(name, names)
            problems.append(
                Diagnostic(
                    "M417",
                    f"--columns names {name}, which is no data of the model",
                    why=f"the model needs {listed(names)}" if names else None,
                    mend=f"did you mean {close}?" if close else None,
                )
            )
    return problems


def _meant(close: tuple[str, str] | None) -> str | None:
    if close is None:
        return None
    return f"is {close[1]} {close[0]}? Rename it, or say --columns {close[0]}={close[1]}"


def _close(name: str, names: Sequence[str]) -> str | None:
    folded = {n.casefold(): n for n in names}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def _listed(names: Sequence[str], most: int = 12) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - most} more" if len(distinct) > most else ""
    return f"they have {', '.join(distinct[:most])}{more}"
