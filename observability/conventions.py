"""Every attribute name that Dionysus writes, and how its span kinds are called elsewhere.

The names follow OpenTelemetry's GenAI and MCP conventions and OpenInference side by side, so that Phoenix and Langfuse
fill their columns from the same span. Names that neither has begin with `dionysus.`. Nobody writes an attribute name as
a literal outside this module.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What a span of ours stands for."""

    RUN = "run"
    OPENING = "opening"
    ATTEMPT = "attempt"
    LAYER = "layer"
    PLAN = "plan"
    STEP = "step"
    CHAT = "chat"
    TOOL = "tool"
    SANDBOX = "sandbox"
    MCP = "mcp"
    RETRIEVAL = "retrieval"
    MEMORY = "memory"


# Ours
SPAN_KIND: Final = "dionysus.span.kind"
RUN_ID: Final = "dionysus.run.id"
LAYER: Final = "dionysus.layer"
LAYER_PATH: Final = "dionysus.layer.path"
TIER: Final = "dionysus.tier"
ATTEMPT: Final = "dionysus.attempt.number"
ATTEMPTS: Final = "dionysus.attempt.max"
STEP_NUMBER: Final = "dionysus.step.number"
STEP_MAX: Final = "dionysus.step.max"
STEP_CLOSING: Final = "dionysus.step.closing"
OODA_OBSERVE: Final = "dionysus.ooda.observe"
OODA_ORIENT: Final = "dionysus.ooda.orient"
OODA_DECIDE: Final = "dionysus.ooda.decide"
OODA_ACT: Final = "dionysus.ooda.act"
LIVE_NOW: Final = "dionysus.live.now."  # and a layer's path
LIVE_LEFT: Final = "dionysus.live.left"
FALLBACK: Final = "dionysus.fallback"
GUARD_VERDICT: Final = "dionysus.guard.verdict"
GUARD_BY: Final = "dionysus.guard.by"
GUARD_REASON: Final = "dionysus.guard.reason"
GUARD_SECONDS: Final = "dionysus.guard.seconds"
STOP_REASON: Final = "dionysus.stop_reason"
CONFIDENCE: Final = "dionysus.confidence"
MEMORY_HITS: Final = "dionysus.memory.hits"
MEMORY_IDS: Final = "dionysus.memory.ids"
MEMORY_SCORES: Final = "dionysus.memory.scores"
MEMORY_MISSING: Final = "dionysus.memory.missing_terms"
PREDICTION_ID: Final = "dionysus.prediction.id"
PREDICTION_P: Final = "dionysus.prediction.p"
PREDICTION_OUTCOME: Final = "dionysus.prediction.outcome"
SANDBOX_BACKEND: Final = "dionysus.sandbox.backend"
SANDBOX_EXIT: Final = "dionysus.sandbox.exit"
SANDBOX_COLD: Final = "dionysus.sandbox.cold"

# OpenInference
OPENINFERENCE_KIND: Final = "openinference.span.kind"
INPUT: Final = "input.value"
INPUT_MIME: Final = "input.mime_type"
OUTPUT: Final = "output.value"
OUTPUT_MIME: Final = "output.mime_type"
SESSION: Final = "session.id"
LLM_MODEL: Final = "llm.model_name"
LLM_INPUT_MESSAGES: Final = "llm.input_messages"
LLM_OUTPUT_MESSAGES: Final = "llm.output_messages"
LLM_PARAMETERS: Final = "llm.invocation_parameters"
LLM_TOKENS_PROMPT: Final = "llm.token_count.prompt"
LLM_TOKENS_COMPLETION: Final = "llm.token_count.completion"
LLM_TOKENS_TOTAL: Final = "llm.token_count.total"
LLM_COST: Final = "llm.cost.total"
TOOL_NAME: Final = "tool.name"
TOOL_PARAMETERS: Final = "tool.parameters"
RETRIEVAL_DOCUMENTS: Final = "retrieval.documents"

# OpenTelemetry: GenAI, MCP, errors
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT_NAME: Final = "gen_ai.agent.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
COST: Final = "gen_ai.usage.cost"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_TOOL_CALL: Final = "gen_ai.tool.call.id"
MCP_METHOD: Final = "mcp.method.name"
MCP_SESSION: Final = "mcp.session.id"
SERVER_ADDRESS: Final = "server.address"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

INHERITED: Final = (SESSION, RUN_ID, LAYER, LAYER_PATH, TIER)
"""What a span hands on to all spans below it, in its process and over MCP's `_meta` alike; nothing else crosses."""

CONTENT_PREFIXES: Final = (
    INPUT,
    OUTPUT,
    LLM_INPUT_MESSAGES,
    LLM_OUTPUT_MESSAGES,
    "llm.prompts",
    "llm.tools",
    TOOL_PARAMETERS,
    RETRIEVAL_DOCUMENTS,
    "dionysus.ooda.",
    MEMORY_MISSING,
    GUARD_REASON,
    LIVE_NOW,
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
)
"""Attributes that hold what people, models and tools said, not facts about it: shed first, off OTLP unless asked."""

_OPENINFERENCE: Final[Mapping[Kind, str]] = {
    Kind.RUN: "CHAIN",
    Kind.OPENING: "CHAIN",
    Kind.ATTEMPT: "CHAIN",
    Kind.LAYER: "AGENT",
    Kind.PLAN: "CHAIN",
    Kind.STEP: "CHAIN",
    Kind.CHAT: "LLM",
    Kind.TOOL: "TOOL",
    Kind.SANDBOX: "TOOL",
    Kind.MCP: "TOOL",
    Kind.RETRIEVAL: "RETRIEVER",
    Kind.MEMORY: "TOOL",
}
_OPERATION: Final[Mapping[Kind, str]] = {
    Kind.RUN: "invoke_workflow",
    Kind.LAYER: "invoke_agent",
    Kind.PLAN: "plan",
    Kind.CHAT: "chat",
    Kind.TOOL: "execute_tool",
    Kind.SANDBOX: "execute_code",
    Kind.MCP: "execute_tool",
    Kind.RETRIEVAL: "retrieval",
}
_MEMORY_OPERATIONS: Final = frozenset({"search_memory", "create_memory", "update_memory", "delete_memory", "retrieval"})
_FOREIGN: Final[Mapping[str, Kind]] = {
    "LLM": Kind.CHAT,
    "AGENT": Kind.LAYER,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.RETRIEVAL,
    "invoke_workflow": Kind.RUN,
    "invoke_agent": Kind.LAYER,
    "plan": Kind.PLAN,
    "chat": Kind.CHAT,
    "execute_tool": Kind.TOOL,
    "retrieval": Kind.RETRIEVAL,
}


def kind_attributes(kind: Kind, name: str) -> dict[str, Any]:
    """Return the attributes that tell each reader what a span is: ours, OpenInference's and GenAI's.

    Args:
        kind: what the span stands for.
        name: the span's name; a memory span's operation is its first word (`search_memory`, `create_memory`).
    """
    attributes: dict[str, Any] = {SPAN_KIND: kind.value, OPENINFERENCE_KIND: _OPENINFERENCE[kind]}
    first = name.partition(" ")[0]
    operation = first if first in _MEMORY_OPERATIONS else _OPERATION.get(kind)
    if operation is not None:
        attributes[OPERATION] = operation
    return attributes


def own_kind(value: Any) -> Kind | None:
    """Return the kind of that value; None for one that another version of ours wrote."""
    return Kind(value) if value in Kind.__members__.values() else None


def kind_of(attributes: Mapping[str, Any]) -> Kind | None:
    """Tell a span's kind from its attributes, other instrumentations' too; None where nothing says it."""
    own = own_kind(attributes.get(SPAN_KIND))
    if own is not None:
        return own
    for name in (OPENINFERENCE_KIND, OPERATION):
        kind = _FOREIGN.get(str(attributes.get(name)))
        if kind is not None:
            return kind
    return Kind.MCP if MCP_METHOD in attributes else None


def is_content(name: str) -> bool:
    """Whether an attribute holds what somebody said, rather than a fact about the span."""
    return name.startswith(CONTENT_PREFIXES)
