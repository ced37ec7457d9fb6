"""Every attack of the tables, twice: where its defence is gone it must work, and in a whole box it must not.

An attack that fails by a mistake of its own proves nothing; so each first has to succeed. Where no defence can be
removed, the same means without the malice must work; where even that would endanger the host, the row says why.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import pytest

from sandbox import DockerBackend, Sandbox, SandboxSettings
from tests.sandbox.docker.attacks.attack import Attack
from tests.sandbox.docker.attacks.defences import DEFENCES, WeakenedBackend
from tests.sandbox.docker.attacks.host import (
    BRIEF,
    Listeners,
    assert_held,
    fresh_after_failure,
    has,
    outcome,
    prepared,
    steps,
    tidied,
    with_tools,
)
from tests.sandbox.docker.attacks.tables import TABLES
from tests.sandbox.docker.patience import patient, unhurried
from tests.sandbox.leaks import assert_settled, usage

pytestmark = pytest.mark.docker

_TIME = {"step_timeout": 10.0}
ATTACKS = [attack for table in TABLES.values() for attack in table]
PROVED = [attack for attack in ATTACKS if attack.without and has(attack.where)]
CONTROLLED = [attack for attack in ATTACKS if attack.control]


@pytest.fixture(scope="module")
def listeners() -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


@pytest.fixture(scope="module")
def boxes(sandbox_image, listeners) -> Iterator[Callable]:
    """A box for an attack: one for all with the same defences and limits, but for the time of a step."""
    before = usage()
    shared, backends = {}, {}

    def backend(without, limits):
        key = (without, tuple(limits.items()))
        if key not in backends:
            backends[key] = (
                WeakenedBackend(sandbox_image, without, limits)
                if without
                else DockerBackend(SandboxSettings(image=sandbox_image, warm=0, **limits))
            )
        return key, backends[key]

    @contextmanager
    def opened(attack: Attack, *, without: tuple[str, ...] = ()) -> Iterator[Sandbox]:
        limits = {
            **_TIME,
            **attack.limits,
            **{name: at for each in without for name, at in DEFENCES[each].limits.items()},
        }
        seconds = limits.pop("step_timeout")
        key, made = backend(without, limits)
        with made.weak() if without else nullcontext():
            if key not in shared:
                shared[key] = with_tools(made.open())
            with patient(shared[key], seconds), fresh_after_failure(shared[key]):
                yield shared[key]
            tidied(shared[key], attack.litters)

    yield opened
    with ThreadPoolExecutor(8) as threads:  # each waits for the engine
        list(threads.map(lambda each: each.close(), backends.values()))
    assert_settled(before)


def _named(attack: Attack) -> str:
    return attack.name


@pytest.mark.parametrize("attack", PROVED, ids=_named)
def test_the_attack_works_without_its_defence(attack, boxes, listeners):
    with boxes(attack, without=attack.without) as box:
        said = outcome(prepared(box), attack, steps(attack.code), {**listeners.places, **BRIEF})
    assert re.search(attack.works, said)


@pytest.mark.parametrize("attack", CONTROLLED, ids=_named)
def test_what_the_attack_is_made_of_works_when_it_means_no_harm(attack, boxes, listeners):
    with boxes(attack) as box:
        said = outcome(prepared(box), attack, steps(attack.control), listeners.places)
    assert re.search(attack.works, said)


@pytest.mark.parametrize("attack", ATTACKS, ids=_named)
def test_the_attack_is_held_and_the_next_step_works(attack, boxes, listeners):
    met = listeners.met
    with boxes(attack) as box, unhurried() if attack.lost is False else nullcontext():
        assert_held(box, attack, outcome(prepared(box), attack, steps(attack.code), listeners.places))
    assert listeners.met == met


def test_every_attack_is_proved_or_says_why_not():
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names))
    for attack in ATTACKS:
        assert bool(attack.without) + bool(attack.control) + bool(attack.unproved) == 1, attack.name


def test_every_defence_is_removed_by_some_attack():
    removed = {name for attack in ATTACKS for name in attack.without}
    assert removed <= set(DEFENCES)
    assert set(DEFENCES) - removed <= {"a user of its own"}  # that one is between two boxes: test_neighbours


def test_there_are_as_many_attacks_as_were_asked_for():
    assert len(ATTACKS) >= 120
    assert len(PROVED) + len(CONTROLLED) >= 120
