"""Cells that are wrong turned into a message: which is the first, how many, and the mend."""

from __future__ import annotations

import re

import numpy as np

from mercer.dsl.diagnostic import Diagnostic
from mercer.runtime.data import times
from mercer.runtime.data.locate import Piece

_NOTHING = {"-", "--", ".", "?", "#N/A", "#NA", "#VALUE!", "#DIV/0!", "missing", "none", "unknown"}
"""What other programs write into a cell without a value."""

_WITH_UNIT = re.compile(r"[$€£]?\s*([-+]?\d+(\.\d+)?([eE][-+]?\d+)?)\s*(%|[A-Za-z°µ/²³$€£]+)?")


class Tally:
    """The first cell that is wrong in one way, in rows gone through by blocks, and their number."""

    def __init__(self) -> None:
        self.count = 0
        self.at: tuple[int, ...] = ()
        self.cell: object = None

    def add(self, start: int, wrong: np.ndarray, cells: np.ndarray) -> None:
        """Counts the wrong `cells` of the block that begins in row `start`."""
        if not wrong.any():
            return
        if not self.count:
            at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            self.cell = cells[at]
            self.at = (start + at[0], *at[1:]) if at else ()
        self.count += int(np.sum(wrong))


def message(
    piece: Piece, code: str, tally: Tally, said: str, *, mend: str | None = None
) -> Diagnostic:
    """What is said of the first wrong cell, and how many more there are."""
    count, why = tally.count, None
    if code in ("M409", "M410", "M404", "M426"):
        why = f"{count} values are wrong in this way" if count > 1 else None
    elif count > 1:
        why = "so is another value" if count == 2 else f"so are {count - 1} more values"
    problem = f"{_place(piece, tally.at)} {said}"
    return Diagnostic(code, problem, piece.need.span, why=why, mend=mend)


def shown(cell: object) -> str:
    """A cell as the user wrote it."""
    if isinstance(cell, str):
        return f'"{cell}"' if len(cell) <= 40 else f'"{cell[:37]}..."'
    if isinstance(cell, np.datetime64):
        return str(times.texts(np.asarray(cell))[()])
    return f"{cell:.10g}" if isinstance(cell, (float, np.floating)) else str(cell)


def mend_of_text(cell: object, *, is_outcome: bool = False) -> str | None:
    """What to write instead of a text where a number is wanted."""
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    if times.is_other_date(text) or re.fullmatch(r"\d{4}-\d{2}-\d{2}.*", text):
        return "write dates as 2024-12-31, the year first; they become days since 1970-01-01"
    if text.casefold() in {word.casefold() for word in _NOTHING}:
        return "leave a missing cell empty" + "; only an outcome may be missing" * (not is_outcome)
    if text.casefold() in ("yes", "no", "true", "false"):
        return "write 1 for yes and 0 for no, or declare it `Bool` and write true and false"
    if "\u2212" in text and _is_number(text.replace("\u2212", "-")):
        return "write the minus sign as the hyphen of the keyboard: -"
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", text):
        plain, point = text.replace(",", ""), text.replace(",", ".")
        decimal = f", or {point} if the comma stands for a point" if text.count(",") == 1 else ""
        return f"write {plain}, without marks between the thousands{decimal}"
    if "," in text and _is_number(text.replace(",", ".", 1)):
        return "write decimals with a point"
    if "," in text and _is_number(text.replace(",", "")):
        return "write numbers without marks between the thousands"
    if (found := _WITH_UNIT.fullmatch(text)) and (found[4] or text[0] in "$€£"):
        return f"write the number alone: {found[1]}"
    return None


def _place(piece: Piece, at: tuple[int, ...]) -> str:
    """Column and row in the user's table, both as they are counted there: from 1."""
    name = piece.columns[0] if len(piece.columns) == 1 else piece.columns[at[-1]]
    if not at:
        return name
    if piece.table.is_frame and len(at) == 2 and len(piece.columns) == 1:
        return f"{name}.{at[1] + 1} in row {at[0] + 1} of {piece.table.name}"
    if piece.table.is_frame or len(at) == 1 or len(piece.columns) > 1:
        row = f" in row {at[0] + 1}" if piece.row_dims else ""
        return f"{name}{row} of {piece.table.name}"
    return f"{name}[{', '.join(str(i + 1) for i in at)}] (counted from 1) of {piece.table.name}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
