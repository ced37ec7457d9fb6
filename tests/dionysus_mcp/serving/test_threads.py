"""A server's products of matrices stay in the thread of the call."""

import subprocess
import sys

CODE = (
    "import os, sys\n"
    "from dionysus_mcp.serving.threads import one_thread_each\n"
    "assert 'numpy' not in sys.modules\n"
    "one_thread_each()\n"
    "print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    "import numpy, threading\n"
    "numpy.ones((2000, 2000)) @ numpy.ones((2000, 2000))\n"
    "print(len(os.listdir('/proc/self/task')) if sys.platform == 'linux' else 1)\n"
)


def said(**environment):
    import os

    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=clean | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_numpy_starts_no_threads_of_its_own():
    assert said() == ["1", "1"]


def test_what_a_user_has_set_stays():
    assert said(OPENBLAS_NUM_THREADS="2")[0] == "2"
