"""A run as Dionysus makes it, through the real `Telemetry`: five layers, nested and side by side, an error."""

import contextvars
import json
import threading
import time

from observability import Kind, span

TASK = "Which queue should the ingest service use, and why? The design notes disagree about Redis Streams."
HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
ANSWER = (
    "Use PostgreSQL's own queue (SKIP LOCKED) for now. The decision of 2026-03-04 rejects Redis Streams because the "
    "team runs no Redis; the later note only measures it. Throughput needed: 40 jobs/s, measured headroom: 900 jobs/s."
)
DOCUMENTS = [
    ("mem-7f3a01", 4.213, "2026-03-04 Decision: no Redis in production until someone is on call for it."),
    ("mem-19bc44", 3.377, "Benchmark: SKIP LOCKED sustains 900 jobs/s on the small instance; p95 18 ms."),
    ("mem-c0ffee", 1.950, "Note: Redis Streams reached 12,000 jobs/s in the lab, consumer groups were easy."),
    ("mem-0badf0", -0.120, HOSTILE),
]


class Clock:
    """Stretches the run's pauses: 0 makes it instant, 1 as long as a real one's shape needs on a screen."""

    def __init__(self, scale):
        self.scale = scale

    def pause(self, seconds):
        time.sleep(seconds * self.scale)


def chat(tracer, clock, tokens_in, tokens_out, seconds, price=0.000_004):
    said = {
        "gen_ai.request.model": "claude-sonnet",
        "llm.input_messages.0.message.content": "You are one of five layers of a mind. " * 20,
        "llm.input_messages.1.message.content": TASK,
        "gen_ai.usage.input_tokens": tokens_in,
        "gen_ai.usage.output_tokens": tokens_out,
        "gen_ai.usage.cost": None if price is None else (tokens_in + 4 * tokens_out) * price,
    }
    with span(tracer, Kind.CHAT, "chat claude-sonnet", said) as call:
        clock.pause(seconds)
        call.set_attribute("output.value", "I look for what was decided, then for what was measured.")


def recall(tracer, clock, query):
    call = {"tool.parameters": json.dumps({"query": query, "top_k": 4, "api_key": "sk-ant-aaaaaaaaaaaaaaaaaaaa"})}
    found = {"input.value": query, "dionysus.memory.scores": [score for _, score, _ in DOCUMENTS]}
    found["dionysus.memory.ids"] = [identity for identity, _, _ in DOCUMENTS]
    for number, (_, _, text) in enumerate(DOCUMENTS):
        found[f"retrieval.documents.{number}.document.content"] = text
    tool, request = span(tracer, Kind.TOOL, "execute_tool recall", call), span(tracer, Kind.MCP, "tools/call recall")
    with tool, request, span(tracer, Kind.RETRIEVAL, "search_memory", found):
        clock.pause(0.03)


def run_code(tracer, clock, code, seconds=0.04):
    attributes = {"input.value": code, "dionysus.sandbox.backend": "monty", "dionysus.sandbox.cold": False}
    with span(tracer, Kind.SANDBOX, "execute_code monty", attributes) as execution:
        clock.pause(seconds)
        execution.set_attribute("output.value", "4 conflicts, 2 in time order")
        execution.set_attribute("dionysus.sandbox.exit", 0)


def layer(tracer, name, limit, path=None):
    attributes = {
        "dionysus.layer": name,
        "dionysus.layer.path": path or f"consciousness/{name}",
        "dionysus.tier": "balanced",
    }
    return span(tracer, Kind.LAYER, f"invoke_agent {name}", {**attributes, "dionysus.step.max": limit})


def step(tracer, number, decide, limit):
    attributes = {"dionysus.step.number": number, "dionysus.step.max": limit, "dionysus.ooda.decide": decide}
    attributes["dionysus.ooda.orient"] = "What was decided matters more than what was measured."
    return span(tracer, Kind.STEP, f"step {number}", attributes)


def perceptual(tracer, clock):
    with layer(tracer, "perceptual", 3):
        for number, query in enumerate(("queue decision", "redis streams throughput"), start=1):
            with step(tracer, number, f"recall({query!r})", 3):
                chat(tracer, clock, 900 + 300 * number, 60, 0.12)
                recall(tracer, clock, query)


def conceptual(tracer, clock):
    with layer(tracer, "conceptual", 5):
        for number in (1, 2, 3):
            with step(tracer, number, "claims = synthesize(ids, 'which queue?')\nprint(claims.conflicts)", 5):
                chat(tracer, clock, 1500 * number, 210, 0.16, None if number == 3 else 0.000_004)
                run_code(tracer, clock, "claims = synthesize(ids, 'which queue?')\nprint(claims.conflicts)")
                with span(tracer, Kind.TOOL, "execute_tool synthesize", {"tool.parameters": '{"ids": ["mem-7f3a01"]}'}):
                    clock.pause(0.02)


def abstract(tracer, clock):
    with layer(tracer, "abstract", 7):
        with step(tracer, 1, "predict('the load stays under 100 jobs/s', 0.8)", 7):
            chat(tracer, clock, 2100, 340, 0.2)
            with span(tracer, Kind.TOOL, "execute_tool predict", {"dionysus.prediction.p": 0.8}):
                clock.pause(0.01)
        try:
            with step(tracer, 2, "resolve('mem-none')", 7):
                chat(tracer, clock, 2400, 80, 0.1)
                with span(
                    tracer, Kind.TOOL, "execute_tool resolve", {"tool.parameters": '{"prediction_id": "mem-none"}'}
                ):
                    clock.pause(0.01)
                    raise LookupError(f"no prediction mem-none {HOSTILE}")
        except LookupError:
            pass
        with span(tracer, Kind.STEP, "closing", {"dionysus.step.closing": True}):
            chat(tracer, clock, 2600, 120, 0.1)


def metacognitive(tracer, clock):
    with layer(tracer, "metacognitive", 7), step(tracer, 1, "print(reflect(claims))", 7):
        chat(tracer, clock, 1800, 150, 0.15)
        run_code(tracer, clock, "print(reflect(claims))", 0.05)


def five_layer_run(telemetry, run_id="5f0c2a9e7d31", scale=0.0):
    """Make the run; `scale` 1 takes about two seconds, so that a picture of it has a shape."""
    tracer, clock = telemetry.tracer, Clock(scale)
    start = {
        "dionysus.run.id": run_id,
        "session.id": "q4-planning",
        "input.value": TASK,
        "dionysus.stop_reason": "answered",
    }
    with (
        span(tracer, Kind.RUN, "invoke_workflow mind", start) as run,
        layer(tracer, "consciousness", 10, "consciousness"),
    ):
        perceptual(tracer, clock)
        with step(tracer, 1, "delegate([('conception', …), ('abstraction', …)])", 10):
            chat(tracer, clock, 1900, 120, 0.15)
            with span(tracer, Kind.SANDBOX, "execute_code monty", {"input.value": "delegate([...])"}):
                side_by_side(tracer, clock, conceptual, abstract)
        with step(tracer, 2, "metacognition('is the answer supported?')", 10):
            chat(tracer, clock, 3100, 140, 0.14)
            metacognitive(tracer, clock)
        with step(tracer, 3, "final_answer(...)", 10):
            chat(tracer, clock, 3600, 260, 0.18)
            run_code(tracer, clock, f"final_answer({HOSTILE!r})")
        with span(tracer, Kind.MEMORY, "create_memory", {"input.value": ANSWER}):
            clock.pause(0.02)
        run.set_attribute("output.value", ANSWER)


def side_by_side(tracer, clock, *layers):
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(one, tracer, clock)) for one in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
