"""`dionysus chat`: several turns in one conversation."""

import signal
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from cognition.cli.questions import Questions
    from cognition.cli.turn import Asking
    from cognition.mind import Mind

_HELP = "Ask anything; /exit or Ctrl-D ends, Ctrl-C cancels a turn."


EXAMPLES = examples(
    "dionysus chat",
    "dionysus chat --session queues --budget-usd 0.50",
    "printf 'Which queue?\\nWhy?\\n' | dionysus chat --tier offline --json",
)


def chat(
    session: options.Session = None,
    budget_usd: options.Dollars = None,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    deadline: options.Deadline = None,
    ask: options.Ask = None,
    deny: options.Deny = None,
    approve: options.Approve = None,
    tier: options.Tier = None,
    layer: options.Layers = None,
    memory: options.Memory = None,
    sandbox: options.Sandbox = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Talk in several turns; each sees the ones before it.

    Limits hold for each turn. With --json each turn writes one JSON document on a line of its own. When the turns come
    from a pipe, the exit code is that of the last one.
    """
    from cognition.cli.output import notice
    from cognition.cli.questions import Questions
    from cognition.cli.turn import Asking
    from cognition.mind import Mind

    settings = options.settings_from(config, memory=memory, sandbox=sandbox, tier=tier, layers=layer)
    settings = options.guarded(settings, ask, deny, approve)
    budget = options.budget_from(settings, steps, tokens, budget_usd)
    conversation = session or uuid.uuid4().hex[:12]
    if not (quiet or as_json):
        notice(f"Session {conversation}. {_HELP}")
    questions = Questions.here()
    mind = Mind(settings=settings, approve=questions)
    code = ExitCode.DONE
    try:
        for number, line in enumerate(_lines()):
            asking = Asking(line, conversation, budget, deadline)
            code = _turn(mind, asking, questions, quiet=quiet, as_json=as_json, first=number == 0)
    finally:
        mind.close()
    return ExitCode.DONE if sys.stdin.isatty() else code


def _turn(
    mind: "Mind", asking: "Asking", questions: "Questions | None", *, quiet: bool, as_json: bool, first: bool
) -> ExitCode:
    """Answer one line and return its exit code; what only this turn suffered from does not end the conversation."""
    from cognition.cli.failures import explain
    from cognition.cli.output import emit, notice
    from cognition.cli.turn import one_turn
    from cognition.thought import ThinkingError

    try:
        return one_turn(mind, asking, quiet=quiet, as_json=as_json, first=first, questions=questions)
    except ThinkingError as error:
        failure = explain(error)
        if failure.code in (ExitCode.USAGE, ExitCode.PART):
            raise
        if as_json:
            emit(failure.document(error))
        notice(f"Error: {failure.message}")
        return failure.code
    finally:
        # After a cancelled turn it would leave without closing.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _lines() -> Iterator[str]:
    """Yield what the user says, until /exit or the end of input."""
    from cognition.interrupts import interrupts_seen

    if sys.stdin.isatty():
        import readline  # noqa: F401  # pyright: ignore[reportUnusedImport] - gives input() a history and editing
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            with interrupts_seen():
                line = input(prompt).strip()
        except EOFError:
            return
        if line in ("/exit", "/quit"):
            return
        if line:
            yield line
