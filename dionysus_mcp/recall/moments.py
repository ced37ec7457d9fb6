"""The dates that a question names, and how well a memory's own date agrees with them.

Only what is written out counts ("in May 2023", "on 7 May", "2023-05-07"): a question doesn't say from when on "last
week" is reckoned.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = re.compile(rf"\b({'|'.join(_MONTHS)})\b", re.IGNORECASE)
_YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
_DAY_FIRST = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?:{'|'.join(_MONTHS)})\b", re.IGNORECASE)
_DAY_LAST = re.compile(rf"\b(?:{'|'.join(_MONTHS)}) (\d{{1,2}})(?:st|nd|rd|th)?\b", re.IGNORECASE)
_ISO = re.compile(r"\b((?:19|20)\d\d)-(0[1-9]|1[0-2])(?:-(\d\d))?\b")


@dataclass(frozen=True, slots=True)
class Moments:
    """Months (1 to 12), years and days of the month that a text names."""

    months: frozenset[int] = frozenset()
    years: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.months or self.years)


def moments(text: str) -> Moments:
    """The dates a text names; "may" is a month where it is spelled as one."""
    months = {_MONTHS.index(name.lower()) + 1 for name in _MONTH.findall(text) if name != "may"}
    years = {int(year) for year in _YEAR.findall(text)}
    days = {int(day) for pattern in (_DAY_FIRST, _DAY_LAST) for day in pattern.findall(text)}
    for year, month, day in _ISO.findall(text):
        years.add(int(year))
        months.add(int(month))
        days |= {int(day)} if day else set[int]()
    return Moments(frozenset(months), frozenset(years), frozenset(days) if months else frozenset())


def agreement(named: Moments, ordinals: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How well dates agree with those named, from -1.5 (another month and year) to 2 (the very day); 0 where none is.

    Args:
        named: The dates of a question.
        ordinals: Days as `date.toordinal` counts them, 0 or less where unknown.
    """
    import numpy as np

    result = np.zeros(len(ordinals))
    if not named:
        return result
    dates = (ordinals.clip(min=1).astype(np.int64) - _EPOCH).astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    days = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    in_month = np.isin(months, list(named.months))
    if named.months:
        result += np.where(in_month, 1.0, -1.0) + 0.5 * (in_month & np.isin(days, list(named.days)))
    if named.years:
        result += np.where(np.isin(years, list(named.years)), 0.5, -0.5)
    return np.where(ordinals > 0, result, 0.0)


_EPOCH = 719_163
"""1970-01-01 by `date.toordinal`."""
