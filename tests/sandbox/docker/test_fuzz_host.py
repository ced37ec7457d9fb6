"""Whatever a box says, the host answers with a result or with an error of its own: no crash, nothing without bounds."""

import json
import socket
import struct
import time
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox import CodeError, SandboxError
from sandbox.docker.channel import Channel, ChannelClosedError
from sandbox.docker.guest.tags import TagError, untagged
from sandbox.docker.guest.wire import Frames, WireError, frame
from tests.sandbox.docker.fuzz.target import ID, chunked, saying, take

KINDS = st.sampled_from(b"cdhronlFN") | st.integers(0, 255)
texts = st.text(max_size=8) | st.sampled_from(["\ud800", "a\udfff"])  # lone surrogates too
numbers = st.integers(-(10**20), 10**20) | st.floats() | st.just(10**4200)
scalars = st.none() | st.booleans() | numbers | texts | st.sampled_from([ID, "echo", "final_answer", "$"])
tags = st.sampled_from(
    ["tuple", "set", "frozenset", "dict", "bytes", "float", "complex", "array", "table", "image", "os.system"]
)


def _more(inner):
    lists = st.lists(inner, max_size=4)
    pairs = st.lists(st.lists(inner, min_size=2, max_size=2), max_size=3)
    tagged = st.fixed_dictionaries({"$": tags | inner}, optional={"v": lists | pairs | inner})
    return lists | st.dictionaries(texts, inner, max_size=3) | tagged


values = st.recursive(scalars, _more, max_leaves=12)
messages = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(ID) | values,
        "step": st.just(ID) | values,
        "call": st.integers(0, 9) | values,
        "name": st.sampled_from(["echo", "final_answer", "__class__", "open"]) | values,
        "args": st.lists(values, max_size=3) | values,
        "kwargs": st.dictionaries(st.text(max_size=6), values, max_size=2) | values,
        "value": values,
        "error": st.fixed_dictionaries({}, optional={"text": values, "line": values}) | values,
        "reason": st.sampled_from(["memory", "forged"]) | values,
        "names": st.lists(st.text(max_size=8)) | values,
        "data": st.sampled_from(["", "eA==", "x"]) | values,
        "total": st.integers(-1, 30_000) | values,
        "written": values,
    },
)
# What a box says that keeps to the format, with anything for a value; and what doesn't.
calls = st.lists(values, max_size=2).map(lambda v: {"step": ID, "call": 1, "name": "echo", "args": v, "kwargs": {}})
answers = values.map(lambda value: {"id": ID, "value": value})
errors = st.tuples(values, values).map(lambda said: {"id": ID, "error": {"text": said[0], "line": said[1]}})
files = messages.map(lambda said: said | {"id": ID})
odd = st.tuples(KINDS, (messages | values).map(lambda said: json.dumps(said).encode()) | st.binary(max_size=40))


def _frames(kind, said):
    return said.map(lambda message: (ord(kind), json.dumps(message).encode()))


known = _frames("c", calls) | _frames("d", answers) | _frames("d", errors) | _frames("F", files)
streams = st.lists(known | odd, max_size=5) | st.lists(known, min_size=1, max_size=3)


@settings(max_examples=120)
@given(streams)
def test_any_frames_end_in_a_result_or_an_error_of_the_sandbox(frames):
    take(chunked(b"".join(frame(kind, payload) for kind, payload in frames)))


@settings(max_examples=400)
@given(answers | errors)
def test_any_end_of_a_step_does_too(said):
    take(chunked(frame(ord("d"), json.dumps(said).encode())), files=False)


@settings(max_examples=200)
@given(calls)
def test_any_call_does_too(said):
    take(chunked(frame(ord("c"), json.dumps(said).encode())), files=False)


@settings(max_examples=150)
@given(st.binary(max_size=400), st.integers(1, 60))
@example(b"\xff" * 60, 60)
def test_any_bytes_of_a_box_do_too(octets, size):
    take(chunked(octets, size))


@settings(max_examples=150)
@given(st.binary(max_size=400))
@example(struct.pack(">BxxxI", 1, 0xFFFFFFFF) + b"x" * 99)
@example(struct.pack(">BxxxI", 2, 5) + b"words" + struct.pack(">BxxxI", 77, 1) + b"x")
def test_any_bytes_of_an_engine_do_too(octets):
    take(octets)


@settings(max_examples=100)
@given(streams, st.integers(1, 50))
def test_frames_are_the_same_in_whatever_pieces_they_come(frames, size):
    octets = b"".join(frame(kind, payload) for kind, payload in frames)
    taken, cut = [], Frames(1 << 20)
    for at in range(0, len(octets), size):
        cut.feed(octets[at : at + size])
        while (received := cut.next()) is not None:
            taken.append(received)
    assert taken == frames
    assert cut.pending == 0


@settings(max_examples=200)
@given(values, st.integers(0, 70))
def test_any_json_is_a_plain_value_or_none(value, depth):
    try:
        plain = untagged(json.loads(json.dumps(value)), depth)
    except TagError:
        return
    json.dumps(repr(plain)).encode()


def outcome(*frames):
    with saying(chunked(b"".join(frame(kind, payload) for kind, payload in frames))) as box:
        try:
            return box("1").output
        except CodeError as error:
            return str(error)


def test_lone_surrogates_never_reach_the_host():
    said = f'{{"id": "{ID}", "value": ["\\ud800", {{"\\udfff": 1}}, {{"$": "set", "v": ["\\ud800"]}}]}}'
    assert outcome((ord("d"), said.encode())) == ["���", {"���": 1}, {"���"}]
    error = f'{{"id": "{ID}", "error": {{"text": "\\ud800"}}}}'
    assert outcome((ord("d"), error.encode())) == "���"


@pytest.mark.parametrize("tag", ["set", "frozenset", "dict"])
def test_numbers_made_to_collide_are_refused_at_once(tag):
    # All have the hash 0: a set of 300,000 of them takes an hour, and no clock of the step's runs on the host.
    keys = [number * (2**61 - 1) for number in range(300_000)]
    begun = time.monotonic()
    with pytest.raises(TagError, match="collide"):
        untagged({"$": tag, "v": [[key, 1] for key in keys] if tag == "dict" else keys}, 64)
    assert time.monotonic() - begun < 30


def test_many_keys_that_don_t_collide_are_taken():
    keys = list(range(5_000))
    assert untagged({"$": "set", "v": keys}, 64) == set(keys)
    assert untagged({"$": "dict", "v": [[key, 1] for key in keys]}, 64) == dict.fromkeys(keys, 1)


@pytest.mark.parametrize("announced", [b"\xff" * 4 + b"d", struct.pack(">IB", 1 << 30, ord("o"))])
def test_an_announced_size_costs_no_memory(announced):
    tracemalloc.start()
    try:
        with saying(chunked(announced + b"x" * 200_000)) as box, pytest.raises(SandboxError):
            box("1")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_engine_that_announces_gigabytes_is_left():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, 1000)
        theirs.sendall(struct.pack(">BxxxI", 1, 0xFFFFFFFF))
        with pytest.raises(WireError, match="4,294,967,295"):
            channel.receive()
        channel.close()
        with pytest.raises(ChannelClosedError):
            channel.receive()
