"""What was asked: a task and its options, read and checked before anything is started or spent."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from cognition.thought import Evidence, Thought
from layers.json_values import whole_text
from layers.run import Budget, Run, StopReason

if TYPE_CHECKING:
    from layers.spec import LayerSpec

MAX_SESSION = 200
MAX_RETRIES = 20
MAX_FILE_BYTES = 16 * 1024 * 1024
LONGEST_WAIT = threading.TIMEOUT_MAX / 2  # what a timer can wait; a longer deadline is as good as none


@dataclass(slots=True)
class Asked:
    """A task and how it is to be thought about.

    Attributes:
        started: seconds of `time.monotonic`.
        trace_id: set once the root span is open.
        layers: set once the parts are open; a run that ends before has none.
    """

    task: str
    output: type[BaseModel] | None
    session: str
    budget: Budget
    deadline: float | None
    files: Mapping[str, bytes]
    images: Sequence[Any]
    checks: Sequence[Callable[[Thought], object]] = ()
    retries: int = 0
    started: float = field(default_factory=time.monotonic)
    trace_id: str = "0" * 32
    layers: Mapping[str, LayerSpec] = field(default_factory=dict[str, "LayerSpec"])

    def expiry(self) -> tuple[float | None, StopReason]:
        """Return when the run must end, in seconds of `time.monotonic`, and for which reason."""
        ends = [(self.deadline, StopReason.DEADLINE), (self.budget.seconds, StopReason.BUDGET)]
        set_ends = [(seconds, reason) for seconds, reason in ends if seconds is not None]
        if not set_ends:
            return None, StopReason.DEADLINE
        seconds, reason = min(set_ends)
        return self.started + min(seconds, LONGEST_WAIT), reason

    def thought(
        self,
        run: Run,
        answer: Any,
        reason: StopReason,
        evidence: tuple[Evidence, ...] = (),
        confidence: float | None = None,
        errors: tuple[str, ...] = (),
    ) -> Thought:
        """Return the thought that a run came to."""
        hide = run.secrets.hide_in
        return Thought(
            task=self.task,
            answer=hide(answer),
            confidence=confidence,
            evidence=tuple(piece.model_copy(update={"quote": hide(piece.quote)}) for piece in evidence),
            stop_reason=reason,
            errors=hide(errors),
            usage=run.ledger.usage(),
            max_steps={name: spec.max_steps for name, spec in self.layers.items()},
            duration=time.monotonic() - self.started,
            run_id=run.id,
            trace_id=self.trace_id,
            session=self.session,
        )


def read_options(
    task: str,
    *,
    output: Any,
    session: str | None,
    budget: Budget | Mapping[str, Any] | None,
    deadline: float | datetime | None,
    files: Iterable[str | Path],
    images: Sequence[Any],
    checks: Iterable[Callable[[Thought], object]] = (),
    retries: int = 0,
) -> Asked:
    """Check what `Mind.start` was given.

    Raises:
        ValueError: an argument is wrong; the message names it.
    """
    if not isinstance(task, str) or not task.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - a user's value
        raise ValueError("The task is empty: say what to think about.")
    if output is not None and not (isinstance(output, type) and issubclass(output, BaseModel)):
        raise ValueError(f"output must be a pydantic model class, not {output!r}.")
    return Asked(
        whole_text(task),
        output,
        _session(session),
        _budget(budget),
        _seconds(deadline),
        _files(files),
        [_image(image) for image in images],
        tuple(checks),
        _retries(retries),
    )


def _session(session: Any) -> str:
    if not session:
        return uuid.uuid4().hex[:12]
    if not isinstance(session, str) or len(session) > MAX_SESSION or session != whole_text(session):
        raise ValueError(f"session must be a text of at most {MAX_SESSION} characters, not {repr(session)[:80]}.")
    return session


def _budget(budget: Budget | Mapping[str, Any] | None) -> Budget:
    try:
        return Budget.model_validate(budget or {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or repr(budget)[:80]}: {each['msg']}" for each in error.errors()
        )
        raise ValueError(f"The budget is wrong: {problems}") from error


def _retries(retries: Any) -> int:
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        raise ValueError(f"retries must be a whole number from 0 to {MAX_RETRIES}, not {retries!r}.")
    return retries


def _seconds(deadline: float | datetime | None) -> float | None:
    if deadline is None:
        return None
    if isinstance(deadline, datetime):
        if deadline.tzinfo is None:
            raise ValueError("deadline is a datetime without a time zone; give an aware one, or seconds from now.")
        deadline = (deadline - datetime.now(UTC)).total_seconds()
    if isinstance(deadline, bool) or not isinstance(deadline, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(  # noqa: TRY004 - one kind for every wrong argument
            f"deadline must be seconds or an aware datetime, not {deadline!r}."
        )
    if not math.isfinite(deadline) or deadline <= 0:
        raise ValueError(f"deadline must lie in the future: {deadline:g} s from now doesn't.")
    return min(float(deadline), LONGEST_WAIT)


def _files(files: str | Path | Iterable[str | Path]) -> dict[str, bytes]:
    read: dict[str, bytes] = {}
    for given in [files] if isinstance(files, str | Path) else files:
        path = Path(given)
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MiB; read it into memory instead.")
            content = path.read_bytes()
        except OSError as error:
            raise ValueError(f"The file {path} can't be read: {error.strerror or error}") from error
        if path.name in read:
            raise ValueError(f"Two files are named {path.name}; the layers know files by their names.")
        read[path.name] = content
    return read


def _image(image: Any) -> Any:
    from PIL import Image, UnidentifiedImageError

    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, str | Path):
        raise ValueError(  # noqa: TRY004 - one kind for every wrong argument
            f"images must be PIL images or paths of image files, not {repr(image)[:80]}."
        )
    try:
        with Image.open(image) as opened:
            return opened.copy()
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"The image {image} can't be read: {error}") from error
