"""Words an answer out of statements: quotes in the order of the question, what holds and what it superseded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from layers.analysis import Kind, Question
from layers.analysis.facts import dates
from layers.tiers.offline.statements import Statement, distinct, flat


def compose(
    asked: Sequence[Question],
    statements: Sequence[Statement],
    settled: Sequence[Mapping[str, Any]],
    conflicts: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
    dropped: Collection[int],
) -> tuple[str, list[Mapping[str, Any]]]:
    """Return the answer's text and the statements it quotes.

    Args:
        asked: the parts of the question.
        statements: what answers them.
        settled: settled conflicts, with the claim that `holds` and the `others`.
        conflicts: conflicts that nobody settled, by index into `claims`.
        claims: claims in order of time.
        dropped: parts that have no answer.
    """
    lines: list[str] = []
    quoted: list[Mapping[str, Any]] = []
    done: set[int] = set()
    for each in settled:
        text, used = _of_settled(each)
        lines.append(text)
        quoted += used
        done |= {int(claim.get("part", 0)) for claim in used}
    for conflict in [] if settled else conflicts[:1]:
        pair = [_stated(claims[index]) for index in conflict.get("claims", ()) if index < len(claims)]
        lines += ["Memory disagrees:", *(f"- {_cited(claim)}" for claim in pair)]
        quoted += pair
        done |= {int(claim.get("part", 0)) for claim in pair}
    for number, part in enumerate(asked):
        if (number in done and len(asked) > 1) or (done and len(asked) == 1):
            continue
        if number in dropped:
            lines.append(f"Memory holds nothing on: {part.text.rstrip('?')}.")
            continue
        mine = [s for s in statements if int(s.get("part", 0)) == number] or list(statements[:1])
        most = 4 if part.wants_many else 2 if any(s.get("linked") for s in mine) else 1
        lines += [_said(part, statement) for statement in mine[:most]]
        quoted += mine[:most]
    return "\n".join(dict.fromkeys(lines)), distinct([dict(statement) for statement in quoted])


def abstention(asked: Sequence[Question], missing: Sequence[str]) -> str:
    """Return the words for having no answer."""
    what = asked[0].text.rstrip("?. ") if len(asked) == 1 else "; ".join(part.text.rstrip("?. ") for part in asked)
    lacking = f" No memory that bears on it speaks of {', '.join(missing[:4])}." if missing else ""
    return f"Memory holds nothing on “{what}”.{lacking}"


def _of_settled(each: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    others = [_stated(claim) for claim in each.get("others") or ()]
    if not each.get("holds"):
        return "\n".join(
            ["Memory disagrees, and nothing tells which holds:", *(f"- {_cited(o)}" for o in others)]
        ), others
    holds = _stated(each["holds"])
    verb = "outweighs" if "sources" in str(each.get("why")) else "supersedes"
    text = "\n".join([f"{_cited(holds)}", *(f"This {verb}: {_cited(other)}" for other in others[:3])])
    return text, [holds, *others[:3]]


def _stated(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": (claim.get("ids") or [claim.get("id", "")])[0], **claim}


def _said(part: Question, statement: Mapping[str, Any]) -> str:
    """Return one quote, with who said it, and with its day where time was asked and the words don't have it."""
    quote, speaker, day = (
        flat(str(statement.get("quote", ""))),
        str(statement.get("speaker") or ""),
        str(statement.get("when") or "")[:10],
    )
    dated = bool(day) and (bool(speaker) or (part.kind is Kind.TIME and not dates(quote)))
    head = ", ".join(filter(None, [speaker, day if dated else ""]))
    return f"{head}: {quote}" if head else quote


def _cited(statement: Mapping[str, Any]) -> str:
    quote = flat(str(statement.get("quote", "")))
    source = str(statement.get("source") or "").rsplit("/", 1)[-1]
    where = [str(statement.get("speaker") or ""), source, str(statement.get("when") or "")[:10]]
    place = ", ".join(filter(None, where))
    return f"“{quote}” ({place})" if place else f"“{quote}”"
