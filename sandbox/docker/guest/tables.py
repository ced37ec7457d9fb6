"""pandas tables as columns of arrays, and the few single values of pandas; sent to a box when one occurs.

Kept: values, column and row labels with their names, element types, missing values, categories, time zones. Not kept:
the frequency of a time index, `attrs`, flags, and unused levels of a MultiIndex.
Imports nothing of ours; see `codecs` for what `pack` and `unpack` promise.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NULLABLE = frozenset(("boolean", "Float32", "Float64", *(f"{u}Int{n}" for u in ("", "U") for n in (8, 16, 32, 64))))
_ZONE = re.compile(r"(?!dateutil/)[A-Za-z0-9_+-]{1,30}(?:/[A-Za-z0-9_+-]{1,30}){0,3}")
_DAY = 86_400  # seconds
_ROW = 8  # bytes that a row takes at least, also one of a range that nobody has written down
_NANOSECONDS = 2**63


def pack(value: Any, room: int) -> tuple[str, Any]:
    """A table, a series or a single value as its parts."""
    import pandas as pd

    kind = type(value)
    if issubclass(kind, (pd.DataFrame, pd.Series)):
        if len(value) * _ROW > room:
            raise ValueError(f"it has {len(value):,} rows, which are more than {max(room, 0):,} bytes")
        return "table", _series(pd, value) if issubclass(kind, pd.Series) else _frame(pd, value)
    if value is pd.NA or value is pd.NaT:
        return "table", {"is": "NA" if value is pd.NA else "NaT"}
    zone = {"zone": _zone(value.tz)} if issubclass(kind, pd.Timestamp) else {}
    return "table", {"is": "moment" if zone else "span", "ns": int(value.value), **zone}


def unpack(content: Any, room: Any) -> Any:
    """What untrusted content describes."""
    import pandas as pd

    return _KINDS[content["is"]](_Reading(pd, room), content)


# From pandas


def _frame(pd: Any, frame: Any) -> dict[str, Any]:
    columns = [_column(pd, frame.iloc[:, number]) for number in range(frame.shape[1])]
    labels = {"rows": _labels(pd, frame.index), "names": _labels(pd, frame.columns)}
    return {"is": "frame", "columns": columns, **labels}


def _series(pd: Any, series: Any) -> dict[str, Any]:
    return {"is": "series", "column": _column(pd, series), "rows": _labels(pd, series.index), "name": series.name}


def _labels(pd: Any, index: Any) -> dict[str, Any]:
    if isinstance(index, pd.RangeIndex):
        return {"is": "range", "range": [index.start, index.stop, index.step], "name": index.name}
    if isinstance(index, pd.MultiIndex):
        levels = [_labels(pd, index.get_level_values(number)) for number in range(index.nlevels)]
        return {"is": "levels", "levels": levels}
    column = _column(pd, pd.Series(index, dtype=index.dtype, index=range(len(index))))
    return {"is": "labels", "column": column, "name": index.name}


def _column(pd: Any, series: Any) -> dict[str, Any]:
    dtype = series.dtype
    kind = getattr(dtype, "kind", "")
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _labels(pd, dtype.categories)
        return {"is": "category", "codes": series.cat.codes.to_numpy(), "of": categories, "ordered": dtype.ordered}
    if isinstance(dtype, pd.DatetimeTZDtype):
        instants = series.dt.tz_convert("UTC").dt.tz_localize(None)
        return {"is": "zoned", "array": instants.to_numpy(), "zone": _zone(dtype.tz)}
    if isinstance(dtype, pd.StringDtype):
        missing = series.isna().tolist()
        text = [None if missing[row] else str(item) for row, item in enumerate(series)]
        return {"is": "text", "list": text, "type": str(dtype)}
    if str(dtype) in _NULLABLE:
        plain = series.array.to_numpy(str(dtype).lower().replace("boolean", "bool"), na_value=0)
        return {"is": "nullable", "array": plain, "missing": series.isna().to_numpy(), "type": str(dtype)}
    if type(dtype).__module__.startswith("numpy") and kind in "biufcmM":
        return {"is": "array", "array": series.to_numpy()}
    if type(dtype).__module__.startswith("numpy") and kind == "O":
        return {"is": "objects", "list": list(series)}
    raise TypeError(f"a column of type {str(dtype)[:60]}; turn it into numbers or text with .astype(...) first")


def _zone(zone: Any) -> Any:
    """A time zone as its name or its seconds east of UTC; None for local times."""
    if zone is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str) and _ZONE.fullmatch(name):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise TypeError(f"the time zone {str(zone)[:60]} has no name; use .tz_convert('Europe/Berlin') or the like")
    return int(offset.total_seconds())


# To pandas


class _Reading:
    """One untrusted table on its way into pandas."""

    def __init__(self, pd: Any, room: Any) -> None:
        self.pd, self.room = pd, room

    def frame(self, content: dict[str, Any]) -> Any:
        rows, names = self.labels(content["rows"]), self.labels(content["names"])
        columns = content["columns"]
        if type(columns) is not list or len(columns) != len(names):
            raise ValueError("as many columns as names are needed")
        made = {number: self.column(column, len(rows)) for number, column in enumerate(columns)}
        frame = self.pd.DataFrame(made, index=self.pd.RangeIndex(len(rows)))
        frame.columns, frame.index = names, rows
        return frame

    def series(self, content: dict[str, Any]) -> Any:
        rows = self.labels(content["rows"])
        series = self.column(content["column"], len(rows))
        series.index, series.name = rows, _label(content["name"])
        return series

    def moment(self, content: dict[str, Any]) -> Any:
        return _zoned(self.pd.Timestamp(_nanoseconds(content), unit="ns"), content["zone"])

    def span(self, content: dict[str, Any]) -> Any:
        return self.pd.Timedelta(_nanoseconds(content), unit="ns")

    def na(self, _: dict[str, Any]) -> Any:
        return self.pd.NA

    def nat(self, _: dict[str, Any]) -> Any:
        return self.pd.NaT

    def labels(self, content: dict[str, Any]) -> Any:
        if content["is"] == "range":
            return self._range(content)
        if content["is"] == "levels":
            levels = [self.labels(level) for level in content["levels"]]
            if not levels or any(len(level) != len(levels[0]) for level in levels):
                raise ValueError("levels of one length are needed")
            return self.pd.MultiIndex.from_arrays(levels, names=[level.name for level in levels])
        column = self.column(content["column"], None)
        return self.pd.Index(column, name=_label(content["name"]), dtype=column.dtype)

    def _range(self, content: dict[str, Any]) -> Any:
        start, stop, step = content["range"]
        if any(type(number) is not int or abs(number) >= _NANOSECONDS for number in (start, stop, step)):
            raise TypeError("a range without numbers")
        self.room.take(len(range(start, stop, step)) * _ROW)
        return self.pd.RangeIndex(start, stop, step, name=_label(content["name"]))

    def column(self, content: dict[str, Any], rows: int | None) -> Any:
        """A series of so many rows; of any number when that is None."""
        column = getattr(self, _COLUMNS[content["is"]])(content)
        if rows is not None and len(column) != rows:
            raise ValueError(f"a column of {len(column):,} in a table of {rows:,} rows")
        return column

    def _array(self, content: dict[str, Any]) -> Any:
        return self.pd.Series(_flat(content["array"], "biufcmM"))

    def _objects(self, content: dict[str, Any]) -> Any:
        return self.pd.Series(_list(content), dtype=object)

    def _category(self, content: dict[str, Any]) -> Any:
        codes, categories = _flat(content["codes"], "i"), self.labels(content["of"])
        made = self.pd.Categorical.from_codes(codes, categories=categories, ordered=content["ordered"] is True)
        return self.pd.Series(made)

    def _zoned(self, content: dict[str, Any]) -> Any:
        return _zoned(self.pd.Series(_flat(content["array"], "M")).dt, content["zone"])

    def _text(self, content: dict[str, Any]) -> Any:
        text = _list(content)
        if any(type(item) is not str and item is not None for item in text):
            raise TypeError("text that is none")
        if content["type"] == "string":
            return self.pd.Series(text, dtype="string")
        series = self.pd.Series(text, dtype=object)
        series[series.isna()] = float("nan")
        return series.astype("str") if int(self.pd.__version__.partition(".")[0]) >= 3 else series

    def _nullable(self, content: dict[str, Any]) -> Any:
        array, missing = _flat(content["array"], "biuf"), _flat(content["missing"], "b")
        if content["type"] not in _NULLABLE or len(array) != len(missing):
            raise TypeError("no such column")
        series = self.pd.Series(array).astype(content["type"])
        series[missing] = self.pd.NA
        return series


_KINDS: dict[str, Any] = {
    "frame": _Reading.frame,
    "series": _Reading.series,
    "moment": _Reading.moment,
    "span": _Reading.span,
    "NA": _Reading.na,
    "NaT": _Reading.nat,
}
_COLUMNS = {name: f"_{name}" for name in ("array", "objects", "category", "zoned", "text", "nullable")}


def _flat(array: Any, kinds: str) -> Any:
    """A column's array, which came through `arrays` and so is one, if it is one at all."""
    if type(array).__name__ != "ndarray" or array.ndim != 1 or array.dtype.kind not in kinds:
        raise TypeError("a column that is none")
    return array


def _list(content: dict[str, Any]) -> list[Any]:
    if type(content["list"]) is not list:
        raise TypeError("a column that is none")
    return content["list"]


def _label(label: Any) -> Any:
    hash(label)
    return label


def _nanoseconds(content: dict[str, Any]) -> int:
    count = content["ns"]
    if type(count) is not int or abs(count) >= _NANOSECONDS:
        raise TypeError("a moment that is none")
    return count


def _zoned(local: Any, zone: Any) -> Any:
    """Instants in UTC, as a series' `.dt` or one moment, in their own zone."""
    if zone is None:
        return local
    if type(zone) is int and abs(zone) < _DAY:
        import datetime

        zone = datetime.timezone(datetime.timedelta(seconds=zone))
    elif type(zone) is not str or not _ZONE.fullmatch(zone):
        # pandas would open a file for some names.
        raise TypeError("a time zone that is none")
    zoned = local.tz_localize("UTC")
    return getattr(zoned, "dt", zoned).tz_convert(zone)
