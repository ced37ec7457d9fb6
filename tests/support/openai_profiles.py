"""How local servers differ behind the same address: LM Studio, Ollama and vLLM, played over any character.

Each profile refuses what its server refuses, in that server's words, and leaves out what it leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from tests.support.openai_server import Action, Fail, Request, Say

Character = Callable[[Request], Action]


def lm_studio(played: Character) -> Character:
    """LM Studio: no `json_object`, thoughts in the text."""

    def play(request: Request) -> Action:
        if (request.body.get("response_format") or {}).get("type") == "json_object":
            return Fail(400, "'response_format.type' must be 'json_schema' or 'text'")
        action = played(request)
        if isinstance(action, Say) and action.text:
            return replace(action, text=f"<think>\nLet me see: <code>draft</code>\n</think>\n\n{action.text}")
        return action

    return play


def ollama(played: Character, *, tools: bool = False, models: tuple[str, ...] = ("model-a",)) -> Character:
    """Ollama: models without tool calls, models that must be pulled first, thoughts under `reasoning`."""

    def play(request: Request) -> Action:
        if request.model not in models:
            return Fail(404, f'model "{request.model}" not found, try pulling it first')
        if request.tools and not tools:
            return Fail(400, f"registry.ollama.ai/library/{request.model} does not support tools")
        action = played(request)
        return (
            replace(action, reasoning="Let me see.", reasoning_key="reasoning") if isinstance(action, Say) else action
        )

    return play


def vllm(played: Character, *, context: int = 4096, system: bool = True) -> Character:
    """vLLM without a tool parser: refusals of tool choices, of answers that don't fit, of roles its template lacks."""

    def play(request: Request) -> Action:
        most = request.body.get("max_tokens") or 0
        prompt = len(request.text) // 4
        if prompt + most > context:
            words = f"maximum context length is {context} tokens. However, you requested {prompt + most} tokens"
            return Fail(400, f"This model's {words} ({prompt} in the messages, {most} in the completion).", flat=True)
        if request.tools:
            needs = "requires --enable-auto-tool-choice and --tool-call-parser to be set"
            return Fail(400, f'"{request.body["tool_choice"]}" tool choice {needs}', flat=True)
        if not system and any(message["role"] == "system" for message in request.body["messages"]):
            return Fail(400, "System role not supported", flat=True)
        return played(request)

    return play


def bare(played: Character, *, refuses: bool = True) -> Character:
    """A small home-made server: no streams (refused, or answered in one piece), no counts."""

    def play(request: Request) -> Action:
        if refuses and request.body.get("stream"):
            return Fail(501, "streaming is not implemented")
        action = played(request)
        return replace(action, streams=False, usage=None) if isinstance(action, Say) else action

    return play


def no_stop(played: Character) -> Character:
    """A server that takes neither stop sequences, `stream_options` nor a temperature, one complaint at a time."""

    def play(request: Request) -> Action:
        for name in ("stop", "stream_options", "temperature"):
            if name in request.body:
                return Fail(422, f"Extra inputs are not permitted: body.{name}")
        return played(request)

    return play


def speaks_tools(tool: str, arguments: dict[str, object], wrapped: str = "{}") -> Character:
    """A model that calls a tool in the text of its answer, if the prompt tells it how."""

    def play(request: Request) -> Action:
        told = '"arguments"' in request.text and f'"{tool}"' in request.text
        call = json.dumps({"name": tool, "arguments": arguments})
        return Say(wrapped.replace("{}", call)) if told else Say("I have no tools.")

    return play
