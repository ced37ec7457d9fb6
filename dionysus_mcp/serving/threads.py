"""How many threads numpy's linear algebra takes in a server."""

import os

_LIBRARIES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def one_thread_each() -> None:
    """Have products of matrices worked out in the thread that asks for them.

    They are small, and a server answers several calls at a time: threads that wait for one another in a busy loop made
    a recall take three times as long on a busy machine. Does nothing once numpy is loaded; what a user has set stays.
    """
    for name in _LIBRARIES:
        os.environ.setdefault(name, "1")
