"""How numbers and times are written for people. A price that nobody knows is a dash, never 0."""

import datetime

NS = 1_000_000_000


def duration(seconds: float) -> str:
    """Write a duration: `340 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def usd(amount: float | None) -> str:
    """Write a price: `$0.0123`, `$1.50`, `$0`; a dash when it is unknown."""
    if amount is None:
        return "\N{EN DASH}"
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "< $0.0001"
    return f"${amount:.4f}" if amount < 1 else f"${amount:,.2f}"


def count(number: int) -> str:
    """Write a count: `950`, `12.3k`, `4.1M`."""
    if number < 1000:
        return str(number)
    if number < 999_950:
        return f"{number / 1000:.1f}k"
    return f"{number / 1_000_000:.1f}M"


def moment(ns: int) -> str:
    """Write a time in the machine's own time zone: `2026-11-21 10:02:11`."""
    return datetime.datetime.fromtimestamp(ns / NS).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(ns: int, now_ns: int) -> str:
    """Write how long ago something was: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    seconds = max(0, now_ns - ns) // NS
    if seconds < 45:
        return "just now"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 129_600:
        return f"{round(seconds / 3600)} h ago"
    return f"{round(seconds / 86_400)} days ago"
