"""smolagents agents with our prompts, and a span, an event and a check of the budget around every step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smolagents import CodeAgent, ToolCallingAgent
from smolagents.agents import MultiStepAgent, PromptTemplates
from smolagents.memory import ActionStep, PlanningStep
from smolagents.monitoring import LogLevel
from smolagents.utils import AgentError, AgentParsingError

from layers import prompts
from layers.compaction import Compaction
from layers.run.events import EventKind
from observability import Kind, conventions, span

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from smolagents.models import ChatMessage
    from smolagents.tools import Tool

    from layers.run.run import Node
    from layers.tiers.model import TierModel
    from sandbox import Sandbox


_CUT_OFF = "Your answer was cut off, because it was too long for one answer: write less at once."


class WritesNoCode(Exception):
    """The model of a code layer gave no code in two steps one after the other; steps are left.

    Attributes:
        steps: how many the agent has made.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(f"no code in two steps one after the other, after {steps} steps")
        self.steps = steps


class _Stepped(MultiStepAgent):
    """Puts our boundary around the three things an agent does: a step, a plan, the closing call."""

    def __init__(self, node: Node, system_text: str, steps_before: int, **options: Any) -> None:
        self.node = node
        self.steps_before = steps_before
        self.compaction = Compaction()
        self.system_text = system_text  # before smolagents' constructor, which asks for the system prompt
        super().__init__(**options)

    def initialize_system_prompt(self) -> str:
        return self.system_text

    def write_memory_to_messages(self, summary_mode: bool = False) -> list[ChatMessage]:
        system = self.memory.system_prompt.to_messages(summary_mode=summary_mode)
        return system + self.compaction.messages(self.memory.steps, summary=summary_mode)

    def _step_stream(self, memory_step: ActionStep) -> Generator[Any]:
        with _step(self, memory_step):
            # Drawn to its end inside the span: a generator left open would keep the span's context attached.
            outputs = list(super()._step_stream(memory_step))
        yield from outputs

    def _generate_planning_step(self, task: str, is_first_step: bool, step: int) -> Generator[Any]:
        node = self.node
        node.run.lifeline.check()
        with span(node.run.tracer, Kind.PLAN, f"plan {node.layer}") as opened:
            outputs = list(super()._generate_planning_step(task, is_first_step, step))
            planned = outputs[-1]
            plan = planned.plan if isinstance(planned, PlanningStep) else ""
            if isinstance(planned, PlanningStep):
                planned.model_input_messages = []  # as with steps; the trace has the prompt
            opened.set_attribute(conventions.OUTPUT, plan)
        node.publish(EventKind.PLAN, plan)
        yield from outputs

    def provide_final_answer(self, task: str) -> ChatMessage:
        node = self.node
        node.run.lifeline.check()
        attributes = {conventions.STEP_CLOSING: True, conventions.STEP_NUMBER: node.spec.max_steps + 1}
        with span(node.run.tracer, Kind.STEP, "closing", attributes) as opened:
            message = super().provide_final_answer(task)
            opened.set_attribute(conventions.OUTPUT, str(message.content))
        node.publish(EventKind.STEP_ENDED, "steps are used up: a closing call", closing=True)
        return message


class LayerCodeAgent(_Stepped, CodeAgent):
    """A layer that writes code."""

    def _step_stream(self, memory_step: ActionStep) -> Generator[Any]:
        before = self.memory.steps[-1]
        try:
            yield from super()._step_stream(memory_step)
        except AgentError as error:
            again = isinstance(before, ActionStep) and isinstance(before.error, AgentParsingError)
            if again and isinstance(error, AgentParsingError) and memory_step.step_number < self.max_steps:
                raise WritesNoCode(memory_step.step_number) from error
            if getattr(self.model, "cut_off", False):
                raise type(error)(f"{_CUT_OFF} {error}", self.logger) from error
            raise


class LayerToolCallingAgent(_Stepped, ToolCallingAgent):
    """A layer that calls tools natively."""

    def execute_tool_call(self, tool_name: str, arguments: Any) -> Any:
        """Many models give the report's keys as arguments; smolagents' `final_answer` takes the report as one."""
        if tool_name == "final_answer" and isinstance(arguments, dict) and set(arguments) != {"answer"}:
            arguments = {"answer": arguments}
        return super().execute_tool_call(tool_name, arguments)


def last_words(agent: LayerCodeAgent | LayerToolCallingAgent) -> str:
    """Return what an agent's newest step came to: what it saw, or else what it thought; empty before the first."""
    for step in reversed(agent.memory.steps):
        if isinstance(step, ActionStep) and (step.observations or step.model_output):
            return str(step.observations or step.model_output)
    return ""


def build_agent(
    node: Node, model: TierModel, tools: list[Tool], system_text: str, sandbox: Sandbox | None, steps_before: int = 0
) -> LayerCodeAgent | LayerToolCallingAgent:
    """Build the fresh agent of one delegation.

    Args:
        node: its place in the run's tree.
        model: its tier's model.
        tools: host tools and the layers it may call.
        system_text: its whole system prompt.
        sandbox: where its code runs; `None` makes an agent that calls tools natively.
        steps_before: steps of the layer's limit that are used already.
    """
    options: dict[str, Any] = {
        "tools": tools,
        "model": model,
        "prompt_templates": _templates(),
        "max_steps": node.spec.max_steps - steps_before,
        "planning_interval": node.spec.planning_interval,
        "verbosity_level": LogLevel.OFF,
    }
    if sandbox is None:
        return LayerToolCallingAgent(node, system_text, steps_before, **options)
    return LayerCodeAgent(node, system_text, steps_before, executor=sandbox, **options)


@contextmanager
def _step(agent: _Stepped, memory_step: ActionStep) -> Generator[Span]:
    """Check the lifeline, count the step, and trace its four phases (Boyd's observe, orient, decide, act)."""
    node, number = agent.node, agent.steps_before + memory_step.step_number
    most = node.spec.max_steps
    node.run.lifeline.check()
    node.run.ledger.step(node.layer)
    node.publish(EventKind.STEP_STARTED, f"step {number} of {most}", step=number, of=most)
    attributes = {
        conventions.STEP_NUMBER: number,
        conventions.STEP_MAX: most,
        conventions.OODA_OBSERVE: _last_observation(agent),
    }
    try:
        with span(node.run.tracer, Kind.STEP, f"step {number}", attributes) as opened:
            try:
                yield opened
            finally:
                opened.set_attributes(_rest_of_ooda(memory_step))
    finally:
        # smolagents keeps every prompt of every step: memory would grow with the square of the steps.
        memory_step.model_input_messages = None
        node.publish(EventKind.STEP_ENDED, _headline(memory_step), step=number, of=most)


def _rest_of_ooda(step: ActionStep) -> dict[str, str]:
    thought, _, code = str(step.model_output or "").partition("<code>")
    return {
        conventions.OODA_ORIENT: thought.strip(),
        conventions.OODA_DECIDE: step.code_action or code or _calls(step),
        conventions.OODA_ACT: str(step.observations or ""),
    }


def _last_observation(agent: _Stepped) -> str:
    for step in reversed(agent.memory.steps):
        if isinstance(step, ActionStep):
            return str(step.observations or step.error or "")
    return str(agent.task or "")


def _calls(step: ActionStep) -> str:
    return "; ".join(f"{call.name}({call.arguments})" for call in step.tool_calls or ())


def _headline(step: ActionStep) -> str:
    thought = str(step.model_output or "").partition("<code>")[0].strip()
    return (thought.splitlines() or [_calls(step) or "acted"])[0][:160]


def _templates() -> PromptTemplates:
    return PromptTemplates(
        system_prompt="",
        planning=prompts.PLANNING,  # pyright: ignore[reportArgumentType] - a TypedDict with the same keys
        managed_agent={"task": "", "report": ""},
        final_answer=prompts.FINAL_ANSWER,  # pyright: ignore[reportArgumentType]
    )
