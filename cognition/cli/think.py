"""`dionysus think`: one task, one answer."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cognition.cli import options
from cognition.cli.examples import examples

EXAMPLES = examples(
    'dionysus think "Which queue do we use, and why?"',
    'dionysus think "Who decided it?" --session queues --budget-usd 0.20 --retries 2',
    'dionysus think "What changed?" --tier offline --ask remember --deny "github.*" --json',
)


def think(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The question or order; - reads it from standard input.")],
    session: options.Session = None,
    budget_usd: options.Dollars = None,
    steps: options.Steps = None,
    tokens: options.Tokens = None,
    deadline: options.Deadline = None,
    retries: options.Retries = 0,
    ask: options.Ask = None,
    deny: options.Deny = None,
    approve: options.Approve = None,
    tier: options.Tier = None,
    layer: options.Layers = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", metavar="FILE", help="A file that the code may read.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option("--image", metavar="FILE", help="An image that goes with the task.")
    ] = None,
    memory: options.Memory = None,
    sandbox: options.Sandbox = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Think about a task and print the answer with its quotes."""
    from cognition.cli.questions import Questions
    from cognition.cli.turn import Asking, one_turn
    from cognition.mind import Mind

    settings = options.settings_from(config, memory=memory, sandbox=sandbox, tier=tier, layers=layer)
    settings = options.guarded(settings, ask, deny, approve)
    budget = options.budget_from(settings, steps, tokens, budget_usd)
    asking = Asking(read_task(task), session, budget, deadline, tuple(file or ()), tuple(image or ()), retries)
    questions = Questions.here()
    mind = Mind(settings=settings, approve=questions)
    try:
        return one_turn(mind, asking, quiet=quiet, as_json=as_json, questions=questions)
    finally:
        mind.close()


def read_task(task: str) -> str:
    """Return the task, read from standard input where it is `-`.

    Raises:
        typer.BadParameter: it is empty.
    """
    text = sys.stdin.read() if task == "-" else task
    if not text.strip():
        raise typer.BadParameter("it is empty; say what to think about", param_hint="TASK")
    return text.strip()
