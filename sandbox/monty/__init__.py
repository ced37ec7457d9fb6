"""The backend that needs nothing installed: an embedded interpreter of a subset of Python."""

from sandbox.monty.backend import MontyBackend
from sandbox.monty.session import MontySandbox

__all__ = ["MontyBackend", "MontySandbox"]
