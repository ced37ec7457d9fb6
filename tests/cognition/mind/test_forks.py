"""A process that is forked off from one with a mind: it works, or says at once why it can't."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
_FORKED = """
import os, sys
from cognition import ConfigurationError, Mind

mind = Mind(tier="offline", sandbox="monty", memory=sys.argv[1], trace={"enabled": False})
USED
child = os.fork()
if child == 0:
    try:
        print("child:", mind.think("Which owl sings?").stop_reason, flush=True)
    except ConfigurationError as error:
        print("child:", error, flush=True)
    mind.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent:", mind.think("Which owl sings?").stop_reason)
mind.close()
"""


def _output(tmp_path, used):
    script = textwrap.dedent(_FORKED).replace("USED", used)
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path}/memory.db"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_mind_that_was_at_work_says_that_it_stayed_in_its_process(tmp_path):
    said = _output(tmp_path, 'mind.think("Which owl sings?")')
    assert "child: This mind was at work in process" in said
    assert "'spawn'" in said
    assert "parent: abstained" in said


def test_a_mind_that_was_not_used_yet_works_in_the_forked_process(tmp_path):
    said = _output(tmp_path, "")
    assert "child: abstained" in said
    assert "parent: abstained" in said


_SERVED = """
import os, sys, threading
from cognition import Mind

mind = Mind(tier="offline", sandbox="monty", memory=sys.argv[1], trace={"enabled": False})
before = mind._opening._by_process[os.getpid()]
before.lock.acquire()  # as by a thread of the parent that is just about to open
child = os.fork()
if child == 0:
    workers = [threading.Thread(target=mind.think, args=("Which owl sings?",)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    print("done:", not any(worker.is_alive() for worker in workers), len(mind._opening._by_process), flush=True)
    mind.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_threads_of_a_forked_server_share_one_opening_whatever_the_parent_held(tmp_path):
    command = [sys.executable, "-c", _SERVED, f"sqlite:///{tmp_path}/memory.db"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    assert "done: True 2" in done.stdout
