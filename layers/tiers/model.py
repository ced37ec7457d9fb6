"""The model that agents hold: it reserves from the ledger, calls the tier, settles, and traces the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from smolagents.models import ChatMessage, Model
from smolagents.monitoring import TokenUsage

from layers.run.events import EventKind
from layers.run.ledger import Usage
from layers.run.signals import RunStopped, StopReason
from layers.tiers.base import ChatRequest
from observability import Kind, conventions, span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from layers.run.ledger import Reservation
    from layers.run.run import Node
    from layers.tiers.base import ChatModel, ChatReply
    from layers.tiers.meter import Meter
    from observability import Secrets


class TierModel(Model):
    """A tier's model for one agent: every call is reserved, made under the run's lifeline, settled and traced.

    Args:
        node: the agent it is for.
        chat: the tier's model.
        on_token: gets the text of every answer as it comes; see `ChatRequest.on_token`.
    """

    def __init__(self, node: Node, chat: ChatModel, on_token: Callable[[str], object] | None = None) -> None:
        super().__init__(model_id=chat.model_id)
        self._node = node
        self._chat = chat
        self._on_token = on_token
        self.cut_off = False
        """Whether the newest answer ended at `max_tokens`, in the middle of what it had to say."""

    def generate(
        self,
        messages: list[ChatMessage],
        stop_sequences: list[str] | None = None,
        response_format: dict[str, str] | None = None,
        tools_to_call_from: list[Any] | None = None,
        **_: Any,
    ) -> ChatMessage:
        """Make one model call and return the assistant's message.

        Raises:
            RunStopped: budget, deadline, cancel, or no deployment could answer.
        """
        node = self._node
        node.run.lifeline.check()
        messages = [_without_secrets(message, node.run.secrets) for message in messages]
        request = ChatRequest(
            messages, tuple(stop_sequences or ()), tuple(tools_to_call_from or ()), response_format, self._on_token
        )
        reply, usage = self._accounted(request)
        self.cut_off = reply.finish == "length"
        node.publish(EventKind.MODEL_CALL, reply.model_id, tokens=usage.tokens, usd=usage.usd, attempts=reply.attempts)
        reply.message.token_usage = TokenUsage(reply.input_tokens, reply.output_tokens)
        return reply.message

    def _accounted(self, request: ChatRequest) -> tuple[ChatReply, Usage]:
        """Make a call between reservation and settlement; one that is broken off is settled with an estimate."""
        ledger = self._node.run.ledger
        with self._outage_ends_the_run():
            bound = self._chat.bound(request)
        reservation = ledger.reserve(self._node.layer, bound.tokens, bound.usd)
        try:
            reply = self._traced(request)
        except BaseException:
            self._settle_broken_off(reservation, request.meter)
            raise
        usage = Usage(1, reply.input_tokens, reply.output_tokens, reply.usd, estimated=reply.estimated)
        usage += request.meter.usage() or Usage()  # deployments that broke off in mid-answer, before this one gave it
        ledger.settle(reservation, usage)
        return reply, usage

    def _traced(self, request: ChatRequest) -> ChatReply:
        name = self._chat.model_id
        attributes = {conventions.REQUEST_MODEL: name, "gen_ai.input.messages": _as_json(request.messages)}
        with span(self._node.run.tracer, Kind.CHAT, f"chat {name}", attributes) as opened:
            try:
                with self._outage_ends_the_run():
                    reply = self._chat.chat(request, self._node.run.lifeline)
            except BaseException:
                _describe_broken_off(opened, request.meter)
                raise
            _describe(opened, reply)
            return reply

    def _settle_broken_off(self, reservation: Reservation, meter: Meter) -> None:
        """Charge what a call has used until it broke off; nothing if the provider had not begun."""
        used = meter.usage()
        if used is None:
            self._node.run.ledger.release(reservation)
            return
        with suppress(RunStopped):  # the run ends already, for a reason that must not be hidden by this one
            self._node.run.ledger.settle(reservation, replace(used, model_calls=1))

    @contextmanager
    def _outage_ends_the_run(self) -> Generator[None]:
        """End the run by an error, which smolagents would feed back to the model or take for the answer's text."""
        try:
            yield
        except Exception as error:
            detail = (
                f"The tier {self._node.spec.tier!r} ({self._chat.model_id}) failed: {type(error).__name__}: {error}"
            )
            raise RunStopped(StopReason.MODEL, detail) from error


def _describe_broken_off(opened: Span, meter: Meter) -> None:
    used = meter.usage()
    if used is not None:
        opened.set_attributes(_counts(used.input_tokens, used.output_tokens))
        if used.usd is not None:
            opened.set_attribute(conventions.COST, used.usd)


def _without_secrets(message: ChatMessage, secrets: Secrets) -> ChatMessage:
    """Return a message as it may leave this machine; smolagents keeps the one it made."""
    content = secrets.hide_in(message.content)
    return message if content == message.content else replace(message, content=content)


def _describe(opened: Span, reply: ChatReply) -> None:
    opened.set_attributes(
        {
            conventions.RESPONSE_MODEL: reply.model_id,
            conventions.LLM_MODEL: reply.model_id,
            **_counts(reply.input_tokens, reply.output_tokens),
            "gen_ai.output.messages": _as_json([reply.message]),
        }
    )
    if reply.usd is not None:
        opened.set_attribute(conventions.COST, reply.usd)
    if reply.finish:
        opened.set_attribute("gen_ai.response.finish_reasons", [reply.finish])


def _counts(read: int, wrote: int) -> dict[str, int]:
    return {
        conventions.INPUT_TOKENS: read,
        conventions.OUTPUT_TOKENS: wrote,
        conventions.LLM_TOKENS_PROMPT: read,
        conventions.LLM_TOKENS_COMPLETION: wrote,
        conventions.LLM_TOKENS_TOTAL: read + wrote,
    }


def _as_json(messages: Sequence[ChatMessage]) -> str:
    return json.dumps([_message(message) for message in messages], ensure_ascii=False, default=str)


def _message(message: ChatMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": str(getattr(message.role, "value", message.role)), "content": message.content}
    if message.tool_calls:
        shown["tool_calls"] = [{"name": c.function.name, "arguments": c.function.arguments} for c in message.tool_calls]
    return shown
