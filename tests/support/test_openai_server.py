"""The scripted server speaks HTTP as a provider does; seen with plain sockets, not through LiteLLM."""

import http.client
import json
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from layers.prompts import FINAL_ANSWER, PLANNING
from tests.support.openai_characters import costly, garbage, never_finishing, obedient
from tests.support.openai_server import (
    Drop,
    Fail,
    Hang,
    OpenAIServer,
    Rubbish,
    Say,
    ToolCall,
    Usage,
    refusing_port,
)

CODE_PROMPT = "Write code between '<code>' and '</code>'."


def connect(server):
    parts = urlsplit(server.url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def post(server, prompt="hello", **body):
    messages = [{"role": "system", "content": prompt}]
    payload = json.dumps({"model": "test-model", "messages": messages, **body})
    with closing(connect(server)) as connection:
        connection.request("POST", "/v1/chat/completions", payload, {"Authorization": "Bearer sk-test"})
        with connection.getresponse() as response:
            return response, response.read()


def message(server, prompt="hello", **body):
    response, content = post(server, prompt, **body)
    assert response.status == 200
    return json.loads(content)["choices"][0]["message"]


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def test_text_comes_as_a_chat_completion():
    with OpenAIServer([Say("hello", usage=Usage(3, 5))]) as server:
        response, content = post(server)
    answer = json.loads(content)
    assert response.status == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "test-model"
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_an_endpoint_without_usage_sends_none():
    with OpenAIServer([Say("hello", usage=None)]) as server:
        assert "usage" not in json.loads(post(server)[1])


def test_tool_calls_come_with_their_arguments_as_json_text():
    with OpenAIServer([Say(calls=[ToolCall("recall", {"query": "über"})])]) as server:
        call = message(server)["tool_calls"][0]
    assert call["function"]["name"] == "recall"
    assert json.loads(call["function"]["arguments"]) == {"query": "über"}


def test_a_list_is_played_in_order_and_its_last_action_repeats():
    with OpenAIServer([Fail(500), Say("first"), Say("last")]) as server:
        assert post(server)[0].status == 500
        assert [message(server)["content"] for _ in range(3)] == ["first", "last", "last"]


def test_a_function_sees_the_request_it_answers():
    with OpenAIServer(lambda request: Say(f"{request.model}: {request.text} ({request.key})")) as server:
        assert message(server, "what?")["content"] == "test-model: what? (sk-test)"


def test_requests_are_recorded_with_their_text_and_tools():
    with OpenAIServer([Say("x")]) as server:
        parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "data:"}}]
        post(server, parts, tools=[tool("f"), tool("g")])
        post(server, "two")
    first, second = server.requests
    assert (first.number, second.number) == (1, 2)
    assert first.text == "one"
    assert first.tools == ("f", "g")
    assert second.tools == ()
    assert second.body["messages"] == [{"role": "system", "content": "two"}]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_an_error_carries_its_status_and_openais_body(status):
    with OpenAIServer([Fail(status, "no", code="why")]) as server:
        response, content = post(server)
    assert response.status == status
    assert json.loads(content)["error"] == {"message": "no", "type": "error", "code": "why", "param": None}
    assert response.getheader("Retry-After") is None


def test_a_rate_limit_says_when_to_come_back():
    with OpenAIServer([Fail(429, retry_after=1.5)]) as server:
        assert post(server)[0].getheader("Retry-After") == "1.5"


def test_rubbish_is_a_200_that_is_no_completion():
    with OpenAIServer([Rubbish()]) as server:
        response, content = post(server)
    assert response.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(content)


@pytest.mark.parametrize("sent", [0, 40])
def test_a_dropped_connection_is_no_answer(sent):
    with OpenAIServer([Drop(sent)]) as server, pytest.raises((http.client.HTTPException, ConnectionError)):
        post(server)


def test_a_hanging_request_ends_when_its_time_is_up():
    started = time.monotonic()
    with OpenAIServer([Hang(0.2)]) as server, pytest.raises((http.client.HTTPException, ConnectionError)):
        post(server)
    assert time.monotonic() - started >= 0.2


def test_a_client_that_lets_go_of_a_hanging_request_closes_its_socket():
    with OpenAIServer([Hang(60)]) as server:
        connection = connect(server)
        connection.request("POST", "/v1/chat/completions", '{"model": "m", "messages": []}')
        assert server.wait_for_requests(1)
        assert server.open_sockets == 1
        connection.close()
        assert server.wait_for_sockets(0)


def test_leaving_the_block_ends_requests_that_hang():
    started = time.monotonic()
    with OpenAIServer([Hang(60)]) as server:
        connection = connect(server)
        connection.request("POST", "/v1/chat/completions", '{"model": "m", "messages": []}')
        assert server.wait_for_requests(1)
    assert time.monotonic() - started < 30
    connection.close()


def test_an_open_connection_serves_many_requests():
    with OpenAIServer([Say("x")]) as server:
        connection = connect(server)
        for _ in range(3):
            connection.request("POST", "/v1/chat/completions", '{"model": "m", "messages": []}')
            assert json.loads(connection.getresponse().read())["choices"]
        assert server.open_sockets == 1
        connection.close()
        assert server.wait_for_sockets(0)


def test_a_streamed_answer_comes_as_events_that_join_to_the_text():
    with OpenAIServer([Say("one\ntwo\n", calls=[ToolCall("f")])]) as server:
        response, content = post(server, stream=True, stream_options={"include_usage": True})
    events = [line.removeprefix("data: ") for line in content.decode().split("\n\n") if line]
    assert response.getheader("Content-Type") == "text/event-stream"
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "one\ntwo\n"
    assert [delta["tool_calls"][0]["function"]["name"] for delta in deltas if "tool_calls" in delta] == ["f"]
    assert chunks[-1]["usage"]["total_tokens"] == 18


def test_a_slow_stream_comes_piece_by_piece():
    with OpenAIServer([Say("one\ntwo\n", chunk_pause=0.15)]) as server:
        started = time.monotonic()
        post(server, stream=True)
        assert time.monotonic() - started >= 0.3


def test_a_script_that_fails_fails_its_test():
    def broken(request):
        raise ZeroDivisionError

    def ask_it():
        with OpenAIServer(broken) as server, pytest.raises((http.client.HTTPException, ConnectionError)):
            post(server)

    with pytest.raises(ZeroDivisionError):
        ask_it()


def test_another_path_is_not_found_and_not_recorded():
    with OpenAIServer([Say("x")]) as server:
        connection = connect(server)
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 404
        connection.close()
        assert server.requests == []


def test_a_refusing_port_refuses():
    with refusing_port() as url:
        address = (urlsplit(url).hostname, urlsplit(url).port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)


def test_an_obedient_agent_calls_final_answer_natively_where_it_can():
    with OpenAIServer(obedient("42")) as server:
        said = message(server, tools=[tool("recall"), tool("final_answer")])
    assert said["tool_calls"][0]["function"] == {"name": "final_answer", "arguments": '{"answer": "42"}'}


def test_an_obedient_agent_writes_code_in_the_tags_it_is_told():
    with OpenAIServer(obedient({"answer": "42"})) as server:
        tagged = message(server, CODE_PROMPT)["content"]
        fenced = message(server, "Write ```python blocks.")["content"]
    assert "<code>\nfinal_answer({'answer': '42'})\n</code>" in tagged
    assert "```python\nfinal_answer({'answer': '42'})\n```" in fenced


def test_a_never_finishing_agent_acts_anew_each_time_and_closes_when_told():
    with OpenAIServer(never_finishing("gave up")) as server:
        steps = {message(server, CODE_PROMPT)["content"] for _ in range(3)}
        tools = [tool("final_answer", answer={"type": "string"}), tool("recall", query={"type": "string"})]
        call = message(server, tools=tools)["tool_calls"][0]["function"]
        last = message(server, FINAL_ANSWER["pre_messages"])["content"]
    assert len(steps) == 3
    assert not any("final_answer" in step for step in steps)
    assert call["name"] == "recall"
    assert json.loads(call["arguments"]) == {"query": "thought 4"}
    assert last == "gave up"


@pytest.mark.parametrize("character", [obedient(), never_finishing()])
@pytest.mark.parametrize("stop", [["<end_plan>"], None])
def test_characters_plan_when_asked_for_a_plan(character, stop):
    with OpenAIServer(character) as server:
        plan = message(server, PLANNING["initial_plan"], stop=stop)["content"]
    assert "final_answer" not in plan
    assert "<code>" not in plan


def test_garbage_has_neither_code_nor_calls():
    with OpenAIServer(garbage()) as server:
        said = message(server, CODE_PROMPT, tools=[tool("f")])
    assert "tool_calls" not in said
    assert "<code>" not in said["content"]


def test_a_costly_model_bills_what_it_was_told_to():
    with OpenAIServer(costly(5000, obedient())) as server:
        usage = json.loads(post(server, "x" * 400)[1])["usage"]
    assert usage == {"prompt_tokens": 100, "completion_tokens": 5000, "total_tokens": 5100}
