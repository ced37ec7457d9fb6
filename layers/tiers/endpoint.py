"""One deployment of a tier as it turns out to be: a call is made in the form that it takes.

Used by `layers.tiers.router`, on the Mind's event loop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.models.guards import EndlessAnswer, guarded, most_pieces
from layers.tiers.abilities import Abilities, ToolUse, lesser, shorter, speaks_of_length
from layers.tiers.failures import is_of_length, missing_key, plain
from layers.tiers.fitting import characters_of, fitted
from layers.tiers.pricing import marks_its_cache
from layers.tiers.reasoning import AnswerSink
from layers.tiers.spoken_tools import told
from layers.tiers.tokens import likely_prompt_tokens
from layers.tiers.wire import options_of, tools_of, without_system

if TYPE_CHECKING:
    from layers.tiers.base import ChatRequest
    from layers.tiers.gateway import Gateway
    from layers.tiers.meter import Call
    from layers.tiers.settings import Deployment

# LiteLLM marks the ends of what stays the same from call to call: the system prompt, and the conversation so far.
_CACHE_MARKS = ({"location": "message", "role": "system"}, {"location": "message", "index": -1})
# What servers answer to a form they don't take; 401, 403 and 404 speak of something else.
_COMPLAINING = frozenset({400, 405, 415, 422, 500, 501})


class NoStream(Exception):
    """The endpoint was asked for a stream and sent none that can be read."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request in wire form, made once for all deployments of a tier."""

    request: ChatRequest
    messages: list[dict[str, Any]]

    def likely_tokens(self) -> int:
        """Return an estimate of its tokens."""
        return likely_prompt_tokens(self.messages, tools_of(self.request))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint sent.

    Attributes:
        response: LiteLLM's response, a stream's pieces put together.
        counted: whether the token counts in it are the provider's; LiteLLM makes them up for streams without.
    """

    response: Any
    counted: bool = True


class Endpoint:
    """A deployment and what it takes.

    Args:
        deployment: which one.
        tier: the tier it serves, for messages.
        temperature: sampling temperature.
        gateway: the way to LiteLLM.
    """

    def __init__(self, deployment: Deployment, tier: str, temperature: float, gateway: Gateway) -> None:
        self.deployment = deployment
        self._tier = tier
        self._temperature = temperature
        self._gateway = gateway
        self._connecting = asyncio.Lock()
        self._router: Any = None  # LiteLLM's Router, whose overloads don't fit options built at run time
        self._abilities = Abilities(
            streams=deployment.stream is not False,
            tools=ToolUse.TEXT if deployment.tool_calls is False else ToolUse.REQUIRED,
        )

    def form(self) -> Abilities:
        """Return the form that calls take here, as far as it is known."""
        return self._abilities

    def remember(self, form: Abilities) -> None:
        """Make later calls in a form that worked."""
        self._abilities = form

    def lesser_form(self, form: Abilities, prompt: Prompt, error: Exception) -> Abilities | None:
        """Return the form in which a failed call may work; `None` where its form was not the trouble."""
        if isinstance(error, NoStream):
            return lesser(form, _used(form, prompt), "stream")
        if int(getattr(error, "status_code", None) or 0) not in _COMPLAINING:
            return None
        complaint = plain(error)
        if is_of_length(error) or speaks_of_length(complaint):
            return shorter(form, min(characters_of(prompt.messages), form.characters or sys.maxsize), complaint)
        return lesser(form, _used(form, prompt), complaint)

    async def ask(self, prompt: Prompt, form: Abilities) -> Answer:
        """Make one call, within the deployment's timeout.

        Raises:
            Refused: there is no key.
            Exception: LiteLLM's, of some 40 kinds; `failures.judge` knows them.
        """
        deployment = self.deployment
        if deployment.key_needed and deployment.api_key is None:
            raise missing_key(deployment, self._tier)
        router = await self._connect()
        with (
            guarded(deployment.max_tokens),
            prompt.request.meter.call(prompt.likely_tokens, deployment.price) as call,
        ):
            async with asyncio.timeout(deployment.timeout):
                response = await router.acompletion(
                    model=deployment.model,
                    messages=_messages(prompt, form),
                    timeout=deployment.timeout,
                    drop_params=True,
                    **self._options(prompt, form),
                )
                streamed = prompt.request.on_token is not None and form.streams
                most = most_pieces(deployment.max_tokens)
                return await _whole(response, prompt.request, call, most) if streamed else Answer(response)

    async def _connect(self) -> Any:
        async with self._connecting:
            if self._router is None:
                self._router = await self._gateway.router(self.deployment)
            return self._router

    def _options(self, prompt: Prompt, form: Abilities) -> dict[str, Any]:
        deployment, request = self.deployment, prompt.request
        options = options_of(request, deployment.model, form)
        options["max_tokens"] = min(deployment.max_tokens, form.max_tokens or deployment.max_tokens)
        if form.temperature:
            options["temperature"] = self._temperature
        if request.on_token is not None and form.streams:
            options["stream"] = True
            if form.counts_streams:
                options["stream_options"] = {"include_usage": True}
        if marks_its_cache(deployment.model):
            options["cache_control_injection_points"] = [dict(mark) for mark in _CACHE_MARKS]
        return options


def _used(form: Abilities, prompt: Prompt) -> Abilities:
    """Return what a call in this form uses: what it doesn't ask for can't be what it was refused for."""
    request = prompt.request
    streams = form.streams and request.on_token is not None
    return Abilities(
        streams=streams,
        counts_streams=form.counts_streams and streams,
        tools=form.tools if request.tools else ToolUse.TEXT,
        schemas=form.schemas and request.response_format is not None,
        stops=form.stops and bool(request.stop),
        temperature=form.temperature,
        system=form.system and any(message["role"] == "system" for message in prompt.messages),
    )


def _messages(prompt: Prompt, form: Abilities) -> list[Mapping[str, Any]]:
    messages = prompt.messages
    if prompt.request.tools and form.tools is ToolUse.TEXT:
        messages = told(messages, tools_of(prompt.request))
    messages = messages if form.system else without_system(messages)
    return list(messages if form.characters is None else fitted(messages, form.characters))


async def _whole(stream: Any, request: ChatRequest, call: Call, most: int) -> Answer:
    """Read a stream to its end, passing its pieces on, and return it in one piece.

    Raises:
        EndlessAnswer: more than so many pieces came.
        NoStream: nothing came that is a piece of an answer.
    """
    import litellm

    assert request.on_token is not None  # noqa: S101 - for the type checker; only such requests are streamed
    sink = AnswerSink(request.on_token, tuple(request.stop))
    pieces = 0
    try:
        async for piece in stream:
            pieces += 1
            if pieces > most:
                raise EndlessAnswer(f"more than {most:,} pieces")
            if piece.choices:
                call.hear(_said(piece.choices[0].delta))
                sink.feed(piece.choices[0].delta.content or "")
        sink.finish()
    finally:
        # Also when the run was stopped: the provider must not go on writing for nobody, and billing it.
        await stream.aclose()
    if not any(chunk.choices for chunk in stream.chunks):
        call.lose()
        raise NoStream("an empty stream")
    counted = any(getattr(chunk, "usage", None) is not None for chunk in stream.chunks)
    return Answer(litellm.stream_chunk_builder(stream.chunks), counted)


def _said(delta: Any) -> str:
    """Return all that a piece of a stream adds, thinking and arguments of tool calls included: all of it is billed."""
    calls = "".join(call.function.arguments or "" for call in delta.tool_calls or ())
    return (delta.content or "") + (getattr(delta, "reasoning_content", None) or "") + calls
