"""Delegation: one layer gives a task to another, and gets its report."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from layers import prompts
from layers.errors import LayerError
from layers.report import Report
from layers.run.events import EventKind
from layers.run.signals import RunStopped, ShareSpent, StopReason
from layers.spec import MANAGER, unknown_layer
from layers.task_files import READ_FILE, read_file_tool
from layers.toolbox import ToolDefinition
from observability import conventions
from sandbox import BackendLost, ExecutionStopped, SandboxUnavailable

if TYPE_CHECKING:
    from layers.run.run import Node, Run
    from layers.spec import LayerSpec
    from layers.workbench import Workbench
    from sandbox import Sandbox

MAX_PARALLEL = 8
MAX_ORDERS = 32
MAX_DEPTH = 6
_CONTEXT = {"type": "object", "description": "What it should know, as a JSON object.", "nullable": True}


def delegate(
    run: Run,
    bench: Workbench,
    spec: LayerSpec,
    task: str,
    context: Mapping[str, Any] | None = None,
    *,
    parent: Node | None = None,
    files: Mapping[str, bytes] | None = None,
    images: Sequence[Any] = (),
) -> Report:
    """Have a layer work on a task, with a fresh agent, and return its report.

    Args:
        run: the run it belongs to.
        bench: what the agent is built from.
        spec: the layer.
        task: what it is to do.
        context: what is known already; JSON values.
        parent: the node that delegates, `None` for the run itself.
        files: put into the layer's sandbox session, by name; a layer that writes no code reads them by a tool.
        images: PIL images that go with the task.

    Raises:
        RunStopped: the run ended meanwhile, or ends by this layer: the others are told.
        LayerError: the layer can't be built as configured, or delegation is nested too deep.
    """
    run.lifeline.check()
    if parent is not None and len(parent.path) >= MAX_DEPTH:
        raise LayerError(f"Layers may be nested {MAX_DEPTH} deep at most: do this without {spec.callable_name}().")
    with run.child(spec, parent) as node, _one_stop_for_all(run):
        node.files = files or {}
        node.publish(EventKind.LAYER_STARTED, task, tier=spec.tier, max_steps=spec.max_steps)
        message = prompts.task_message(task, context or {})
        node.span.set_attribute(conventions.INPUT, message)
        report = Report.parse(spec.name, _work(node, bench, message, files, list(images) or None))
        run.trail.reports.append(report)
        node.span.set_attribute(conventions.OUTPUT, report.model_dump_json())
        node.publish(EventKind.LAYER_ENDED, _headline(report), report=report.as_json())
    run.lifeline.check()
    return report


def delegate_all(node: Node, bench: Workbench, orders: Sequence[Any]) -> list[dict[str, Any]]:
    """Have several layers work side by side, each with its own agent, and return their reports in order.

    The report of a layer that failed has the key `error`; the others' reports stand.

    Args:
        node: the node that delegates.
        bench: what the agents are built from.
        orders: pairs `(layer, task)`, or objects with the keys layer, task and context.

    Raises:
        LayerError: an order can't be read, or names a layer that `node` may not call. Nothing is started then.
        RunStopped: the run ended meanwhile; every child has ended when this is raised.
    """
    if not orders:
        return []
    if len(orders) > MAX_ORDERS:
        raise LayerError(f"delegate takes at most {MAX_ORDERS} orders at once, not {len(orders)}.")
    read = [_order(node, bench, order) for order in orders]
    with ThreadPoolExecutor(min(len(read), MAX_PARALLEL), thread_name_prefix="dionysus-layer") as pool:
        # Each child runs in a copy of this context, so that its spans have this layer's span as their parent.
        futures = [
            pool.submit(copy_context().run, _report_of_child, node, bench, spec, task, context)
            for spec, task, context in read
        ]
        return [future.result() for future in futures]


def team_tools(spec: LayerSpec, bench: Workbench) -> list[ToolDefinition]:
    """Return the layers that a layer may call, as tools: one each, and `delegate` where there are several."""
    members = [bench.layers[name] for name in spec.members(bench.layers)]
    tools = [_member_tool(member, bench) for member in members]
    if len(members) > 1:
        tools.append(_delegate_tool(members, bench))
    return tools


def _work(
    node: Node, bench: Workbench, message: str, files: Mapping[str, bytes] | None, images: list[Any] | None
) -> Any:
    """Build the layer's agent and run it; one that has used its share of the budget up ends with what it has."""
    with ExitStack() as stack:
        box = stack.enter_context(_open(node, bench, files)) if node.spec.agent == "code" else None
        agent = _build(node, bench, box)
        try:
            return _run(node, bench, agent, message, images)
        except ShareSpent as spent:
            if spent.layer != node.layer or node.layer == MANAGER:
                raise  # a spent share of the manager leaves nobody to go on with the run
            from layers.agents import last_words

            node.publish(EventKind.SHARE_SPENT, spent.detail)
            return {"answer": last_words(agent), "open_questions": [f"It ended early: {spent.detail}"]}


def _run(node: Node, bench: Workbench, agent: Any, message: str, images: list[Any] | None) -> Any:
    """Run an agent; one whose model writes no code goes on by calling tools natively."""
    from layers.agents import WritesNoCode

    try:
        return agent.run(message, images=images)
    except WritesNoCode as slip:
        node.publish(EventKind.FALLBACK, f"the model gives {slip}: on with tool calls", steps=slip.steps)
        node.span.set_attribute(conventions.FALLBACK, "tool_calling")
        successor = _build(node, bench, None, steps_before=slip.steps)
        successor.memory.steps = agent.memory.steps  # what was found stays in view; one list for both
        return successor.run(message, images=images, reset=False)


@contextmanager
def _one_stop_for_all(run: Run) -> Generator[None]:
    """Whatever ends the run in one layer ends it in those that work beside it, at once."""
    try:
        yield
    except RunStopped as stop:
        run.lifeline.stop(stop.reason, stop.detail)
        raise
    except BackendLost as lost:
        run.lifeline.stop(StopReason.SANDBOX, str(lost))
        raise RunStopped(StopReason.SANDBOX, str(lost)) from lost
    except ExecutionStopped:
        run.lifeline.check()  # the sandbox saw the lifeline's event first: say why the run stopped
        raise RunStopped(StopReason.CANCELLED, "The run was stopped while its code was running.") from None


def _build(node: Node, bench: Workbench, box: Sandbox | None, steps_before: int = 0) -> Any:
    from layers.agents import build_agent
    from layers.host_tools import HostTool
    from layers.tiers.model import TierModel

    spec = node.spec if box else node.spec.model_copy(update={"agent": "tool_calling"})
    tools = [bench.toolbox[name] for name in bench.tool_names(spec)]
    team = team_tools(spec, bench)
    if box is None and node.files and READ_FILE not in {tool.name for tool in (*tools, *team)}:
        tools.append(read_file_tool(node.files))
    held = [HostTool(node, tool, as_text=box is None, guard=bench.guard) for tool in (*tools, *team)]
    text = prompts.system_prompt(spec, tools, team, bench.backend.guidance if box else "")
    return build_agent(
        node, TierModel(node, bench.tiers.model(spec.tier), node.hear), list(held), text, box, steps_before
    )


def _open(node: Node, bench: Workbench, files: Mapping[str, bytes] | None) -> Sandbox:
    lifeline = node.run.lifeline
    try:
        return bench.backend.open(
            tracer=node.run.tracer, stop=lifeline.stopped, deadline=lifeline.deadline, files=files
        )
    except SandboxUnavailable as error:
        raise RunStopped(StopReason.SANDBOX, str(error)) from error


def _member_tool(member: LayerSpec, bench: Workbench) -> ToolDefinition:
    def call(node: Node, arguments: dict[str, Any]) -> Any:
        return _delegate_child(node, bench, member, arguments["task"], arguments.get("context")).as_json()

    inputs = {"task": {"type": "string", "description": "What it is to find out or do."}, "context": _CONTEXT}
    return ToolDefinition(member.callable_name, member.description, inputs, call, also_known_as=(member.name,))


def _delegate_tool(members: Sequence[LayerSpec], bench: Workbench) -> ToolDefinition:
    names = ", ".join(member.callable_name for member in members)
    orders = {
        "type": "array",
        "description": f'[(layer, task), …] or [{{"layer", "task", "context"}}, …] with layer one of: {names}.',
    }
    return ToolDefinition(
        "delegate",
        "Have several layers work side by side. Returns their reports in the same order.",
        {"orders": orders},
        lambda node, arguments: delegate_all(node, bench, arguments["orders"]),
    )


def _delegate_child(
    node: Node, bench: Workbench, spec: LayerSpec, task: str, context: Mapping[str, Any] | None
) -> Report:
    return delegate(node.run, bench, spec, task, context, parent=node)


def _report_of_child(
    node: Node, bench: Workbench, spec: LayerSpec, task: str, context: Mapping[str, Any] | None
) -> dict[str, Any]:
    try:
        if bench.guard is not None:  # delegate([...]) must not be a way around what is said of the layers in it
            order = {"task": task} if context is None else {"task": task, "context": dict(context)}
            bench.guard.check(node, _member_tool(spec, bench), order, get_current_span())
        return _delegate_child(node, bench, spec, task, context).as_json()
    except Exception as error:  # noqa: BLE001 - promise: one layer's failure doesn't cost the others' reports
        message = f"The layer {spec.name!r} failed: {type(error).__name__}: {error}"
        return Report(layer=spec.name, findings={"error": message}).as_json()


def _order(node: Node, bench: Workbench, order: Any) -> tuple[LayerSpec, str, Mapping[str, Any] | None]:
    if isinstance(order, Mapping):
        layer, task, context = order.get("layer"), order.get("task"), order.get("context")
    elif isinstance(order, list | tuple) and len(order) in (2, 3):
        layer, task, context = (*order, None)[:3]
    else:
        raise LayerError(f"delegate takes pairs of a layer and a task, not {order!r}.")
    if not isinstance(layer, str) or not isinstance(task, str) or not isinstance(context, Mapping | None):
        raise LayerError(f"delegate takes pairs of a layer and a task, not {order!r}.")
    members = {bench.layers[name].callable_name: bench.layers[name] for name in node.spec.members(bench.layers)}
    spec = members.get(layer) or bench.layers.get(layer)
    if spec is None or spec.name not in node.spec.members(bench.layers):
        raise unknown_layer(layer, members, f"in delegate() of {node.layer!r}")
    return spec, task, context


def _headline(report: Report) -> str:
    return str(report.answer).strip().replace("\n", " ")[:160] or "nothing to report"
