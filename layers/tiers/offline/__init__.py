"""The offline tier: a deterministic policy behind the ordinary model interface. Not a language model.

It needs no key and no network. It sees the messages only: which layer it is and what that layer may call stand in the
system prompt, what is known in the task's context, what its calls returned in the observations. Each layer's policy is
a module here; `conversation` reads the messages, `writing` turns a move into code or tool calls.
"""

from layers.tiers.offline.model import NOTICE, OfflineModel

__all__ = ["NOTICE", "OfflineModel"]
