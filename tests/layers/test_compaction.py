"""The prompt of a long-working agent stays bounded, and begins alike from step to step."""

from __future__ import annotations

from itertools import pairwise

from smolagents.memory import ActionStep, PlanningStep, TaskStep
from smolagents.models import ChatMessage, MessageRole
from smolagents.monitoring import Timing

from layers.compaction import MOST_CHARACTERS, MOST_OF_ONE, Compaction
from layers.delegation import delegate
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, code, conversation, report


def acted(number, output="I look.", observation="seen"):
    return ActionStep(number, Timing(0.0), model_output=f"{output} <code>x</code>", observations=observation)


def texts(messages):
    return [part["text"] for message in messages for part in message.content]


def size(messages):
    return sum(len(text) for text in texts(messages))


def grown(steps):
    """Messages as after each further step."""
    compaction, memory = Compaction(), [TaskStep("the task")]
    for step in steps:
        memory.append(step)
        yield compaction.messages(memory)


def test_a_short_memory_is_shown_as_it_is():
    memory = [TaskStep("the task"), acted(1), acted(2)]
    plain = [message for step in memory for message in step.to_messages()]
    assert Compaction().messages(memory) == plain


def test_step_two_hundred_costs_what_step_twenty_costs():
    sizes = [size(messages) for messages in grown(acted(n, "thought " * 20, "seen " * 100) for n in range(1, 201))]
    assert sizes[199] <= 1.2 * max(sizes[:20])


def test_the_task_is_always_in_view():
    for messages in grown(acted(n) for n in range(1, 60)):
        assert "the task" in texts(messages)[0]


def test_earlier_steps_are_told_in_a_line_and_the_oldest_counted():
    *_, last = grown(acted(n, f"thought {n}", f"found {n}") for n in range(1, 61))
    shown = "\n".join(texts(last))
    assert "thought 60" in shown
    assert "- step 45: thought 45 → found 45" in shown
    assert "steps before these" in shown
    assert "thought 3 " not in shown


def test_a_folded_step_keeps_no_more_than_its_line():
    memory, compaction = [TaskStep("the task")], Compaction()
    for number in range(1, 41):
        memory.append(acted(number, "thought " * 500, "seen " * 5000))
        memory[-1].model_input_messages = [ChatMessage(MessageRole.USER, "prompt " * 5000)]
        compaction.messages(memory)
    held = [len(str(step.dict())) for step in memory[1:]]
    assert max(held[:25]) < 2000
    assert held[-1] > 60_000


def test_a_successor_that_folds_the_same_steps_again_has_their_lines():
    memory, compaction = [TaskStep("the task")], Compaction()
    for number in range(1, 41):
        memory.append(acted(number, f"thought {number}", "seen " * 500))
        shown = compaction.messages(memory)
    (line,) = [line for line in texts(shown)[1].splitlines() if line.startswith("- step 28:")]
    assert line in texts(Compaction().messages(memory))[1].splitlines()


def test_prompts_begin_like_the_one_before_between_two_foldings():
    every = [texts(messages) for messages in grown(acted(n) for n in range(1, 101))]
    alike = sum(later[: len(earlier)] == earlier for earlier, later in pairwise(every))
    assert alike >= 80


def test_large_observations_are_folded_early_and_shortened_in_the_middle():
    every = list(grown(acted(n, observation="<" + "x" * 300_000 + ">") for n in range(1, 30)))
    assert max(size(messages) for messages in every) <= 1.2 * MOST_CHARACTERS
    last = texts(every[-1])[-1]
    assert len(last) < 1.1 * MOST_OF_ONE
    assert "characters left out" in last
    assert last.endswith(">")


def test_old_plans_go_with_their_steps():
    memory = [TaskStep("the task")]
    said = ChatMessage(MessageRole.ASSISTANT, "")
    compaction = Compaction()
    for number in range(1, 41):
        memory.append(PlanningStep([], said, f"plan {number} of many", Timing(0.0)))
        memory.append(acted(number))
    shown = "\n".join(texts(compaction.messages(memory)))
    assert "plan 40 of many" in shown
    assert "plan 2 of many" not in shown


def test_an_agent_of_many_steps_sends_bounded_prompts():
    def play(request):
        sizes.append(len(conversation(request)))
        return report("done") if len(sizes) == 60 else code(f"print('result {len(sizes)} ' * 40)")

    sizes = []
    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        spec = bench.layers["conceptual"].model_copy(update={"max_steps": 60})
        assert delegate(run, bench, spec, "go").answer == "done"
    assert sizes[-1] <= 1.2 * max(sizes[:20])
