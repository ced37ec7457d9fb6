"""What a layer reports to the one that called it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from layers.json_values import json_value

_FENCE = re.compile(r"^```(?:json)?\s*(.*?)\s*```$", re.DOTALL)


class Quote(BaseModel):
    """A verbatim piece of a memory that a layer gives as evidence."""

    model_config = ConfigDict(frozen=True)

    id: str
    quote: str = ""


class Report(BaseModel):
    """What a layer found.

    Attributes:
        layer: the layer that reports.
        answer: its answer in words, or a JSON object where the task asked for one.
        evidence: memories that support the answer, each with the quoted words.
        open_questions: what it could not find out.
        findings: everything else its final answer carried, by key.
    """

    model_config = ConfigDict(frozen=True)

    layer: str
    answer: Any = ""
    evidence: tuple[Quote, ...] = ()
    open_questions: tuple[str, ...] = ()
    findings: dict[str, Any] = Field(default_factory=dict[str, Any])

    @classmethod
    def parse(cls, layer: str, output: Any) -> Report:
        """Read an agent's final answer: an object with the keys of a report, JSON text of one, or plain text.

        Model output is hostile input: what doesn't fit a key is left out of it, never an error.
        """
        value = json_value(_object(output))
        if not isinstance(value, Mapping) or "answer" not in value:
            return cls(layer=layer, answer=value)
        rest = {str(k): v for k, v in value.items() if k not in ("answer", "evidence", "open_questions", "layer")}
        return cls(
            layer=layer,
            answer=value["answer"],
            evidence=tuple(_quotes(value.get("evidence"))),
            open_questions=tuple(str(question) for question in _listed(value.get("open_questions"))),
            findings=rest,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as the JSON object that the calling layer's code receives; findings lie flat in it."""
        return {**self.findings, **self.model_dump(mode="json", exclude={"findings"})}


def _object(output: Any) -> Any:
    if not isinstance(output, str):
        return output
    text = output.strip()
    fenced = _FENCE.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        return output
    return value if isinstance(value, dict) else output


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _quotes(value: Any) -> list[Quote]:
    quotes: list[Quote] = []
    for item in _listed(value):
        if isinstance(item, Mapping) and item.get("id"):
            quotes.append(Quote(id=str(item["id"]), quote=str(item.get("quote") or "")))
        elif isinstance(item, str) and item:
            quotes.append(Quote(id=item))
    return quotes
