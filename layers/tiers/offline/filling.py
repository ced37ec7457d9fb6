"""Fills a JSON schema from quotes, as far as words, numbers and dates in them go; what they don't give stays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.analysis import Question, terms
from layers.analysis.facts import dates, is_negated, numbers
from layers.analysis.words import cover
from layers.tiers.offline.statements import flat


def filled(
    schema: Mapping[str, Any], asked: Sequence[Question], statements: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return an object for a JSON schema's properties.

    Args:
        schema: an object schema, as pydantic makes it.
        asked: the parts of the question, for the text where a property has no quote of its own.
        statements: quotes with their keys.
    """
    quotes = [flat(str(statement.get("quote", ""))) for statement in statements]
    properties = schema.get("properties")
    found: dict[str, Any] = {}
    for name, definition in (properties if isinstance(properties, dict) else {}).items():
        wanted = terms(f"{name.replace('_', ' ')} {definition.get('description', '')}")
        near = sorted(quotes, key=lambda quote: -sum(cover(t, frozenset(terms(quote))) for t in wanted))
        value = _value(_plain(definition, schema), near)
        if value is not None:
            found[name] = value
    return found


def _plain(definition: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Resolve a reference, and take the first alternative that isn't null."""
    if "$ref" in definition:
        definition = schema.get("$defs", {}).get(str(definition["$ref"]).rsplit("/", 1)[-1], {})
    choices = [each for each in definition.get("anyOf", ()) if each.get("type") != "null"]
    return _plain(choices[0], schema) if choices else definition


def _value(definition: Mapping[str, Any], quotes: Sequence[str]) -> Any:
    if choices := definition.get("enum"):
        text = " ".join(quotes).lower()
        return next((choice for choice in choices if str(choice).lower() in text), None)
    kind = definition.get("type")
    if kind in ("integer", "number"):
        values = [number.value for quote in quotes for number in numbers(quote)]
        wanted = [value for value in values if kind == "number" or value == int(value)]
        return (int(wanted[0]) if kind == "integer" else wanted[0]) if wanted else None
    if kind == "boolean":
        return not is_negated(quotes[0]) if quotes else None
    if kind == "array":
        return [_value(definition.get("items", {}), [quote]) for quote in quotes]
    if kind == "string":
        return _string(definition, quotes)
    return None


def _string(definition: Mapping[str, Any], quotes: Sequence[str]) -> str | None:
    if definition.get("format") == "date":
        return next((day for quote in quotes for day in dates(quote) if len(day) == 10), None)
    return quotes[0] if quotes else None
