"""What one run carries through its whole tree: ledger, lifeline, events and the signal that stops it."""

from layers.run.events import Event, EventKind, Events
from layers.run.ledger import Budget, Ledger, Reservation, Usage
from layers.run.lifeline import Lifeline
from layers.run.loop import LoopThread
from layers.run.run import Node, Run
from layers.run.signals import RunStopped, StopReason

__all__ = [
    "Budget",
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
    "StopReason",
    "Usage",
]
