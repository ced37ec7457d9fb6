"""What a sentence states that two sentences can disagree on: numbers, dates, negation, and the names in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from layers.analysis.words import STOPWORDS, stem, terms, tokens

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "(?:" + "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + r"|sept)\.?"
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_ISO = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?(?=T|\b)")
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?:,? (\d{{4}}))?\b", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"\b({_MONTH}),? (\d{{4}})\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\d.,-])(?:19|20)\d{2}(?![\d-]|[.,]\d)")
_RELATIVE = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|"
    rf"(?:last|next|this|every|each) (?:night|week|weekend|month|quarter|spring|summer|autumn|fall|winter|year|{'|'.join(_DAYS)})|"
    r"\w+ (?:days?|weeks?|months?|years?|hours?|minutes?) (?:ago|later|earlier)|"
    rf"{'|'.join(day + 's?' for day in _DAYS)}|noon|midnight|\d{{1,2}}:\d{{2}}|\d{{1,2}} ?[ap]\.?m)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.])([$€£]?)(\d[\d,]*(?:\.\d+)?)\s?(%|°[CF]?|[A-Za-zµ]+)?")
_WORDED = {
    word: float(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {"thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0, "hundred": 100.0, "dozen": 12.0}
_WORDED |= {"once": 1.0, "twice": 2.0, "half": 0.5}
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|no longer|\w+n['’]t)\b", re.IGNORECASE
)
_CHANGE = re.compile(
    r"\b(?:now|instead|no longer|anymore|any more|switch\w*|replac\w*|supersed\w*|chang\w*|mov(?:e|es|ed) (?:to|from|away)|"
    r"rais\w* (?:to|from)|lower\w* (?:to|from)|revis\w*|correct\w*|updat\w*|revert\w*|took over|takes over|"
    r"hand\w* over|successor|succeed\w*|after (?:me|him|her|them)|leav(?:e|es|ing)|left|resign\w*|step\w* down|postpon\w*|reschedul\w*|delay\w*|as of|from now on|new\w*|overturn\w*|withdr\w*|deprecat\w*)\b",
    re.IGNORECASE,
)


# Words of a question that a value of the right kind answers without repeating them: "what did it cost" – "for 20 euros".
_ANSWERED_BY = {
    "money": "cost price pay fee budget spend expense expensive worth charge earn salary money",
    "length": "deep depth high height tall wide width long length far distance thick big large size",
    "duration": "long duration time last take",
    "mass": "heavy weight weigh",
    "warmth": "hot cold warm temperature degree",
    "speed": "fast speed quick",
    "frequency": "often frequency frequently",
    "age": "old age",
    "share": "percent percentage share rate proportion",
    "date": "date day month time week",
    "year": "year",
    "weekday": "weekday",
}
_UNITS = {
    "year": r"\b(?:19|20)\d{2}\b",
    "weekday": rf"\b(?:{'|'.join(_DAYS)})s?\b",
    "money": r"[$€£]\s?\d|\d\s?[$€£]|\b(?:euros?|dollars?|pounds?|cents?|usd|eur|gbp|chf|francs?|crowns?|kr)\b",
    "length": r"\d\s?(?:mm|cm|m|km|met(?:er|re)s?|feet|foot|ft|inch(?:es)?|miles?|yards?|kilomet\w+|centimet\w+|millimet\w+)\b",
    "duration": r"\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|overnight)\b|\d\s?(?:ms|s|min|h)\b",
    "mass": r"\d\s?(?:g|kg|t|lb|oz|grams?|kilos?|tonnes?|tons?|pounds?|kilograms?)\b",
    "warmth": r"\d\s?(?:°|degrees?|celsius|fahrenheit|kelvin|[CFK]\b)",
    "speed": r"\b(?:knots?|mph|km/h|m/s|per second|per hour|an hour)\b",
    "frequency": r"\b(?:every|each|per|daily|weekly|monthly|yearly|hourly|quarterly|annually|once|twice|times)\b",
    "age": r"\b(?:years?|months?) old\b|\baged?\b",
    "share": r"\d\s?%|\bpercent\b|\bper cent\b|\bhalf\b|\bthird\b|\bquarter\b",
}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as stated: its value, and the stem of the unit or noun after it (`""` where there is none)."""

    value: float
    unit: str


def dates(text: str) -> tuple[str, ...]:
    """Return the dates in a text as `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or `--MM-DD`, sorted."""
    found: set[str] = set()
    rest = text
    for pattern, order in ((_ISO, "ymd"), (_DAY_MONTH, "dmy"), (_MONTH_DAY, "mdy"), (_MONTH_YEAR, "my")):
        for match in pattern.finditer(rest):
            found.add(_date(dict(zip(order, match.groups(), strict=False))))
        rest = pattern.sub(" ", rest)
    found |= set(_YEAR.findall(rest))
    return tuple(sorted(found))


def says_when(text: str) -> bool:
    """Whether a text has a date or a time of day, absolute or relative."""
    return bool(dates(text) or _RELATIVE.search(text) or _CALENDAR & frozenset(terms(text)))


def numbers(text: str) -> tuple[Number, ...]:
    """Return the numbers of a text in order, digits or words, without those that belong to dates."""
    rest = text
    for pattern in (_ISO, _DAY_MONTH, _MONTH_DAY, _MONTH_YEAR, _YEAR):
        rest = pattern.sub(" ", rest)
    found: list[Number] = []
    for match in _NUMBER.finditer(rest):
        unit = match.group(1) or match.group(3) or ""
        found.append(Number(float(match.group(2).replace(",", "")), "" if unit.lower() in STOPWORDS else stem(unit)))
    words = tokens(rest)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.lower() in _WORDED and not (word.lower() == "one" and following.lower() in STOPWORDS | {""}):
            found.append(Number(_WORDED[word.lower()], "" if following.lower() in STOPWORDS else stem(following)))
    return tuple(found)


def gives(term: str, text: str) -> bool:
    """Whether a text holds a value that answers a question's word without repeating it, such as an amount for "cost"."""
    for kind, words in _ANSWERED_BY.items():
        if term in {stem(word) for word in words.split()} and _holds(kind, text):
            return True
    return False


def asks_time(term: str) -> bool:
    """Whether a stem asks for a point in time: date, month, weekday, …"""
    return any(term == stem(word) for kind in ("date", "year", "weekday") for word in _ANSWERED_BY[kind].split())


def _holds(kind: str, text: str) -> bool:
    if kind == "date":
        return says_when(text)
    return re.search(_UNITS[kind], text, re.IGNORECASE) is not None


def is_negated(text: str) -> bool:
    """Whether a sentence has a word of negation."""
    return bool(_NEGATION.search(text))


def tells_change(text: str) -> bool:
    """Whether a sentence says that something is otherwise than it was."""
    return bool(_CHANGE.search(text))


def names(text: str, *, opening: bool = True) -> tuple[str, ...]:
    """Return what a text names: capitalised words, codes with digits, runs of capitals, and quoted words.

    Args:
        text: any text.
        opening: whether a sentence's first word counts too when it isn't a common word.
    """
    found: dict[str, None] = dict.fromkeys(re.findall(r"[\"“`]([^\"”`\n]{2,40})[\"”`]", text))
    start = True
    for match in re.finditer(r"[.!?:;]\s|\n|[A-Za-z0-9À-ɏ]+(?:[._'’/-][A-Za-z0-9À-ɏ]+)*", text):
        token = match.group()
        if not token[0].isalnum():
            start = True
            continue
        if _is_name(token, start=start, opening=opening):
            found.setdefault(token[:-2] if token.endswith(("'s", "’s")) else token)
        start = False
    return tuple(found)


def sortable(day: str) -> date | None:
    """Return a date of `dates` for ordering, the first day of what is left out; `None` without a year."""
    if day.startswith("--"):
        return None
    year, month, number = [*(int(part) for part in day.split("-")), 1, 1][:3]
    try:
        return date(year, max(month, 1), max(number, 1))
    except ValueError:
        return None


def calendar_terms(when: str) -> frozenset[str]:
    """Return the stems by which a question may name the day of an ISO time: year, month, day of the month, weekday."""
    try:
        day = date.fromisoformat(when[:10])
    except ValueError:
        return frozenset()
    return frozenset(
        {str(day.year), stem(_MONTHS[day.month - 1]), str(day.day), stem(_DAYS[day.weekday()]), when[:10], when[:7]}
    )


def is_calendar(term: str) -> bool:
    """Whether a stem is a month, a weekday or a year."""
    return term in _CALENDAR or bool(re.fullmatch(r"(?:19|20)\d{2}(?:-\d{2}){0,2}", term))


_CALENDAR = frozenset(stem(word) for word in [*_MONTHS, *_DAYS])


def _date(parts: dict[str, str | None]) -> str:
    year, day = parts.get("y"), parts.get("d")
    month = parts["m"] or ""
    number = int(month) if month.isdigit() else 1 + next(i for i, m in enumerate(_MONTHS) if m[:3] == month.lower()[:3])
    text = f"{year or '-'}-{number:02d}"
    return f"{text}-{int(day):02d}" if day else text


def _is_name(token: str, *, start: bool, opening: bool) -> bool:
    bare = token[:-2] if token.endswith(("'s", "’s")) else token
    if bare.lower() in STOPWORDS or is_calendar(stem(bare)) or bare.lower() in _WORDED:
        return False
    if any(c.isdigit() for c in bare):
        return any(c.isalpha() for c in bare) and not re.fullmatch(
            r"\d+(?:st|nd|rd|th|s|x|k|m|h|ms|gb|mb|kg|g|ml|l|cm|mm|km)", bare.lower()
        )
    if len(bare) > 1 and (bare.isupper() or any(c.isupper() for c in bare[1:])):
        return True
    return bare[0].isupper() and (not start or (opening and bool(terms(bare))))
