"""What an ingest tells: how far it has come, and what it did. `admin` offers both to other packages."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest has come; reported after every file and every batch.

    Attributes:
        stage: "reading" while texts are stored, "embedding" while vectors are made for them; "writing", "checking" and
            "copying" while a store is exported, verified and backed up.
        done: Files (or commits) read, memories embedded, lines, checks or pages so far.
        total: Of how many; None while that isn't known.
        path: What is being read.
    """

    stage: Literal["reading", "embedding", "writing", "checking", "copying", "comparing", "doing", "undoing"]
    done: int
    total: int | None
    path: str | None = None


class IngestSummary(BaseModel):
    """What an ingest did, in pieces (memories).

    Attributes:
        added: Pieces that are new.
        unchanged: Pieces that were there already.
        superseded: Pieces of changed files that are no longer there; they stay readable by id.
        skipped: Files, or lines of JSONL as `file:line`, that were not taken in, and why.
        notice: What the user should know, such as a missing embedding model.
    """

    model_config = ConfigDict(frozen=True)

    added: int = 0
    unchanged: int = 0
    superseded: int = 0
    skipped: list[tuple[str, str]] = []
    notice: str | None = None
