"""A user's own smolagents `Model` object as a tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layers.run.apart import apart
from layers.run.signals import RunStopped, StopReason
from layers.tiers.base import Bound, ChatReply, ChatRequest
from layers.tiers.tokens import likely_prompt_tokens, likely_tokens, most_prompt_tokens
from layers.tiers.wire import messages_of, tools_of, written

if TYPE_CHECKING:
    from smolagents.models import ChatMessage, Model

    from layers.run.lifeline import Lifeline

_UNKNOWN_MAX_TOKENS = 8192


class SmolagentsModel:
    """A smolagents `Model` as a `ChatModel`.

    The call blocks inside somebody else's code and can't be ended from outside. It runs on a thread of its own; when
    the run stops, the run goes on to its end at once and the abandoned call's answer is dropped when it comes.

    Args:
        tier: the tier's name, for messages.
        model: the user's object; its `max_tokens`, if it has one, bounds a completion.
    """

    def __init__(self, tier: str, model: Model) -> None:
        self._tier = tier
        self._model = model

    @property
    def model_id(self) -> str:
        """The model's own id, or the name of its class."""
        return self._model.model_id or type(self._model).__name__

    def bound(self, request: ChatRequest) -> Bound:
        """Return the most tokens a call can use; its price is not known."""
        limit = self._model.kwargs.get("max_tokens") or self._model.kwargs.get("max_new_tokens")
        completion = limit if isinstance(limit, int) else _UNKNOWN_MAX_TOKENS
        return Bound(most_prompt_tokens(messages_of(request), tools_of(request)) + completion, None)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Call `model.generate` and wait for it.

        Raises:
            RunStopped: the run was stopped, or the model raised an error (MODEL).
        """
        lifeline.check()
        try:
            with request.meter.call(lambda: _likely_prompt(request), None):
                message = apart(lifeline, "smolagents-model", self._generate, request)
            return self._reply(message, request)
        except Exception as error:
            lifeline.check()
            detail = f"The model of the tier {self._tier!r} ({self.model_id}) failed: {type(error).__name__}: {error}"
            raise RunStopped(StopReason.MODEL, detail) from error

    def _generate(self, request: ChatRequest) -> ChatMessage:
        options: dict[str, Any] = {"stop_sequences": list(request.stop) or None}
        if request.tools:
            options["tools_to_call_from"] = list(request.tools)
        if request.response_format is not None:
            options["response_format"] = dict(request.response_format)
        return self._model.generate(list(request.messages), **options)

    def _reply(self, message: ChatMessage, request: ChatRequest) -> ChatReply:
        usage = message.token_usage
        if usage is not None:
            read, wrote = usage.input_tokens, usage.output_tokens
        else:
            read, wrote = _likely_prompt(request), likely_tokens(written(message))
        return ChatReply(message, self.model_id, read, wrote, None, estimated=usage is None)


def _likely_prompt(request: ChatRequest) -> int:
    return likely_prompt_tokens(messages_of(request), tools_of(request))
