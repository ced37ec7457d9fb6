"""Attacks against boxes under gVisor: each ends as the table says, and the next step works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress

import pytest

from sandbox import DockerBackend, LimitExceeded, Sandbox, SandboxSettings, SessionLost
from tests.sandbox.docker.attacks.attack import Attack
from tests.sandbox.docker.attacks.gvisor import NOT_HELD, TRIED
from tests.sandbox.docker.attacks.host import Listeners, assert_held, outcome, prepared, steps, tidied, with_tools
from tests.sandbox.docker.patience import patient, unhurried
from tests.sandbox.leaks import assert_settled, usage

pytestmark = pytest.mark.gvisor

_TIME = {"step_timeout": 10.0}


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


@pytest.fixture(scope="module")
def box_for(gvisor_settings, listeners) -> Iterator[Callable[[Attack], Sandbox]]:
    """A box for an attack: one for all with the same limits."""
    before = usage()
    boxes: dict[tuple, Sandbox] = {}
    with ExitStack() as ended:

        def box_for(attack: Attack) -> Sandbox:
            key = tuple(attack.limits.items())
            if key not in boxes:
                backend = DockerBackend(SandboxSettings(**gvisor_settings, warm=0, **{**_TIME, **attack.limits}))
                ended.callback(backend.close)
                boxes[key] = with_tools(backend.open())
            return boxes[key]

        yield box_for
    assert_settled(before)


@pytest.mark.parametrize("attack", TRIED, ids=lambda attack: attack.name)
def test_the_attack_ends_as_it_should_under_gvisor_and_the_next_step_works(attack, box_for, listeners):
    met, box = listeners.met, box_for(attack)
    with unhurried() if attack.lost is False else nullcontext():
        said = outcome(prepared(box), attack, steps(attack.code), listeners.places)
    if attack.name in NOT_HELD and re.search(attack.works, said):
        with patient(box):
            with suppress(SessionLost, LimitExceeded):
                box("1")
            assert box("1 + 1").output == 2
    else:
        assert_held(box, attack, said)
    assert listeners.met == met
    tidied(box, attack.litters)


def test_what_gvisor_does_not_hold_is_tried():
    assert set(NOT_HELD) <= {attack.name for attack in TRIED}
