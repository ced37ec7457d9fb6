"""What one run carries through its whole tree: ledger, lifeline, events and the signal that stops it."""

from layers.run.apart import TookTooLong, apart
from layers.run.budget import Budget, Usage
from layers.run.events import Event, EventKind, Events
from layers.run.ledger import Committed, Ledger, Reservation
from layers.run.lifeline import Lifeline
from layers.run.loop import LoopThread
from layers.run.run import Node, Run
from layers.run.signals import RunStopped, ShareSpent, StopReason

__all__ = [
    "Budget",
    "Committed",
    "Event",
    "EventKind",
    "Events",
    "Ledger",
    "Lifeline",
    "LoopThread",
    "Node",
    "Reservation",
    "Run",
    "RunStopped",
    "ShareSpent",
    "StopReason",
    "TookTooLong",
    "Usage",
    "apart",
]
