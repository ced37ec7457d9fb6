"""Delegation: one layer gives a task to another, and gets its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from layers import prompts
from layers.errors import LayerError
from layers.report import Report
from layers.run.events import EventKind
from layers.run.signals import RunStopped, StopReason
from layers.spec import unknown_layer
from layers.toolbox import ToolDefinition
from sandbox import BackendLost, ExecutionStopped, SandboxUnavailable

if TYPE_CHECKING:
    from layers.run.run import Node, Run
    from layers.spec import LayerSpec
    from layers.workbench import Workbench
    from sandbox import Sandbox

MAX_PARALLEL = 8
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
        files: put into the layer's sandbox session, by name.
        images: PIL images that go with the task.

    Raises:
        RunStopped: the run ended meanwhile.
        LayerError: the layer can't be built as configured.
    """
    run.lifeline.check()
    with run.child(spec, parent) as node, ExitStack() as stack:
        node.publish(EventKind.LAYER_STARTED, task, tier=spec.tier, max_steps=spec.max_steps)
        agent = _build(node, bench, stack, files)
        message = prompts.task_message(task, context or {})
        node.span.set_attribute("input.value", message)
        try:
            output = agent.run(message, images=list(images) or None)
        except BackendLost as lost:
            raise RunStopped(StopReason.SANDBOX, str(lost)) from lost
        except ExecutionStopped:
            run.lifeline.check()  # the sandbox saw the lifeline's event first: say why the run stopped
            raise RunStopped(StopReason.CANCELLED, "The run was stopped while its code was running.") from None
        report = Report.parse(spec.name, output)
        run.trail.reports.append(report)
        node.span.set_attribute("output.value", report.model_dump_json())
        node.publish(EventKind.LAYER_ENDED, _headline(report), report=report.as_json())
    run.lifeline.check()
    return report


def delegate_all(node: Node, bench: Workbench, orders: Sequence[Any]) -> list[dict[str, Any]]:
    """Have several layers work side by side, each with its own agent, and return their reports in order.

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
    read = [_order(node, bench, order) for order in orders]
    with ThreadPoolExecutor(min(len(read), MAX_PARALLEL), thread_name_prefix="dionysus-layer") as pool:
        # Each child runs in a copy of this context, so that its spans have this layer's span as their parent.
        futures = [
            pool.submit(copy_context().run, _delegate_child, node, bench, spec, task, context)
            for spec, task, context in read
        ]
        return [future.result().as_json() for future in futures]


def team_tools(spec: LayerSpec, bench: Workbench) -> list[ToolDefinition]:
    """Return the layers that a layer may call, as tools: one each, and `delegate` where there are several."""
    members = [bench.layers[name] for name in spec.members(bench.layers)]
    tools = [_member_tool(member, bench) for member in members]
    if len(members) > 1:
        tools.append(_delegate_tool(members, bench))
    return tools


def _build(node: Node, bench: Workbench, stack: ExitStack, files: Mapping[str, bytes] | None) -> Any:
    from layers.agents import build_agent
    from layers.host_tools import HostTool
    from layers.tiers.model import TierModel

    spec = node.spec
    tools = [bench.toolbox[name] for name in bench.tool_names(spec)]
    team = team_tools(spec, bench)
    code = spec.agent == "code"
    box = stack.enter_context(_open(node, bench, files)) if code else None
    held = [HostTool(node, tool, as_text=not code) for tool in (*tools, *team)]
    text = prompts.system_prompt(spec, tools, team, bench.backend.guidance if code else "")
    return build_agent(node, TierModel(node, bench.tiers.model(spec.tier)), list(held), text, box)


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
    return ToolDefinition(member.callable_name, member.description, inputs, call)


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
