"""What `make demo` runs: Dionysus reads its own documents and history, and thinks about a question over them.

No key, no network, no setting: the `offline` tier thinks, and everything is kept in `.demo/` of this checkout.

    python scripts/demo.py [QUESTION] [--debug]
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker

    from cognition import Mind, Thought

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
DOCUMENTS = ("README.md", "docs/*.md")
QUESTION = "Where does the dashboard listen, and who can read the trace file?"


def main() -> int:
    """Run the demo; the exit code is 0 when the run answered, or rightly said that it can't."""
    parser = argparse.ArgumentParser(description="Let Dionysus think about a question over its own documents.")
    parser.add_argument("question", nargs="?", default=QUESTION)
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    options = parser.parse_args()
    os.environ["DIONYSUS_HOME"] = str(HOME)  # before anything reads settings: the demo keeps to its own folder
    try:
        HOME.mkdir(exist_ok=True)
        _offer_image()
        return _demonstrate(options.question)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except Exception as error:  # promise: a newcomer sees one sentence, not a traceback
        if options.debug:
            raise
        print(f"\nThe demo failed: {error}\nFor the whole story: make demo ARGS=--debug", file=sys.stderr)
        return 1


def _demonstrate(question: str) -> int:
    from cognition import Mind

    print("Dionysus thinks about a question over its own documents: no key, no network, no language model.\n")
    with Mind(tier="offline", memory=f"sqlite:///{HOME / 'memory.db'}") as mind:
        _remember(mind)
        for notice in mind.notices:
            print(f"  note: {notice}")
        print(f"\nQuestion: {question}\n")
        thought = _think(mind, question)
    print(f"\n{thought}\n")
    _tell_more(thought)
    return 0 if thought.success else 1


def _offer_image() -> None:
    """Where an engine answers and the image is missing, code could run in containers: say so, or make it at once."""
    from contextlib import closing

    from sandbox import SandboxSettings, SandboxUnavailable
    from sandbox.docker.detect import connect
    from sandbox.docker.image import find

    settings = SandboxSettings()
    if settings.backend not in ("auto", "docker"):
        return
    try:
        engine = connect(settings, timeout=900)
    except SandboxUnavailable:
        return  # the notices of the run tell it
    with closing(engine):
        try:
            find(engine, settings.image)
        except SandboxUnavailable as missing:
            print(f"Code could run in containers, but {missing}.")
            if sys.stdin.isatty() and input("Build it now, in two or three minutes? [y/N] ").strip().lower() == "y":
                _build_image(engine, settings.image)
            print()


def _build_image(engine: "docker.APIClient", name: str) -> None:
    from sandbox import SandboxError
    from sandbox.docker.build import Recipe, build
    from sandbox.docker.settings import build_cache

    try:
        build(engine, Recipe(), name, cache=build_cache(), progress=lambda line: print(f"  {line[:110]}", flush=True))
    except SandboxError as error:
        print(f"It could not be built: {error}\nThe demo goes on without it.")


def _remember(mind: "Mind") -> None:
    start = time.monotonic()
    documents = mind.remember(*[path for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern))])
    told = f"{documents.added} new pieces of {', '.join(DOCUMENTS)} ({documents.unchanged} known already)"
    if (ROOT / ".git").exists():
        history = mind.remember(ROOT, git=True)
        told += f", {history.added} of the git history ({history.unchanged} known already)"
    else:
        told += "; this copy has no git history"
    print(f"Remembered {told}, in {time.monotonic() - start:.1f} s.")


def _think(mind: "Mind", question: str) -> "Thought":
    thinking = mind.start(question)
    for event in thinking.events():
        if event.kind == "step_ended":
            name = "   " * (len(event.path) - 1) + event.layer
            print(f"  {name:<20} {event.summary}")
    return thinking.result()


def _tell_more(thought: "Thought") -> None:
    command = f"DIONYSUS_HOME={HOME.name} .venv/bin/dionysus"
    print("Every step is in the trace. See it:")
    print(f"  {command} trace show {thought.run_id[:8]}")
    print(f"  {command} dashboard")
    print("Ask something else:  make demo ARGS='\"Why is a remembered answer never evidence for a later one?\"'")


if __name__ == "__main__":
    sys.exit(main())
