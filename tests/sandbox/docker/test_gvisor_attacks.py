"""Attacks against boxes under gVisor: each ends as the table says, and the next step works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import pytest

from sandbox import DockerBackend, Sandbox, SandboxSettings
from tests.sandbox.docker.attacks.attack import Attack
from tests.sandbox.docker.attacks.gvisor import HOST_ALONE, NOT_HELD, TRIED
from tests.sandbox.docker.attacks.host import (
    Listeners,
    assert_held,
    assert_recovers,
    fresh_after_failure,
    outcome,
    prepared,
    steps,
    tidied,
    with_tools,
)
from tests.sandbox.docker.patience import patient, unhurried
from tests.sandbox.leaks import assert_settled, usage

pytestmark = pytest.mark.gvisor

_TIME = {"step_timeout": 10.0}


def _marks(attack: Attack) -> list[pytest.MarkDecorator]:
    return [pytest.mark.exhaustive] if attack.name in HOST_ALONE else []


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


@pytest.fixture(scope="module")
def box_for(gvisor_settings, listeners) -> Iterator[Callable[[Attack], AbstractContextManager[Sandbox]]]:
    """A box for an attack: one for all with the same limits, but for the time of a step."""
    before = usage()
    boxes: dict[tuple, Sandbox] = {}
    with ExitStack() as ended:

        @contextmanager
        def box_for(attack: Attack) -> Iterator[Sandbox]:
            limits = {**_TIME, **attack.limits}
            seconds = limits.pop("step_timeout")
            key = tuple(limits.items())
            if key not in boxes:
                backend = DockerBackend(SandboxSettings(**gvisor_settings, warm=0, **limits))
                ended.callback(backend.close)
                boxes[key] = with_tools(backend.open())
            with patient(boxes[key], seconds), fresh_after_failure(boxes[key]):
                yield boxes[key]
            tidied(boxes[key], attack.litters)

        yield box_for
    assert_settled(before)


@pytest.mark.parametrize("attack", [pytest.param(each, id=each.name, marks=_marks(each)) for each in TRIED])
def test_the_attack_ends_as_it_should_under_gvisor_and_the_next_step_works(attack, box_for, listeners):
    met = listeners.met
    with box_for(attack) as box, unhurried() if attack.lost is False else nullcontext():
        said = outcome(prepared(box), attack, steps(attack.code), listeners.places)
        if attack.name in NOT_HELD and re.search(attack.works, said):
            assert_recovers(box)
        else:
            assert_held(box, attack, said)
    assert listeners.met == met


def test_what_gvisor_does_not_hold_is_tried():
    assert set(NOT_HELD) <= {attack.name for attack in TRIED}
