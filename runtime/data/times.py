"""Dates and times turned into numbers: days since 1970-01-01, their fraction the time of day.

A day has one length, so that `period = 7` is a week and `period = 365.25` a year. Times with a zone
count in UTC, those without as they stand. R's `as.numeric` of a `Date` gives the same numbers.
Text is a date where it is written as ISO 8601 has it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

UNIT = "days since 1970-01-01"

_MICROSECONDS = 86_400_000_000  # in a day
_ZONE = r"\s*(Z|[+-]\d{2}(:?\d{2})?)?"
_TIME = rf"[T ]\d{{2}}:\d{{2}}(:\d{{2}}([.,]\d+)?)?{_ZONE}"
_DAY = re.compile(rf"\d{{4}}-\d{{2}}-\d{{2}}({_TIME})?")
_MONTH = re.compile(r"\d{4}-\d{2}")
_OTHER = re.compile(
    r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(\s.*)?|\d{1,2}[ -][A-Za-z]{3,9}\.?[ -]\d{2,4}"
)


def days(times: np.ndarray) -> np.ndarray:
    """An array of times (datetime64) or durations (timedelta64) as days; NaT is NaN."""
    unit = "datetime64[us]" if times.dtype.kind == "M" else "timedelta64[us]"
    found = times.astype(unit).astype(np.int64) / _MICROSECONDS
    return np.where(np.isnat(times), np.nan, found)


def moments(cells: Iterable[object], *, months: bool = False) -> np.ndarray | None:
    """Text, `date`, `datetime` and `Timestamp` as datetime64; None unless all of them are dates.

    With `months`, 2020-01 is the first of that month.
    """
    written = []
    for cell in cells:
        text = _iso(cell)
        if text is not None and months and _MONTH.fullmatch(text):
            text += "-01"
        if text is None or not _DAY.fullmatch(text):
            return None
        written.append(text)
    if not written:
        return None
    read = pd.to_datetime(pd.Series(written), format="ISO8601", utc=True, errors="coerce")
    found = read.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    for place in np.flatnonzero(np.isnat(found)):  # centuries beyond pandas' nanoseconds
        moment = _moment(written[place])
        if moment is None:
            return None
        found[place] = np.datetime64(moment, "us")
    return found


def texts(times: np.ndarray) -> np.ndarray:
    """Times as text, None where there is none; at midnight the date alone."""
    flat = times.ravel().astype("datetime64[us]")
    place, distinct = pd.factorize(flat)
    words = np.array([*(_written(moment) for moment in distinct), None], dtype=object)
    return words[place].reshape(times.shape)


def is_date(cell: object) -> bool:
    """Whether one cell is a date."""
    text = _iso(cell)
    if text is None:
        return False
    text += "-01" * bool(_MONTH.fullmatch(text))
    return _DAY.fullmatch(text) is not None and _moment(text) is not None


def is_other_date(cell: object) -> bool:
    """Whether a text looks like a date that is not written as ISO 8601 has it: 31/12/2020."""
    return isinstance(cell, str) and _OTHER.fullmatch(cell.strip()) is not None


def date_text(day: float) -> str:
    """A number of days as a date, with the time where it is not midnight."""
    return _written(np.datetime64(round(float(day) * _MICROSECONDS), "us"))


def _iso(cell: object) -> str | None:
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, np.datetime64):
        return str(cell.astype("datetime64[us]"))
    return cell.isoformat() if isinstance(cell, datetime.date) else None  # datetime included


def _moment(text: str) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "T", 1).replace(" ", ""))
    except ValueError:  # the 31st of February
        return None
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _written(moment: np.datetime64) -> str:
    if moment == moment.astype("datetime64[D]"):
        return str(moment.astype("datetime64[D]"))
    return str(moment.astype("datetime64[us]")).replace("T", " ").removesuffix(".000000")
