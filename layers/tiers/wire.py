"""Messages and tools between smolagents' form and the OpenAI form that LiteLLM speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layers.tiers.abilities import ToolUse
from layers.tiers.reasoning import without_reasoning
from layers.tiers.spoken_tools import spoken_calls

if TYPE_CHECKING:
    from smolagents import ChatMessage

    from layers.tiers.abilities import Abilities
    from layers.tiers.base import ChatRequest


def messages_of(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the request's messages as OpenAI wants them: neighbours of one role joined, images as data URLs.

    Content that is text alone goes as a plain string: every endpoint takes that, and many local ones take only that.
    """
    from smolagents.models import get_clean_message_list, tool_role_conversions

    # `raw` would be deep-copied for nothing, and joining neighbours needs lists of parts.
    parts: list[Any] = [replace(message, content=_parts(message.content), raw=None) for message in request.messages]
    cleaned = get_clean_message_list(
        parts, role_conversions=dict(tool_role_conversions), convert_images_to_image_urls=True
    )
    return [{"role": str(getattr(m["role"], "value", m["role"])), "content": _plain(m["content"])} for m in cleaned]


def tools_of(request: ChatRequest) -> list[dict[str, Any]]:
    """Return the schemas of the tools that the model may call natively."""
    from smolagents.models import get_tool_json_schema

    return [get_tool_json_schema(tool) for tool in request.tools]


def without_system(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages for a model whose template knows no system prompt: the user's first message begins with it."""
    if not messages or messages[0]["role"] != "system":
        return [dict(message) for message in messages]
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{**system, "role": "user"}, *(dict(message) for message in rest)]
    both = [*_parts(system["content"]), *_parts(rest[0]["content"])]
    return [{**rest[0], "content": _plain(both)}, *(dict(message) for message in rest[1:])]


def options_of(request: ChatRequest, model: str, form: Abilities) -> dict[str, Any]:
    """Return what of the request goes beside its messages, as far as model and endpoint take it."""
    from smolagents.models import supports_stop_parameter

    options: dict[str, Any] = {}
    if request.stop and form.stops and supports_stop_parameter(model):
        options["stop"] = list(request.stop)
    if request.tools and form.tools is not ToolUse.TEXT:
        options["tools"] = tools_of(request)
        options["tool_choice"] = form.tools.value
    if request.response_format is not None and form.schemas:
        options["response_format"] = dict(request.response_format)
    return options


def reply_of(message: Any, request: ChatRequest) -> ChatMessage:
    """Return a provider's message in smolagents' form.

    What a provider may have left to us is done here: cutting at the stop sequences, taking out what the model thought
    before its answer, and reading tool calls that stand in the text.
    """
    from smolagents.models import ChatMessage, MessageRole, remove_content_after_stop_sequences

    calls = [_call(call) for call in message.tool_calls or ()]
    text = without_reasoning(message.content or "")
    if request.tools and not calls:
        calls = _spoken(text, request)
    content = remove_content_after_stop_sequences(text, list(request.stop)) if not calls else text
    return ChatMessage(
        role=MessageRole.ASSISTANT, content=content or ("" if not calls else None), tool_calls=calls or None
    )


def written(message: ChatMessage) -> str:
    """Return all that a model wrote in a message, tool calls included, for an estimate of its tokens."""
    calls = "".join(f"{call.function.name}{call.function.arguments}" for call in message.tool_calls or ())
    content = message.content if isinstance(message.content, str) else ""
    return content + calls


def _call(call: Any) -> Any:
    from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction

    function = ChatMessageToolCallFunction(arguments=call.function.arguments, name=call.function.name)
    return ChatMessageToolCall(function=function, id=call.id, type="function")


def _spoken(text: str, request: ChatRequest) -> list[Any]:
    from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction

    found = spoken_calls(text, {tool.name for tool in request.tools})
    return [
        ChatMessageToolCall(
            function=ChatMessageToolCallFunction(arguments=arguments, name=name), id=f"call_{n}", type="function"
        )
        for n, (name, arguments) in enumerate(found, 1)
    ]


def _parts(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def _plain(content: Sequence[Mapping[str, Any]]) -> Any:
    if all(part.get("type") == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return content
