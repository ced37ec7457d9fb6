"""Heads and bodies of requests: what can be read in two ways is refused, and what is forwarded is written anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.network.body import Body
from sandbox.network.request import BadRequestError, Request, read_head


def head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def test_a_tunnel_names_a_host_and_a_port():
    request = read_head(head("CONNECT Example.COM.:443 HTTP/1.1", "Host: other.example:443"))
    assert (request.name, request.port, request.is_tunnel) == ("example.com", 443, True)


def test_a_plain_request_is_written_anew_for_its_server():
    request = read_head(
        head(
            "GET http://Example.com/a/b?q=1#part HTTP/1.1",
            "Host: example.com",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, x-hop",
            "X-Hop: 1",
            "Accept: */*",
        )
    )
    assert (request.name, request.port) == ("example.com", 80)
    assert request.head == head("GET /a/b?q=1 HTTP/1.1", "Host: example.com", "Connection: close", "Accept: */*")


@pytest.mark.parametrize(
    ("target", "line", "host"),
    [
        ("http://a.example", "GET / HTTP/1.1", "a.example"),
        ("http://a.example?x", "GET /?x HTTP/1.1", "a.example"),
        ("http://a.example:8080/x", "GET /x HTTP/1.1", "a.example:8080"),
        ("http://[2606:4700::1]:81//x", "GET //x HTTP/1.1", "[2606:4700::1]:81"),
        ("HTTP://a.example/x", "GET /x HTTP/1.1", "a.example"),
    ],
)
def test_the_target_alone_says_which_server_is_meant(target, line, host):
    lines = read_head(head(f"GET {target} HTTP/1.0")).head.decode().split("\r\n")
    assert lines[:2] == [line, f"Host: {host}"]


def test_a_field_of_connection_can_t_take_the_length_away():
    sent = head("POST http://a.example/ HTTP/1.1", "Connection: content-length", "Content-Length: 3")
    request = read_head(sent)
    assert b"Content-Length: 3\r\n" in request.head
    assert request.length == 3


@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HTTP/1.1", "Host: allowed.example"],
        ["GET https://a.example/ HTTP/1.1"],
        ["GET ftp://a.example/ HTTP/1.1"],
        ["GET http:///x HTTP/1.1"],
        ["GET http://a.example/ HTTP/2"],
        ["GET http://a.example/"],
        ["GET  http://a.example/ HTTP/1.1"],
        ["GET http://a.example/ x HTTP/1.1"],
        ["G(T http://a.example/ HTTP/1.1"],
        ["GET http://a.example/ HTTP/1.1", "Host: forbidden.example"],
        ["GET http://a.example/ HTTP/1.1", "Host: a.example:8080"],
        ["GET http://a.example/ HTTP/1.1", "Host: a.example", "Host: forbidden.example"],
        ["GET http://a.example/ HTTP/1.1", "Host: a.example", "host: a.example"],
        ["GET http://user:pw@a.example/ HTTP/1.1"],
        ["GET http://a.example@forbidden.example/ HTTP/1.1"],
        ["GET http://a.example:99999/ HTTP/1.1"],
        ["GET http://a.example:000080/ HTTP/1.1"],
        ["GET http://a.example:8x/ HTTP/1.1"],
        ["GET http://a.example\\.forbidden.example/ HTTP/1.1"],
        ["GET http://[::1/ HTTP/1.1"],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: 3", "Content-Length: 4"],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"],
        ["POST http://a.example/ HTTP/1.1", "Transfer-Encoding: gzip, chunked"],
        ["POST http://a.example/ HTTP/1.1", "Transfer-Encoding: xchunked"],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: +3"],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: 0x3"],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: "],
        ["POST http://a.example/ HTTP/1.1", "Content-Length: " + "9" * 40],
        ["GET http://a.example/ HTTP/1.1", "X: a", " folded: b"],
        ["GET http://a.example/ HTTP/1.1", "Host : a.example"],
        ["GET http://a.example/ HTTP/1.1", "no colon"],
        ["GET http://a.example/ HTTP/1.1", "X: a\nHost: forbidden.example"],
        ["GET http://a.example/ HTTP/1.1", "X: a\rHost: forbidden.example"],
        ["GET http://a.example/ HTTP/1.1", "X: \0"],
        ["GET http://a.example/ HTTP/1.1", *(f"X{number}: 1" for number in range(101))],
        ["CONNECT a.example HTTP/1.1"],
        ["CONNECT http://a.example:443 HTTP/1.1"],
        ["CONNECT a.example:443/x HTTP/1.1"],
        ["CONNECT user@a.example:443 HTTP/1.1"],
        ["CONNECT :443 HTTP/1.1"],
        ["CONNECT a.example:0 HTTP/1.1"],
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(lines):
    with pytest.raises(BadRequestError):
        read_head(head(*lines))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_are_refused(octets):
    try:
        request = read_head(octets + b"\r\n\r\n")
    except BadRequestError:
        return
    assert request.port in range(1, 65536)


@given(
    st.sampled_from(["a.example", "A.example.", "[::1]", "10.0.0.1"]),
    st.text("abc/?&=%2e.~-_:@!$'()*+,;", max_size=30),
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.text("abc, ;=\t1é", max_size=20)), max_size=5
    ),
)
def test_what_is_forwarded_has_one_host_and_is_read_the_same_way_again(host, path, fields):
    try:
        request = read_head(head(f"GET http://{host}/{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)))
    except BadRequestError:
        return
    lines = request.head.split(b"\r\n")
    assert lines[0].startswith(b"GET /")
    assert [line.split(b":")[0].lower() for line in lines[1:]].count(b"host") == 1
    assert request.head.count(b"\r\n\r\n") == 1
    assert request.head.endswith(b"\r\n\r\n")


CHUNKED = b"3\r\nabc\r\n5;x=1\r\nabcde\r\n0\r\nTrailer: 1\r\n\r\n"
SECOND = b"GET http://forbidden.example/ HTTP/1.1\r\n\r\n"


@given(st.lists(st.integers(1, 9), max_size=40))
def test_a_chunked_body_ends_where_it_says_however_it_arrives(cuts):
    body, rest, taken = Body(Request("a", 80, b"x", chunked=True)), CHUNKED + SECOND, b""
    for cut in [*cuts, len(rest)]:
        taken += body.take(rest[:cut])
        rest = rest[cut:]
    assert taken == CHUNKED
    assert body.complete


def test_a_body_of_a_length_ends_there():
    body = Body(Request("a", 80, b"x", length=3))
    assert body.take(b"ab") == b"ab"
    assert not body.complete
    assert body.take(b"c" + SECOND) == b"c"
    assert body.complete
    assert body.take(SECOND) == b""


def test_a_request_without_a_body_has_none():
    body = Body(Request("a", 80, b"x"))
    assert body.complete
    assert body.take(SECOND) == b""


@pytest.mark.parametrize("line", [b"x\r\n", b"\r\n", b"-1\r\n", b"3\n", b"0x3\r\n", b"f" * 20 + b"\r\n", b"1" * 2000])
def test_a_chunk_whose_size_is_none_is_refused(line):
    with pytest.raises(BadRequestError):
        Body(Request("a", 80, b"x", chunked=True)).take(line)
