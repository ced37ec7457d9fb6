"""The part of docs/threat-model.md that is made from the tables: `python -m tests.sandbox.docker.attacks.page` writes it."""

from pathlib import Path

from tests.sandbox.docker.attacks import gvisor
from tests.sandbox.docker.attacks.defences import DEFENCES
from tests.sandbox.docker.attacks.tables import TABLES

PAGE = Path(__file__).resolve().parents[4] / "docs/threat-model.md"
_BEGIN, _END = "<!-- made from the tables of attacks -->\n", "<!-- until here -->\n"
_ACROSS = {"a user of its own": 6}  # held between two boxes, in test_neighbours


def made() -> str:
    """Counts by what an attack reaches for, the defences with what each holds, and what could not be proved."""
    attacks = [attack for table in TABLES.values() for attack in table]
    lines = [
        f"{len(attacks)} attacks:",
        "",
        "| what they reach for | attacks | work without a defence | by control | only held |",
    ]
    lines.append("|---|---|---|---|---|")
    for title, table in (*TABLES.items(), ("**all**", attacks)):
        proved, controlled = sum(bool(a.without) for a in table), sum(bool(a.control) for a in table)
        lines.append(f"| {title} | {len(table)} | {proved} | {controlled} | {len(table) - proved - controlled} |")
    lacking = [attack for attack in attacks if attack.where]
    lines += [
        "",
        f"{len(lacking)} of them need a kernel or machine that has what they attack; where it hasn't, they are only held.",
    ]
    lines += ["", "| defence | what it is | attacks that work without it |", "|---|---|---|"]
    for name, defence in DEFENCES.items():
        held = sum(name in attack.without for attack in attacks) + _ACROSS.get(name, 0)
        lines.append(f"| {name} | {defence.what} | {held} |")
    lines += ["", "Only held, since the proof is not possible or would not be safe for the host:", ""]
    reasons: dict[str, list[str]] = {}
    for attack in attacks:
        if attack.unproved:
            reasons.setdefault(attack.unproved, []).append(attack.name)
    lines += [f"- {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    lines += ["", *gvisor.page()]
    return "\n".join(lines) + "\n"


def renewed(page: str) -> str:
    """The page with its made part as it should be."""
    before, rest = page.split(_BEGIN)
    return before + _BEGIN + "\n" + made() + "\n" + _END + rest.split(_END)[1]


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
